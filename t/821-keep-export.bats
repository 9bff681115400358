#!/usr/bin/env bats
# Trees in Keep: exporttree=yes.

load lib
load special_remote

# tree FILE...: commits files of random bytes.
tree() {
    local file
    for file in "$@"; do
        mkdir -p "$(dirname "$file")"
        random_file "$file" 50K
    done
    git annex add -q .
    git commit -q -m tree
}

@test "a tree is exported, changed, renamed and emptied, and no content moves for a new name" {
    start_repo a exporttree=yes
    tree 'one' 'dir one/two.txt' 'dir one/%2F . &' "ä ö"
    echo plain >note
    git -c annex.largefiles=nothing add note
    git commit -q -m note
    git annex export -q main --to k
    local before
    before=$(blocks | wc -l)
    git annex drop -q --force .
    git annex get -q .
    git annex fsck -q

    git mv 'dir one/two.txt' 'dir one/three'
    git mv one 'deep one'
    git commit -q -m renamed
    watch_remote
    git annex export -q main --to k
    run cat "$TMP"/talk/*.in
    assert_output RENAMEEXPORT
    refute_output "TRANSFEREXPORT STORE"
    # A manifest in place of another for each name, and the old ones are in the trash.
    assert_equal "$(blocks | wc -l)" "$before"
    git annex drop -q --force .
    git annex get -q .

    random_file "ä ö" 60K
    git annex add -q .
    git rm -q 'dir one/three'
    git commit -q -m changed
    git annex export -q main --to k
    git annex drop -q --force .
    git annex get -q .
    git annex fsck -q
    git annex fsck -q --from k
}

@test "two names of one content are two files" {
    start_repo a exporttree=yes
    tree one
    cp -P one two
    git add two
    git commit -q -m two
    git annex export -q main --to k
    git rm -q one
    git commit -q -m less
    git annex export -q main --to k
    git annex drop -q --force two
    git annex get -q two
}

@test "annexobjects=yes keeps what is not in the tree" {
    start_repo a exporttree=yes annexobjects=yes
    tree one
    git annex export -q main --to k
    git rm -q one
    tree two
    git annex copy -q --to k --all
    git annex drop -q --force two
    git annex get -q two
}

@test "git-annex's own test of an export remote" {
    start_repo a exporttree=yes
    git annex testremote --fast --size=500B k >log 2>&1 || fail "$(tail -n 40 log)"
    grep -qE 'All [0-9]+ tests passed' log
}

@test "keys and trees do not get in each other's way in one store" {
    start_repo a
    add_file f 50K
    git annex copy -q --to k
    git annex initremote -q t type=external externaltype=keep encryption=none exporttree=yes store="$STORE"
    git annex export -q main --to t
    git rm -q f
    git commit -q -m gone --allow-empty
    git annex export -q main --to t
    git checkout -q main~1 -- f
    assert_equal "$(check_key f)" present
    git annex fsck -q --from k
}
