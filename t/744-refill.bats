#!/usr/bin/env bats
# A client that is told "it is there already" stores nothing, and still every node that wants the key comes to have it.

load lib

make_files() {
    for name in "$@"; do random_file "$name" 100K; done
    git annex add -q .
    git commit -q -m files
}

waits_for_repair() { annex-keep status --site "$SITE" --json | jq -e --argjson n "$1" '.repairs == $n' >/dev/null; }

all_logged() {
    local name
    for name in "$@"; do logged_on "$(annex_key "$name")" a b c || return; done
}

logged_on() {
    local key=$1 node
    shift
    for node in "$@"; do
        annex-keep explain data "$key" --site "$SITE" --json |
            jq -e --arg name "$node" '.nodes[] | select(.name == $name) | .present and .logged' >/dev/null || return
    done
}

@test "a copy to the cluster of keys that one node has ends with all wanted copies there, over ssh with the daemon" {
    new_site
    start_daemon
    ssh_user alice daemonhost --role write
    git clone -q ssh://daemonhost/data work
    cd work
    git annex init -q work
    make_files one two three
    git annex copy -q --to origin-a
    assert_logged "$(annex_key one)" a
    git annex copy -q --to origin
    wait_until 5 all_logged one two three
    assert_on "$(annex_key one)" one a b c
    assert_on "$(annex_key three)" three a b c
    wait_until 5 waits_for_repair 0
}

@test "the same over HTTP" {
    new_site
    start_daemon
    http_user alice secret --role write
    git clone -q "http://alice@127.0.0.1:$HTTP_PORT/data" work
    cd work
    git annex init -q work
    make_files one two
    git annex copy -q --to origin-a
    assert_logged "$(annex_key one)" a
    git annex copy -q --to origin
    wait_until 5 all_logged one two
    assert_on "$(annex_key two)" two a b c
}

@test "without a daemon the missing copies are queued, and made by the repair command or the next daemon" {
    start_site
    clone_site work
    cd work
    make_files one two
    git annex copy -q --to origin-a
    git annex copy -q --to origin one
    assert_logged "$(annex_key one)" a
    waits_for_repair 1
    # Asked again, it is not queued twice; and what has all its copies is not queued at all.
    git annex copy -q --to origin one --force
    waits_for_repair 1
    run -0 annex-keep repair data "$(annex_key one)" --site "$SITE"
    assert_on "$(annex_key one)" one a b c
    waits_for_repair 0
    git annex fsck -q --fast --from origin one
    waits_for_repair 0
    git annex copy -q --to origin two
    waits_for_repair 1
    start_daemon
    wait_until 5 all_logged two
    assert_on "$(annex_key two)" two a b c
}

@test "a key that no node has any more is told of, and not tried again until it is back" {
    start_site
    clone_site work
    cd work
    make_files one
    local key
    key=$(annex_key one)
    git annex copy -q --to origin
    while read -r block; do
        printf 'other bytes' | dd of="$block" bs=1 seek=10000 conv=notrunc status=none
    done < <(find "$SITE/nodes" -type f -regex '.*/[0-9a-f]*' -size +90k)
    run -1 annex-keep scrub data --site "$SITE"
    waits_for_repair 1
    start_daemon
    wait_until 10 grep -F "lost: no node has the content any more" "$TMP/daemon.log"
    assert_logged "$key"
    run -0 annex-keep status --site "$SITE"
    [[ $output == *"keys that wait for repair: 0, 1 lost: no node has their content any more"* ]] || fail "$output"
    run -1 annex-keep repair data --site "$SITE"
    [[ $output == *"$key: no node has the content any more"* ]] || fail "$output"
    # It comes back with the next upload.
    git annex copy -q --to origin one
    run -0 annex-keep repair data --site "$SITE"
    run -0 annex-keep status --site "$SITE"
    [[ $output != *lost* ]] || fail "$output"
    assert_equal "$(grep -cF 'lost: no node has the content' "$TMP/daemon.log")" 1 "lines about the lost key"
}

@test "repairs keep to their limits, which change with the configuration" {
    start_site
    clone_site work
    cd work
    random_file big 400K
    git annex add -q .
    git commit -q -m big
    git annex copy -q --to origin-a
    sed -i 's/^#bytes_per_second = "50 MB"/bytes_per_second = "2 kB"/' "$SITE/annex-keep.toml"
    start_daemon
    git annex copy -q --to origin
    wait_until 5 waits_for_repair 1
    # At 2 kB a second it would take minutes.
    sleep 1
    run -1 logged_on "$(annex_key big)" b
    sed -i 's/^bytes_per_second = "2 kB"/#&/' "$SITE/annex-keep.toml"
    kill -HUP "$DAEMON_PID"
    wait_until 10 all_logged big
}
