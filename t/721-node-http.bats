#!/usr/bin/env bats
# A gateway whose node is a git-annex repository behind `git annex p2phttp`.

# shellcheck disable=SC2153 # sshd.bash sets it

load lib

# serve [ARG]...: `git annex p2phttp` on $TMP/far, on PORT or a free one. Sets PORT, FAR_PID.
serve() {
    local try fixed=${PORT:-}
    for try in {1..10}; do
        PORT=${fixed:-$((30000 + RANDOM % 20000))}
        (cd "$TMP/far" && exec git-annex p2phttp --jobs 4 --bind 127.0.0.1 --port "$PORT" "$@") \
            >"$TMP/far.log" 2>&1 3>&- &
        FAR_PID=$!
        if wait_until 20 far_has_answered && kill -0 "$FAR_PID" 2>/dev/null; then return 0; fi
        kill_tree "$FAR_PID"
    done
    fail "git annex p2phttp did not start in $try tries:" "$(cat "$TMP/far.log")"
}

far_has_answered() {
    (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null || ! kill -0 "$FAR_PID" 2>/dev/null
}

# begin SCHEME [LINE]...: a site with a Keep node `a` and the node `far` by that scheme, and a clone with a file.
begin() {
    local scheme=$1
    shift
    SITE=$TMP/site
    start_ssh_server
    annex-keep init "$SITE" --node "a=$TMP/keep"
    {
        printf '\n[nodes.far]\nid = "%s"\nstore = "annex+%s://127.0.0.1:%s/git-annex/"\nrepo = "data"\nuuid = "%s"\n' \
            "$(cat /proc/sys/kernel/random/uuid)" "$scheme" "$PORT" "$FAR"
        [ $# = 0 ] || printf '%s\n' "$@"
    } >>"$SITE/annex-keep.toml"
    annex-keep repo create data --site "$SITE"
    add_user alice testhost --role write
    clone_site work 2>clone.err
    cd work || return
    new_file file "${SIZE:-300K}"
}

new_file() {
    random_file "$1" "$2"
    cp "$1" "$TMP/original"
    git annex add -q "$1"
    git commit -q -m "$1"
    KEY=$(annex_key "$1")
}

far_object() { find "$TMP/far/annex/objects" -type f -name "$1" 2>/dev/null; }
has() { cmp "$(far_object "$1")" "$TMP/original"; }
lacks() { [ -z "$(far_object "$1")" ] || fail "the far repository has $1"; }

setup() {
    isolate
    git init -q --bare far
    git -C far annex init -q far
    FAR=$(git -C far config annex.uuid)
}

@test "a git-annex repository behind HTTP is a node: copy, get, fsck, drop and move by its own UUID" {
    serve --wideopen
    SIZE=9M begin http
    git annex copy -q --to origin file
    has "$KEY"
    assert_logged "$KEY" a "$FAR"
    git annex drop -q file
    git annex get -q --from origin-far file
    assert_same file "$TMP/original"
    git annex fsck -q --from origin-far file
    git annex drop -q --from origin-far file
    lacks "$KEY"
    assert_logged "$KEY" a
    git annex move -q --to origin-far file
    lacks_content file
    git annex move -q --from origin-far file
    lacks "$KEY"
    assert_same file "$TMP/original"
    : >empty
    git annex add -q empty
    git annex copy -q --to origin-far empty
    git annex drop -q --force empty
    git annex get -q --from origin-far empty
}

@test "a server that wants a password gets it from a file or the environment, and not a word of it is shown" {
    GIT_ANNEX_P2PHTTP_PASSWORD_gateway='pass~~word??' serve --authenv-http
    (umask 077 && printf 'pass~~word??\n' >"$TMP/password")
    begin http 'user = "gateway"' "password_file = \"$TMP/password\""
    git annex copy -q --to origin-far file
    has "$KEY"
    echo wrong >"$TMP/password"
    new_file second 200K
    run git annex copy --to origin-far second
    [ "$status" != 0 ]
    refute_output wrong
    lacks "$KEY"
    # The forced command's environment is sshd's.
    sed -i 's/^password_file.*/password_env = "FAR_PASSWORD"/' "$SITE/annex-keep.toml"
    run ! git annex copy -q --to origin-far second
    sed -i "s/^SetEnv /SetEnv \"FAR_PASSWORD=pass~~word??\" /" "$SSHD_DIR/config"
    restart_sshd
    git annex copy -q --to origin-far second
    has "$KEY"
}

# sshd again, on its port, by its configuration as it is now.
# shellcheck disable=SC2034 # stop_sshd reads it
restart_sshd() {
    stop_sshd
    "$(PATH="$PATH:/usr/sbin" command -v sshd)" -D -f "$SSHD_DIR/config" -E "$SSHD_DIR/log" 3>&- &
    SSHD_PID=$!
    wait_until 10 ssh testhost true
}

@test "over TLS, with the certificate of an authority that is named in the configuration" {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority \
        -keyout ca.key -out ca.pem 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=127.0.0.1 -keyout key.pem -out csr 2>/dev/null
    openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem \
        -extfile <(echo 'subjectAltName=IP:127.0.0.1') 2>/dev/null
    serve --wideopen --certfile "$TMP/cert.pem" --privatekeyfile "$TMP/key.pem"
    begin https "ca_file = \"$TMP/ca.pem\""
    git annex copy -q --to origin-far file
    has "$KEY"
    git annex drop -q file
    git annex get -q --from origin-far file
    assert_same file "$TMP/original"
    # Nobody that is not vouched for gets content.
    sed -i '/^ca_file/d' "$SITE/annex-keep.toml"
    new_file second 200K
    run ! git annex copy -q --to origin-far second
    lacks "$KEY"
}

@test "a server that is gone is left out and named, and used again once it is back" {
    serve --wideopen
    begin http
    kill_tree "$FAR_PID" KILL
    git annex copy -q --to origin file
    assert_logged "$KEY" a
    run ! git annex copy -q --to origin-far file
    git annex drop -q file
    git annex get -q file
    run ! git annex fsck --fast -q --from origin-far file
    serve --wideopen
    git annex copy -q --to origin-far file
    has "$KEY"
    assert_logged "$KEY" a "$FAR"
}

@test "a server that allows only reading is left out of uploads and removals" {
    serve --wideopen
    begin http
    git annex copy -q --to origin file
    kill_tree "$FAR_PID"
    serve --unauth-readonly
    FIRST=$KEY
    new_file second 200K
    git annex copy -q --to origin second
    assert_logged "$KEY" a
    lacks "$KEY"
    run ! git annex drop -q --force --from origin-far file
    [ -n "$(far_object "$FIRST")" ]
    git annex drop -q file
    git annex get -q --from origin-far file
}

@test "wrong or missing bytes in the far repository never become a file" {
    serve --wideopen
    begin http
    git annex copy -q --to origin-far file
    local object
    object=$(far_object "$KEY")
    chmod u+w "$object" "$(dirname "$object")"
    printf 'other' | dd of="$object" bs=1 seek=1000 conv=notrunc 2>/dev/null
    git annex drop -q --force file
    run ! git annex get -q --from origin-far file
    lacks_content file
    truncate -s 1000 "$object"
    run ! git annex get -q --from origin-far file
    lacks_content file
}

@test "a server that is killed in mid-transfer is left out, and the client is told of the others only" {
    serve --wideopen
    SIZE=100M begin http
    git annex copy -q --to origin file 3>&- &
    local copy=$!
    wait_until 30 partial_is_there || true
    kill_tree "$FAR_PID" KILL
    wait "$copy" || true
    [ -z "$(far_object "$KEY")" ] || skip "the transfer was over before the server could be killed"
    assert_logged "$KEY" a
    serve --wideopen
    git annex copy -q --to origin-far file
    has "$KEY"
    assert_logged "$KEY" a "$FAR"
}

partial_is_there() { [ -n "$(find "$TMP/far/annex/tmp" -type f -size +1M 2>/dev/null)" ]; }
