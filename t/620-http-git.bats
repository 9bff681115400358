#!/usr/bin/env bats
# git over HTTP: the daemon's git door with the real git, and what git-annex finds out by it.
# shellcheck disable=SC2103 # a story goes from directory to directory

load lib

# start: a site with an empty repository `data`, its daemon, and the users alice (admin), wanda (write), andy (append) and
# rita (read), each with the password NAME-secret.
start() {
    new_site
    start_daemon
    # git-annex speaks HTTP to machines on the internet only, unless it is told.
    git config --global annex.security.allowed-ip-addresses 127.0.0.1
    local name
    for name in alice:admin wanda:write andy:append rita:read; do
        http_user "${name%:*}" "${name%:*}-secret" --role "${name#*:}"
    done
}

url() { printf 'http://%s@127.0.0.1:%s' "$1" "$HTTP_PORT"; }

# status ARG...: the status that curl gets; what came is in $TMP/body.
status() { curl -sS -o "$TMP/body" -w '%{http_code}' "$@"; }

# commit FILE SIZE: a commit with a file of random bytes in git itself.
commit() {
    random_file "$1" "$2"
    git add "$1"
    git commit -qm "add $1"
}

# filled_repo: a repository in `source` with a few commits, pushed to `data` by alice.
filled_repo() (
    git init -q source
    cd source || return
    commit one 1000
    commit two 1000
    commit three 1000
    git push -q "$(url alice)/data" main
)

daemon_children() { pgrep -P "$DAEMON_PID" -a || true; }
no_children() { [ -z "$(daemon_children)" ]; }
nothing_quarantined() { ! quarantined; }
quarantined() { compgen -G "$SITE/repos/data.git/objects/*incoming*" >/dev/null; }
has_child() { daemon_children | grep -q "$1"; }

@test "clone, fetch and push, with every spelling of the name" {
    start
    filled_repo
    git clone -q "$(url rita)/data" clone
    assert_same source/three clone/three
    (cd source && commit four 5M && git push -q "$(url wanda)/data.git" main)
    git -C clone pull -q
    assert_same source/four clone/four
    git clone -q "$(url rita)/data.git/" spelled
    git -C spelled fsck --strict
    # A HEAD that names the branch that was pushed, whatever it is called.
    (cd source && git push -q "$(url alice)/org/deep/new" main:topic)
    git clone -q "$(url rita)/org/deep/new" nested
    assert_equal "$(git -C nested branch --show-current)" topic
}

@test "shallow and partial clones, tags, deletions, and versions 0, 1 and 2 of git's protocol" {
    start
    filled_repo
    git clone -q --depth 1 "$(url rita)/data" shallow
    assert_equal "$(git -C shallow rev-list --count HEAD)" 1
    git -C shallow fetch -q --deepen 1
    assert_equal "$(git -C shallow rev-list --count HEAD)" 2
    git -C shallow fetch -q --unshallow
    assert_equal "$(git -C shallow rev-list --count HEAD)" 3
    local version
    for version in 0 1 2; do
        GIT_TRACE_PACKET=$TMP/trace.$version git -c protocol.version=$version clone -q "$(url rita)/data" "v$version"
        assert_same source/three "v$version/three"
        (cd source && git -c protocol.version=$version push -q "$(url wanda)/data" "main:v$version")
    done
    grep -q 'clone< version 2' "$TMP/trace.2"
    run ! grep -q 'version [12]$' "$TMP/trace.0"
    grep -q 'version 1$' "$TMP/trace.1"
    git -C source push -q "$(url wanda)/data" --delete v0
    git -C source tag -a -m tag v1.0
    git -C source push -q "$(url wanda)/data" v1.0
    run git ls-remote "$(url rita)/data"
    assert_output refs/tags/v1.0
    refute_output refs/heads/v0
}

