#!/usr/bin/env bats
# Room on nodes: who has none is passed over, and says so. Small file systems are real ones in memory.

# shellcheck disable=SC2154 # KEY is set by add_file

load lib

setup() {
    isolate
    start_site
    clone_site work 2>clone.err
    cd work || return
}

teardown() {
    [ ! -e "$TMP/mounted" ] || umount -l "$TMP/small"
    stop_everything
}

# small_node NAME SIZE: moves a node's store to a file system of this size, of which nothing is kept free.
small_node() {
    [ "$(id -u)" = 0 ] || skip "only root can mount a small file system"
    mkdir "$TMP/small"
    mount -t tmpfs -o "size=$2" tmpfs "$TMP/small" 2>/dev/null || skip "no tmpfs can be mounted here"
    touch "$TMP/mounted"
    mv "$SITE/nodes/$1" "$TMP/small/store"
    ln -s "$TMP/small/store" "$SITE/nodes/$1"
    annex-keep node set "$1" --reserve "0 MB" --site "$SITE"
}

# large_files: files of a node's store that are no bookkeeping.
large_files() { find "$TMP/small/store" -path '*/.annex-keep/index*' -prune -o -type f -size +500k -print; }

node_status() { annex-keep status --site "$SITE" --json | jq -c --arg name "$1" '.nodes[] | select(.name == $name)'; }

@test "a node whose disk is too small is passed over before a byte flows, and says so when it is asked for by name" {
    small_node b 8m
    add_file big 12M
    git annex copy -q --to origin big
    assert_logged "$KEY" a c
    assert_on "$KEY" "$TMP/original-big" a c
    assert_equal "$(large_files)" ""
    run ! git annex copy --to origin-b big
    assert_output "node b: full: "
    assert_output "are free, and this key needs 12.58 MB"
    assert_logged "$KEY" a c
    # What fits goes there.
    add_file less 2M
    git annex copy -q --to origin less
    assert_logged "$KEY" a b c
    # What was passed over is brought there when there is room.
    run -1 annex-keep repair data --site "$SITE"
    assert_output "node b: full: "
    mount -o remount,size=64m "$TMP/small"
    annex-keep repair data "$(annex_key big)" --site "$SITE"
    assert_logged "$(annex_key big)" a b c
}

@test "a disk that something else fills in mid-stream costs only its own copy" {
    small_node b 12m
    annex-keep node set b --reserve "3 MB" --site "$SITE"
    add_file big 6M
    uuid=$(site_uuid cluster)
    mkfifo "$TMP/script"
    p2p <"$TMP/script" 3>&- &
    talking=$!
    exec 7>"$TMP/script"
    printf '%s\n' "open one $uuid" "S~ AUTH-SUCCESS .*" 'C VERSION 4' 'S VERSION 4' "C PUT  $KEY" 'S PUT-FROM 0' >&7
    wait_until 20 on_the_way b
    dd if=/dev/zero of="$TMP/small/else" bs=1M count=5 status=none
    printf '%s\n' "C DATA $((6 << 20))" "send $TMP/original-big" 'C VALID' 'S~ SUCCESS-PLUS .*' close >&7
    exec 7>&-
    wait $talking
    assert_logged "$KEY" a c
    assert_on "$KEY" "$TMP/original-big" a c
    rm "$TMP/small/else"
    # What is on the disk is known to be the beginning of this upload, not lost.
    uuid=$(site_uuid b)
    p2p <<END
open one $uuid
S AUTH-SUCCESS $uuid
C PUT  $KEY
S PUT-FROM $(find "$TMP/small/store" -path '*/.annex-keep' -prune -o -type f -size +100k -printf '%s')
C ERROR only asking
close
END
    annex-keep repair data "$KEY" --site "$SITE"
    assert_on "$KEY" "$TMP/original-big" a b c
}

on_the_way() { [ "$(node_status "$1" | jq .reserved)" -gt 0 ]; }

@test "a node holds no more than its maxsize, and more again when something was dropped" {
    annex-keep node set b --maxsize "1 MB" --site "$SITE"
    add_file one 600K
    one=$KEY
    git annex copy -q --to origin one
    assert_logged "$one" a b c
    add_file two 600K
    git annex copy -q --to origin two
    assert_logged "$KEY" a c
    run ! git annex copy --to origin-b two
    assert_output "node b: full: it may hold 1 MB (its maxsize), it holds 614.4 kB, and this key has 614.4 kB"
    run -0 annex-keep node list --site "$SITE"
    assert_output "cost 100, maxsize 1.0 MB"
    annex-keep node set b --maxsize "600 kB" --site "$SITE"
    assert_json '.state == "full" and .held == 614400 and .max_size == 600000' "$(node_status b)"
    run -0 annex-keep status --site "$SITE"
    assert_output "node b: full: it holds as much as its maxsize allows"
    run -0 annex-keep node list --site "$SITE"
    assert_output "full: it holds as much as its maxsize allows"
    git annex drop -q --from origin-b one
    annex-keep node set b --maxsize "1 MB" --site "$SITE"
    git annex copy -q --to origin-b two
    assert_logged "$KEY" a b c
    # Of all repositories together.
    annex-keep repo create other --site "$SITE"
    git clone -q ssh://testhost/other "$TMP/other" 2>/dev/null
    cd "$TMP/other"
    git annex init -q other
    add_file three 600K
    run ! git annex copy --to origin-b three
    assert_output "it holds 614.4 kB"
    annex-keep node set b --maxsize none --site "$SITE"
    git annex copy -q --to origin-b three
}

