#!/usr/bin/env bats
# The daemon reads copies again by itself, at its pace, and replaces what has gone bad.

load lib

setup() { start_work; }

# scrubs DAYS [BYTES]: how old copies get before they are read again, and how fast.
scrubs() {
    sed -i -e "s/^days = .*/days = $1/" -e "/^\[scrub\]/,/^\[/ s/^bytes_per_second = .*/bytes_per_second = ${2:-\"20 MB\"}/" \
        "$SITE/annex-keep.toml"
}

# bytes_read NODE: what the daemon has read from a node.
bytes_read() { annex-keep status --site "$SITE" --json | jq --arg name "$1" '.nodes[] | select(.name == $name).bytes_out'; }

has_read() { [ "$(bytes_read "$1")" -ge "$2" ]; }

# damage NODE: changes a byte of each content in a Keep store.
damage() {
    local block
    while read -r block; do
        printf 'other bytes' | dd of="$block" bs=1 seek=100000 conv=notrunc status=none
    done < <(find "$SITE/nodes/$1" -type f -regex '.*/[0-9a-f]*' -size +200k)
}

sound() { node_content "$1" "$KEY" 2>/dev/null | cmp -s - file; }

@test "the daemon finds a damaged copy that nobody asked for, and replaces it" {
    git annex copy -q --to origin
    damage c
    # Three seconds.
    scrubs 0.00004
    start_daemon
    wait_until 30 sound c
    assert_logged "$KEY" a b c
    grep -F "node c has lost it" "$TMP/daemon.log"
}

@test "a scrub keeps to its pace, ends when it is switched off, and knows after a restart what was read" {
    git annex copy -q --to origin
    scrubs 0.00001 '"1 kB"'
    start_daemon
    wait_until 10 has_read a 1
    has_read a 300000 && fail "it does not keep to its pace"
    scrubs 0
    kill -HUP "$DAEMON_PID"
    wait_until 10 grep -F "the configuration was read again" "$TMP/daemon.log"
    stop_daemon
    # Each copy is read once in a day: after a restart none is due.
    run -0 annex-keep scrub data --site "$SITE"
    scrubs 1
    start_daemon
    sleep 3
    assert_equal "$(bytes_read a) $(bytes_read b) $(bytes_read c)" "0 0 0"
}

@test "a bad copy in a directory special remote is kept aside where git-annex does not see it" {
    mkdir "$TMP/d"
    annex-keep node add d="directory:$TMP/d" --repo data --site "$SITE"
    git fetch -q
    git annex merge -q
    git annex copy -q --to origin
    assert_logged "$KEY" a b c d
    local stored
    stored=$(find "$TMP/d" -type f -name "$KEY")
    chmod u+w "$stored"
    printf 'other bytes' | dd of="$stored" bs=1 seek=100000 conv=notrunc status=none
    cp "$stored" "$TMP/bad"
    run -3 annex-keep scrub data --site "$SITE"
    [[ $output == *"$KEY: the copy on node d was bad"* ]] || fail "$output"
    assert_logged "$KEY" a b c
    assert_same "$(find "$TMP/d/tmp/damaged" -type f -name "$KEY")" "$TMP/bad"
    # git-annex itself sees nothing there, and takes no harm.
    git annex initremote -q d type=directory directory="$TMP/d" encryption=none
    run ! git annex get -q --from d file --key "$KEY"
    run -0 annex-keep repair data --site "$SITE"
    assert_logged "$KEY" a b c d
    assert_same "$stored" file
    assert_same "$(find "$TMP/d/tmp/damaged" -type f -name "$KEY")" "$TMP/bad"
    git annex fsck -q --from origin-d file
}
