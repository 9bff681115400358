#!/usr/bin/env bats
# A node that is the directory of git-annex's directory special remote, used by git-annex directly as well.

# shellcheck disable=SC2016 # git-annex has variables too

load lib
load alone.bash

# start_directory_site [SETTINGS [CONFIG]]: a site whose repository `data` has the Keep node a and the node d, the directory
# $D, with the settings given; and a client in $TMP/work with the special remote `direct` on the same directory and, if
# CONFIG is given, with that configuration. The special remote has the node's own UUID.
start_directory_site() {
    D=$TMP/directory
    SITE=$TMP/site
    mkdir -p "$D"
    start_ssh_server
    annex-keep init "$SITE" --node a=keep:nodes/a
    cat >>"$SITE/annex-keep.toml" <<EOF
[nodes.d]
id = "0b3a4b7c-4f5d-4c21-9f7e-0a1b2c3d4e5f"
store = "directory:$D${1:-}"
repo = "data"
uuid = "$D_UUID"
EOF
    annex-keep repo create data --site "$SITE"
    start_clients type=directory directory="$D" "${@:2}"
}

# stored: the files of the directory, without what is above them.
stored() { find "$D" -name tmp -prune -o -type f -printf '%f %s %m\n' | sort; }

nothing_unfinished() {
    [ -z "$(find "$D/tmp" -mindepth 1 ! -name 'annex-keep.*')" ] || fail "something is left in tmp"
}

# shaky_gateway: from here on, the client reaches the site by a gateway that is killed soon after each connection, sooner or
# later than the work is done; $TMP/killed has a line for each that did not end before.
shaky_gateway() {
    local shaky="timeout -s KILL 0.0\$(shuf -i 10-99 -n 1) annex-keep shell --site '$SITE' --user bob"
    authorize bob shakyhost "$shaky || { echo \$? >>'$TMP/killed'; exit 1; }"
    annex-keep user add bob --site "$SITE" --key "$SSHD_DIR/bob.key.pub" --role write
    git config remote.origin.url ssh://shakyhost/data
}

