#!/usr/bin/env bats
# The P2P protocol, message by message, as no well-behaved client would speak it.

# shellcheck disable=SC2016 # a key that looks like a command is to stay one

load lib

# begin [NAME [UUID [HOST]]]: the first lines of a conversation of version 4, for a p2p script.
begin() {
    local uuid=${2:-$CLUSTER}
    printf '%s\n' "open ${1:-one} $uuid ${3:-}" "S AUTH-SUCCESS $uuid" "C VERSION 4" "S VERSION 4"
}

# put FILE KEY: a whole upload that is new to all nodes, for a p2p script. The cluster names its nodes.
put() {
    printf '%s\n' "C PUT  $2" "S PUT-FROM 0" "C DATA $(stat -c %s "$1")" "send $1" "C VALID" "S SUCCESS-PLUS $A $B $C"
}

setup() {
    isolate
    SITE=$TMP/site
    annex-keep init "$SITE"
    annex-keep repo create data --site "$SITE"
    CLUSTER=$(site_uuid cluster) GATEWAY=$(site_uuid gateway)
    A=$(site_uuid a) B=$(site_uuid b) C=$(site_uuid c)
    random_file file 100000
    KEY=$(sha256_key file)
}

# with_sshd: the same site behind sshd, which the tests that cut connections go through.
with_sshd() {
    start_ssh_server
    add_user alice testhost --role write
}

@test "the version is the lower of both" {
    for version in 0 1 2 3 4; do
        p2p <<END2
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION $version
S VERSION $version
close
code 0
END2
    done
    for version in 5 17 4000000000; do
        p2p <<END2
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION $version
S VERSION 4
close
code 0
END2
    done
}

@test "what cannot be understood is an error, and the session goes on" {
    p2p <<END2
$(begin)
C NONSENSE
S ERROR unknown command
C CHECKPRESENT
S ERROR unknown command
C CHECKPRESENT nokey
S ERROR unknown command
C CHECKPRESENT SHA256-sx--y
S ERROR unknown command
C GET x  WORM--y
S ERROR unknown command
C GET -1  WORM--y
S ERROR unknown command
C PUT /absolute WORM--y
S ERROR unknown command
C UNLOCKCONTENT WORM--y
S ERROR unknown command
C 
S ERROR unknown command
C SUCCESS
S ERROR unexpected command
C UNLOCKCONTENT
S ERROR unexpected command
C VALID
S ERROR unexpected command
C DATA 0
S ERROR unexpected command
C PUT-FROM 0
S ERROR unexpected command
C BYPASS 1 2 3
silent
C CHECKPRESENT WORM--y
S FAILURE
close
code 0
END2
}

@test "an error from the client ends the session in silence" {
    p2p <<END2
$(begin)
C ERROR I have had enough
end
code 0
END2
}

@test "a wrong message in the middle of a request costs that request alone" {
    p2p <<END2
$(begin)
C PUT  $KEY
S PUT-FROM 0
C CHECKPRESENT $KEY
S ERROR expected DATA
C CHECKPRESENT $KEY
S FAILURE
C PUT  $KEY
S PUT-FROM 0
C ERROR no data
silent
C CHECKPRESENT $KEY
S FAILURE
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file
C CHECKPRESENT $KEY
S ERROR expected VALID or INVALID
S~ (SUCCESS.*|FAILURE)
C CHECKPRESENT WORM--absent
S FAILURE
C GET 0  WORM--absent
S DATA 0
S INVALID
C CHECKPRESENT WORM--absent
S~ ERROR expected SUCCESS.*
C CHECKPRESENT WORM--absent
S FAILURE
C GET 0  WORM--absent
S DATA 0
S INVALID
C ERROR never mind
silent
C CHECKPRESENT WORM--absent
S FAILURE
close
code 0
END2
}

@test "a lock ends with any message" {
    p2p <<END2
$(begin)
$(put file "$KEY")
C LOCKCONTENT $KEY
S SUCCESS
C CHECKPRESENT $KEY
S ERROR expected UNLOCKCONTENT
C CHECKPRESENT $KEY
S SUCCESS
C REMOVE $KEY
S SUCCESS-PLUS $A $B $C
close
code 0
END2
}

