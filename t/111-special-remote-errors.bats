#!/usr/bin/env bats
# What the special remote says when something is wrong, and that it never says more than it knows.

load lib
load special_remote

teardown() {
    local mount
    while read -r mount; do
        umount -l "$mount"
    done < <(awk -v tmp="$BATS_TEST_TMPDIR" 'index($2, tmp) == 1 { print $2 }' /proc/mounts)
    stop_everything
}

# mount_store SIZE: a small filesystem at $TMP/disk, or the test is skipped.
mount_store() {
    mkdir -p "$TMP/disk"
    mount -t tmpfs -o "size=$1" tmpfs "$TMP/disk" 2>/dev/null || skip "needs the right to mount a filesystem"
    STORE=$TMP/disk/store
}

@test "a store that is not there is an error, never an absence" {
    start_repo a
    add_file f 100K
    add_file g 100K
    git annex copy -q --to k f
    mv "$STORE" "$STORE.away"
    assert_equal "$(check_key f)" unknown
    run git annex copy --to k g
    [ "$status" -ne 0 ]
    assert_output "$STORE"
    run git annex fsck --from k --fast f
    [ "$status" -ne 0 ]
    assert_whereis f here k
    run git annex drop --from k f
    [ "$status" -ne 0 ]
    assert_whereis f here k
    run git annex drop f
    [ "$status" -ne 0 ]
    has_content f
    run git annex info k
    assert_output "$STORE"
    # Nobody made a new one meanwhile.
    [ ! -e "$STORE" ]
    mv "$STORE.away" "$STORE"
    assert_equal "$(check_key f)" present
    git annex copy -q --to k g
}

@test "bad settings are refused with a reason" {
    make_repo a
    cd a
    run init_keep colour=blue
    [ "$status" -ne 0 ]
    assert_output "Unexpected parameters: colour"
    run init_keep blocksize=banana
    [ "$status" -ne 0 ]
    assert_output "blocksize=banana"
    run init_keep blocksize=65MiB
    [ "$status" -ne 0 ]
    assert_output "at most 64 MiB"
    run init_keep trashlifetime=soon
    [ "$status" -ne 0 ]
    assert_output "trashlifetime=soon"
    touch "$TMP/file"
    run env STORE="$TMP/file" bash -c '. "'"$ROOT"'/t/special_remote.bash"; init_keep'
    [ "$status" -ne 0 ]
    assert_output "$TMP/file"
    run git annex initremote k type=external externaltype=keep encryption=none importtree=yes
    [ "$status" -ne 0 ]
    assert_output "importtree=yes needs api= and collection="
    run init_keep keep=http://127.0.0.1:9
    [ "$status" -ne 0 ]
    assert_output "set one of store=, keep= and api="
    run git annex initremote k --whatelse type=external externaltype=keep
    assert_output blocksize
    assert_output trashlifetime
    init_keep blocksize=1MiB trashlifetime=0
    add_file f 3M
    git annex copy -q --to k
    assert_equal "$(find "$STORE" -type f -size 1024k | wc -l)" 3
}

@test "a damaged block is an error, then an absence, and is repaired by the next upload" {
    start_repo a
    add_file f 100K
    cp --dereference f "$TMP/f"
    git annex copy -q --to k
    git annex drop -q f
    damage "$(block_of "$TMP/f")"
    run git annex get f
    [ "$status" -ne 0 ]
    assert_output damaged
    assert_output "$STORE"
    lacks_content f
    assert_equal "$(check_key f)" absent
    git annex reinject -q "$TMP/f" f
    git annex copy -q --to k f
    assert_equal "$(check_key f)" present
    git annex fsck -q --from k f
}

@test "a full disk fails the transfer, and leaves nothing that counts as present" {
    # 64 MiB of every disk are left alone, as keepstore does.
    mount_store 112m
    start_repo a
    add_file small 1M
    add_file big 80M
    git annex copy -q --to k small
    run git annex copy --to k big
    [ "$status" -ne 0 ]
    assert_output full
    assert_output "$STORE"
    assert_equal "$(check_key big)" absent
    assert_equal "$(check_key small)" present
    git annex fsck -q --from k small
    # What was written of the big file does not stand in the way.
    add_file other 2M
    git annex copy -q --to k other
}

@test "a store that cannot be written says so, and nothing counts as absent" {
    mount_store 200m
    start_repo a
    add_file f 100K
    add_file g 100K
    git annex copy -q --to k f
    mount -o remount,ro "$TMP/disk"
    run git annex copy --to k g
    [ "$status" -ne 0 ]
    # The store, or its index.
    assert_output "$STORE"
    assert_output "cannot be written"
    [ "$(check_key f)" != absent ]
    run git annex drop --from k f
    [ "$status" -ne 0 ]
    assert_whereis f here k
    mount -o remount,rw "$TMP/disk"
    assert_equal "$(check_key f)" present
    git annex copy -q --to k g
}

@test "killed at any moment, the store stays right" {
    start_repo a
    add_file f 40M
    local cut
    for cut in 1 20000000 41943040; do
        watch_remote
        CUT=$cut run git -c annex.retry=0 annex copy --to k f
        rm "$BIN/git-annex-remote-keep"
        ln -s "$(program)" "$BIN/git-annex-remote-keep"
        if [ "$(check_key f)" = present ]; then
            git annex fsck -q --from k f
        fi
    done
    git annex copy -q --to k f
    git annex fsck -q --from k f
}
