#!/usr/bin/env bats
# One node of the cluster fails, and the others do not.

load lib

setup() {
    isolate
    start_site
    clone_site work 2>clone.err
    cd work || return
    random_file file 300K
    cp file "$TMP/original"
    git annex add -q file
    git commit -q -m file
    KEY=$(annex_key file)
    BLOCK=$(md5sum <"$TMP/original" | cut -c 1-32)
}

teardown() {
    [ ! -e "$TMP/mounted" ] || umount -l "$TMP/small"
    stop_everything
}

# client_says REMOTE...: exactly these remotes and this repository have the file by the client's location log.
client_says() {
    local name
    for name in "$@"; do site_uuid "$name"; done >"$TMP/wanted"
    if [ -n "$(git annex find --in=here file)" ]; then git config annex.uuid >>"$TMP/wanted"; fi
    assert_equal "$(git annex whereis --json file | jq -r '.whereis[].uuid' | grep -v "^$(site_uuid cluster)\$" | sort)" \
        "$(sort "$TMP/wanted")"
}

# A damaged block: other bytes under the same name.
damage() {
    local block=$SITE/nodes/$1/${BLOCK:0:3}/$BLOCK
    chmod u+w "$block"
    printf 'other' | dd of="$block" bs=1 seek="${2:-100000}" conv=notrunc 2>/dev/null
}

@test "with a node gone a copy goes to the others and names just those" {
    mv "$SITE/nodes/b" "$TMP/gone"
    git annex copy -q --to origin file
    [ ! -e "$SITE/nodes/b" ] || fail "a store was made where a disk is not mounted"
    client_says a c
    assert_logged "$KEY" a c
    node_content a "$KEY" | cmp - "$TMP/original"
    node_content c "$KEY" | cmp - "$TMP/original"
    git annex drop -q file
    git annex get -q file
    assert_same file "$TMP/original"
    # Back again, it is asked again.
    mv "$TMP/gone" "$SITE/nodes/b"
    git annex copy -q --to origin-b file
    assert_on "$KEY" "$TMP/original" a b c
    assert_logged "$KEY" a b c
}

@test "a node that cannot be asked has not dropped" {
    git annex copy -q --to origin file
    mv "$SITE/nodes/b" "$TMP/gone"
    run ! git annex drop --json --json-error-messages --from origin file
    assert_logged "$KEY" b
    client_says b
    # That node alone can neither be dropped from nor counted on.
    run ! git annex drop --from origin-b file
    assert_logged "$KEY" b
    run ! git annex drop file
    has_content file
    run ! git annex fsck --fast --from origin-b file
    client_says b
    mv "$TMP/gone" "$SITE/nodes/b"
    assert_on "$KEY" "$TMP/original" b
    git annex drop -q --from origin file
    assert_logged "$KEY"
}

@test "a damaged block is never served: the bytes come from another node, and the log loses the copy" {
    git annex copy -q --to origin file
    git annex push -q --no-content
    client=$(git config annex.uuid)
    for node in a b c; do
        damage $node
        git annex drop -q --force file
        git annex get -q file
        assert_same file "$TMP/original"
        # The cluster may have read another node. This one is asked by itself, and has nothing to give.
        git annex drop -q --force file
        run ! git annex get --from "origin-$node" file
        lacks_content file
        others=$(tr -d "$node" <<<abc)
        assert_logged "$KEY" "${others:0:1}" "${others:1:1}" "$client"
        # Whoever fetches knows, and a fresh copy repairs it.
        git annex get -q file
        git annex pull -q --no-content
        client_says "${others:0:1}" "${others:1:1}"
        git annex copy -q --to "origin-$node" file
        assert_on "$KEY" "$TMP/original" a b c
        assert_logged "$KEY" a b c "$client"
        git annex fsck -q --from "origin-$node" file
    done
}

@test "damage at the first and at the last byte is found before the client has the end" {
    git annex copy -q --to origin file
    git annex drop -q file
    for place in 0 307195; do
        for node in a b; do damage $node $place; done
        git annex get -q file
        assert_same file "$TMP/original"
        assert_logged "$KEY" c
        git annex copy -q --to origin-a file
        git annex copy -q --to origin-b file
        assert_on "$KEY" "$TMP/original" a b c
        git annex drop -q file
    done
}

@test "with every copy damaged the client gets an error and no content" {
    git annex copy -q --to origin file
    git annex drop -q file
    for node in a b c; do damage $node; done
    run ! git annex get file
    lacks_content file
    assert_logged "$KEY"
}

@test "a full disk on one node leaves the others alone" {
    [ "$(id -u)" = 0 ] || skip "only root can mount a small file system"
    mkdir "$TMP/small"
    mount -t tmpfs -o size=80m tmpfs "$TMP/small" 2>/dev/null || skip "no tmpfs can be mounted here"
    touch "$TMP/mounted"
    mv "$SITE/nodes/b" "$TMP/small/b"
    ln -s "$TMP/small/b" "$SITE/nodes/b"
    random_file big 30M
    cp big "$TMP/big"
    git annex add -q big
    git commit -q -m big
    big=$(annex_key big)
    git annex copy -q --to origin big
    assert_logged "$big" a c
    for node in a c; do node_content $node "$big" | cmp - "$TMP/big"; done
    run ! git annex copy --to origin-b big
    assert_logged "$big" a c
    # Nothing of it was sent there: see t/745-space.bats for a disk that fills in mid-stream.
    [ -z "$(find "$TMP/small/b" -type f -size +1M)" ]
    git annex drop -q big
    git annex get -q big
    assert_same big "$TMP/big"
    mount -o remount,size=300m "$TMP/small"
    git annex copy -q --to origin-b big
    assert_on "$big" "$TMP/big" a b c
}