@test "content comes back from any offset" {
    tail -c +99001 file >end
    p2p <<END2
$(begin)
$(put file "$KEY")
C GET 0  $KEY
S DATA 100000
receive got 100000
S VALID
C SUCCESS
C GET 99000 some/file $KEY
S DATA 1000
receive got-end 1000
S VALID
C SUCCESS
C GET 100000  $KEY
S DATA 0
S VALID
C SUCCESS
C GET 100001  $KEY
S DATA 0
S VALID
C FAILURE
C GET 99999999999999  $KEY
S DATA 0
S VALID
C SUCCESS
C GET 0  WORM--absent
S DATA 0
S INVALID
C FAILURE
C CHECKPRESENT $KEY
S SUCCESS
close
END2
    assert_same got file
    assert_same got-end end
}

@test "versions 0 and 1 have their own forms" {
    random_file two 5000
    p2p <<END2
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C CHECKPRESENT $KEY
S FAILURE
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file
S SUCCESS
C PUT  $KEY
S ALREADY-HAVE
C GET 99998  $KEY
S DATA 2
receive got 2
C SUCCESS
C GET 0  WORM--absent
S DATA 0
C FAILURE
C GETTIMESTAMP
S~ TIMESTAMP [0-9]+
C REMOVE $KEY
S SUCCESS
close
code 0
open two $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 1
S VERSION 1
C PUT  $(sha256_key two)
S PUT-FROM 0
C DATA-PRESENT
S ERROR expected DATA
C PUT  $(sha256_key two)
S PUT-FROM 0
C DATA 5000
send two
C VALID
S SUCCESS
C PUT  $(sha256_key two)
S ALREADY-HAVE
C GET 0  $(sha256_key two)
S DATA 5000
receive got 5000
S VALID
C SUCCESS
C REMOVE $(sha256_key two)
S SUCCESS
close
code 0
END2
    assert_same got two
}

@test "version 0 content with a wrong hash is refused" {
    random_file wrong 100000
    p2p <<END2
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send wrong
S FAILURE
C CHECKPRESENT $KEY
S FAILURE
close
END2
}

@test "a key that is there is not asked for again" {
    p2p <<END2
$(begin)
$(put file "$KEY")
C PUT  $KEY
S ALREADY-HAVE-PLUS $A $B $C
$(begin node "$B")
C PUT  $KEY
S ALREADY-HAVE
close
open old $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 1
S VERSION 1
C PUT  $KEY
S ALREADY-HAVE
close
END2
}

@test "an upload to one node is that node's alone" {
    p2p <<END2
$(begin one "$B")
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file
C VALID
S SUCCESS
$(begin two)
C CHECKPRESENT $KEY
S SUCCESS
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file
C VALID
S~ SUCCESS-PLUS .*
close
END2
    assert_on "$KEY" file a b c
    assert_logged "$KEY" a b c
}

@test "the gateway itself holds nothing" {
    p2p <<END2
$(begin one "$GATEWAY")
C PUT  $KEY
S~ ERROR .*
C CHECKPRESENT $KEY
S FAILURE
C GET 0  $KEY
S DATA 0
S INVALID
C FAILURE
C LOCKCONTENT $KEY
S FAILURE
C REMOVE $KEY
S SUCCESS
close
code 0
END2
}

@test "INVALID and a wrong hash leave nothing behind" {
    random_file wrong 100000
    random_file other 7000
    p2p <<END2
$(begin)
$(put other "$(sha256_key other)")
close
END2
    node_files >before
    p2p <<END2
$(begin)
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file
C INVALID
S FAILURE
C CHECKPRESENT $KEY
S FAILURE
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send wrong
C VALID
S FAILURE
C CHECKPRESENT $KEY
S FAILURE
C PUT  $KEY
S PUT-FROM 0
C ERROR stop
close
code 0
END2
    node_files >after
    assert_same before after
    # And nothing in the way of the right content.
    p2p <<END2
$(begin)
$(put file "$KEY")
close
END2
    assert_on "$KEY" file a b c
}

