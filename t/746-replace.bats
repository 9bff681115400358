#!/usr/bin/env bats
# A node's disk is lost or moves: the node keeps its name and UUID, and is filled in its new place.

load lib

setup() {
    isolate
    start_site
    clone_site work
    cd work || return
    for i in 1 2 3; do random_file "file$i" 100K; done
    git annex add -q .
    git commit -q -m files
    KEY=$(annex_key file1)
}

@test "a node whose disk was lost is filled again from other nodes, and what only it had is told of" {
    local uuid lost
    uuid=$(site_uuid c)
    git annex copy -q --to origin file1 file2
    git annex copy -q --to origin-c file3
    lost=$(annex_key file3)
    rm -rf "$SITE/nodes/c"
    run -3 annex-keep node replace c="$TMP/new disk" --site "$SITE"
    for what in stores "gives back" locks removes; do assert_line "node c $what: works"; done
    assert_line "data: node c has 2 of its 3 keys"
    [[ $output == *"data: $lost is not on node c any more: "* ]] || fail "$output"
    assert_equal "$(site_uuid c)" "$uuid" "the node's UUID"
    assert_logged "$KEY" a b c
    assert_logged "$lost"
    run -0 annex-keep node list --site "$SITE"
    assert_line "c: keep:$TMP/new disk, cost 100"
    git annex fsck -q --from origin-c file1 file2
    git annex copy -q --to origin file3
    git annex fsck -q --from origin-c
}

@test "a node moves with all that it has, also what no other node has" {
    git annex copy -q --to origin-b
    run -0 annex-keep node replace b="$TMP/moved" --site "$SITE"
    assert_line "data: node b has 3 of its 3 keys"
    mv "$SITE/nodes/b" "$TMP/old"
    git annex fsck -q --from origin-b
    assert_logged "$KEY" b
    # Another kind of node is a place like any other; what came to the old place since is brought over when asked.
    start_daemon
    mkdir "$TMP/d"
    sed -i "/^\[nodes.b\]/a repo = \"data\"" "$SITE/annex-keep.toml"
    run -0 annex-keep node replace b="directory:$TMP/d" --site "$SITE"
    assert_line "data: node b has 3 of its 3 keys"
    [[ $output == *"the daemon uses the old place until"* ]] || fail "$output"
    random_file late 50K
    git annex add -q late
    git commit -q -m late
    git annex copy -q --to origin-b late
    kill -HUP "$DAEMON_PID"
    run -0 annex-keep node replace b="directory:$TMP/d" --from "$TMP/moved" --site "$SITE"
    assert_line "data: node b has 4 of its 4 keys"
    assert_same "$(find "$TMP/d" -type f -name "$(annex_key late)")" late
}

@test "a place that cannot store is refused, and the node stays where it was" {
    git annex copy -q --to origin-b file1
    : >"$TMP/full"
    run -1 annex-keep node replace b="$TMP/full" --site "$SITE"
    run -1 annex-keep node replace b="annex:$TMP/nowhere" --site "$SITE"
    run -1 annex-keep node replace x="$TMP/x" --site "$SITE"
    run -1 annex-keep node replace b="$SITE/nodes/b" --site "$SITE"
    [[ $output == *"node b is there already"* ]] || fail "$output"
    run -0 annex-keep node list --site "$SITE"
    assert_line "b: keep:$SITE/nodes/b, cost 100"
    git annex fsck -q --from origin-b file1
}
