#!/usr/bin/env bats
# A Keep store in a bucket, behind the gateway and by itself. The server is moto.

# shellcheck disable=SC2016,SC2030,SC2031 # conditions of wait_until; each test is a process of its own

load lib
load s3.bash

# start_keep_site: a site whose repository `data` has the Keep nodes a in a directory and b in a bucket, in keepstore's
# layout with a prefix of 3 digits; and a client in $TMP/work.
start_keep_site() {
    start_moto
    make_bucket bucket
    start_site --node a=keep:nodes/a
    run -0 annex-keep node add b="keep+s3://bucket/keep?endpoint=$S3&prefixlength=3" --secret s3creds="file:$TMP/s3creds" \
        --site "$SITE"
    for what in stores "gives back" "gives back the end" locks removes; do assert_line "node b $what: works"; done
    clone_site work 2>"$TMP/clone.err"
    cd work || return
    git commit -q --allow-empty -m start
    git push -q origin main git-annex
}

# blocks: the objects that are blocks in place.
blocks() { objects bucket | grep -E '^keep/[0-9a-f]{3}/[0-9a-f]{32}$' || true; }

# keep COMMAND [ARG]...: `annex-keep keep COMMAND` on the node b.
keep() { annex-keep keep "$1" b --site "$SITE" "${@:2}"; }

@test "a Keep store in a bucket holds what is copied, gives it back and loses what is dropped" {
    start_keep_site
    before=$(blocks | wc -l)
    # Two blocks and their manifest, and small content.
    add_file large 70000000
    add_file small 1000
    git annex copy -q --to origin
    assert_logged "$(annex_key large)" a b
    assert_equal "$(($(blocks | wc -l) - before))" 5
    # By keepstore's rules alone: a block is named by its MD5, and has a marker.
    first=$(head -c 67108864 large | md5sum | cut -d ' ' -f 1)
    [ "$(s3 GET "bucket/keep/${first:0:3}/$first" | md5sum | cut -d ' ' -f 1)" = "$first" ]
    objects bucket | grep -qx "keep/recent/${first:0:3}/$first"
    git annex drop -q --force .
    git annex get -q --from origin-b .
    for name in large small; do assert_same "$name" "$TMP/original-$name"; done
    git annex fsck -q --from origin-b .
    run -0 keep status --json
    assert_json '.entries == 2 and .damaged == 0' "$output"
    git annex drop -q --force --from origin-b large
    run -1 git annex checkpresentkey "$(annex_key large)" origin-b
    objects bucket | grep -qx "keep/trash/${first:0:3}/$first"
    run ! grep -q "$first" <(blocks)
    # It comes back while it is in the trash, and goes when that is emptied.
    git annex copy -q --to origin-b large
    git annex drop -q --force --from origin-b large
    keep trash --empty --all
    run ! grep -E '^keep/(trash|\.annex-keep/trash)/' <(objects bucket)
    run ! grep -q "$first" <(objects bucket)
    git annex checkpresentkey "$(annex_key small)" origin-b
}

@test "the index is made anew from the bucket, on another machine too, and there is only one" {
    start_keep_site
    add_file file 3000000
    git annex copy -q --to origin
    run -0 keep ls
    entries=$output
    rm -r "$SITE"/nodes/bucket-*.index
    run ! keep ls
    assert_output "reindex"
    run -100 git annex checkpresentkey "$KEY" origin-b
    run -0 keep reindex
    assert_line "1 entries"
    run -0 keep ls
    assert_equal "$output" "$entries"
    git annex checkpresentkey "$KEY" origin-b
    # Another site may take the store over, and then the first one is told.
    annex-keep init "$TMP/other" --node a=keep:nodes/a
    store="keep+s3://bucket/keep?endpoint=$S3&prefixlength=3"
    run ! annex-keep node add b="$store" --secret s3creds="file:$TMP/s3creds" --site "$TMP/other"
    assert_output "reindex"
    printf '%s\n' '[nodes.b]' 'id = "0b3a4b7c-4f5d-4c21-9f7e-0a1b2c3d4e5f"' "store = \"$store\"" \
        "secrets = { s3creds = \"file:$TMP/s3creds\" }" >>"$TMP/other/annex-keep.toml"
    run -0 annex-keep keep reindex b --site "$TMP/other"
    assert_line "1 entries"
    run ! keep ls
    assert_output "its index elsewhere"
    run -100 git annex checkpresentkey "$KEY" origin-b
    keep reindex
    git annex drop -q --force file
    git annex get -q --from origin-b file
    assert_same file "$TMP/original-file"
}

@test "a damaged object is never given out, is set aside, and is replaced by a good copy" {
    start_keep_site
    add_file file 3000000
    git annex copy -q --to origin
    assert_logged "$KEY" a b
    block=$(md5sum <file | cut -d ' ' -f 1)
    random_file "$TMP/wrong" 3000000
    s3 PUT "bucket/keep/${block:0:3}/$block" -T "$TMP/wrong"
    git annex drop -q --force file
    run ! git annex get --from origin-b file
    lacks_content file
    objects bucket | grep -q "^keep/.annex-keep/damaged/$block\."
    run -1 git annex checkpresentkey "$KEY" origin-b
    git annex get -q file
    assert_same file "$TMP/original-file"
    git annex copy -q --to origin-b file
    git annex checkpresentkey "$KEY" origin-b
    git annex drop -q --force file
    git annex get -q --from origin-b file
    assert_same file "$TMP/original-file"
}

@test "a server that is away stops nobody, and what it has is unknown" {
    start_keep_site
    add_file before 100K
    git annex copy -q --to origin
    assert_logged "$KEY" a b
    stop_moto
    run -100 timeout 60 git annex checkpresentkey "$KEY" origin-b
    add_file file 100K
    timeout 100 git annex copy -q --to origin file
    assert_logged "$KEY" a
    run ! timeout 60 git annex copy --to origin-b file
    assert_output "s3://bucket/keep/ at $S3"
    # A server that has lost everything is no empty store.
    start_moto
    make_bucket bucket
    run -100 git annex checkpresentkey "$(annex_key before)" origin-b
    run ! git annex copy --to origin-b file
    assert_output "no Keep store"
}