@test "a failed upload spares blocks that others refer to" {
    # The same block is the content of another key, in another repository even.
    annex-keep repo create other --site "$SITE"
    cluster=$(site_uuid cluster other)
    P2P_DIR=/other p2p <<END2
open one $cluster
S AUTH-SUCCESS $cluster
C VERSION 4
S VERSION 4
C PUT  WORM-s100000--file
S PUT-FROM 0
C DATA 100000
send file
C VALID
S~ SUCCESS-PLUS .*
close
END2
    node_files >before
    p2p <<END2
$(begin)
C CHECKPRESENT WORM-s100000--file
S FAILURE
C GET 0  WORM-s100000--file
S DATA 0
S INVALID
C FAILURE
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file
C INVALID
S FAILURE
close
END2
    node_files >after
    assert_same before after
    P2P_DIR=/other p2p <<END2
open one $cluster
S AUTH-SUCCESS $cluster
C VERSION 4
S VERSION 4
C GET 0  WORM-s100000--file
S DATA 100000
receive got 100000
S VALID
C SUCCESS
close
END2
    assert_same got file
}

@test "data that is not as long as the key says is refused" {
    { cat file; echo more; } >long
    p2p <<END2
$(begin)
C PUT  $KEY
S PUT-FROM 0
C DATA 100005
send long
C VALID
S FAILURE
C CHECKPRESENT $KEY
S FAILURE
C PUT  $KEY
S~ PUT-FROM [0-9]+
C DATA 0
C INVALID
S FAILURE
C CHECKPRESENT $KEY
S FAILURE
C PUT  WORM-s100000--long
S PUT-FROM 0
C DATA 100005
send long
C VALID
S FAILURE
C CHECKPRESENT WORM-s100000--long
S FAILURE
C PUT  WORM-s100000--short
S PUT-FROM 0
C DATA 99999
send file 0 99999
C VALID
S FAILURE
C CHECKPRESENT WORM-s100000--short
S FAILURE
C PUT  WORM-s100000--short
S PUT-FROM 99999
C DATA 1
send file 99999
C VALID
S SUCCESS-PLUS $A $B $C
close
code 0
END2
    assert_on WORM-s100000--short file a b c
}

@test "DATA-PRESENT is believed after a look" {
    p2p <<END2
$(begin)
C PUT  $KEY
S PUT-FROM 0
C DATA-PRESENT
S FAILURE
C CHECKPRESENT $KEY
S FAILURE
C PUT  $KEY
S PUT-FROM 0
$(begin two)
$(put file "$KEY")
close
use one
C DATA-PRESENT
S SUCCESS-PLUS $A $B $C
C CHECKPRESENT $KEY
S SUCCESS
close
code 0
END2
    assert_logged "$KEY" a b c
}

@test "an upload that breaks off goes on where it was" {
    with_sshd
    p2p <<END2
$(begin one "$CLUSTER" testhost)
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file 0 60000
silent
kill
END2
    # The server keeps what came until ssh was killed, once it has noticed.
    wait_until 20 resumes_at 60000 "$CLUSTER" 2>/dev/null
    for node in $A $B $C; do resumes_at 60000 "$node"; done
    p2p <<END2
$(begin)
C CHECKPRESENT $KEY
S FAILURE
C PUT  $KEY
S PUT-FROM 60000
C DATA 40000
send file 60000
C VALID
S SUCCESS-PLUS $A $B $C
close
END2
    assert_on "$KEY" file a b c
    assert_logged "$KEY" a b c
}

@test "content of which only the VALID is missing is kept, and is not there yet" {
    with_sshd
    p2p <<END2
$(begin one "$CLUSTER" testhost)
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file
silent
kill
END2
    wait_until 20 resumes_at 100000 "$CLUSTER" 2>/dev/null
    p2p <<END2
$(begin)
C CHECKPRESENT $KEY
S FAILURE
C PUT  $KEY
S PUT-FROM 100000
C DATA 0
C VALID
S SUCCESS-PLUS $A $B $C
close
END2
    assert_on "$KEY" file a b c
}

# resumes_at OFFSET UUID [KEY]: that is where an upload to UUID starts. Ends the upload as a probe, which keeps what there is.
resumes_at() {
    p2p <<END2
$(begin one "$2")
C PUT  ${3:-$KEY}
S PUT-FROM $1
C DATA 0
C INVALID
S FAILURE
close
code 0
END2
}