@test "a long request of a fetch comes compressed and is understood" {
    start
    git init -q source
    cd source
    # Tags of their own commits make a request that git compresses.
    for _ in {1..300}; do git commit -q --allow-empty -m "$RANDOM" && git tag "t$(git rev-list --count HEAD)"; done
    git push -q --tags "$(url alice)/data" main
    cd "$TMP"
    GIT_TRACE_CURL=$TMP/curl.trace git -c protocol.version=0 clone -q --no-single-branch \
        "$(url rita)/data" clone
    grep -qi 'content-encoding: gzip' "$TMP/curl.trace"
    assert_equal "$(git -C clone tag | wc -l)" 300
    # Broken compression is an error and no hanging program.
    printf '0000' >"$TMP/plain"
    run status -u rita:rita-secret -H 'Content-Type: application/x-git-upload-pack-request' \
        -H 'Content-Encoding: gzip' --data-binary "@$TMP/plain" "$HTTP/data/git-upload-pack"
    assert_equal "$output" 400
    wait_until 10 no_children
}

@test "a large push and a large clone need little memory" {
    # What a password takes to check (19 MiB) is given back at once.
    export MALLOC_MMAP_THRESHOLD_=1000000
    start
    git init -q source
    cd source
    # Passwords take memory the first time.
    commit small 1000
    git push -q "$(url wanda)/data" main
    git ls-remote -q "$(url rita)/data" >/dev/null
    local before
    before=$(resident_peak "$DAEMON_PID")
    commit large 50M
    GIT_TRACE_CURL=$TMP/curl.trace GIT_TRACE_CURL_NO_DATA=1 git push -q "$(url wanda)/data" main
    grep -qi 'transfer-encoding: chunked' "$TMP/curl.trace"
    cd "$TMP"
    git clone -q "$(url rita)/data" clone
    assert_same source/large clone/large
    # With an announced length as well.
    (cd source && commit more 20M && git -c http.postBuffer=100m push -q "$(url wanda)/data" main)
    assert_same <(git -C source rev-parse HEAD) <(git -C "$SITE/repos/data.git" rev-parse main)
    local more=$(($(resident_peak "$DAEMON_PID") - before))
    [ "$more" -lt 16384 ] || fail "70 MiB took $more KiB"
}

@test "a writer's push of the git-annex branch is merged without placement, and git shows what was left out" {
    start
    git clone -q "$(url wanda)/data" work
    cd work
    git annex init -q wanda
    git annex numcopies 7
    git annex sync -q --no-content --no-pull origin || true
    git commit -q --allow-empty -m first
    run git push origin main git-annex
    assert_equal "$status" 0
    assert_output 'remote: annex-keep: your changes of numcopies.log were left out: only an admin may change the number of copies here'
    run ! server_branch numcopies.log
    server_branch uuid.log | grep -q wanda
    # An admin's is taken.
    git clone -q "$(url alice)/data" "$TMP/admin"
    cd "$TMP/admin"
    git annex init -q alice
    git annex numcopies 3
    run git push origin git-annex
    assert_equal "$status" 0
    refute_output 'left out'
    server_branch numcopies.log | grep -q 3
}

