#!/usr/bin/env bats
# A node that only this site changes need not be asked each time what it has; what one process removes, all know of.

load lib

setup() {
    isolate
    ln -s "$ROOT/t/git-annex-remote-shelf" "$BIN/git-annex-remote-shelf"
    SITE=$TMP/site
    annex-keep init "$SITE" --node "a=keep:$TMP/keep"
    {
        printf '\n[nodes.x]\nid = "%s"\nknown_seconds = 3600\n' "$(cat /proc/sys/kernel/random/uuid)"
        printf 'store = "external:shelf?directory=%s"\nrepo = "data"\n' "$TMP/shelf"
    } >>"$SITE/annex-keep.toml"
    annex-keep repo create data --site "$SITE"
    start_daemon
    ssh_user alice daemonhost --role write
    git clone -q ssh://daemonhost/data work
    cd work || return
    git annex init -q work
    random_file file 100K
    git annex add -q file
    git commit -q -m file
    KEY=$(annex_key file)
    git annex copy -q --to origin
    assert_logged "$KEY" a x
    git annex fsck -q --fast --from origin-x
}

# requests: how often the daemon has asked the node x anything.
requests() { annex-keep status --site "$SITE" --json | jq '.nodes[] | select(.name == "x").requests'; }

@test "presence is answered from knowledge, until another process removes the content" {
    local before
    before=$(requests)
    git annex fsck -q --fast --from origin-x
    git annex fsck -q --fast --from origin-x
    assert_equal "$(requests)" "$before" "requests to the node"
    run -0 annex-keep node drain x --site "$SITE"
    assert_logged "$KEY" a
    run ! git annex fsck --fast --from origin-x
    assert_output "its content is missing"
}

@test "a node that is asked as quickly takes no such setting" {
    sed -i '/^\[nodes.a\]/a known_seconds = 60' "$SITE/annex-keep.toml"
    run -1 annex-keep node list --site "$SITE"
    assert_output "known_seconds is for nodes over a network or behind a program"
}