@test "an upload that was resumed with other bytes is refused" {
    random_file wrong 100000
    p2p <<END2
$(begin)
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send wrong 0 50000
close
END2
    resumes_at 50000 "$CLUSTER"
    p2p <<END2
$(begin)
C PUT  $KEY
S PUT-FROM 50000
C DATA 50000
send file 50000
C VALID
S FAILURE
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file
C VALID
S SUCCESS-PLUS $A $B $C
close
END2
    assert_on "$KEY" file a b c
}

@test "whole blocks survive the death of the server" {
    random_file big 200M
    key=$(sha256_key big)
    p2p <<END2
$(begin)
C PUT  $key
S PUT-FROM 0
C DATA 209715200
send big 0 100000000
$(for step in {0..9}; do printf '%s\n' silent "send big $((100000000 + step * 1000000)) 1000000"; done)
silent
kill
END2
    # A process that is killed keeps what stood on disk whole: here the first block of 64 MiB.
    resumes_at 67108864 "$CLUSTER" "$key"
    p2p <<END2
$(begin)
C PUT  $key
S PUT-FROM 67108864
C DATA 142606336
send big 67108864
C VALID
S SUCCESS-PLUS $A $B $C
close
END2
    assert_on "$key" big a b c
}

@test "nodes that kept different amounts all end up whole" {
    for part in "a 30000" "b 70000"; do
        read -r node offset <<<"$part"
        p2p <<END2
$(begin one "$(site_uuid "$node")")
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file 0 $offset
close
END2
        resumes_at "$offset" "$(site_uuid "$node")"
    done
    resumes_at 0 "$CLUSTER"
    p2p <<END2
$(begin one "$C")
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file 0 10000
close
$(begin two)
C PUT  $KEY
S PUT-FROM 10000
C DATA 90000
send file 10000
C VALID
S~ SUCCESS-PLUS .*
close
END2
    assert_on "$KEY" file a b c
    assert_logged "$KEY" a b c
}

# timestamp UUID: what GETTIMESTAMP answers in a process of its own.
timestamp() {
    printf '%s\n' "VERSION 4" GETTIMESTAMP |
        annex-keep shell --site "$SITE" -c "git-annex-shell 'p2pstdio' '/data' 'x' --uuid $1" | sed -n 's/^TIMESTAMP //p'
}

@test "time is the same for cluster and nodes, in every process, and goes on" {
    last=$(timestamp "$CLUSTER")
    [ "$last" -gt 0 ]
    for uuid in $A $B $C $GATEWAY $CLUSTER; do
        now=$(timestamp "$uuid")
        ((last <= now && now <= last + 5)) || fail "$uuid: $now after $last"
        last=$now
    done
    sleep 1.1
    now=$(timestamp "$B")
    ((last < now)) || fail "time stands still at $now"
}

@test "REMOVE-BEFORE looks at presence first, and then at the time" {
    past=$(($(timestamp "$CLUSTER") - 1)) future=$(($(timestamp "$CLUSTER") + 300))
    p2p <<END2
$(begin)
C REMOVE-BEFORE $past $KEY
S SUCCESS-PLUS $A $B $C
$(put file "$KEY")
C REMOVE-BEFORE $past $KEY
S~ (FAILURE|ERROR .*)
C CHECKPRESENT $KEY
S SUCCESS
$(begin node "$B")
C REMOVE-BEFORE $past $KEY
S~ (FAILURE|ERROR .*)
C CHECKPRESENT $KEY
S SUCCESS
C REMOVE-BEFORE $future $KEY
S SUCCESS
C CHECKPRESENT $KEY
S FAILURE
close
use one
C REMOVE-BEFORE $past $KEY
S FAILURE-PLUS $B
C REMOVE-BEFORE $future $KEY
S SUCCESS-PLUS $A $B $C
C CHECKPRESENT $KEY
S FAILURE
close
END2
    assert_on "$KEY" file
    assert_logged "$KEY"
}

