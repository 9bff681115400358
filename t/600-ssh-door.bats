#!/usr/bin/env bats
# The daemon's own ssh server, used by stock git, git-annex and ssh.

# shellcheck disable=SC2016 # jq has variables too
# shellcheck disable=SC2029 # what expands here is meant to
# shellcheck disable=SC2154 # bats sets stderr too

load lib

# A site that is served, and the user alice: ssh://alicehost/data.
setup() {
    isolate
    export ANNEX_KEEP_LOG=info
    new_site >/dev/null
    start_daemon
    ssh_user alice alicehost
}

# work_as HOST: a clone in $TMP/work with one annexed file, pushed. Sets KEY.
work_as() {
    git clone -q "ssh://$1/data" "$TMP/work" 2>/dev/null
    cd "$TMP/work" || return
    git annex init -q work
    add_file file "${2:-3M}"
    git push -q origin main git-annex
}

# with_authority: the daemon trusts the certificates of the key pair `ca`.
with_authority() {
    ssh_key ca
    cp "$TMP/ssh/ca.pub" "$SITE/ca.pub"
    sed -i 's/^user_ca = .*/user_ca = ["ca.pub"]/' "$SITE/annex-keep.toml"
    kill -HUP "$DAEMON_PID"
    wait_until 10 grep -q 'configuration was read again' "$TMP/daemon.log"
}

# certificate HOST USER ARG...: a new key pair with a certificate that ssh-keygen makes with these arguments; ssh to HOST
# shows it as USER.
certificate() {
    local host=$1 user=$2
    shift 2
    ssh_key "$host"
    ssh-keygen -q -I "$host" "$@" "$TMP/ssh/$host.pub"
    ssh_host "$host" "$user" "$host" "CertificateFile $TMP/ssh/$host-cert.pub"
}

# requests OPERATION: how many requests of this kind the daemon has logged as ended.
requests() { grep -c "operation=$1 .*outcome=" "$TMP/daemon.log" || true; }

has_requests() { [ "$(requests "$1")" -ge "$2" ]; }

@test "the host key is its owner's alone, and the printed fingerprint is the one that clients see" {
    assert_equal "$(stat -c %a "$SITE/host_ed25519")" 600
    seen=$(ssh-keyscan -t ed25519 -p "$SSH_PORT" 127.0.0.1 2>/dev/null | ssh-keygen -lf - | cut -d' ' -f2)
    [ -n "$seen" ]
    grep -qx "listening ssh 127.0.0.1:$SSH_PORT $seen" "$TMP/daemon.out"
    run annex-keep init "$TMP/other"
    refute_output "$seen"
    # A site without one gets one.
    stop_daemon
    rm "$SITE/host_ed25519"
    start_daemon
    assert_equal "$(stat -c %a "$SITE/host_ed25519")" 600
    run ! grep -qF "$seen" "$TMP/daemon.out"
    stop_daemon
    # One that others can read is not used.
    chmod 644 "$SITE/host_ed25519"
    run -1 annex-keep serve "$SITE" --ssh 127.0.0.1:0 --http 127.0.0.1:0
    assert_output "chmod 600"
}

@test "clone, copy, whereis, get, drop, move, fsck, push, and a second clone" {
    work_as alicehost
    run ! git config remote.origin.annex-ignore
    git annex copy -q --to origin file
    assert_on "$KEY" "$TMP/original-file" a b c
    assert_equal "$(annex_uuid origin)" "$(site_uuid cluster)"
    wanted=$(for name in cluster a b c; do site_uuid $name; done; git config annex.uuid)
    assert_equal "$(git annex whereis --json file | jq -r '.whereis[].uuid' | sort)" "$(sort <<<"$wanted")"
    git annex drop -q file
    lacks_content file
    git annex get -q file
    assert_same file "$TMP/original-file"
    git annex fsck -q --fast --from origin file

    git clone -q ssh://alicehost/data "$TMP/second" 2>/dev/null
    cd "$TMP/second"
    git annex init -q second
    git annex get -q file
    assert_same file "$TMP/original-file"
    git annex drop -q --from origin-b file
    assert_on "$KEY" "$TMP/original-file" a c
    git annex get -q --from origin-c --force file

    git annex move -q --from origin file
    assert_on "$KEY" "$TMP/original-file"
    has_content file
    git annex move -q --to origin file
    lacks_content file
    assert_on "$KEY" "$TMP/original-file" a b c
    echo more >plain
    git add plain
    git commit -q -m plain
    git annex push -q
    assert_equal "$(git -C "$SITE/repos/data.git" log --format=%s -1 main)" plain
    assert_logged "$KEY" a b c "$(git -C "$TMP/work" config annex.uuid)"
}

