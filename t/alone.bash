# Git-annex's own special remote on the same store as a node: what is in its layout is read and written by both. Sourced by
# the tests of such nodes, whose site has the node d, and which say by `nothing_unfinished` that no upload left anything.

# The UUID of the node d, and of the special remote `direct`.
D_UUID=7c1d2e3f-0a9b-4c8d-8e7f-102030405060

# start_clients SETTING...: a client of the site in $TMP/work, the present directory from now on; and the repository
# $TMP/alone, which never heard of the site: it has the special remote `direct`, with these settings, on the same store.
start_clients() {
    add_user alice testhost --role write
    clone_site work 2>"$TMP/clone.err"
    cd work || return
    git commit -q --allow-empty -m start
    git push -q origin main git-annex
    make_repo "$TMP/alone"
    git -C "$TMP/alone" annex initremote -q direct encryption=none uuid="$D_UUID" "$@"
}

# add_to_both NAME SIZE: what add_file does, and the same in the repository `alone`, there without its content.
add_to_both() {
    add_file "$1" "$2"
    git -C "$TMP/alone" annex fromkey -q --force "$KEY" "$1"
}

# alone COMMAND...: git-annex in the repository that knows the store only.
alone() { git -C "$TMP/alone" annex "$@"; }

# readable_both_ways SIZE...: what the gateway stores git-annex finds sound, gives back and removes, and the other way round.
readable_both_ways() {
    local size
    for size in "$@"; do
        add_to_both "ours$size" "$size"
        git annex copy -q --to origin-d "ours$size"
        alone setpresentkey "$KEY" "$D_UUID" 1 >/dev/null
        alone fsck -q --from direct "ours$size"
        alone get -q --from direct "ours$size"
        assert_same "$TMP/alone/ours$size" "$TMP/original-ours$size"

        [ "$size" != 0 ] || continue
        random_file "$TMP/alone/theirs$size" "$size"
        (cd "$TMP/alone" && git annex add -q "theirs$size" && git annex copy -q --to direct "theirs$size")
        key=$(cd "$TMP/alone" && annex_key "theirs$size")
        git annex checkpresentkey "$key" origin-d
        git annex setpresentkey "$key" "$D_UUID" 1 >/dev/null
        git annex get -q --from origin-d --key "$key"
        assert_same "$(git annex contentlocation "$key")" "$TMP/alone/theirs$size"
    done
    # Each can remove what the other stored.
    git annex drop -q --force --from origin-d --key "$key"
    run ! alone checkpresentkey "$key" direct
    alone drop -q --force --from direct --key "$KEY"
    run -1 git annex checkpresentkey "$KEY" origin-d
    git annex drop -q --force --from origin-d .
    nothing_unfinished
}
