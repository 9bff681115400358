#!/usr/bin/env bats
# The load client: what it measures was really done.

load lib

@test "a cluster and a Keep store are measured, every operation with every key, and nothing stays" {
    SITE=$TMP/site
    annex-keep init "$SITE"
    annex-keep repo create data --site "$SITE"
    run -0 --separate-stderr annex-keep bench node --uuid "$(site_uuid cluster)" --keys 5 --connections 2 --size 100KiB --json \
        "command:annex-keep shell --site $SITE -c 'git-annex-shell p2pstdio /data {client} --uuid {uuid}'"
    assert_json '[.results[].operation] == ["connect", "put", "checkpresent", "get", "lock", "remove"]' "$output"
    assert_json 'all(.results[]; .keys == 5 and .failed == 0 and .per_second > 0)' "$output"
    assert_json 'all(.results[].latency_ms; .min <= .p50 and .p50 <= .p99 and .p99 <= .max and .max > 0)' "$output"
    [ -z "$(annex-keep keep ls "$SITE/nodes/a")" ] || fail "something stayed"

    run -0 annex-keep bench node "keep:$SITE/nodes/a" --uuid here --keys 3 --operations put,get
    assert_equal "$(grep -c ' 3 keys ' <<<"$output")" 2
    assert_equal "$(annex-keep keep ls "$SITE/nodes/a" | wc -l)" 3
}

@test "content that does not come back as it was stored fails the run" {
    SITE=$TMP/site
    annex-keep init "$SITE"
    annex-keep repo create data --site "$SITE"
    printf '#!/bin/sh\n%s | stdbuf -o0 tr "\\001" "\\002"\n' \
        "annex-keep shell --site '$SITE' -c \"git-annex-shell p2pstdio /data x --uuid \$1\"" >"$BIN/liar"
    chmod +x "$BIN/liar"
    run -1 annex-keep bench node --uuid "$(site_uuid cluster)" --keys 1 --size 100KiB --operations put,checkpresent,get \
        "command:liar {uuid}"
    assert_output "other bytes came back than were stored"
    assert_output "1 failed"

    run -1 annex-keep bench node "keep:$TMP/nothing" --uuid here --keys 1 --operations put
    assert_output "no Keep store"
}

@test "the limits of a machine are told" {
    run -0 --separate-stderr annex-keep bench machine "$TMP" --json
    assert_json '[.sha256, .md5, .disk_write, .append_synced, .file_synced, .tcp, .tcp_round_trips, .pipe_round_trips] | all(. > 0)' "$output"
    assert_equal "$(find "$TMP" -maxdepth 1 -name 'annex-keep-bench-*')" ""
}