@test "git's protocol 2 is spoken, and archives are served" {
    work_as alicehost
    GIT_TRACE_PACKET=1 git -c protocol.version=2 ls-remote origin >"$TMP/refs" 2>"$TMP/trace"
    grep -q 'version 2' "$TMP/trace"
    grep -q 'refs/heads/git-annex' "$TMP/refs"
    GIT_TRACE_PACKET=1 git -c protocol.version=0 ls-remote origin >"$TMP/refs0" 2>"$TMP/trace0"
    run ! grep -q 'version 2' "$TMP/trace0"
    assert_same "$TMP/refs" "$TMP/refs0"
    assert_equal "$(git archive --remote=origin main file | tar -t)" file
}

@test "a first push makes a repository" {
    work_as alicehost
    git push -q ssh://alicehost/org/fresh main 2>/dev/null
    assert_equal "$(git ls-remote ssh://alicehost/org/fresh main | cut -f1)" "$(git rev-parse main)"
}

@test "without a command one is told who one is and what one may use" {
    annex-keep repo create hidden --site "$SITE"
    annex-keep user set alice --site "$SITE" --repo hidden=none
    run -0 --separate-stderr ssh -T alicehost
    assert_output "Hello alice!"
    assert_line "  data (write)"
    refute_output hidden
    assert_equal "$stderr" ""
    # With a terminal lines end as terminals want it.
    run -0 --keep-empty-lines ssh -tt alicehost </dev/null
    assert_output $'  data (write)\r'
}

@test "what is not served is refused with a text that says what is" {
    for command in ls "sh -c 'echo no'" "scp -t /tmp" "git-annex-shell sendkey /data K" "annex-keep user list"; do
        run -1 --separate-stderr ssh alicehost "$command"
        assert_equal "$output" "" "$command"
        [[ "$stderr" == "annex-keep: "* ]]
    done
    run -1 ssh alicehost ls
    assert_output "git-upload-pack, git-receive-pack, git-upload-archive and git-annex-shell"
    run ! sftp -S "$BIN/ssh" -b /dev/null alicehost
    assert_output "there is no sftp here"
    echo x >file
    run ! scp -S "$BIN/ssh" file alicehost:file
    assert_output "there is no sftp here"
    # No way to other places either.
    run ! timeout 20 ssh -W 127.0.0.1:"$HTTP_PORT" alicehost </dev/null
    run ! timeout 20 ssh -o ExitOnForwardFailure=yes -R 0:127.0.0.1:1 alicehost true
    ssh alicehost true
}

@test "a key lets in its owner, by name or as git, and nobody under another name" {
    ssh_host githost git alice
    ssh_host bobhost bob alice
    run -0 ssh githost
    assert_output "Hello alice!"
    run -255 ssh bobhost true
    assert_output "your key belongs to the user alice of this site, not to bob: log in as alice, or as git"
    assert_output "Permission denied"
    ssh_key second
    annex-keep user set alice --site "$SITE" --key "$TMP/ssh/second.pub"
    ssh_host secondhost alice second
    run -0 ssh secondhost
    assert_output "Hello alice!"
    ssh alicehost true
}

