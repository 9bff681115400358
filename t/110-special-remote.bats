#!/usr/bin/env bats
# A Keep store as git-annex's special remote: everything that a user does with one.

load lib
load special_remote

@test "files go to the store and come back" {
    start_repo a
    add_file small 1000
    add_file big 70M
    : >empty
    git annex add -q empty
    git commit -q -m empty
    cp --dereference small big empty "$TMP"
    git annex copy -q --to k
    assert_whereis big here k
    git annex drop -q
    lacks_content big
    assert_whereis big k
    git annex get -q
    cmp small "$TMP/small"
    cmp big "$TMP/big"
    cmp empty "$TMP/empty"
    # 70 MB make two data blocks.
    run blocks
    assert_line "$(block_of small)"
    assert_equal "$(find "$STORE" -size 65536k -name "$(head -c 64M big | md5sum | cut -c1-32)" | wc -l)" 1
}

@test "all kinds of names and keys" {
    start_repo a
    local backend name count=0
    for backend in SHA256E SHA512 SHA1E MD5 SHA3_384 SKEIN512E BLAKE2BP512 BLAKE2SP224E BLAKE3_256 XXH3 WORM; do
        name="ä ö $backend &%:x.tar.gz"
        random_file "$name" 5000
        git annex add -q --backend=$backend "$name"
        count=$((count + 1))
    done
    git commit -q -m names
    git annex copy -q --to k
    assert_equal "$(git annex find --in k | wc -l)" $count
    git annex drop -q
    assert_equal "$(git annex find --in here | wc -l)" 0
    # Content that no hash tells anything about is only fetched where that is allowed.
    git -c annex.security.allow-unverified-downloads=ACKTHPPT annex get -q
    git annex fsck -q
    git annex fsck -q --from k
}

@test "move there and back" {
    start_repo a
    add_file f 100K
    git annex move -q --to k f
    lacks_content f
    assert_equal "$(check_key f)" present
    git annex move -q --from k f
    has_content f
    assert_whereis f here
    assert_equal "$(check_key f)" absent
}

@test "drop asks the store for the other copy, and takes a copy away" {
    start_repo a
    add_file f 100K
    git annex copy -q --to k f
    git annex drop -q f
    run git annex drop --from k f
    [ "$status" -ne 0 ]
    assert_equal "$(check_key f)" present
    git annex get -q f
    git annex drop -q --from k f
    assert_equal "$(check_key f)" absent
    assert_whereis f here
    # Removing what is not there is no error.
    git annex setpresentkey "$(annex_key f)" "$(annex_uuid k)" 1
    git annex drop -q --from k f
}

@test "fsck finds what is damaged, with --fast what is gone" {
    start_repo a
    add_file good 100K
    add_file bad 100K
    add_file gone 100K
    git annex copy -q --to k
    git annex fsck -q --from k
    git annex fsck -q --from k --fast
    rm -f "$(block_of gone)"
    run git annex fsck --from k --fast
    [ "$status" -ne 0 ]
    assert_whereis gone here
    assert_whereis bad here k
    damage "$(block_of bad)"
    run git annex fsck --from k
    [ "$status" -ne 0 ]
    assert_output damaged
    # The bad block was set aside, so that the next look finds the content gone.
    run git annex fsck --from k --fast bad
    [ "$status" -ne 0 ]
    assert_whereis bad here
    assert_whereis good here k
    git annex copy -q --to k
    git annex fsck -q --from k
}

@test "whereis and info tell where it is" {
    start_repo a
    add_file f 100K
    git annex copy -q --to k
    run git annex whereis f
    assert_output "$STORE"
    run git annex info k
    assert_output "store: $STORE"
    assert_output "free space"
    assert_output "blocks"
    assert_equal "$(git config remote.k.annex-cost)" 100.0
}

@test "the store is in the user's data directory unless said otherwise" {
    make_repo a
    cd a
    git annex initremote -q k type=external externaltype=keep encryption=none
    run git annex info k
    assert_output "store: $XDG_DATA_HOME/annex-keep/keep"
    [ -d "$XDG_DATA_HOME/annex-keep/keep" ]
    add_file f 1000
    git annex copy -q --to k
}

@test "a relative path is kept as an absolute one" {
    make_repo a
    cd a
    STORE=../elsewhere init_keep
    git show git-annex:remote.log >log
    grep -q "store=$TMP/elsewhere " log
    add_file f 1000
    git annex copy -q --to k
    [ -d "$TMP/elsewhere" ]
}

@test "a clone enables it, and both use it" {
    start_repo a
    add_file f 100K
    git annex copy -q --to k
    git annex sync -q 2>/dev/null || true
    git clone -q "$TMP/a" "$TMP/b"
    cd "$TMP/b"
    git annex init -q b
    run git annex enableremote k
    [ "$status" -eq 0 ]
    # Until it is approved, git-annex passes over a special remote that came with a clone.
    git annex verifyremote k --safe "$(grep -o -- '--safe [0-9]*' <<<"$output" | cut -d' ' -f2)"
    git annex get -q --from k f
    cmp "$TMP/a/f" f
    assert_equal "$(check_key f)" present
    # Doing it again changes nothing.
    git annex enableremote -q k
    git annex fsck -q --from k
}

