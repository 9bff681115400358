#!/usr/bin/env bats
# `annex-keep shell` hands its conversation to the running daemon, and does the same by itself where there is none.

# shellcheck disable=SC2016 # jq has variables too
# shellcheck disable=SC2030,SC2031 # each test has a KEY of its own

load lib

setup() {
    isolate
    start_site
    CLUSTER=$(site_uuid cluster)
}

teardown() {
    exec 7>&- 8<&- || true
    stop_everything
}

status() { annex-keep status --site "$SITE" --json; }
status_is() { status | jq -e "$1" >/dev/null; }

# requests FILTER: how many requests the daemon's log has of which the jq filter is true.
requests() { jq -c "select(.target == \"annex_keep::request\" and ($1))" "$TMP/daemon.log" | wc -l; }

# talk: starts a P2P session of `annex-keep shell` with this test as its client: `say LINE`, `hear LINE`.
talk() {
    rm -f "$TMP/in" "$TMP/out"
    mkfifo "$TMP/in" "$TMP/out"
    annex-keep shell --site "$SITE" -c \
        "git-annex-shell 'p2pstdio' '/data' '11111111-2222-3333-4444-555555555555' --uuid $CLUSTER" \
        <"$TMP/in" >"$TMP/out" 2>"$TMP/errors" 3>&- &
    TALK=$!
    exec 7>"$TMP/in" 8<"$TMP/out"
    hear "AUTH-SUCCESS $CLUSTER"
    say "VERSION 1"
    hear "VERSION 1"
}

say() { printf '%s\n' "$1" >&7; }

hear() {
    local line
    IFS= read -r -t 60 line <&8 || fail "nothing was said instead of: $1"
    assert_equal "$line" "$1"
}

# talk_half FILE: uploads the first half of a file of 100000 bytes, and waits until the daemon has it. Sets KEY.
talk_half() {
    KEY=$(sha256_key "$1")
    say "PUT  $KEY"
    hear "PUT-FROM 0"
    say "DATA 100000"
    head -c 50000 "$1" >&7
    wait_until 20 status_is '.transfers | length == 1 and .[0].bytes == 50000'
}

# resumes_at OFFSET: an upload of KEY would go on there.
resumes_at() {
    printf '%s\n' "open one $CLUSTER" "S AUTH-SUCCESS $CLUSTER" "C PUT  $KEY" "S PUT-FROM $1" | p2p 2>/dev/null
}

@test "what clients do over sshd passes through the daemon" {
    start_daemon --log-format json
    clone_site work 2>/dev/null
    cd work
    random_file file 3M
    cp file "$TMP/original"
    git annex add -q file
    git commit -q -m file
    KEY=$(annex_key file)
    git push -q origin main git-annex
    git annex copy -q --to origin file
    assert_on "$KEY" "$TMP/original" a b c
    git annex drop -q file
    lacks_content file
    git annex get -q file
    assert_same file "$TMP/original"
    git annex move -q --to origin file
    git annex move -q --from origin file
    assert_same file "$TMP/original"
    for node in a b c; do run -0 manifest "$node" "$KEY"; [ -z "$output" ]; done
    assert_logged "$KEY" "$(git config annex.uuid)"

    for operation in put get remove lock; do
        [ "$(requests ".operation == \"$operation\" and .door == \"shell\" and .user == \"alice\" and .outcome == \"done\"")" -ge 1 ] ||
            fail "no $operation in the daemon's log" "$(cat "$TMP/daemon.log")"
    done
    assert_equal "$(requests ".operation == \"put\" and .bytes == 3145728 and .nodes == \"a,b,c\" and .key == \"$KEY\"")" 1
    wait_until 10 status_is '.connections == 0 and .running == 0 and (.transfers | length) == 0'
}

@test "without a daemon, and after it has ended, the shell does the work itself" {
    clone_site work 2>/dev/null
    cd work
    for name in before during after; do
        random_file $name 100K
        git annex add -q $name
    done
    git commit -q -m files
    git annex copy -q --to origin before
    start_daemon --log-format json
    git annex copy -q --to origin during
    stop_daemon
    [ ! -e "$SITE/run/socket" ]
    git annex copy -q --to origin after
    git annex drop -q before during after
    start_daemon --log-format json
    git annex get -q before during after
    assert_equal "$(requests '.operation == "put"')" 1
    assert_equal "$(requests '.operation == "get"')" 3
}

@test "git pushes and fetches much through the daemon, and hears much" {
    start_daemon --log-format json
    clone_site work 2>/dev/null
    cd work
    random_file big 12M
    git add big
    git commit -q -m big
    printf '#!/bin/sh\nyes "a line for the pusher" | head -c 2000000 >&2\n' >"$SITE/repos/data.git/hooks/post-receive"
    chmod +x "$SITE/repos/data.git/hooks/post-receive"
    git push origin main 2>"$TMP/pushed"
    [ "$(grep -c 'a line for the pusher' "$TMP/pushed")" -ge 80000 ]
    git -c protocol.version=2 clone -q ssh://testhost/data "$TMP/other" 2>/dev/null
    assert_same big "$TMP/other/big"
    # A failure and its exit code come back as well.
    run -1 ssh testhost "git-upload-pack '/absent'"
    assert_output "there is no repository absent here"
    run -1 ssh testhost "ls"
    run -0 ssh testhost
    assert_output "data (write)"
}