@test "every kind of key is taken" {
    for kind in rsa ecdsa; do
        ssh-keygen -q -t "$kind" -N '' -C '' -f "$TMP/ssh/$kind"
        annex-keep user set alice --site "$SITE" --key "$TMP/ssh/$kind.pub"
        ssh_host "${kind}host" alice "$kind"
        ssh "${kind}host" true
    done
    # Not with a signature that anybody can forge.
    run -255 ssh -o PubkeyAcceptedAlgorithms=ssh-rsa rsahost true
}

@test "who is unknown is told what to do, once, and then refused" {
    ssh_key stranger
    ssh_host strangehost zoe stranger
    run -255 timeout 20 ssh strangehost true
    assert_output "annex-keep: no key of yours belongs to a user zoe of this site; an admin adds one with: annex-keep user add zoe"
    assert_output "Permission denied"
    assert_equal "$(grep -c 'no key of yours' <<<"$output")" 1
    run -255 timeout 20 ssh -o BatchMode=yes strangehost true
    assert_output "Permission denied"
    # git shows it too.
    run ! git ls-remote ssh://strangehost/data
    assert_output "annex-keep user add zoe"
}

@test "a key or a user that is removed is refused at the next connection" {
    ssh_user bob bobhost
    ssh bobhost true
    annex-keep user remove bob --site "$SITE"
    run -255 ssh bobhost true
    assert_output "no key of yours"
}

@test "a reader gets, and can neither store, drop nor push" {
    work_as alicehost
    git annex copy -q --to origin file
    ssh_user reader readhost --role read
    git clone -q ssh://readhost/data "$TMP/mine" 2>/dev/null
    cd "$TMP/mine"
    git annex init -q mine
    git annex get -q file
    assert_same file "$TMP/original-file"
    run ! git annex drop --from origin file
    assert_output read-only
    random_file new 1000
    git annex add -q new
    git commit -q -m new
    run ! git annex copy --to origin new
    assert_on "$(annex_key new)" new
    run ! git push origin main
    assert_output "reader may not push to data"
    assert_on "$KEY" "$TMP/original-file" a b c
}

@test "who may append stores and pushes, and cannot drop" {
    ssh_user adder addhost --role append
    work_as addhost
    git annex copy -q --to origin file
    assert_on "$KEY" "$TMP/original-file" a b c
    run ! git annex drop --from origin file
    assert_output append-only
    run ! git push ssh://addhost/fresh main
    [ ! -e "$SITE/repos/fresh.git" ]
}

@test "a certificate of a trusted authority lets its user in, and nobody else" {
    with_authority
    certificate good alice -s "$TMP/ssh/ca" -n alice -V -1h:+1h
    run -0 ssh good
    assert_output "Hello alice!"
    certificate other bob -s "$TMP/ssh/ca" -n alice,carol
    run -255 ssh other true
    assert_output "your certificate is for the users alice, carol, not for bob"
    certificate everybody alice -s "$TMP/ssh/ca"
    run -255 ssh everybody true
    assert_output "your certificate names no users"
    certificate nobody zoe -s "$TMP/ssh/ca" -n zoe
    run -255 ssh nobody true
    assert_output "this site has no user zoe"
    certificate expired alice -s "$TMP/ssh/ca" -n alice -V -2h:-1h
    run -255 ssh expired true
    assert_output "you showed no certificate that is valid now"
    certificate early alice -s "$TMP/ssh/ca" -n alice -V +1h:+2h
    run -255 ssh early true
    ssh_key ca2
    certificate stranger alice -s "$TMP/ssh/ca2" -n alice
    run -255 ssh stranger true
    assert_output "the authority that signed your certificate is not trusted by this site"
    # No authority any more.
    sed -i 's/^user_ca = .*/user_ca = []/' "$SITE/annex-keep.toml"
    stop_daemon
    start_daemon
    run -255 ssh good true
}

@test "a certificate for hosts lets nobody in" {
    with_authority
    certificate host alice -s "$TMP/ssh/ca" -h -n alice
    # OpenSSH itself does not show it, so its client is told that it is one for users.
    run -255 ssh host true
    assert_output "Permission denied"
}

