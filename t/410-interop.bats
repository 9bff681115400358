#!/usr/bin/env bats
# A real git-annex cluster gateway with nodes of ours, and real git-annex clients of our cluster.
# shellcheck disable=SC2016 # what jq is to see is not the shell's

load lib

setup() {
    isolate
    start_site
    sed -i 's/^unwanted = .*/unwanted = "all"/' "$SITE/annex-keep.toml"
    # Another way to the site, on which what the client says is kept in $TMP/wire.
    authorize gateway wirehost "tee -a '$TMP/wire' | annex-keep shell --site '$SITE' --user gateway"
    annex-keep user add gateway --site "$SITE" --key "$SSHD_DIR/gateway.key.pub" --role write
}

# make_gateway UUID: a real git-annex cluster `big` in $TMP/gw with one node `ours`, the repository of that UUID at our
# site, and a client of it in $TMP/client.
make_gateway() {
    make_repo gw
    cd gw || return
    git commit -q --allow-empty -m first
    git remote add ours ssh://wirehost/data
    git config remote.ours.annex-uuid "$1"
    git config remote.ours.annex-cluster-node big
    # A cluster within a cluster: the gateway has to know its nodes, because those are what is recorded as copies.
    [ "$1" != "$(site_uuid cluster)" ] || { git fetch -q ours && git annex merge; }
    git annex initcluster big
    git annex updatecluster
    cd "$TMP" || return
    authorize carol gwhost "PATH=$ROOT/.peers/venv/bin:\$PATH git-annex-shell -c \"\$SSH_ORIGINAL_COMMAND\""
    git clone -q "ssh://gwhost$TMP/gw" client
    cd client || return
    git annex init -q client
    random_file file 300K
    git annex add -q file
    git commit -q -m file
    cp file "$TMP/original"
    KEY=$(annex_key file)
}

# at_ours NODE: asks our site itself whether the node has the key.
at_ours() {
    [ -d "$TMP/own" ] || clone_site "$TMP/own" >&2
    git -C "$TMP/own" fetch -q
    git -C "$TMP/own" annex checkpresentkey "$KEY" "origin-$1"
}

@test "a real git-annex cluster has a node of ours as its node" {
    make_gateway "$(site_uuid a)"
    git annex copy --to origin-big file
    git annex drop file
    lacks_content file
    git annex get --from origin-big file
    assert_same file "$TMP/original"
    git annex drop file
    git annex get --from origin-ours file
    assert_same file "$TMP/original"
    git annex fsck --from origin-big file
    git annex checkpresentkey "$KEY" origin-big
    git annex checkpresentkey "$KEY" origin-ours
    assert_whereis file here origin-big origin-ours
    at_ours a
    run -1 at_ours b
    run -1 at_ours c
    # The bytes themselves are in that node's store and in no other.
    assert_equal "$(cd "$SITE/nodes/a" && find . -type f -size +299k ! -name '*.trash.*' -regex '.*/[0-9a-f]+' -exec cat {} + | sha256sum)" "$(sha256sum <"$TMP/original")"
    [ -z "$(find "$SITE/nodes/b" "$SITE/nodes/c" -size +299k -regex '.*/[0-9a-f]+')" ]
    git annex drop --from origin-big file
    run -1 at_ours a
    assert_whereis file here
    # The gateway said whom to leave out, and was understood.
    grep -aE '^BYPASS ' "$TMP/wire" | grep -qF "$(git -C "$TMP/gw" config annex.uuid)"
    grep -aqE '^VERSION [234]$' "$TMP/wire"
}

@test "our node in a real cluster keeps a copy that is locked or the last" {
    make_gateway "$(site_uuid b)"
    git annex copy -q --to origin-big file
    git annex drop -q file
    run -1 git annex drop --from origin-big file
    at_ours b
    # With the copy there locked, the local one goes.
    git annex get -q file
    : >"$TMP/wire"
    git annex drop --numcopies=1 file
    grep -aqF "LOCKCONTENT $KEY" "$TMP/wire"
    at_ours b
}

