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

locks() { annex-keep status --site "$SITE" --json | jq -e --argjson n "$1" '.locks == $n' >/dev/null; }

@test "the daemon drops surplus copies when what nodes want, or the setting, has changed" {
    start_daemon
    wants c nothing
    drop_surplus
    kill -HUP "$DAEMON_PID"
    wait_until 10 logged_as "$KEY" a b "$HERE"
    assert_on "$KEY" file a b
}

logged_as() { assert_logged "$@" 2>/dev/null; }

@test "numcopies, mincopies and trust levels hold" {
    drop_surplus
    # The client's own copy is none that the gateway could hold.
    git annex numcopies 3 -q
    wants c nothing
    run -0 annex-keep repair data --site "$SITE"
    refute_output dropped
    git annex numcopies 1 -q
    git annex mincopies 3 -q
    git annex push -q --no-content
    run -0 annex-keep repair data --site "$SITE"
    refute_output dropped
    git annex mincopies 1 -q
    git annex numcopies 2 -q
    git annex untrust -q origin-b
    git annex push -q --no-content
    run -0 annex-keep repair data --site "$SITE"
    refute_output dropped
    git annex semitrust -q origin-b
    git annex trust -q --force origin-c
    git annex push -q --no-content
    run -0 annex-keep repair data --site "$SITE"
    refute_output dropped
    assert_on "$KEY" file a b c
    git annex semitrust -q origin-c
    git annex push -q --no-content
    run -0 annex-keep repair data --site "$SITE"
    assert_line "1 copies were dropped from nodes that do not want them"
    assert_on "$KEY" file a b
}

@test "required content stays, and what a file name could make wanted" {
    drop_surplus
    git annex required -q origin-c "largerthan=1kb"
    wants c nothing
    run -0 annex-keep repair data --site "$SITE"
    refute_output surplus
    refute_output dropped
    git annex required -q origin-c ""
    wants c "include=*.raw"
    run -0 annex-keep repair data --site "$SITE"
    refute_output dropped
    assert_on "$KEY" file a b c
    wants c "include=*.raw and largerthan=1mb"
    run -0 annex-keep repair data --site "$SITE"
    assert_line "1 copies were dropped from nodes that do not want them"
    assert_on "$KEY" file a b
}

@test "a surplus copy stays while a client has locked it, or a copy that counts cannot be locked" {
    drop_surplus
    wants c nothing
    local uuid
    uuid=$(site_uuid c)
    mkfifo "$TMP/steps"
    p2p <"$TMP/steps" 3>&- &
    local locker=$!
    exec 9>"$TMP/steps"
    printf '%s\n' "open c $uuid" "S AUTH-SUCCESS $uuid" "C VERSION 4" "S VERSION 4" "C LOCKCONTENT $KEY" "S SUCCESS" >&9
    wait_until 10 locks 1
    run -1 annex-keep repair data --site "$SITE"
    [[ $output == *"the surplus copy on node c stays: node c: the content is locked against removal"* ]] || fail "$output"
    assert_on "$KEY" file a b c
    printf '%s\n' "C UNLOCKCONTENT" close >&9
    exec 9>&-
    wait "$locker"
    mv "$SITE/nodes/b" "$SITE/nodes/.b"
    run -1 annex-keep repair data --site "$SITE"
    [[ $output == *"the surplus copy on node c stays: 2 copies must be on other nodes, but only 1 are"* ]] || fail "$output"
    mv "$SITE/nodes/.b" "$SITE/nodes/b"
    run -0 annex-keep repair data --site "$SITE"
    assert_line "1 copies were dropped from nodes that do not want them"
}