@test "four jobs run in one process" {
    start_repo a
    local i
    for i in $(seq 24); do
        random_file "f$i" 2M
    done
    git annex add -q .
    git commit -q -m files
    watch_remote
    git annex copy -q -J4 --to k
    assert_equal "$(grep -l TRANSFER "$TMP"/talk/*.in | wc -l)" 1 processes
    assert_equal "$(grep -h -c 'TRANSFER STORE' "$TMP"/talk/*.in)" 24
    # The jobs really overlap: a second STORE comes before the first is answered.
    jobs=$(grep -h 'TRANSFER STORE' "$TMP"/talk/*.in | cut -d' ' -f2 | sort -u | wc -l)
    [ "$jobs" -ge 2 ] || fail "only $jobs jobs"
    git annex drop -q -J4
    rm "$TMP"/talk/*
    git annex get -q -J4
    assert_equal "$(grep -l TRANSFER "$TMP"/talk/*.in | wc -l)" 1 processes
    git annex fsck -q
}

@test "progress is reported while data moves" {
    start_repo a
    add_file f 150M
    git annex copy --json --json-progress --to k f >progress
    assert_equal "$(tail -n1 progress | grep -c '"success":true')" 1
    [ "$(grep -c byte-progress progress)" -ge 3 ]
    grep -o '"byte-progress":[0-9]*' progress | cut -d: -f2 >bytes
    sort -n -C bytes
    assert_equal "$(tail -n1 bytes)" 157286400
    git annex drop -q f
    watch_remote
    git annex get -q f
    grep -h -o 'PROGRESS [0-9]*' "$TMP"/talk/*.out | cut -d' ' -f2 >bytes
    [ "$(wc -l <bytes)" -ge 3 ]
    sort -n -C bytes
    assert_equal "$(tail -n1 bytes)" 157286400
}

@test "an interrupted get goes on where it stopped" {
    start_repo a
    add_file f 150M
    cp --dereference f "$TMP/f"
    git annex copy -q --to k f
    git annex drop -q f
    watch_remote
    CUT=40000000 run git annex get f
    [ "$status" -ne 0 ]
    partial=$(stat -c %s .git/annex/tmp/*)
    [ "$partial" -ge 40000000 ]
    rm "$TMP"/talk/*
    git annex get -q f
    first=$(grep -h -o 'PROGRESS [0-9]*' "$TMP"/talk/*.out | head -n1 | cut -d' ' -f2)
    [ "$first" -ge "$partial" ] || fail "started at $first although $partial were there"
    cmp f "$TMP/f"
}

@test "a longer leftover of a download leaves no bytes behind" {
    start_repo a
    add_file f 100K
    cp --dereference f "$TMP/f"
    git annex copy -q --to k f
    git annex drop -q f
    mkdir -p .git/annex/tmp
    random_file ".git/annex/tmp/$(annex_key f)" 200K
    git annex get -q f
    cmp f "$TMP/f"
}

@test "repositories share blocks, not presence" {
    start_repo a
    add_file f 1M
    git annex copy -q --to k f
    cp --dereference f "$TMP/f"
    before=$(blocks | wc -l)
    start_repo b
    cp "$TMP/f" f
    git annex add -q f
    git commit -q -m f
    assert_equal "$(check_key f)" absent
    git annex copy -q --to k f
    assert_equal "$(check_key f)" present
    # One more manifest, no more data.
    [ "$(blocks | wc -l)" -le $((before + 1)) ]
    assert_equal "$(find "$STORE" -type f -size +512k | wc -l)" 1
    git annex drop -q --from k f
    assert_equal "$(check_key f)" absent
    cd ../a
    assert_equal "$(check_key f)" present
    git annex fsck -q --from k
}

@test "content that is not its key's is not stored" {
    start_repo a
    add_file f 100K
    object=$(git annex contentlocation "$(annex_key f)")
    chmod u+w "$object"
    printf 'other bytes' | dd of="$object" bs=1 seek=1000 conv=notrunc status=none
    run git annex copy --to k f
    [ "$status" -ne 0 ]
    assert_output "does not match its key"
    assert_equal "$(check_key f)" absent
}

@test "four git-annex processes with four jobs each use one store" {
    local repo i
    random_file "$TMP/shared" 3M
    for repo in a b c d; do
        start_repo $repo
        for i in $(seq 12); do
            random_file "f$i" 300K
        done
        cp "$TMP/shared" shared
        git annex add -q .
        git commit -q -m files
    done
    local pids=()
    for repo in a b c d; do
        git -C "$TMP/$repo" annex copy -q -J4 --to k &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid"
    done
    for repo in a b c d; do
        cd "$TMP/$repo"
        assert_equal "$(git annex find --in k | wc -l)" 13
        git annex fsck -q --from k
    done
    assert_equal "$(find "$STORE" -name "$(md5sum <"$TMP/shared" | cut -c1-32)" | wc -l)" 1
}

@test "git-annex of Debian 12 stores and fetches too" {
    use_old_annex
    start_repo a
    add_file f 100K
    cp --dereference f "$TMP/f"
    git annex copy -q -J2 --to k f
    git annex drop -q f
    git annex get -q f
    cmp f "$TMP/f"
}