@test "who may do what: 401 where a password would help, 403 and 404 where not" {
    start
    local fetch='info/refs?service=git-upload-pack' push='info/refs?service=git-receive-pack' path
    # Without a name, there and not there look the same.
    for path in data nothing org/nothing; do
        assert_equal "$(status "$HTTP/$path/$fetch")" 401 "$path"
        assert_equal "$(status "$HTTP/$path/$push")" 401 "$path"
        assert_equal "$(status "$HTTP/$path/config")" 401 "$path"
        assert_equal "$(status -X POST "$HTTP/$path/git-upload-pack")" 401 "$path"
    done
    assert_equal "$(status -u rita:wrong "$HTTP/data/$fetch")" 401
    assert_equal "$(status -u nobody:x "$HTTP/data/$fetch")" 401
    assert_equal "$(status -u rita:rita-secret "$HTTP/data/$fetch")" 200
    assert_equal "$(status -u rita:rita-secret "$HTTP/data/$push")" 403
    grep -q 'rita may not push to data; an admin of this site can allow it' "$TMP/body"
    assert_equal "$(status -u andy:andy-secret "$HTTP/data/$push")" 200
    assert_equal "$(status -u rita:rita-secret "$HTTP/nothing/$fetch")" 404
    grep -q 'there is no repository nothing here' "$TMP/body"
    # A user without any role there is told so, whether it exists or not.
    http_user norman norman-secret --role none
    assert_equal "$(status -u norman:norman-secret "$HTTP/data/$fetch")" 403
    assert_equal "$(status -u norman:norman-secret "$HTTP/nothing/$fetch")" 403
    # Addresses that are none, requests that are none.
    assert_equal "$(status -u rita:rita-secret "$HTTP/data/HEAD")" 404
    assert_equal "$(status -u rita:rita-secret "$HTTP/data/../../etc/config" --path-as-is)" 404
    assert_equal "$(status -u rita:rita-secret "$HTTP/data/info/refs")" 403
    assert_equal "$(status -u rita:rita-secret --data x "$HTTP/data/git-upload-pack")" 400
    # What git says to its user.
    run git clone "$(url norman)/data" refused
    [ "$status" != 0 ]
    assert_output 'norman may not read data'
    GIT_TERMINAL_PROMPT=0 run git -c credential.helper= clone "$HTTP/data" refused
    [ "$status" != 0 ]
    assert_output 'could not read Username'
}

@test "anonymous reading, where a repository allows it" {
    start
    filled_repo
    sed -i 's/^anonymous = .*/anonymous = "read"/' "$SITE/annex-keep.toml"
    kill -HUP "$DAEMON_PID"
    git config --global --unset credential.helper
    wait_until 10 git ls-remote -q "$HTTP/data"
    git clone -q "$HTTP/data" clone
    assert_same source/three clone/three
    # A push asks for a name.
    GIT_TERMINAL_PROMPT=0 run git -C clone push origin main:other
    [ "$status" != 0 ]
    assert_output 'could not read Username'
    # Still, nobody learns which repositories there are.
    assert_equal "$(status "$HTTP/nothing/info/refs?service=git-upload-pack")" 401
    assert_equal "$(status "$HTTP/data/info/refs?service=git-upload-pack")" 200
    # A wrong password is no anonymous reader.
    assert_equal "$(status -u rita:wrong "$HTTP/data/info/refs?service=git-upload-pack")" 401
}

@test "the first push makes a repository, for who may" {
    start
    filled_repo
    cd source
    git push -q "$(url wanda)/fresh" main
    assert_equal "$(annex-keep repo info fresh --site "$SITE" --json | jq -r .name)" fresh
    run git push "$(url andy)/other" main
    [ "$status" != 0 ]
    assert_output 'there is no repository other here'
    [ ! -e "$SITE/repos/other.git" ]
    # A browser that follows somebody's link makes nothing.
    assert_equal "$(status -u wanda:wanda-secret -H 'Sec-Fetch-Mode: no-cors' "$HTTP/other/config")" 404
    [ ! -e "$SITE/repos/other.git" ]
    # Two at once make one.
    local first second
    git push -q "$(url wanda)/twice" main:a 3>&- &
    first=$!
    git push -q "$(url alice)/twice" main:b 3>&- &
    second=$!
    wait "$first"
    wait "$second"
    assert_equal "$(git ls-remote "$(url rita)/twice" 'refs/heads/[ab]' | wc -l)" 2
}

