#!/usr/bin/env bats
# Copies on nodes that do not want them go, if the site wants that, and never below what git-annex allows.

load lib

setup() {
    isolate
    start_site
    annex-keep user set alice --site "$SITE" --role admin
    clone_site work
    cd work || return
    HERE=$(git config annex.uuid)
    random_file file 100K
    git annex add -q file
    git commit -q -m file
    KEY=$(annex_key file)
    git annex numcopies 2 -q
    git annex push -q --no-content
    git annex copy -q --to origin
    assert_logged "$KEY" a b c "$HERE"
}

drop_surplus() { sed -i 's/^surplus = "keep"/surplus = "drop"/' "$SITE/annex-keep.toml"; }

# wants NODE EXPRESSION: what a node wants from here on.
wants() {
    git annex wanted "origin-$1" "$2" -q
    git annex push -q --no-content
    git fetch -q
    git annex merge -q
}

@test "a node that does not want a key any more loses its copy only if the site says so" {
    wants c nothing
    run -0 annex-keep explain data "$KEY" --site "$SITE"
    assert_line "node c: has it, the log names it, does not want it; this copy is surplus"
    run -0 annex-keep repair data --site "$SITE"
    assert_line '1 keys have a copy on a node that does not want it; they stay, since [repair] surplus is not "drop"'
    assert_on "$KEY" file a b c
    drop_surplus
    run -0 annex-keep repair data --site "$SITE"
    assert_line "1 copies were dropped from nodes that do not want them"
    assert_logged "$KEY" a b "$HERE"
    assert_on "$KEY" file a b
    git annex fsck -q --from origin-a
    git annex fsck -q --from origin-b
    run -0 annex-keep repair data --site "$SITE"
    refute_output dropped
}

@test "the daemon drops surplus copies when what nodes want, or the setting, has changed" {
    start_daemon
    wants c nothing
    drop_surplus
    kill -HUP "$DAEMON_PID"
    wait_until 10 logged_as "$KEY" a b "$HERE"
    assert_on "$KEY" file a b
}

logged_as() { assert_logged "$@" 2>/dev/null; }