# sound_gateway: and no longer.
sound_gateway() { git config remote.origin.url ssh://testhost/data; }

@test "what the gateway stores git-annex reads, and the other way round" {
    start_directory_site
    readable_both_ways 0 1 1048575 1048576 1048577 3500000
}

@test "with chunks it is the same" {
    start_directory_site "?chunk=1MiB" chunk=1MiB
    readable_both_ways 0 1 1048575 1048576 1048577 3500000
}

@test "files look just as git-annex's own" {
    start_directory_site "?chunk=1MiB" chunk=1MiB
    add_to_both file 2500000
    git annex copy -q --to origin-d file
    (cd "$D" && find . -name tmp -prune -o -printf '%p %s %m\n' | grep / | sort) >"$TMP/ours"
    git annex drop -q --force --from origin-d file
    [ -z "$(stored)" ]
    cp "$TMP/original-file" "$TMP/alone/again"
    (cd "$TMP/alone" && git annex add -q --backend=SHA256E again && git annex copy -q --to direct again)
    (cd "$D" && find . -name tmp -prune -o -printf '%p %s %m\n' | grep / | sort) >"$TMP/theirs"
    cut -d ' ' -f 1,3 "$TMP/ours" | grep SHA256E >"$TMP/ours.names"
    cut -d ' ' -f 1,3 "$TMP/theirs" | grep SHA256E >"$TMP/theirs.names"
    assert_equal "$(wc -l <"$TMP/ours.names")" 6
    cmp "$TMP/ours.names" "$TMP/theirs.names"
}

@test "content in chunks of any size, whole, or in mixed hash directories is found" {
    start_directory_site "?chunk=1MiB" chunk=300KiB
    add_to_both chunks 2500000
    (cd "$TMP/alone" && cp "$TMP/original-chunks" x && git annex add -q x && git annex copy -q --to direct x)
    stored | grep -q "S307200-C9"
    git annex checkpresentkey "$KEY" origin-d
    git annex setpresentkey "$KEY" "$D_UUID" 1 >/dev/null
    git annex drop -q --force chunks
    git annex get -q --from origin-d chunks
    assert_same chunks "$TMP/original-chunks"
    # With a chunk missing it is no copy.
    chunk=$(dirname "$(find "$D" -type f -name '*-S307200-C5-*')")
    chmod u+w "$chunk"
    mv "$chunk" "$TMP/chunk"
    run ! git annex checkpresentkey "$KEY" origin-d
    assert_equal "$status" 1
    mv "$TMP/chunk" "$chunk"
    git annex drop -q --force --from origin-d chunks
    [ -z "$(find "$D" -name '*S307200*')" ]

    add_to_both whole 5000
    mixed=$D/$(git annex examinekey --format='${hashdirmixed}' "$KEY")$KEY
    mkdir -p "$mixed"
    cp whole "$mixed/$KEY"
    git annex setpresentkey "$KEY" "$D_UUID" 1 >/dev/null
    git annex drop -q --force whole
    git annex get -q --from origin-d whole
    git annex drop -q --from origin-d whole
    [ ! -e "$mixed" ]
}

@test "an upload that broke off goes on where it was, in the middle of a chunk too" {
    start_directory_site "?chunk=1MiB"
    add_to_both file 5000000
    head -c 2300000 file >"$TMP/first"
    tail -c +2300001 file >"$TMP/rest"
    p2p <<EOF
open one $D_UUID
S~ AUTH-SUCCESS .*
C VERSION 4
S VERSION 4
C PUT file $KEY
S PUT-FROM 0
C DATA 5000000
send $TMP/first
close
EOF
    run ! git annex checkpresentkey "$KEY" origin-d
    p2p <<EOF
open one $D_UUID
S~ AUTH-SUCCESS .*
C VERSION 4
S VERSION 4
C PUT file $KEY
S PUT-FROM 2300000
C DATA 2700000
send $TMP/rest
C VALID
S~ SUCCESS.*
close
EOF
    git annex setpresentkey "$KEY" "$D_UUID" 1 >/dev/null
    git annex drop -q --force file
    git annex get -q --from origin-d file
    assert_same file "$TMP/original-file"
}

@test "what a gateway that was killed had received is gone on with, and is no content" {
    start_directory_site "?chunk=1MiB"
    add_to_both file 5000000
    mkfifo "$TMP/script"
    p2p <"$TMP/script" 3>&- &
    talking=$!
    exec 7>"$TMP/script"
    printf '%s\n' "open one $D_UUID" 'S~ AUTH-SUCCESS .*' 'C VERSION 4' 'S VERSION 4' "C PUT file $KEY" 'S PUT-FROM 0' \
        'C DATA 5000000' "send $PWD/file 0 3000000" >&7
    wait_until 20 eval '[ -n "$(find "$D/tmp" -name "*-C1-*")" ]'
    echo kill >&7
    exec 7>&-
    wait $talking
    [ -z "$(find "$D" -name tmp -prune -o -type f -print)" ]
    run ! git annex checkpresentkey "$KEY" origin-d
    assert_equal "$status" 1
    git annex copy -q --to origin-d file
    git annex drop -q --force file
    git annex get -q --from origin-d file
    assert_same file "$TMP/original-file"
    [ -z "$(find "$D/tmp" -mindepth 1 ! -name 'annex-keep.*')" ]
}

@test "wrong bytes never come into the directory" {
    start_directory_site "?chunk=1MiB"
    add_to_both file 3000000
    random_file "$TMP/wrong" 3000000
    p2p <<EOF
open one $D_UUID
S~ AUTH-SUCCESS .*
C VERSION 4
S VERSION 4
C PUT file $KEY
S PUT-FROM 0
C DATA 3000000
send $TMP/wrong
C VALID
S~ (FAILURE|ERROR .*)
close
EOF
    [ -z "$(find "$D" -type f ! -name 'annex-keep.*')" ]
    git annex copy -q --to origin-d file
    assert_logged "$KEY" d
}

@test "bytes that are not the key's never come whole over HTTP" {
    local object
    start_directory_site
    start_daemon
    http_user bob secret --role read
    add_to_both file 300K
    git annex copy -q --to origin-d file
    object=$(find "$D" -type f -name "$KEY")
    chmod u+w "$object"
    printf 'other' | dd of="$object" bs=1 seek=100000 conv=notrunc 2>/dev/null
    for path in "key/$KEY" "v0/key/$KEY?clientuuid=$D_UUID" "v4/key/$KEY?clientuuid=$D_UUID"; do
        run ! curl -sSf -u bob:secret -o got "$HTTP/git-annex/$D_UUID/$path"
        (($(stat -c %s got) < 307200)) || fail "$path gave all of it"
    done
}

@test "a file of the wrong size is no copy, and is replaced" {
    start_directory_site
    add_to_both file 100K
    git annex copy -q --to origin file
    file=$(find "$D" -type f -name "$KEY")
    chmod u+w "$file"
    truncate -s 50K "$file"
    run ! git annex checkpresentkey "$KEY" origin-d
    assert_equal "$status" 1
    git annex drop -q --force file
    git annex get -q --from origin file
    assert_same file "$TMP/original-file"
    git annex copy -q --to origin-d file
    alone setpresentkey "$KEY" "$D_UUID" 1 >/dev/null
    alone fsck -q --from direct file
}

@test "a directory that went away is unknown, not empty" {
    start_directory_site
    add_to_both file 100K
    git annex copy -q --to origin file
    assert_logged "$KEY" a d
    mv "$D" "$TMP/away"
    run ! git annex checkpresentkey "$KEY" origin-d
    assert_equal "$status" 100
    run ! git annex drop --from origin-d file
    git annex drop -q --force file
    git annex get -q --from origin file
    assert_logged "$KEY" a d
    add_to_both file2 100K
    git annex copy -q --to origin file2
    assert_logged "$KEY" a
    mv "$TMP/away" "$D"
    git annex checkpresentkey "$(annex_key file)" origin-d
}

@test "a full disk is said to be full, and nothing that looks like content is on it" {
    start_directory_site
    mount -t tmpfs -o size=1m tmpfs "$D"
    touch "$TMP/mounted"
    add_to_both file 3M
    run ! git annex copy --to origin-d file
    assert_output "node d: full: "
    [ -z "$(find "$D" -type f -path '*/tmp/*' -prune -o -type f -print)" ]
    git annex copy -q --to origin file
    assert_logged "$KEY" a
    umount -l "$D"
    rm "$TMP/mounted"
    git annex copy -q --to origin-d file
    assert_logged "$KEY" a d
}

teardown() {
    [ ! -e "$TMP/mounted" ] || umount -l "$TMP/directory"
    stop_everything
}

@test "a read-only directory serves, and says why it takes nothing" {
    start_directory_site
    add_to_both file 100K
    git annex copy -q --to origin-d file
    mount --bind "$D" "$D"
    touch "$TMP/mounted"
    mount -o remount,bind,ro "$D"
    git annex drop -q --force file
    git annex get -q --from origin-d file
    run ! git annex drop --from origin-d file
    assert_output "Read-only file system"
    assert_logged "$KEY" d
    add_to_both file2 100K
    run ! git annex copy --to origin-d file2
    assert_output "Read-only file system"
}

@test "a directory without a repository of its own is refused, and so is encryption" {
    annex-keep init "$TMP/site" --node a=keep:nodes/a
    cp "$TMP/site/annex-keep.toml" "$TMP/good"
    node() { printf '[nodes.d]\nid = "0b3a4b7c-4f5d-4c21-9f7e-0a1b2c3d4e5f"\nstore = "%s"\n' "$1" | cat "$TMP/good" - >"$TMP/site/annex-keep.toml"; }
    node directory:/x
    run ! annex-keep repo list --site "$TMP/site"
    assert_output "set repo"
    node 'directory:/x?encryption=shared'
    run ! annex-keep repo list --site "$TMP/site"
    assert_output "encryption=none"
    node annex:/x
    run ! annex-keep repo list --site "$TMP/site"
    assert_output "set uuid"
}

@test "moves through a gateway that is killed again and again lose no content" {
    start_directory_site "?chunk=300KiB" chunk=300KiB
    for i in {1..12}; do add_to_both "$i" 4000000; done
    shaky_gateway
    # At first whatever comes of it, then until it is done.
    for i in {1..12}; do git annex move -q --to origin-d "$i" 2>/dev/null || true; done
    sound_gateway
    moved=0
    for i in {1..12}; do
        KEY=$(annex_key "$i")
        if [ -n "$(git annex find --in=here "$i")" ]; then
            assert_same "$i" "$TMP/original-$i"
        else
            moved=$((moved + 1))
            alone setpresentkey "$KEY" "$D_UUID" 1 >/dev/null
            alone fsck -q --from direct "$i"
        fi
    done
    [ "$(grep -c 137 "$TMP/killed")" -ge 3 ] || fail "the gateway was too quick to be killed ($moved of 12 moved)"
    git annex move -q --to origin-d .
    git annex get -q --from origin-d .
    for i in {1..12}; do assert_same "$i" "$TMP/original-$i"; done
}
