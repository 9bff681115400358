#!/usr/bin/env bats
# Debian's git-annex 10.20230126: it speaks version 1 of the P2P protocol and has never heard of clusters.

load lib
bats_require_minimum_version 1.5.0

setup() {
    isolate
    start_site
    # Whatever no node wants by its own wish goes to every node.
    sed -i 's/^unwanted = .*/unwanted = "all"/' "$SITE/annex-keep.toml"
    use_old_annex
    clone_site old
    cd old || return
}

all_nodes() { for node in a b c; do site_uuid $node; done | sort; }

# add_node NAME: how a client that knows no clusters addresses a node: a git remote with the same URL and the node's UUID.
add_node() {
    git remote add "origin-$1" ssh://testhost/data
    git config "remote.origin-$1.annex-uuid" "$(site_uuid "$1")"
    git config "remote.origin-$1.annex-sync" false
}

# add_file NAME SIZE: a file in the annex, committed.
add_file() {
    random_file "$1" "$2"
    git annex add -q "$1"
    git commit -q -m "$1"
}

# server_log KEY: the location log of a key on the server, as committed.
server_log() {
    local path
    path=$(git -C "$SITE/repos/data.git" ls-tree -r --name-only git-annex | grep -F "/$1.log" | grep '\.log$')
    git -C "$SITE/repos/data.git" cat-file blob "git-annex:$path"
}

# server_holders KEY: the UUIDs that the server's branch says have a key.
server_holders() { server_log "$1" | awk '$2 == "1" { print $3 }' | sort; }

@test "an old client copies to the cluster, drops, and gets back the same bytes" {
    add_file file 300K
    cp file "$TMP/original"
    git annex sync -q
    git annex copy --to origin file
    assert_whereis file here origin
    git annex drop file
    lacks_content file
    git annex get file
    has_content file
    assert_same file "$TMP/original"
    assert_equal "$(server_holders "$(annex_key file)" | grep -vx "$(git config annex.uuid)")" "$(all_nodes)"
}

@test "an old client asks the cluster whether content is there" {
    add_file file 10K
    add_file other 10K
    git annex copy --to origin file
    git annex fsck --from origin file
    git annex fsck --fast --from origin file
    key=$(annex_key file)
    git annex checkpresentkey "$key" origin
    run -1 git annex checkpresentkey "$(annex_key other)" origin
    # Believed to be there and is not: found out.
    git annex setpresentkey "$(annex_key other)" "$(annex_uuid origin)" 1
    run -1 git annex fsck --from origin other
    git annex drop --from origin file
    assert_whereis file here
    run -1 git annex checkpresentkey "$key" origin
    run -1 git annex get --from origin file --force --key="$key"
}

@test "an old client uses a node by a git remote with the node's UUID" {
    add_node a
    add_node b
    add_file file 300K
    key=$(annex_key file)
    cp file "$TMP/original"
    git annex copy --to origin-a file
    assert_equal "$(git config remote.origin-a.annex-uuid)" "$(site_uuid a)"
    git annex checkpresentkey "$key" origin-a
    run -1 git annex checkpresentkey "$key" origin-b
    # The cluster has what one of its nodes has.
    git annex checkpresentkey "$key" origin
    assert_equal "$(server_holders "$key")" "$(site_uuid a)"
    git annex drop file
    git annex get --from origin-a file
    assert_same file "$TMP/original"
    git annex fsck --from origin-a file
    git annex copy --to origin-b file
    assert_whereis file here origin-a origin-b
    git annex drop --from origin-a file
    run -1 git annex checkpresentkey "$key" origin-a
    git annex checkpresentkey "$key" origin-b
    assert_equal "$(server_holders "$key")" "$(site_uuid b)"
}

@test "an old client's last copy in a node is not dropped" {
    add_node a
    add_file file 10K
    git annex copy --to origin-a file
    git annex drop file
    run -1 git annex drop --from origin-a file
    git annex checkpresentkey "$(annex_key file)" origin-a
}

@test "the cluster's UUID in an old client's location logs does not reach the server's branch" {
    add_file file 20K
    add_file gone 20K
    git annex sync -q
    git annex copy --to origin file gone
    git annex drop --from origin gone
    key=$(annex_key file)
    cluster=$(site_uuid cluster)
    # The old client itself takes the cluster for a repository that holds content.
    git cat-file blob "git-annex:$(git ls-tree -r --name-only git-annex | grep -F "/$key.log")" | grep -F " $cluster"
    git annex sync
    git annex sync
    # It was pushed, and nothing else of it is lost.
    git -C "$SITE/repos/data.git" merge-base --is-ancestor "$(git rev-parse git-annex)" git-annex
    server_log "$key" | grep -F " $(git config annex.uuid)"
    for branch in git-annex synced/git-annex; do
        git -C "$SITE/repos/data.git" rev-parse -q --verify "$branch" >/dev/null || continue
        run -1 git -C "$SITE/repos/data.git" grep -lF " $cluster" "$branch" -- '???/???/*.log'
    done

    # The copies that count for a client of today: the old client's own and those on three nodes.
    cd ..
    use_annex "$ROOT/.peers/venv/bin"
    clone_site new
    cd new
    assert_equal "$(git annex whereis --json file | jq -r '.whereis[].uuid' | sort)" \
        "$({ all_nodes; echo "$cluster"; git -C ../old config annex.uuid; } | sort)"
    git annex find --copies=4 file | grep -qx file
    assert_equal "$(git annex find --anything --copies=5 file)" ''
    assert_equal "$(git annex find --in=origin gone)" ''
    git annex get file
    assert_same file ../old/file
}

@test "old and new clients work on one repository at once" {
    add_file from-old 40K
    git annex sync -q
    git annex copy -q --to origin from-old
    git annex sync -q
    cd ..
    use_annex "$ROOT/.peers/venv/bin"
    clone_site new
    cd new
    git annex get from-old
    assert_same from-old ../old/from-old
    add_file from-new 40K
    cp from-new "$TMP/from-new"
    git annex push
    # Of three nodes and two clients, the nodes alone are left.
    git annex drop from-old from-new
    cd ../old
    use_old_annex
    git annex sync
    # Without clusters it does not see that origin has what others stored there, but it sees the nodes.
    add_node b
    git annex get from-new
    assert_same from-new "$TMP/from-new"
    git annex fsck from-new
    git annex drop from-old
    lacks_content from-old
}