@test "who was passed over stands in the log, the status and the metrics" {
    annex-keep user add root --site "$SITE" --role admin --password-stdin <<<secret-enough
    annex-keep node set b --reserve "900 TB" --site "$SITE"
    start_daemon
    ssh_user bob daemonhost --role write
    git remote set-url origin ssh://daemonhost/data
    add_file file 100K
    git annex copy -q --to origin file
    assert_logged "$KEY" a c
    grep "operation=put.*nodes=\"\?a,c" "$TMP/daemon.log" | grep -q 'reason="node b: full: 0 bytes are free' ||
        fail "$(cat "$TMP/daemon.log")"
    json=$(curl -sf -u root:secret-enough "$HTTP/-/status")
    assert_json '.nodes[] | select(.name == "b") | .state == "full" and .reason == "there is no room left"' "$json"
    assert_json '.nodes[] | select(.name == "b") | .last_error | startswith("full: 0 bytes are free")' "$json"
    curl -sf -u root:secret-enough "$HTTP/-/metrics" >"$TMP/metrics"
    grep -qxF 'annex_keep_node_full{node="b"} 1' "$TMP/metrics"
    grep -qxF 'annex_keep_node_full{node="a"} 0' "$TMP/metrics"
    grep -qxF 'annex_keep_node_reserved_bytes{node="a"} 0' "$TMP/metrics"
    grep -qE '^annex_keep_node_errors_total\{node="b",operation="put"\} [1-9]' "$TMP/metrics"
}

@test "over HTTP a node without room, and a cluster of such nodes, is 507 with the reason" {
    for node in a b c; do annex-keep node set "$node" --reserve "900 TB" --site "$SITE"; done
    start_daemon
    http_user bob secret --role write
    random_file file 100K
    for uuid in "$(site_uuid b)" "$(site_uuid cluster)"; do
        code=$(curl -sS -u bob:secret -o "$TMP/body" -w '%{http_code}' --data-binary @file \
            -H "X-git-annex-data-length: 102400" \
            "$HTTP/git-annex/$uuid/v4/put?key=$(sha256_key file)&clientuuid=c-1&offset=0")
        assert_equal "$code" 507
        grep -q "node b: full: 0 bytes are free" "$TMP/body"
    done
    grep -q 'operation=put .*outcome="failed" kind="no_room" reason="node ' "$TMP/daemon.log"
}

@test "nodes that need a file share one, which counts against the reserve of its disk" {
    ln -s "$ROOT/t/git-annex-remote-shelf" "$BIN/git-annex-remote-shelf"
    for name in x y; do
        mkdir "$TMP/shelf-$name"
        annex-keep node add "$name=external:shelf?directory=$TMP/shelf-$name" --repo data --site "$SITE"
    done
    git annex pull -q --no-content
    add_file file 900K
    uuid=$(site_uuid cluster)
    p2p <<END
open one $uuid
S~ AUTH-SUCCESS .*
C VERSION 4
S VERSION 4
C PUT  $KEY
S PUT-FROM 0
C DATA 921600
send $TMP/original-file 0 600000
close
END
    # One part was kept, for both.
    assert_equal "$(find "$SITE/run/spool" -type f ! -name lock | wc -l)" 1
    # A client goes on where the nodes are: Keep stores its part as a block, the others the file.
    git annex copy -q --to origin file
    assert_logged "$KEY" a b c x y
    for name in x y; do cmp "$(find "$TMP/shelf-$name" -name "$KEY" -type f)" "$TMP/original-file"; done
    assert_equal "$(find "$SITE/run/spool" -type f ! -name lock)" ""
    # One of them fails, the other does not.
    add_file second 100K
    echo STORE:fail >"$TMP/shelf-x/.fault"
    git annex copy -q --to origin second
    assert_logged "$KEY" a b c y
    # Neither has a file to take, and the others go on.
    sed -i 's/^spool_reserve = .*/spool_reserve = "900 TB"/' "$SITE/annex-keep.toml"
    add_file third 100K
    git annex copy -q --to origin third
    assert_logged "$KEY" a b c
    run ! git annex copy --to origin-y third
    assert_output "node y: full: no room for a temporary file of 102400 bytes"
}
