#!/usr/bin/env bats
# How much of the gateway one may use at once: what is over a limit waits or hears a clear error, and others go on.

# shellcheck disable=SC2029 # the UUID is the client's to fill in

load lib

setup() {
    isolate
    start_site
    add_user bob otherhost --role write
    CLUSTER=$(site_uuid cluster)
    for name in one two three; do random_file $name 100000; done
}

status_is() { annex-keep status --site "$SITE" --json | jq -e "$1" >/dev/null; }

# limits LINE...: these are the site's limits. Who stands still keeps the turn for TURN seconds, here for longer than a test.
limits() {
    sed -i '/^\[limits\]/,/^# The nodes/{/^#/!d}' "$SITE/annex-keep.toml"
    printf '%s\n' '[limits]' "turn_seconds = ${TURN:-600}" "$@" | sed -i '/^# The nodes/{
        r /dev/stdin
        N
    }' "$SITE/annex-keep.toml"
}

# p2p_head NAME HOST: the first lines of a conversation, for a p2p script.
p2p_head() {
    printf '%s\n' "open $1 $CLUSTER $2" "S AUTH-SUCCESS $CLUSTER" "C VERSION 1" "S VERSION 1"
}

# upload FILE: what is said once an upload has its turn, for a p2p script.
upload() { printf '%s\n' "S PUT-FROM 0" "C DATA $(stat -c %s "$1")" "send $1" "C VALID" "S SUCCESS"; }

@test "a user over their own limit waits, and others go on" {
    limits '[limits.each_user]' 'transfers = 1'
    start_daemon
    p2p <<END
$(p2p_head first testhost)
$(p2p_head second testhost)
$(p2p_head third otherhost)
use first
C PUT  $(sha256_key one)
S PUT-FROM 0
use second
C PUT  $(sha256_key two)
silent
use third
C PUT  $(sha256_key three)
$(upload three)
use second
silent
use first
C DATA 100000
send one
C VALID
S SUCCESS
use second
$(upload two)
END
    wait_until 20 status_is '.running == 0 and .waiting == 0 and .transfers == []'
}

@test "uploads that stand still hold up nobody, and go on when they can" {
    clone_site work 2>/dev/null
    cp one two work
    cd work
    git annex add -q one two
    git commit -q -m both
    TURN=1 limits 'transfers = 2' 'waiting = 20'
    start_daemon
    local number script
    script=$(
        for number in 1 2 3 4 5; do
            random_file "$TMP/still$number" 50000
            p2p_head "still$number" testhost
            printf '%s\n' "C PUT  $(sha256_key "$TMP/still$number")"
        done
        # Two have a turn, the others when those have stood still for a second.
        for number in 1 2 3 4 5; do printf '%s\n' "use still$number" "S PUT-FROM 0"; done
        printf '%s\n' "run git annex copy -q --to origin one" "run git annex copy -q -J2 --to origin two"
        for number in 5 4 3 2 1; do
            printf '%s\n' "use still$number" "C DATA 50000" "send $TMP/still$number" "C VALID" "S SUCCESS"
        done
    )
    p2p <<<"$script"
    git annex drop -q one two
    wait_until 20 status_is '.running == 0 and .waiting == 0 and .transfers == []'
}

@test "a full queue sends clients away with a clear error, and takes them when it is not" {
    limits 'transfers = 1' 'waiting = 1'
    start_daemon
    p2p <<END
$(p2p_head first testhost)
$(p2p_head second testhost)
$(p2p_head third testhost)
use first
C PUT  $(sha256_key one)
S PUT-FROM 0
use second
C PUT  $(sha256_key two)
silent
use third
C PUT  $(sha256_key three)
S ERROR the server is busy: too many transfers are waiting; try again later
C CHECKPRESENT $(sha256_key three)
S FAILURE
use first
C DATA 100000
send one
C VALID
S SUCCESS
use second
$(upload two)
use third
C PUT  $(sha256_key three)
$(upload three)
END
}

@test "git-annex tells its user that the server is busy" {
    clone_site work 2>/dev/null
    cp one work
    cd work
    git annex add -q one
    git commit -q -m one
    limits 'transfers = 1' 'waiting = 0'
    start_daemon
    mkfifo "$TMP/in"
    ssh otherhost "git-annex-shell 'p2pstdio' '/data' 'x' --uuid $CLUSTER" <"$TMP/in" >"$TMP/out" 3>&- &
    exec 7>"$TMP/in"
    printf 'PUT  %s\n' "$(sha256_key "$TMP/two")" >&7
    wait_until 20 status_is '.running == 1'
    run ! git annex copy --to origin one
    assert_output "the server is busy: too many transfers are waiting; try again later"
    exec 7>&-
    wait_until 20 status_is '.running == 0'
    git annex copy -q --to origin one
}

