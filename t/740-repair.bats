#!/usr/bin/env bats
# Copies that are missing come to be there: by the daemon, or by `annex-keep repair`.

load lib

setup() { start_work; }

on_node() { annex-keep explain data "$KEY" --site "$SITE" --json | jq -e --arg name "$1" '.nodes[] | select(.name == $name).present' >/dev/null; }

take_away() { mv "$SITE/nodes/$1" "$SITE/nodes/.$1"; }
bring_back() { mv "$SITE/nodes/.$1" "$SITE/nodes/$1"; }

@test "the daemon fills a node that was away when a key was stored" {
    take_away c
    git annex copy -q --to origin file
    assert_logged "$KEY" a b
    start_daemon
    run -1 annex-keep repair data "$KEY" --site "$SITE"
    [[ $output == *"node c"* ]] || fail "$output"
    bring_back c
    wait_until 60 on_node c
    assert_logged "$KEY" a b c
    wait_until 10 annex-keep repair data --site "$SITE"
}

@test "repair copies what a node wants by now, and says what it cannot copy" {
    annex-keep user set alice --site "$SITE" --role admin
    git annex wanted origin-c nothing
    git annex push -q --no-content
    git annex copy -q --to origin file
    assert_logged "$KEY" a b "$(git config annex.uuid)"
    git annex wanted origin-c anything
    git annex push -q --no-content
    run -0 annex-keep repair data --site "$SITE"
    assert_line "1 keys lack a copy that a node should have"
    assert_logged "$KEY" a b c "$(git config annex.uuid)"
    git annex fsck -q --from origin-c file
    run -0 annex-keep repair data --site "$SITE"
    assert_line "0 keys lack a copy that a node should have"
    run -1 annex-keep repair data SHA256-s1--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --site "$SITE"
}

@test "a damaged copy is replaced by a good one" {
    git annex copy -q --to origin file
    local block
    block=$(find "$SITE/nodes/b" -type f -regex '.*/[0-9a-f]*' -size +200k)
    printf 'other bytes' | dd of="$block" bs=1 seek=100000 conv=notrunc status=none
    run git annex fsck -q --from origin-b file
    [ "$status" != 0 ]
    run -0 annex-keep repair data --site "$SITE"
    git annex fsck -q --from origin-b file
    assert_logged "$KEY" a b c
}

@test "explain tells where a key is and why" {
    take_away c
    git annex copy -q --to origin-a file
    run -0 annex-keep explain data "$KEY" --site "$SITE"
    assert_line "node a: has it, the log names it, wants it"
    assert_line "node b: does not have it, the log does not name it, wants it; a copy is missing here"
    [[ $output == *"node c: cannot be asked ("* ]] || fail "$output"
    run -1 annex-keep explain nothing "$KEY" --site "$SITE"
    run -2 annex-keep explain data nonsense --site "$SITE"
}

@test "scrub finds a damaged copy that nobody asked for" {
    git annex copy -q --to origin file
    run -0 annex-keep scrub data --site "$SITE"
    assert_line "921600 bytes were read and are good"
    local block
    block=$(find "$SITE/nodes/c" -type f -regex '.*/[0-9a-f]*' -size +200k)
    printf 'other bytes' | dd of="$block" bs=1 seek=100000 conv=notrunc status=none
    run -3 annex-keep scrub data --site "$SITE" --rate 1000
    [[ $output == *"$KEY: the copy on node c is gone, or damaged"* ]] || fail "$output"
    assert_logged "$KEY" a b
    run -0 annex-keep repair data --site "$SITE"
    assert_logged "$KEY" a b c
    run -0 annex-keep scrub data --site "$SITE" --node c
    assert_line "307200 bytes were read and are good"
}