@test "a real git-annex cluster has our whole cluster as its node" {
    make_gateway "$(site_uuid cluster)"
    git annex copy --to origin-big file
    git annex checkpresentkey "$KEY" origin-big
    git annex fsck --from origin-big file
    # git-annex believes nothing to be in a cluster whose nodes are clusters: it is told to get this key.
    git annex drop --force file
    git annex transferkey --from origin-big "$KEY"
    assert_same "$(git annex contentlocation "$KEY")" "$TMP/original"
    for node in a b c; do
        at_ours $node
    done
    git annex drop --from origin-big file
    for node in a b c; do
        run -1 at_ours $node
    done
}

@test "an upload that broke off through a real cluster is completed by the next" {
    local pid
    make_gateway "$(site_uuid a)"
    random_file large 40M
    git annex add -q large
    git commit -q -m large
    git config remote.origin-big.annex-bwlimit-upload 4MB
    git annex copy -q --to origin-big large 3>&- &
    pid=$!
    sleep 4
    kill_tree $pid
    wait $pid || true
    git config --unset remote.origin-big.annex-bwlimit-upload
    git annex copy -q --to origin-big large
    git annex fsck -q --from origin-big large
}

@test "real clients see the cluster as a cluster and its nodes as copies" {
    clone_site client
    cd client
    random_file file 10K
    git annex add -q file
    git commit -q -m file
    git annex copy -q --to origin file
    assert_equal "$(annex_uuid origin)" "$(site_uuid cluster)"
    assert_whereis file here origin origin-a origin-b origin-c
    # The client's own and three nodes' copies; the cluster is none of its own.
    assert_equal "$(git annex find --copies=4 file)" file
    assert_equal "$(git annex find --copies=5 file)" ''
    # Whoever asks for the cluster's content gets what its nodes have.
    assert_equal "$(git annex find --in=origin file)" file
    assert_json '.uuid == $uuid and .success' "$(git annex info --fast --json origin)" --arg uuid "$(site_uuid cluster)"
    for node in a b c; do
        assert_equal "$(annex_uuid origin-$node)" "$(site_uuid $node)"
    done
    git annex info --json | jq -e --arg uuid "$(site_uuid cluster)" \
        '[.["semitrusted repositories"][].uuid] | index($uuid) != null'
}

# follow COMMAND...: runs COMMAND in the background with an open standard input, its output in $TMP/heard.
follow() {
    mkfifo "$TMP/hold"
    sleep 1000 >"$TMP/hold" 3>&- &
    "$@" <"$TMP/hold" >"$TMP/heard" 2>&1 3>&- &
    FOLLOWER=$!
}

# heard_of_content: the follower was told the commit that the server's git-annex branch has now, and it records content.
heard_of_content() {
    local tip
    tip=$(git -C "$SITE/repos/data.git" rev-parse git-annex)
    git -C "$SITE/repos/data.git" ls-tree -r --name-only "$tip" | grep -qE '^.../.../' || return 1
    grep -qxE "CHANGED (.* )?$tip( .*)?" "$TMP/heard"
}

@test "notifychanges tells of every push, with the commits" {
    local wanted
    clone_site client
    follow ssh testhost "git-annex-shell 'notifychanges' '/data'"
    wait_until 10 grep -qx READY "$TMP/heard"
    cd client
    git commit -q --allow-empty -m first
    git push -q origin main
    wanted=$(git rev-parse main)
    wait_until 10 grep -qxE "CHANGED (.* )?$wanted( .*)?" "$TMP/heard"
    # Content that is stored changes the git-annex branch.
    random_file file 10K
    git annex add -q file
    git annex copy -q --to origin file
    wait_until 10 heard_of_content
    kill -0 "$FOLLOWER"
}

@test "git-annex's remotedaemon fetches when somebody else pushes" {
    clone_site client
    clone_site other
    cd client
    follow git annex remotedaemon --foreground
    wait_until 20 grep -q CONNECTED "$TMP/heard" || fail "$(cat "$TMP/heard")"
    sleep 2
    git -C ../other commit -q --allow-empty -m news
    git -C ../other push -q origin main
    wait_until 20 git rev-parse -q --verify refs/remotes/origin/main || fail "$(cat "$TMP/heard")"
    assert_equal "$(git rev-parse origin/main)" "$(git -C ../other rev-parse main)"
}
