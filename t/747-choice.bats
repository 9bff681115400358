#!/usr/bin/env bats
# Which of several nodes content is fetched from.

load lib

setup() {
    isolate
    new_site --node "a=keep:$TMP/site/nodes/a" --node "b=keep:$TMP/site/nodes/b"
    annex-keep user add root --site "$SITE" --role admin --password-stdin <<<secret-enough
    start_daemon
    ssh_user alice testhost --role write
    clone_site work 2>clone.err
    cd work || return
    for number in 1 2 3 4 5 6 7 8; do random_file "file$number" 4M; done
    git annex add -q .
    git commit -q -m files
    git annex copy -q --to origin .
}

# read_from NODE: bytes that were fetched from it.
read_from() { curl -sf -u root:secret-enough "$HTTP/-/status" | jq --arg name "$1" '.nodes[] | select(.name == $name).bytes_out'; }

@test "nodes of the same cost share reads at the same time" {
    git annex drop -q .
    git annex get -q -J4 .
    git annex fsck -q .
    a=$(read_from a) b=$(read_from b)
    assert_equal $((a + b)) $((8 * 4 << 20))
    [ "$a" -gt 0 ] && [ "$b" -gt 0 ] || fail "a gave $a bytes, b $b"
}

@test "the cheapest node is asked, however busy, and the next one when it fails" {
    annex-keep node set b --cost 50 --site "$SITE"
    stop_daemon
    start_daemon
    git annex drop -q .
    git annex get -q -J4 .
    assert_equal "$(read_from a)" 0
    assert_equal "$(read_from b)" $((8 * 4 << 20))
    git annex drop -q .
    mv "$SITE/nodes/b" "$TMP/gone"
    git annex get -q .
    assert_equal "$(read_from a)" $((8 * 4 << 20))
    mv "$TMP/gone" "$SITE/nodes/b"
}