@test "a lock that a session in the daemon holds is one for every process" {
    start_daemon
    random_file file 100000
    KEY=$(sha256_key file)
    talk
    say "PUT  $KEY"
    hear "PUT-FROM 0"
    say "DATA 100000"
    cat file >&7
    say VALID
    hear SUCCESS
    say "LOCKCONTENT $KEY"
    hear SUCCESS
    assert_json '.locks >= 1' "$(status)"
    refused() {
        printf '%s\n' "open one $CLUSTER" "S AUTH-SUCCESS $CLUSTER" "C VERSION 1" "S VERSION 1" "C REMOVE $KEY" "S~ (FAILURE|ERROR .*)" | p2p
    }
    refused
    # Hidden from a shell, the daemon does not take its work.
    mv "$SITE/run/socket" "$SITE/run/hidden"
    refused
    mv "$SITE/run/hidden" "$SITE/run/socket"
    say UNLOCKCONTENT
    say "REMOVE $KEY"
    hear SUCCESS
}

@test "a daemon that is killed in the middle of an upload: the client hears an end, and tries again without it" {
    start_daemon
    random_file file 100000
    talk
    talk_half file
    stop_daemon KILL
    local status=0
    wait "$TALK" || status=$?
    assert_equal "$status" 1
    # Nothing half said.
    assert_equal "$(timeout 20 cat <&8)" ""
    grep -qF "daemon ended in the middle of the conversation" "$TMP/errors"
    [ -e "$SITE/run/socket" ]
    exec 7>&- 8<&-
    talk
    say "PUT  $KEY"
    IFS= read -r line <&8
    offset=${line#PUT-FROM }
    say "DATA $((100000 - offset))"
    tail -c +$((offset + 1)) file >&7
    say VALID
    IFS= read -r line <&8
    [[ $line == SUCCESS* ]]
    exec 7>&-
    wait "$TALK"
    assert_on "$KEY" file a b c
    # The next daemon takes the place of the one that was killed.
    start_daemon
    talk
    say "CHECKPRESENT $KEY"
    hear SUCCESS
    assert_json '.connections == 1' "$(status)"
}

@test "a client that is killed ends its conversation in the daemon, and its upload is kept" {
    start_daemon
    random_file file 100000
    KEY=$(sha256_key file)
    p2p <<END
open one $CLUSTER testhost
S AUTH-SUCCESS $CLUSTER
C VERSION 1
S VERSION 1
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file 0 60000
silent
kill
END
    wait_until 20 status_is '.connections == 0 and .running == 0 and (.transfers | length) == 0'
    wait_until 20 resumes_at 60000
}

@test "a shell that is killed ends its conversation in the daemon, and its upload is kept" {
    start_daemon
    random_file file 100000
    talk
    talk_half file
    kill -KILL "$TALK"
    # The client's streams are open still.
    wait_until 20 status_is '.connections == 0 and .running == 0 and (.transfers | length) == 0'
    wait_until 20 resumes_at 50000
}

@test "a daemon that is ending finishes what it has, and leaves the rest to the shells" {
    start_daemon
    random_file file 100000
    random_file other 1000
    talk
    talk_half file
    kill -TERM "$DAEMON_PID"
    wait_until 20 test ! -e "$SITE/run/socket"
    other=$(sha256_key other)
    p2p <<END
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C PUT  $other
S PUT-FROM 0
C DATA 1000
send other
S~ SUCCESS.*
close
code 0
END
    tail -c 50000 file >&7
    say VALID
    IFS= read -r line <&8
    [[ $line == SUCCESS* ]]
    wait "$TALK"
    wait "$DAEMON_PID"
    assert_on "$KEY" file a b c
}

@test "the socket is for its user alone" {
    start_daemon
    assert_equal "$(stat -c %a "$SITE/run" "$SITE/run/socket" | tr '\n' ' ')" "700 600 "
    [ "$(id -u)" = 0 ] || skip "only root can become somebody else"
    ask='import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(20)
s.connect(sys.argv[1])
ask = b"annex-keep 1\0status\0"
s.sendall(len(ask).to_bytes(4, "big") + ask)
print(s.recv(1).decode())'
    run -0 python3 -c "$ask" "$SITE/run/socket"
    assert_equal "$output" "{"
    run ! setpriv --reuid=nobody --clear-groups python3 -c "$ask" "$SITE/run/socket"
    assert_output PermissionError
    # Where the files would let somebody in, the daemon does not.
    directory=$SITE/run
    chmod 666 "$SITE/run/socket"
    until [ "$directory" = / ]; do
        if [[ $(stat -c %a "$directory") != *[1357] ]]; then
            stat -c '%a %n' "$directory" >>"$TMP/modes"
            chmod a+x "$directory"
        fi
        directory=$(dirname "$directory")
    done
    run setpriv --reuid=nobody --clear-groups python3 -c "$ask" "$SITE/run/socket"
    while read -r mode name; do chmod "$mode" "$name"; done <"$TMP/modes"
    refute_output "{"
    refute_output PermissionError
    grep -qF "was refused" "$TMP/daemon.log"
}

@test "a site has one daemon" {
    start_daemon
    run -1 annex-keep serve "$SITE" --http 127.0.0.1:0 --ssh 127.0.0.1:0
    assert_output "another daemon serves this site (process $DAEMON_PID)"
    stop_daemon KILL
    start_daemon
}

@test "what sshd says the user may do holds in the daemon too" {
    start_daemon
    random_file file 1000
    KEY=$(sha256_key file)
    export GIT_ANNEX_SHELL_READONLY=1
    p2p <<END
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C PUT  $KEY
S~ ERROR .*read.*
close
END
    unset GIT_ANNEX_SHELL_READONLY
    run -1 env GIT_ANNEX_SHELL_LIMITED=1 annex-keep shell --site "$SITE" -c "git-upload-pack '/data'"
    run -1 annex-keep shell --site "$SITE" --user nobody -c "git-upload-pack '/data'" </dev/null
    assert_output nobody
}
