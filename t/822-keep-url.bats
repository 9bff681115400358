#!/usr/bin/env bats
# keep: URLs, and collections of others imported, with the collections that arv-put makes.

load lib
load special_remote
# shellcheck source=t/arv.bash
. "$ROOT/t/arv.bash"
load keep_client

# start_collection: a site, and a collection of two small files in one block, one in a directory. Sets COLLECTION, HASH.
start_collection() {
    start_keep
    mkdir -p "$TMP/tree/dir"
    printf 'one' >"$TMP/tree/one"
    random_file "$TMP/tree/dir/a b" 200K
    COLLECTION=$(arv_put "$TMP/tree/" --name ours)
    HASH=$(api "collections/$COLLECTION" | jq -re .portable_data_hash)
}

@test "addurl keep: fetches a file of any collection, and gets it again" {
    start_collection
    ON=api start_keep_repo a
    git annex addurl -q "keep:$HASH/dir/a%20b" --file ab
    assert_same ab "$TMP/tree/dir/a b"
    git annex addurl -q "keep:$COLLECTION/one" --file one
    assert_same one "$TMP/tree/one"
    git commit -q -m urls
    git annex drop -q --force
    git annex get -q
    assert_same ab "$TMP/tree/dir/a b"
    run ! git annex addurl "keep:$HASH/none" --file none
    # While it can be read there it is not gone.
    run ! git annex drop --from k one
}

@test "addurl keep: of a whole collection adds its files" {
    start_collection
    ON=api start_keep_repo a
    git annex addurl -q "keep:$HASH"
    run find . -path ./.git -prune -o -type l -print
    assert_equal "$(wc -l <<<"$output")" 2
}

@test "importtree=yes brings the files of a collection, and what changed" {
    start_collection
    ON=api start_keep_repo a importtree=yes collection="$COLLECTION"
    git annex import -q main --from k
    git merge -q --allow-unrelated-histories k/main
    assert_same "dir/a b" "$TMP/tree/dir/a b"
    assert_same one "$TMP/tree/one"
    printf 'other' >"$TMP/tree/one"
    arv_put "$TMP/tree/" --update-collection "$COLLECTION" >/dev/null
    git annex import -q main --from k
    git merge -q k/main
    assert_same one "$TMP/tree/one"
    git annex drop -q --force one
    git annex get -q one
}
