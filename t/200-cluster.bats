#!/usr/bin/env bats
# The cluster behind `origin`, used by stock git-annex over sshd as its users use it.

# shellcheck disable=SC2016 # jq has variables too

load lib

# refuse COMMAND...: git-annex fails.
refuse() { run ! "$@"; }

# Starts a site and a client in $TMP/work, which has pushed and fetched once.
setup() {
    isolate
    start_site
    clone_site work 2>clone.err
    cd work || return
}

@test "an empty hosted repository is a cluster: copy, whereis and get after the first push" {
    add_file file 3M
    run ! git config remote.origin.annex-ignore
    git push -q origin main git-annex
    assert_equal "$(annex_uuid origin)" "$(site_uuid cluster)"

    git annex copy -q --to origin file
    assert_on "$KEY" "$TMP/original-file" a b c
    assert_logged "$KEY" a b c "$(git config annex.uuid)"
    # Known without a fetch: the answer named the nodes.
    wanted=$(for name in cluster a b c; do site_uuid $name; done; git config annex.uuid)
    assert_equal "$(git annex whereis --json file | jq -r '.whereis[].uuid' | sort)" "$(sort <<<"$wanted")"
    git annex drop -q file
    lacks_content file
    git annex get -q file
    assert_same file "$TMP/original-file"
}

@test "nodes are remotes of every clone with no step but a fetch" {
    git -C "$TMP" clone -q ssh://testhost/data other 2>/dev/null
    cd "$TMP/other"
    git annex init -q other
    for node in a b c; do
        json=$(git annex info --json "origin-$node")
        assert_json ".uuid == \$uuid" "$json" --arg uuid "$(site_uuid $node)"
    done
    assert_json '.uuid == $uuid' "$(git annex info --json origin)" --arg uuid "$(site_uuid cluster)"
    # Known to the site, and by no configuration of ours.
    run ! git config --get-regexp '^remote\.origin-'
    json=$(git annex info --json)
    for node in a b c; do
        assert_json 'any(."semitrusted repositories"[]; .uuid == $uuid)' "$json" --arg uuid "$(site_uuid $node)"
    done
}

@test "content is got from and dropped from one node" {
    add_file file 200K
    git annex copy -q --to origin file
    git annex drop -q file
    git annex get -q --from origin-b file
    assert_same file "$TMP/original-file"

    git annex drop -q --from origin-b file
    assert_on "$KEY" "$TMP/original-file" a c
    assert_logged "$KEY" a c
    git annex drop -q file
    # git-annex calls it no failure to get nothing from where nothing is.
    git annex get -q --from origin-b file
    lacks_content file
    git annex get -q file
    assert_same file "$TMP/original-file"
    # A client does not send what the cluster has to the cluster; to the node it does.
    git annex copy -q --to origin-b file
    assert_on "$KEY" "$TMP/original-file" a b c
    assert_logged "$KEY" a b c
}

@test "a copy to one node goes to that node alone" {
    add_file file 50K
    git annex copy -q --to origin-c file
    assert_on "$KEY" "$TMP/original-file" c
    assert_logged "$KEY" c
    git annex drop -q file
    git annex get -q --from origin file
    assert_same file "$TMP/original-file"
}

@test "a drop from the cluster empties every node" {
    add_file file 200K
    git annex copy -q --to origin file
    git annex drop -q --from origin file
    assert_on "$KEY" "$TMP/original-file"
    assert_logged "$KEY"
    assert_equal "$(git annex whereis --json file | jq -r '.whereis[].uuid')" "$(git config annex.uuid)"
    has_content file
}

@test "a move to the cluster and back leaves one place at a time" {
    add_file file 200K
    git annex move -q --to origin file
    lacks_content file
    assert_on "$KEY" "$TMP/original-file" a b c
    assert_logged "$KEY" a b c
    git annex move -q --from origin file
    assert_same file "$TMP/original-file"
    assert_on "$KEY" "$TMP/original-file"
    assert_logged "$KEY"
}

@test "numcopies is true: the cluster itself is no copy" {
    add_file file 100K
    git annex numcopies -q 3
    git annex copy -q --to origin-a file
    git annex copy -q --to origin-b file
    # Here, a and b: without any one there would be two.
    refuse git annex drop file
    has_content file
    refuse git annex drop --from origin-a file
    refuse git annex drop --from origin file
    assert_on "$KEY" "$TMP/original-file" a b
    assert_logged "$KEY" a b

    git annex copy -q --to origin-c file
    git annex drop -q file
    lacks_content file
    # Three nodes are three copies, and none to spare.
    refuse git annex drop --from origin-c file
    refuse git annex drop --from origin file
    assert_on "$KEY" "$TMP/original-file" a b c
    assert_logged "$KEY" a b c
}

@test "fsck of a node reads its content, fsck --fast asks for it" {
    add_file file 300K
    git annex copy -q --to origin file
    git annex fsck -q --from origin-a file
    git annex fsck -q --fast --from origin-a file
    git annex fsck -q --from origin file

    block=$(md5sum <"$TMP/original-file" | cut -c 1-32)
    rm "$SITE/nodes/a/${block:0:3}/$block"
    refuse git annex fsck --fast --from origin-a file
    refute_whereis file origin-a
    git annex fsck -q --fast --from origin-b file
}