@test "a client that goes while it waits gives its place back" {
    limits 'transfers = 1' 'waiting = 1'
    start_daemon
    p2p <<END
$(p2p_head first testhost)
$(p2p_head second testhost)
use first
C PUT  $(sha256_key one)
S PUT-FROM 0
use second
C PUT  $(sha256_key two)
silent
kill
use first
kill
END
    wait_until 20 status_is '.running == 0 and .waiting == 0 and .transfers == [] and .connections == 0'
}

@test "bytes a second: a user's cap slows that user and nobody else" {
    limits '[limits.user.alice]' 'bytes_per_second = "1 MB"'
    start_daemon
    random_file big 3000000
    key=$(sha256_key big)
    started=$EPOCHREALTIME
    p2p <<END
$(p2p_head one testhost)
C PUT  $key
S PUT-FROM 0
C DATA 3000000
send big
C VALID
S SUCCESS
END
    # 3 MB, less the quarter of a second that may be saved up.
    took=$(((${EPOCHREALTIME/./} - ${started/./}) / 1000))
    [ "$took" -ge 2700 ] || fail "alice took only $took ms"
    started=$EPOCHREALTIME
    p2p <<END
$(p2p_head one otherhost)
C GET 0  $key
S DATA 3000000
receive got 3000000
S VALID
C SUCCESS
close
END
    took=$(((${EPOCHREALTIME/./} - ${started/./}) / 1000))
    [ "$took" -lt 2700 ] || fail "bob took $took ms"
    assert_same got big
}

@test "bytes a second of the site hold for all users together" {
    limits 'bytes_per_second = "1 MB"'
    start_daemon
    for name in a b; do random_file big-$name 1500000; done
    started=$EPOCHREALTIME
    pids=()
    for pair in a:testhost b:otherhost; do
        p2p <<END 3>&- &
$(p2p_head one "${pair#*:}")
C PUT  $(sha256_key "big-${pair%:*}")
S PUT-FROM 0
C DATA 1500000
send big-${pair%:*}
C VALID
S SUCCESS
END
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    took=$(((${EPOCHREALTIME/./} - ${started/./}) / 1000))
    [ "$took" -ge 2700 ] || fail "3 MB took only $took ms"
}

@test "new limits hold after SIGHUP, for what waits too" {
    limits 'transfers = 1'
    start_daemon
    (
        wait_until 60 status_is '.waiting == 1'
        limits 'transfers = 2'
        kill -HUP "$DAEMON_PID"
    ) 3>&- &
    p2p <<END
$(p2p_head first testhost)
$(p2p_head second testhost)
use first
C PUT  $(sha256_key one)
S PUT-FROM 0
use second
C PUT  $(sha256_key two)
$(upload two)
END
    wait $!
    # What is wrong in the file changes nothing.
    limits 'transfers = 0'
    kill -HUP "$DAEMON_PID"
    wait_until 20 grep -qF "transfers must be at least 1" "$TMP/daemon.log"
    p2p <<END
$(p2p_head first testhost)
$(p2p_head second testhost)
use first
C PUT  $(sha256_key one)
S PUT-FROM 0
use second
C PUT  $(sha256_key three)
$(upload three)
END
}

@test "too many connections: the next one hears why" {
    limits 'connections = 1'
    start_daemon
    mkfifo "$TMP/in"
    annex-keep shell --site "$SITE" -c "git-annex-shell 'p2pstdio' '/data' 'x' --uuid $CLUSTER" \
        <"$TMP/in" >"$TMP/out" 3>&- &
    exec 7>"$TMP/in"
    wait_until 20 status_is '.connections == 1'
    run -1 ssh testhost true
    assert_output "too many connections are open"
    exec 7>&-
    wait_until 20 status_is '.connections == 0'
    ssh testhost true
}

@test "over HTTP a full queue is 503, with a time to come again" {
    limits 'transfers = 1' 'waiting = 0'
    start_daemon
    http_user carol secret --role write
    random_file large 60M
    curl -fsS -u carol:secret -H 'X-git-annex-data-length: 60000000' -T large -X POST -o "$TMP/stored" --limit-rate 100k \
        "$HTTP/git-annex/$CLUSTER/v4/put?key=$(sha256_key large)&clientuuid=$CLUSTER&offset=0" 3>&- &
    wait_until 20 status_is '.transfers | length == 1'
    run -0 curl -sS -u carol:secret -o "$TMP/body" -D "$TMP/head" -w '%{http_code}' \
        "$HTTP/git-annex/$CLUSTER/key/$(sha256_key one)"
    assert_equal "$output" 503
    grep -qi '^retry-after: [0-9]' "$TMP/head"
    grep -q 'busy' "$TMP/body"
}