@test "git-annex finds UUID and annex URL in the config" {
    start
    filled_repo
    git clone -q "$(url wanda)/data" work
    cd work
    git annex init -q work
    assert_equal "$(git config remote.origin.annex-uuid)" "$(site_uuid cluster)"
    assert_equal "$(git config remote.origin.annexUrl)" "annex+http://127.0.0.1:$HTTP_PORT/git-annex/"
    assert_equal "$(git config remote.origin.annex-ignore || true)" ''
    curl -sS -u rita:rita-secret "$HTTP/data/config" >"$TMP/config"
    assert_equal "$(git config -f "$TMP/config" core.bare)" true
    # By another name the client is told that one.
    curl -sS -u rita:rita-secret -H 'Host: example.org' "$HTTP/data/config" >"$TMP/config"
    assert_equal "$(git config -f "$TMP/config" annex.url)" annex+http://example.org:80/git-annex/
}

@test "git-annex makes a repository by its first contact, where ssh would" {
    start
    git init -q work
    cd work
    git commit -q --allow-empty -m first
    git annex init -q work
    git remote add origin "$(url wanda)/org/fresh"
    git annex push -q origin || git push -q origin main git-annex
    assert_equal "$(git config remote.origin.annex-ignore || true)" ''
    assert_equal "$(git config remote.origin.annex-uuid)" "$(site_uuid cluster org/fresh)"
    git ls-remote "$(url rita)/org/fresh" | grep -q refs/heads/main
    # Who may not make one is told nothing else than before, and git-annex leaves the remote alone.
    git remote add readonly "$(url rita)/org/none"
    git annex sync -q --no-content readonly || true
    [ ! -e "$SITE/repos/org/none.git" ]
}

@test "a client that goes away ends git's program" {
    start
    git init -q source
    cd source
    commit large 30M
    git push -q "$(url alice)/data" main
    cd "$TMP"
    # A download that is not taken any further, and then broken off.
    printf '0011command=fetch0001000fno-progress%s0009done\n0000' \
        "0031want $(git -C source rev-parse HEAD)" >want
    curl -sS -u rita:rita-secret --limit-rate 10k -H 'Git-Protocol: version=2' \
        -H 'Content-Type: application/x-git-upload-pack-request' --data-binary @want \
        "$HTTP/data/git-upload-pack" -o /dev/null 3>&- &
    local client=$!
    wait_until 20 has_child upload-pack
    kill -KILL "$client"
    wait_until 20 no_children
    # An upload in the middle of its pack: nothing of it stays.
    {
        printf '0081%040d %s refs/heads/cut\0 report-status side-band-64k0000' 0 "$(git -C source rev-parse HEAD)"
        printf 'PACK\0\0\0\2\0\0\0\3'
        sleep 60
    } | curl -sS -u wanda:wanda-secret -T - -X POST -H 'Content-Type: application/x-git-receive-pack-request' \
        "$HTTP/data/git-receive-pack" >"$TMP/cut.out" 2>&1 3>&- &
    client=$!
    wait_until 20 quarantined || fail "$(cat "$TMP/cut.out" "$TMP/daemon.log")"
    kill "$client"
    wait_until 20 no_children
    wait_until 20 nothing_quarantined
    run -0 git ls-remote "$(url rita)/data"
    assert_output refs/heads/main
    refute_output refs/heads/cut
}

@test "a fetch or push that does not move is broken off, and others go on" {
    start
    sed -i 's/^stalled_seconds = .*/stalled_seconds = 2/' "$SITE/annex-keep.toml"
    stop_daemon
    start_daemon
    filled_repo
    # The push's own receive-pack may still be there.
    wait_until 20 no_children
    mkfifo pipe
    exec 7<>pipe
    curl -sS -u wanda:wanda-secret -T - -X POST -H 'Content-Type: application/x-git-receive-pack-request' \
        "$HTTP/data/git-receive-pack" <pipe >"$TMP/stalled.out" 2>&1 3>&- 7>&- &
    local client=$!
    printf 00 >&7
    wait_until 20 has_child receive-pack
    git clone -q "$(url rita)/data" clone
    wait_until 20 no_children
    wait_until 10 grep -q 'too long' "$TMP/daemon.log" "$TMP/stalled.out"
    exec 7>&-
    wait "$client" || true
}