@test "a lock keeps removal away on its node, from every connection" {
    p2p <<END2
$(begin)
$(put file "$KEY")
$(begin locker "$B")
C LOCKCONTENT $KEY
S SUCCESS
$(begin second "$B")
C LOCKCONTENT $KEY
S SUCCESS
$(begin remover "$B")
C REMOVE $KEY
S~ (FAILURE|ERROR .*)
C REMOVE-BEFORE 99999999999 $KEY
S~ (FAILURE|ERROR .*)
C GET 99999  $KEY
S DATA 1
receive byte 1
S VALID
C SUCCESS
use one
C REMOVE $KEY
S FAILURE-PLUS $A $C
use locker
C UNLOCKCONTENT
C CHECKPRESENT $KEY
S SUCCESS
close
use remover
C REMOVE $KEY
S~ (FAILURE|ERROR .*)
use second
C UNLOCKCONTENT
C CHECKPRESENT $KEY
S SUCCESS
use remover
C REMOVE $KEY
S SUCCESS
close
code 0
END2
    assert_logged "$KEY"
    assert_on "$KEY" file
}

@test "a lock holds after its server was killed, and after its client was lost" {
    with_sshd
    p2p <<END2
$(begin)
$(put file "$KEY")
close
$(begin killed "$A")
C LOCKCONTENT $KEY
S SUCCESS
kill
$(begin lost "$B" testhost)
C LOCKCONTENT $KEY
S SUCCESS
kill
$(begin closed "$C")
C LOCKCONTENT $KEY
S SUCCESS
close
END2
    for node in $A $B $C; do
        p2p <<END2
$(begin one "$node")
C REMOVE $KEY
S~ (FAILURE|ERROR .*)
C CHECKPRESENT $KEY
S SUCCESS
close
END2
    done
    assert_on "$KEY" file a b c
    assert_logged "$KEY" a b c
}

@test "a lock of the cluster holds one copy" {
    p2p <<END2
$(begin)
C LOCKCONTENT $KEY
S FAILURE
$(put file "$KEY")
C LOCKCONTENT $KEY
S SUCCESS
$(begin remover)
C REMOVE $KEY
S~ FAILURE-PLUS .*
C CHECKPRESENT $KEY
S SUCCESS
use one
C UNLOCKCONTENT
C CHECKPRESENT $KEY
S SUCCESS
use remover
C REMOVE $KEY
S SUCCESS-PLUS $A $B $C
C CHECKPRESENT $KEY
S FAILURE
C LOCKCONTENT $KEY
S FAILURE
close
END2
}

@test "modes refuse by request, and the session goes on" {
    p2p <<END2
$(begin)
$(put file "$KEY")
close
END2
    export GIT_ANNEX_SHELL_READONLY=1
    p2p <<END2
$(begin)
C PUT  WORM--new
S ERROR this repository is read-only; write access denied
C REMOVE $KEY
S ERROR this repository is read-only; write access denied
C REMOVE-BEFORE 99999999999 $KEY
S ERROR this repository is read-only; write access denied
C LOCKCONTENT $KEY
S SUCCESS
C UNLOCKCONTENT
C CHECKPRESENT $KEY
S SUCCESS
close
code 0
END2
    unset GIT_ANNEX_SHELL_READONLY
    export GIT_ANNEX_SHELL_APPENDONLY=1
    p2p <<END2
$(begin)
C REMOVE $KEY
S ERROR this repository is append-only; removal denied
C REMOVE-BEFORE 99999999999 $KEY
S ERROR this repository is append-only; removal denied
C PUT  WORM--new
S PUT-FROM 0
C ERROR no
C CHECKPRESENT $KEY
S SUCCESS
close
code 0
END2
}

@test "keys are bytes: spaces, percent, no UTF-8, many of them" {
    # With its escapes the long one is about as long as a file name of git-annex can be.
    long=$(printf '%%/&%.0s' {1..35})
    for key in "WORM-s100000-m1234--with a space  and two" $'WORM--\xff\xfe odd \x01\x7f' "WORM--100%/&%25:.git" \
        "URL--http&c%%example.org%a b" "WORM--$long" "WORM-s100000--é" 'WORM--back\040slash\n"$(x)'; do
        p2p <<END2
$(begin)
C CHECKPRESENT $key
S FAILURE
$(put file "$key")
C CHECKPRESENT $key
S SUCCESS
C GET 0  $key
S DATA 100000
receive got 100000
S VALID
C SUCCESS
close
$(begin node "$B")
C GET 1  $key
S DATA 99999
receive got-end 99999
S VALID
C SUCCESS
close
use one
$(begin remover)
C REMOVE $key
S SUCCESS-PLUS $A $B $C
C CHECKPRESENT $key
S FAILURE
close
END2
        assert_same got file
        cmp -i 1:0 file got-end
    done
}