# refute_whereis FILE REMOTE: the location log here does not name the remote.
refute_whereis() {
    local uuid
    uuid=$(site_uuid "${2#origin-}")
    run git annex whereis --json "$1"
    refute_output "$uuid"
}

@test "fsck of a node finds changed bytes" {
    add_file file 300K
    git annex copy -q --to origin file
    block=$(md5sum <"$TMP/original-file" | cut -c 1-32)
    chmod u+w "$SITE/nodes/a/${block:0:3}/$block"
    printf 'damage' | dd of="$SITE/nodes/a/${block:0:3}/$block" bs=1 seek=1000 conv=notrunc 2>/dev/null
    refuse git annex fsck --from origin-a file
    # The node knows by now what it lost, and so does everybody who fetches.
    assert_logged "$KEY" b c
    git fetch -q
    refute_whereis file origin-a
    git annex fsck -q --from origin-b file
}

@test "a fresh clone gets everything" {
    for name in one two three; do add_file "$name" 100K; done
    git annex copy -q --to origin
    git annex push -q --no-content
    clone_site "$TMP/fresh"
    cd "$TMP/fresh"
    git annex get -q
    for name in one two three; do assert_same "$name" "$TMP/original-$name"; done
}

@test "git annex push of 1,000 small files, and a fresh clone that gets them" {
    mkdir many
    for i in {1..1000}; do echo "file $i" >"many/$i"; done
    cp -r many "$TMP/original"
    git annex add -q many
    git commit -q -m many
    git annex push -q
    assert_equal "$(git -C "$SITE/repos/data.git" ls-tree -r --name-only git-annex | grep -c '/MD5\|/SHA')" 1000
    assert_equal "$(git -C "$SITE/repos/data.git" rev-parse main)" "$(git rev-parse HEAD)"
    git annex drop -q --force many
    clone_site "$TMP/fresh"
    cd "$TMP/fresh"
    git annex get -q -J4
    diff -r many "$TMP/original"
}

@test "testremote passes on the cluster" {
    git push -q origin git-annex
    git annex testremote -q origin --fast >"$TMP/out" 2>&1 || fail "$(tail -n 60 "$TMP/out")"
}

@test "testremote passes on a node" {
    git push -q origin git-annex
    git annex testremote -q origin-a --fast >"$TMP/out" 2>&1 || fail "$(tail -n 60 "$TMP/out")"
}

@test "four jobs at once store, fetch and drop" {
    for i in {1..20}; do random_file "file$i" $((i * 20000)); done
    mkdir "$TMP/original"
    cp file* "$TMP/original"
    git annex add -q .
    git commit -q -m files
    git annex copy -q -J4 --to origin
    for i in {1..20}; do assert_logged "$(annex_key "file$i")" a b c; done
    git annex drop -q -J4
    git annex get -q -J4
    for i in {1..20}; do assert_same "file$i" "$TMP/original/file$i"; done
    git annex drop -q -J4 --from origin
    for i in {1..20}; do assert_logged "$(annex_key "file$i")"; done
}

@test "two clients at once with four jobs each store the same files" {
    for i in {1..16}; do random_file "file$i" $((i * 30000)); done
    mkdir "$TMP/original"
    cp file* "$TMP/original"
    git annex add -q .
    git commit -q -m files
    git push -q origin main git-annex
    client=$(git config annex.uuid)
    clone_site "$TMP/second"
    cd "$TMP/second"
    for i in {1..16}; do
        # The second has two thirds of them; what it cannot send is not its to send.
        ((i % 3 == 0)) || cp --remove-destination "$TMP/original/file$i" .
    done
    for i in {17..22}; do random_file "file$i" 50000 && cp "file$i" "$TMP/original"; done
    git annex add -q .
    git commit -q -m more
    (cd "$TMP/work" && git annex copy -q -J4 --to origin) 3>&- &
    first=$!
    (cd "$TMP/second" && git annex copy -q -J4 --to origin) 3>&- &
    second=$!
    wait "$first" || fail "the first client failed"
    wait "$second" || fail "the second client failed"
    for i in {1..22}; do
        key=$(annex_key "file$i")
        # The first client pushed what it has before the second came.
        if ((i > 16)); then assert_logged "$key" a b c; else assert_logged "$key" a b c "$client"; fi
        assert_on "$key" "$TMP/original/file$i" a b c
    done
}

@test "git annex info counts what the nodes hold" {
    add_file one 10000
    add_file two 20000
    git annex copy -q --to origin one two
    git annex drop -q --from origin-b two
    git fetch -q
    assert_json '."remote annex keys" == 2 and ."remote annex size" == "30 kilobytes"' "$(git annex info --json origin-a)"
    assert_json '."remote annex keys" == 1 and ."remote annex size" == "10 kilobytes"' "$(git annex info --json origin-b)"
    assert_json '.proxied == "true"' "$(git annex info --json origin-a)"
}
