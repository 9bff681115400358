#!/usr/bin/env bats
# Nodes come, cost, become empty and go.

load lib

setup() {
    isolate
    start_site
    clone_site work
    cd work || return
    for i in 1 2 3 4 5; do random_file "file$i" 100K; done
    git annex add -q .
    git commit -q -m files
    KEY=$(annex_key file1)
}

@test "a new node is tried out, seen by clients, and filled" {
    git annex copy -q --to origin
    run -0 annex-keep node add d="$TMP/disk 4" --site "$SITE"
    for what in stores "gives back" locks removes; do assert_line "node d $what: works"; done
    run -0 annex-keep repair data --site "$SITE"
    assert_line "5 keys lack a copy that a node should have"
    assert_logged "$KEY" a b c d
    git fetch -q
    git annex merge -q
    git annex get -q --from origin-d file1
    git annex fsck -q --from origin-d
    run -0 annex-keep node list --site "$SITE"
    assert_line "d: keep:$TMP/disk 4, cost 100"
    run -1 annex-keep node add d="$TMP/other" --site "$SITE"
}

@test "a node that cannot store is told of when it is added" {
    mkdir "$TMP/full"
    : >"$TMP/full/file"
    run -1 annex-keep node add d="$TMP/full/file" --site "$SITE"
    run -0 annex-keep node list --site "$SITE"
    refute_output "d:"
}

@test "a node is emptied without a key losing its copies, and then goes" {
    git annex numcopies 2
    annex-keep user set alice --site "$SITE" --role admin
    git annex push -q --no-content
    git annex copy -q --to origin-c
    run -1 annex-keep node remove c --site "$SITE"
    [[ $output == *"has 5 keys of data"* ]] || fail "$output"
    run -0 annex-keep node drain c --site "$SITE"
    assert_line "data: 5 keys are gone from node c"
    assert_logged "$KEY" a b "$(git config annex.uuid)"
    git annex fsck -q --from origin-a
    git annex copy -q --to origin
    git annex fsck -q --from origin-b
    annex-keep node remove c --site "$SITE"
    git fetch -q
    git annex merge -q
    assert_equal "$(git annex info --json origin | jq -r .uuid)" "$(site_uuid cluster)"
    run -0 annex-keep repo info data --site "$SITE"
    refute_output "node c"
}