@test "what a certificate forces and forbids holds" {
    with_authority
    certificate forced alice -s "$TMP/ssh/ca" -n alice -O force-command="git-annex-shell configlist /data"
    run -0 --separate-stderr ssh forced ls
    assert_line "annex.uuid=$(site_uuid cluster)"
    run -0 --separate-stderr ssh forced
    assert_line "annex.uuid=$(site_uuid cluster)"
    certificate shell alice -s "$TMP/ssh/ca" -n alice -O force-command=/bin/sh
    run -1 ssh shell true
    assert_output "unrecognized command '/bin/sh'"
    certificate near alice -s "$TMP/ssh/ca" -n alice -O source-address=10.0.0.0/8,127.0.0.0/8
    ssh near true
    certificate far alice -s "$TMP/ssh/ca" -n alice -O source-address=10.0.0.0/8
    run -255 ssh far true
    assert_output "cannot be used from the address 127.0.0.1"
    certificate odd alice -s "$TMP/ssh/ca" -n alice -O critical:verify-blood=yes
    run -255 ssh odd true
    assert_output 'the critical option "verify-blood"'
}

@test "an authority's file that is wrong is an error at the start, by its name" {
    stop_daemon
    sed -i 's/^user_ca = .*/user_ca = ["ca.pub"]/' "$SITE/annex-keep.toml"
    run -1 annex-keep serve "$SITE" --ssh 127.0.0.1:0 --http 127.0.0.1:0
    assert_output "ca.pub"
    echo nonsense >"$SITE/ca.pub"
    run -1 annex-keep serve "$SITE" --ssh 127.0.0.1:0 --http 127.0.0.1:0
    assert_output "ca.pub, line 1: not an ssh public key"
}

@test "a shared connection serves one session after the other, and a second at once by a connection of its own" {
    work_as alicehost
    git annex copy -q --to origin file
    local shared=(-o ControlPath="$TMP/ssh/master")
    ssh "${shared[@]}" -M -f -N alicehost 3>&-
    for _ in 1 2 3; do
        run -0 --separate-stderr ssh "${shared[@]}" alicehost true
        assert_equal "$stderr" ""
    done
    # One session waits on the shared connection; another one works meanwhile.
    mkfifo "$TMP/wait"
    ssh "${shared[@]}" alicehost "git-annex-shell p2pstdio /data $(site_uuid a)" <"$TMP/wait" >"$TMP/first" 3>&- &
    waiting=$!
    exec 8>"$TMP/wait"
    wait_until 20 grep -q AUTH-SUCCESS "$TMP/first"
    run -0 timeout 20 ssh "${shared[@]}" alicehost "git-annex-shell configlist /data"
    assert_output "annex.uuid=$(site_uuid cluster)"
    printf 'VERSION 1\n' >&8
    wait_until 20 grep -q 'VERSION 1' "$TMP/first"
    exec 8>&-
    wait $waiting
    ssh "${shared[@]}" -O exit alicehost 2>/dev/null
}

@test "testremote passes on the cluster" {
    work_as alicehost
    git annex testremote -q origin --fast >"$TMP/out" 2>&1 || fail "$(tail -n 60 "$TMP/out")"
}

@test "testremote passes on a node" {
    work_as alicehost
    git annex testremote -q origin-a --fast >"$TMP/out" 2>&1 || fail "$(tail -n 60 "$TMP/out")"
}

@test "eight jobs at once store, fetch and drop" {
    work_as alicehost
    for i in {1..24}; do
        random_file "f$i" $((RANDOM * 20 + 1))
        cp "f$i" "$TMP/original-f$i"
    done
    git annex add -q .
    git commit -q -m many
    git annex copy -q -J8 --to origin
    git annex drop -q -J8
    [ -z "$(git annex find --in=here)" ]
    git annex get -q -J8
    for i in {1..24}; do
        assert_same "f$i" "$TMP/original-f$i"
    done
    git annex fsck -q -J8 --fast --from origin
    git annex drop -q -J8 --from origin
    [ -z "$(git annex find --in=origin-a)$(git annex find --in=origin-b)$(git annex find --in=origin-c)" ]
}