@test "empty content is content" {
    : >empty
    key=SHA256-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    p2p <<END2
$(begin)
C CHECKPRESENT $key
S FAILURE
C PUT  $key
S PUT-FROM 0
C DATA 0
C VALID
S SUCCESS-PLUS $A $B $C
C CHECKPRESENT $key
S SUCCESS
C GET 0  $key
S DATA 0
S VALID
C SUCCESS
C PUT  $key
S ALREADY-HAVE-PLUS $A $B $C
C LOCKCONTENT $key
S SUCCESS
C UNLOCKCONTENT
C REMOVE $key
S SUCCESS-PLUS $A $B $C
C CHECKPRESENT $key
S FAILURE
close
END2
}

@test "names of associated files do not disturb" {
    number=0
    for name in "a%b" "100%%" "sp%ace" "../up" "$(printf 'x%.0s' {1..3000})" $'\xff\xfe'; do
        number=$((number + 1))
        p2p <<END2
$(begin)
C PUT $name WORM-s100000--$number
S PUT-FROM 0
C DATA 100000
send file
C VALID
S SUCCESS-PLUS $A $B $C
C GET 99999 $name WORM-s100000--$number
S DATA 1
receive got 1
S VALID
C SUCCESS
close
code 0
END2
    done
}

@test "a line without an end ends the connection" {
    p2p <<END2
$(begin)
C* x 32000
silent
C* x 1000
end
code 1
END2
}

@test "requests that come all at once are answered in order" {
    {
        printf 'VERSION 4\nPUT  %s\nDATA 100000\n' "$KEY"
        cat file
        printf 'VALID\nCHECKPRESENT %s\nGET 99990  %s\nSUCCESS\nCHECKPRESENT WORM--x\n' "$KEY" "$KEY"
    } | annex-keep shell --site "$SITE" -c "git-annex-shell 'p2pstdio' '/data' 'x' --uuid $CLUSTER" >said
    {
        printf '%s\n' "AUTH-SUCCESS $CLUSTER" "VERSION 4" "PUT-FROM 0" "SUCCESS-PLUS $A $B $C" SUCCESS "DATA 10"
        tail -c 10 file
        printf '%s\n' VALID FAILURE
    } >wanted
    assert_same said wanted
}

@test "every backend's hash is taken, and a wrong one refused" {
    with_sshd
    clone_site work 2>clone.err
    cd work
    for backend in SHA1 SHA224 SHA256 SHA384 SHA512 SHA3_224 SHA3_256 SHA3_384 SHA3_512 SKEIN256 SKEIN512 \
        BLAKE2B160 BLAKE2B224 BLAKE2B256 BLAKE2B384 BLAKE2B512 BLAKE2BP512 BLAKE2S160 BLAKE2S224 BLAKE2S256 \
        BLAKE2SP224 BLAKE2SP256 MD5; do
        for extension in '' E; do
            head -c 3000 /dev/urandom >"of-$backend$extension.dat"
            git annex add -q --backend="$backend$extension" "of-$backend$extension.dat" || fail "$backend$extension"
        done
    done
    head -c 3000 /dev/urandom >of-WORM.dat
    git annex add -q --backend=WORM of-WORM.dat
    git commit -q -m all
    mkdir "$TMP/original"
    cp -L of-* "$TMP/original"
    git annex copy -q --to origin
    git annex drop -q
    git annex get -q
    for file in of-*; do assert_same "$file" "$TMP/original/$file"; done
    # One changed byte is found by each of them.
    head -c 3000 /dev/zero >"$TMP/zero"
    git annex drop -q --from origin
    for file in of-*; do
        [ "$file" != of-WORM.dat ] || continue
        key=$(annex_key "$file")
        echo "C PUT  $key"
        echo "S PUT-FROM 0"
        echo "C DATA 3000"
        echo "send $TMP/zero"
        echo "C VALID"
        echo "S FAILURE"
    done >"$TMP/puts"
    { begin && cat "$TMP/puts" && printf 'close\ncode 0\n'; } | p2p
}
