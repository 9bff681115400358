#!/usr/bin/env bats
# A key far larger than memory should be. ANNEX_KEEP_TEST_LARGE: another size than 1G, in a form that numfmt knows.
# shellcheck disable=SC2153 # SITE is set by start_site

load lib

setup() {
    on_disk
    isolate
    SIZE=$(numfmt --from=iec "${ANNEX_KEEP_TEST_LARGE:-1G}")
    # Three nodes and the client, and a fifth of that for what the file system and git-annex need besides.
    local free needed=$((SIZE * 24 / 5))
    free=$(df --output=avail -B1 "$TMP" | tail -1)
    ((free >= needed)) || skip "needs $(numfmt --to=iec $needed) in $TMP, which has $(numfmt --to=iec "$free")"
    start_site
}

# watch_memory: writes the PID and the peak of resident memory in KiB of every annex-keep under sshd to $TMP/peaks,
# several times a second, until stopped. The peak only grows, so the last line of a process is its own.
watch_memory() {
    local pid
    while true; do
        for pid in $(pgrep -x annex-keep); do
            [[ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$(program)")" ]] || continue
            grep -qzF "$SITE" "/proc/$pid/cmdline" || continue
            echo "$pid $(resident_peak "$pid")"
        done 2>/dev/null
        sleep 0.1
    done >>"$TMP/peaks"
}

# timed WHAT COMMAND...: runs it and tells the rate, as a comment of the test.
timed() {
    local what=$1 start=$EPOCHREALTIME
    shift
    "$@"
    awk -v what="$what" -v size="$SIZE" -v start="$start" -v end="$EPOCHREALTIME" \
        'BEGIN { printf "# %s: %.1f s, %.0f MB/s\n", what, end - start, size / 1e6 / (end - start) }' >&3
}

# highest_peak: the greatest peak seen since the last call, in KiB.
highest_peak() {
    awk '$2 > most { most = $2 } END { print most + 0 }' "$TMP/peaks"
    : >"$TMP/peaks"
}

@test "2 GiB go to three nodes and come back in less than 300 MB of memory" {
    local before peak
    clone_site client
    cd client
    git config annex.backend MD5
    random_file large "$SIZE"
    before=$(sha256sum <large)
    git annex add -q large
    git commit -q -m large
    : >"$TMP/peaks"
    watch_memory 3>&- &

    timed "to three nodes" git annex copy -q --to origin large
    peak=$(highest_peak)
    echo "# most memory of a process while storing: $((peak / 1024)) MiB" >&3
    ((peak > 0 && peak < 300000)) || fail "storing took $peak KiB"
    for node in a b c; do
        git annex checkpresentkey "$(annex_key large)" origin-$node
        assert_equal "$(find "$SITE/nodes/$node" -type f -size +1M -regex '.*/[0-9a-f]+' -printf '%s\n' | jq -s add)" "$SIZE"
    done
    git annex drop -q large
    [ -z "$(find .git/annex/objects -type f)" ]

    timed "back from the cluster" git annex get -q large
    peak=$(highest_peak)
    echo "# most memory of a process while sending: $((peak / 1024)) MiB" >&3
    ((peak > 0 && peak < 300000)) || fail "sending took $peak KiB"
    assert_equal "$(sha256sum <large)" "$before"
}

# stored_at_least BYTES: so much has arrived at a node.
stored_at_least() { (($(du -sb "$SITE/nodes/a" | cut -f 1) >= $1)); }

@test "a large upload that breaks off in the middle goes on from there" {
    local pid key
    SIZE=$((SIZE / 16))
    clone_site client
    cd client
    git config annex.backend MD5
    random_file large "$SIZE"
    git annex add -q large
    git commit -q -m large
    key=$(annex_key large)
    git config remote.origin.annex-bwlimit-upload "$((SIZE / 8))B"
    git annex copy -q --to origin large 3>&- &
    pid=$!
    wait_until 60 stored_at_least $((SIZE / 8))
    kill_tree $pid
    wait $pid || true
    run -1 git annex checkpresentkey "$key" origin
    git config --unset remote.origin.annex-bwlimit-upload
    # What the server has already is not sent again: the first report of progress is of more than that.
    git annex copy --json --json-progress --to origin large >"$TMP/progress"
    jq -s -e --argjson least $((SIZE / 16)) \
        'map(select(."byte-progress")) | first | ."byte-progress" > $least' "$TMP/progress" ||
        fail "$(cat "$TMP/progress")"
    git annex fsck -q --from origin large
}