# slow_host HOST: HOST is alicehost, but little comes from it at a time.
slow_host() {
    cat >"$TMP/slow.py" <<'END'
import os, socket, sys, threading, time

server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))


def up():
    while data := os.read(0, 65536):
        server.sendall(data)


threading.Thread(target=up, daemon=True).start()
while data := server.recv(65536):
    os.write(1, data)
    time.sleep(len(data) / 5e6)
END
    ssh_host "$1" alice alice "ProxyCommand python3 $TMP/slow.py $SSH_PORT"
}

@test "an upload and a download that are cut off go on where they were" {
    work_as alicehost
    add_file big 24M
    git push -q origin main git-annex
    P2P_DIR=/data p2p <<END
open cut $(site_uuid cluster) alicehost
S AUTH-SUCCESS $(site_uuid cluster)
C VERSION 2
S VERSION 2
C PUT big $KEY
S PUT-FROM 0
C DATA 25165824
send big 0 9000000
kill
END
    # The server keeps what came until ssh was killed, once it has noticed.
    wait_until 20 has_requests put 1
    [[ "$(grep "operation=put" "$TMP/daemon.log" | tail -n 1)" =~ bytes=([0-9]+) ]]
    got=${BASH_REMATCH[1]}
    ((got > 1000000 && got <= 9000000))
    git annex copy -q --to origin big
    assert_on "$KEY" "$TMP/original-big" a b c
    grep -q "operation=put key=$KEY .*bytes=$((25165824 - got)) .*outcome=\"done\"" "$TMP/daemon.log"

    git annex drop -q big
    slow_host slowhost
    git -c remote.origin.url=ssh://slowhost/data annex get -q big 3>&- &
    pid=$!
    wait_until 60 eval '[ "$(stat -c %s .git/annex/tmp/* 2>/dev/null || echo 0)" -gt 1000000 ]'
    kill_tree $pid KILL
    lacks_content big
    kept=$(stat -c %s .git/annex/tmp/*)
    ((kept > 0 && kept < 25165824))
    git annex get -q big
    assert_same big "$TMP/original-big"
    grep -q "operation=get key=$KEY .*bytes=$((25165824 - kept)) .*outcome=\"done\"" "$TMP/daemon.log"
}

@test "a daemon that is told to end finishes what it is at, takes nothing new, and ends what waits" {
    work_as alicehost
    uuid=$(site_uuid cluster)
    mkfifo "$TMP/script" "$TMP/idle"
    ssh alicehost "git-annex-shell p2pstdio /data $uuid" <"$TMP/idle" >"$TMP/idle.out" 3>&- &
    idle=$!
    exec 8>"$TMP/idle"
    P2P_DIR=/data p2p <"$TMP/script" >"$TMP/p2p.out" 2>&1 3>&- 8>&- &
    transfer=$!
    exec 9>"$TMP/script"
    printf '%s\n' "open one $uuid alicehost" "S AUTH-SUCCESS $uuid" "C VERSION 2" "S VERSION 2" "C PUT file $KEY" \
        "S PUT-FROM 0" "C DATA 3145728" "send $TMP/original-file 0 1000000" "receive $TMP/sent 0" >&9
    wait_until 20 grep -q AUTH-SUCCESS "$TMP/idle.out"
    wait_until 20 test -e "$TMP/sent"
    kill -TERM "$DAEMON_PID"
    # What waits for a request ends at once, though its client does not.
    wait $idle
    exec 8>&-
    run -255 ssh alicehost true
    kill -0 "$DAEMON_PID"
    printf '%s\n' "send $TMP/original-file 1000000" "C VALID" "S~ SUCCESS-PLUS .*" "end" >&9
    exec 9>&-
    wait $transfer || fail "$(cat "$TMP/p2p.out")"
    wait "$DAEMON_PID"
    assert_on "$KEY" "$TMP/original-file" a b c
    assert_logged "$KEY" a b c "$(git config annex.uuid)"
}

@test "clients that take nothing cost no memory, and are given up" {
    work_as alicehost 160M
    git annex copy -q --to origin-a file
    before=$(resident_peak "$DAEMON_PID")
    sed -i 's/^stalled_seconds = .*/stalled_seconds = 3/' "$SITE/annex-keep.toml"
    kill -HUP "$DAEMON_PID"
    wait_until 10 grep -q 'configuration was read again' "$TMP/daemon.log"
    ask() {
        printf 'VERSION 2\nGET 0 file %s\n' "$KEY"
        exec sleep 1000
    }
    # One whose ssh does not read from the network, one whose ssh cannot get rid of what it read.
    ask | ssh alicehost "git-annex-shell p2pstdio /data $(site_uuid a)" >"$TMP/stopped" 3>&- &
    stopped=$!
    wait_until 20 grep -qa 'DATA 167772160' "$TMP/stopped"
    kill -STOP $stopped
    mkfifo "$TMP/unread"
    ask | ssh alicehost "git-annex-shell p2pstdio /data $(site_uuid a)" >"$TMP/unread" 3>&- &
    exec 8<"$TMP/unread"
    wait_until 60 has_requests get 2
    kill -KILL $stopped
    exec 8<&-
    assert_equal "$(grep 'operation=get' "$TMP/daemon.log" | grep -c 'broken off')" 2
    after=$(resident_peak "$DAEMON_PID")
    # Each may have had a block read ahead before it stood still, and no more.
    ((after - before < 2 * 65536 + 32768)) || fail "from $before to $after KiB"
    # Others are served.
    ssh alicehost true
}

@test "a client that goes away while it takes nothing is noticed at once" {
    work_as alicehost 12M
    git annex copy -q --to origin file
    mkfifo "$TMP/unread"
    # The session of a shared connection, and a connection.
    ssh -M -S "$TMP/ssh/master" -f -N alicehost 3>&-
    local shared shared_done=0
    for shared in yes no; do
        {
            printf 'VERSION 2\nGET 0 file %s\n' "$KEY"
            exec sleep 1000
        } 3>&- | ssh -S "$([ $shared = no ] || echo "$TMP/ssh/master")" alicehost \
            "git-annex-shell p2pstdio /data $(site_uuid a)" >"$TMP/unread" 3>&- &
        client=$!
        exec 8<"$TMP/unread"
        wait_until 20 grep -qam 1 'DATA 12582912' <&8
        # 600 seconds are how long it would be waited for.
        kill -KILL $client
        exec 8<&-
        wait_until 20 has_requests get $((shared_done + 1))
        shared_done=1
    done
    assert_equal "$(grep 'operation=get' "$TMP/daemon.log" | grep -c 'broken off')" 2
    ssh -S "$TMP/ssh/master" -O exit alicehost 2>/dev/null
}

@test "chacha20 is offered when the configuration says so" {
    run -255 ssh -c chacha20-poly1305@openssh.com alicehost true
    assert_output "no matching cipher found"
    run -255 ssh -c aes256-ctr,aes128-ctr alicehost true
    sed -i 's/^chacha20 = .*/chacha20 = true/' "$SITE/annex-keep.toml"
    kill -HUP "$DAEMON_PID"
    wait_until 10 grep -q 'configuration was read again' "$TMP/daemon.log"
    ssh -c chacha20-poly1305@openssh.com alicehost true
    ssh -c aes256-gcm@openssh.com alicehost true
}

@test "over the limit of connections a client is turned away, and comes in when another one has gone" {
    sed -i 's/^connections = .*/connections = 1/' "$SITE/annex-keep.toml"
    kill -HUP "$DAEMON_PID"
    wait_until 10 grep -q 'configuration was read again' "$TMP/daemon.log"
    ssh -M -S "$TMP/ssh/master" -f -N alicehost 3>&-
    run -255 ssh alicehost true
    # Said before the protocol starts; OpenSSH shows that only when asked.
    run -255 ssh -v alicehost true
    assert_output "annex-keep: too many connections are open; try again later"
    ssh -S "$TMP/ssh/master" -O exit alicehost 2>/dev/null
    wait_until 10 ssh alicehost true
}
