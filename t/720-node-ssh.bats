#!/usr/bin/env bats
# A gateway whose nodes are git-annex repositories behind ssh, and other gateways.

# shellcheck disable=SC2016 # jq has variables too

load lib

# far_repo NAME HOST [DIR]: a bare git-annex repository, $TMP/NAME, behind sshd: `ssh HOST` is git-annex-shell there, the
# one in DIR.
far_repo() {
    git init -q --bare "$TMP/$1"
    git -C "$TMP/$1" annex init -q "$1"
    # The command's process id is written down, for tests that stop or kill it.
    printf '#!/bin/sh\necho $$ >>"%s/%s.pids"\nPATH=%s:$PATH\nexport PATH\nexec git-annex-shell -c "$SSH_ORIGINAL_COMMAND"\n' \
        "$TMP" "$1" "${3:-$ANNEX}" >"$BIN/far-$1"
    chmod +x "$BIN/far-$1"
    authorize "$1-key" "$2" "$BIN/far-$1"
}

far_uuid() { git -C "$TMP/$1" config annex.uuid; }

# node NAME SPEC UUID [LINE]...: a node of the site's repository `data`.
node() {
    local name=$1 spec=$2 uuid=$3
    shift 3
    {
        printf '\n[nodes.%s]\nid = "%s"\nstore = "%s"\nrepo = "data"\nuuid = "%s"\n' \
            "$name" "$(cat /proc/sys/kernel/random/uuid)" "$spec" "$uuid"
        [ $# = 0 ] || printf '%s\n' "$@"
    } >>"$SITE/annex-keep.toml"
}

# has REPO KEY, lacks REPO KEY: whether git-annex finds the key in the far repository, with the right content.
far_object() { find "$TMP/$1/annex/objects" -type f -name "$2" 2>/dev/null; }
has() { [ -n "$(far_object "$1" "$2")" ] || fail "$1 lacks $2" && cmp "$(far_object "$1" "$2")" "$TMP/original"; }
lacks() { [ -z "$(far_object "$1" "$2")" ] || fail "$1 has $2"; }

# A site with a Keep node `a` and a node `far`, $TMP/far by ssh; a clone in $TMP/work with a file.
setup() {
    isolate
    ANNEX=${ANNEX_KEEP_TEST_GIT_ANNEX:-$ROOT/.peers/venv/bin}
    SITE=$TMP/site
    start_ssh_server
    far_repo far farhost
    annex-keep init "$SITE" --node "a=$TMP/keep"
    node far "ssh://farhost$TMP/far" "$(far_uuid far)"
}

# begin: the repository, its user, and a clone with a file; made once the nodes stand in the configuration.
begin() {
    annex-keep repo create data --site "$SITE"
    add_user alice testhost --role write
    clone_site work 2>clone.err
    cd work || return
    new_file file "${1:-300K}"
}

new_file() {
    random_file "$1" "$2"
    cp "$1" "$TMP/original"
    git annex add -q "$1"
    git commit -q -m "$1"
    KEY=$(annex_key "$1")
}

@test "a git-annex repository behind ssh is a node: copy, get, fsck, drop and move by its own UUID" {
    begin
    git annex copy -q --to origin file
    has far "$KEY"
    assert_logged "$KEY" a "$(far_uuid far)"
    assert_equal "$(annex_uuid origin-far)" "$(far_uuid far)"
    git annex drop -q file
    git annex get -q --from origin-far file
    assert_same file "$TMP/original"
    git annex fsck -q --from origin-far file

    git annex drop -q --from origin-far file
    lacks far "$KEY"
    assert_logged "$KEY" a
    git annex move -q --to origin-far file
    has far "$KEY"
    lacks_content file
    git annex move -q --from origin-far file
    lacks far "$KEY"
    assert_same file "$TMP/original"
    # The far repository's own git-annex agrees with what was done there.
    git annex copy -q --to origin-far file
    git -C "$TMP/far" annex fsck -q --all
}

@test "empty files, and keys of any name, pass through" {
    begin
    : >empty
    printf 'hello' >worm
    git annex add -q empty
    git -c annex.backend=WORM annex add -q worm
    git commit -q -m more
    git annex copy -q --to origin-far empty worm
    git annex drop -q empty worm --force
    git annex get -q --from origin-far empty worm
    assert_equal "$(cat worm)" hello
    [ ! -s empty ]
    git annex drop -q --from origin-far empty worm --force
    lacks far "$(annex_key worm)"
}

@test "an upload that broke off goes on where it was, at the far side too" {
    begin 20M
    # The client's connection is cut in the middle.
    head -c 8M file >"$TMP/half"
    p2p <<END
open one $(far_uuid far) testhost
S AUTH-SUCCESS $(far_uuid far)
C VERSION 4
S VERSION 4
C PUT  $KEY
S PUT-FROM 0
C DATA $(stat -c %s "$TMP/original")
send $TMP/half
close
END
    wait_until 20 partial_is_there
    lacks far "$KEY"
    git annex copy -q --to origin-far file
    has far "$KEY"
}

partial_is_there() { [ -n "$(find "$TMP/far/annex/tmp" -type f -size +4M 2>/dev/null)" ]; }

@test "a node whose ssh fails is left out, named, and used again once it is back" {
    begin
    stop_sshd_of_far
    git annex copy -q --to origin file
    assert_logged "$KEY" a
    lacks far "$KEY"
    run ! git annex copy -q --to origin-far file
    git annex drop -q file
    git annex get -q file
    # Whether it has the content is unknown: that is no yes and no no.
    run ! git annex fsck --fast -q --from origin-far file
    start_sshd_of_far
    git annex copy -q --to origin-far file
    has far "$KEY"
    assert_logged "$KEY" a "$(far_uuid far)"
}

# The far side's door alone is shut: connections to it are refused.
stop_sshd_of_far() { mv "$BIN/far-far" "$BIN/shut"; }
start_sshd_of_far() { mv "$BIN/shut" "$BIN/far-far"; }

@test "a far side that is killed in mid-transfer is left out, and the client is told of the others only" {
    begin 60M
    git annex copy -q --to origin file 3>&- &
    local copy=$!
    wait_until 30 partial_is_there || true
    kill_far -KILL
    wait "$copy" || true
    if [ -n "$(far_object far "$KEY")" ]; then skip "the transfer was over before it could be killed"; fi
    assert_logged "$KEY" a
    git annex copy -q --to origin-far file
    has far "$KEY"
}

kill_far() {
    local pid
    while read -r pid; do kill_tree "$pid" "${1#-}" || true; done <"$TMP/far.pids"
}

@test "wrong bytes at the far side never become a file, and are not confirmed" {
    begin
    git annex copy -q --to origin-far file
    local object
    object=$(far_object far "$KEY")
    chmod u+w "$object" "$(dirname "$object")"
    printf 'other' | dd of="$object" bs=1 seek=1000 conv=notrunc 2>/dev/null
    cp file kept
    git annex drop -q --force file
    run ! git annex get -q --from origin-far file
    lacks_content file
    # A short copy is refused by the node itself.
    truncate -s 1000 "$object"
    run ! git annex get -q --from origin-far file
    lacks_content file
}

@test "a far repository that may only be read is left out of uploads and removals" {
    begin
    git annex copy -q --to origin file
    printf '#!/bin/sh\nGIT_ANNEX_SHELL_READONLY=1 PATH=%s:$PATH\nexport PATH GIT_ANNEX_SHELL_READONLY\nexec git-annex-shell -c "$SSH_ORIGINAL_COMMAND"\n' \
        "$ANNEX" >"$BIN/far-far"
    new_file second 300K
    git annex copy -q --to origin second
    assert_logged "$KEY" a
    lacks far "$KEY"
    run ! git annex drop --force --from origin-far file
    [ -n "$(far_object far "$(annex_key file)")" ]
    git annex drop -q file
    git annex get -q --from origin-far file
}

@test "a disk that is full at the far side is a node that is left out" {
    [ "$(id -u)" = 0 ] || skip "needs root for a small disk"
    mkdir "$TMP/small"
    mount -t tmpfs -o size=6m tmpfs "$TMP/small" || skip "no tmpfs may be mounted"
    touch "$TMP/mounted"
    far_repo small smallhost
    git -C "$TMP/small" config annex.diskreserve 1k
    node small "ssh://smallhost$TMP/small" "$(far_uuid small)"
    begin 12M
    git annex copy -q --to origin file
    assert_logged "$KEY" a "$(far_uuid far)"
    has far "$KEY"
}

teardown() {
    stop_everything
    [ ! -e "$TMP/mounted" ] || umount -l "$TMP/small"
}

@test "git-annex of 2023 is a node, too" {
    far_repo older olderhost "$ROOT/.peers/old/usr/bin"
    node older "ssh://olderhost$TMP/older" "$(far_uuid older)"
    begin
    git annex copy -q --to origin file
    has older "$KEY"
    git annex drop -q file
    git annex get -q --from origin-older file
    assert_same file "$TMP/original"
    git annex drop -q --from origin-older file
    lacks older "$KEY"
    assert_logged "$KEY" a "$(far_uuid far)"
}

@test "any program that speaks P2P on its standard streams is a node" {
    git init -q --bare "$TMP/local"
    git -C "$TMP/local" annex init -q local
    node local "command:env PATH=$ANNEX:/usr/bin:/bin git-annex-shell p2pstdio '$TMP/local' {client} --uuid {uuid}" \
        "$(far_uuid local)"
    begin
    git annex copy -q --to origin file
    has local "$KEY"
    git annex drop -q --from origin-local file
    lacks local "$KEY"
}
