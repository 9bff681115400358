#!/usr/bin/env bats
# One story through every door: what users do with a remote works the same over the built-in ssh, over sshd with a
# daemon behind it, over HTTP and over HTTPS.
# shellcheck disable=SC2030,SC2031,SC2103 # each test has a shell of its own, and goes from directory to directory

load lib

setup() {
    isolate
    new_site
}

# Each door sets URL, where the repository `data` is then to be found by alice, who may write.

door_ssh() {
    start_daemon
    ssh_user alice annexhost --role write
    URL=ssh://annexhost/data
}

door_sshd() {
    start_ssh_server
    add_user alice testhost --role write
    start_daemon
    URL=ssh://testhost/data
}

door_http() {
    start_daemon
    http_user alice 'pass:word' --role write
    URL=http://alice@127.0.0.1:$HTTP_PORT/data
}

door_https() {
    mkdir "$TMP/tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout "$TMP/tls/key.pem" -out "$TMP/tls/cert.pem" 2>/dev/null
    printf '\n[http.tls]\ncertificate = "%s"\nkey = "%s"\n' "$TMP/tls/cert.pem" "$TMP/tls/key.pem" >>"$SITE/annex-keep.toml"
    start_daemon
    http_user alice 'pass:word' --role write
    sed -i "s|^http://|https://|" "$HOME/.git-credentials"
    sed -i "s|@127.0.0.1|@localhost|" "$HOME/.git-credentials"
    git config --global annex.security.allowed-ip-addresses '127.0.0.1 ::1'
    git config --global http.sslCAInfo "$TMP/tls/cert.pem"
    # What git-annex's own TLS reads.
    export SYSTEM_CERTIFICATE_PATH=$TMP/tls/cert.pem
    URL=https://alice@localhost:$HTTP_PORT/data
}

# whereis_names FILE: the remotes that the client believes to have the file, the cluster left out.
whereis_names() {
    git annex whereis "$1" --json | jq -r '.whereis[].description' | grep -o '\[origin-[^]]*\]' | sort | paste -sd' '
}

# The whole story. Leaves two clones, `work` and `other`.
story() {
    git clone -q "$URL" work 2>/dev/null
    cd work || return
    git annex init -q work
    assert_equal "$(git config remote.origin.annex-uuid)" "$(site_uuid cluster)"
    random_file small 10K
    random_file big 3M
    : >empty
    cp small "$TMP/small"
    cp big "$TMP/big"
    git annex add -q .
    git commit -q -m files
    git annex push -q --no-content

    git annex copy -q --to origin
    assert_equal "$(whereis_names small)" "[origin-a] [origin-b] [origin-c]"
    git annex push -q --no-content
    assert_logged "$(annex_key big)" a b c "$(git config annex.uuid)"

    git annex drop -q small big
    git annex get -q small
    cmp small "$TMP/small"
    git annex get -q --from origin-b big
    cmp big "$TMP/big"

    git annex drop -q --from origin-a small
    assert_equal "$(whereis_names small)" "[origin-b] [origin-c]"
    git annex fsck -q --from origin --fast small
    git annex fsck -q --from origin big
    git annex drop -q --from origin small
    assert_equal "$(whereis_names small)" ""

    git annex move -q --to origin small
    [ ! -e small ]
    git annex move -q --from origin small
    cmp small "$TMP/small"
    assert_equal "$(whereis_names small)" ""
    git annex copy -q --to origin-c small
    git annex sync -q
    assert_logged "$(annex_key small)" c "$(git config annex.uuid)"

    # Without this, what is not there is not noticed by a client that only reads its own log.
    cd ..
    git clone -q "$URL" other 2>/dev/null
    cd other || return
    git annex init -q other
    git annex get -q
    cmp small "$TMP/small"
    cmp big "$TMP/big"
    [ -e empty ]
    echo later >extra
    git annex add -q extra
    git commit -q -m extra
    git annex push -q
    git -C ../work annex pull -q
    assert_equal "$(cat "../work"/extra)" later
}

testremote() {
    git -C work annex testremote --fast --size 1MiB origin >"$TMP/testremote" 2>&1 || fail "$(tail -20 "$TMP/testremote")"
}

@test "the story over the built-in ssh" {
    door_ssh
    story
    cd ..
    testremote
}

@test "the story over sshd that hands over to the daemon" {
    door_sshd
    story
    cd ..
    testremote
    grep -q 'door="shell"' "$TMP/daemon.log"
}

@test "the story over http" {
    door_http
    story
    cd ..
    testremote
}

@test "the story over https" {
    door_https
    story
    cd ..
    testremote
}

# cut_at BYTES: puts a line before the door that breaks once, after so many bytes in one direction. Sets CUT_PORT.
cut_at() {
    coproc CUTTER { exec python3 "$ROOT/t/cut.py" "$1" "$2" "$TMP/totals"; } 3>&-
    read -r CUT_PORT <&"${CUTTER[0]}"
}

# passed up|down: the bytes that went over the line so far.
passed() { awk -v column="$([ "$1" = up ] && echo 1 || echo 2)" '{ print $column }' "$TMP/totals"; }

no_transfers() { annex-keep status --site "$SITE" --json | jq -e '.transfers | length == 0' >/dev/null; }

# A 40 MB file goes there and back over a line that breaks after 30 MB; each time only the rest comes after that. (What was
# in the buffers of both ends is lost when it breaks, and comes again. Over HTTP, git-annex also tries the same request
# at once again, and sends the end of the file as if it were the whole.)
resumes() {
    local port=$1 size=40000000 most=65000000 passed
    cut_at "$port" 30000000
    "$2"
    git clone -q "$URL" work 2>/dev/null
    cd work || return
    git annex init -q work
    random_file file "$size"
    cp file "$TMP/file"
    git annex add -q file
    git commit -q -m file
    # git-annex would try again by itself, perhaps before the daemon has noticed that the line is broken.
    git config annex.forward-retry 0
    run ! git annex copy -q --to origin file
    wait_until 20 no_transfers
    git annex copy -q --to origin file
    assert_equal "$(awk '{ print $3 }' "$TMP/totals")" 1
    passed=$(passed up)
    ((passed < most)) || fail "$passed bytes were sent for $size" "$(grep -a put "$TMP/daemon.log")"
    git annex fsck -q --from origin-a file
    git annex push -q --no-content

    kill "$CUTTER_PID"
    wait_until 5 eval "! kill -0 $CUTTER_PID 2>/dev/null"
    cut_at "$port" 30000000
    "$2"
    git remote set-url origin "$URL"
    [ -z "$(git config remote.origin.annexurl)" ] || git config remote.origin.annexurl "annex+http://127.0.0.1:$CUT_PORT/git-annex/"
    git annex drop -q file
    git annex get -q file || git annex get -q file
    cmp file "$TMP/file"
    assert_equal "$(awk '{ print $3 }' "$TMP/totals")" 1
    passed=$(passed down)
    ((passed < most)) || fail "$passed bytes were received for $size"
}

@test "an upload and a download over http go on where the line broke" {
    start_daemon
    http_user alice secret --role write
    over_http() {
        printf 'http://alice:secret@127.0.0.1:%s\n' "$CUT_PORT" >>"$HOME/.git-credentials"
        URL=http://alice@127.0.0.1:$CUT_PORT/data
    }
    resumes "$HTTP_PORT" over_http
}

@test "an upload and a download over the built-in ssh go on where the line broke" {
    start_daemon
    ssh_user alice annexhost --role write
    over_ssh() {
        sed -i "s/^    Port .*/    Port $CUT_PORT/" "$TMP/ssh/client"
        URL=ssh://annexhost/data
    }
    resumes "$SSH_PORT" over_ssh
}
