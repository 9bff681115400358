#!/usr/bin/env bats
# Nodes on a real cluster's terms: keys as files of collections, and bare Keep services. The cluster is a second site of
# ours, looked at by Arvados's own client.

# shellcheck disable=SC2030,SC2031 # each test is a process of its own

load lib
# shellcheck source=t/arv.bash
. "$ROOT/t/arv.bash"

# A cluster `far` with a project, and a site behind sshd whose nodes are a, a store here, b on the cluster, and s on its Keep
# services alone; a client in $TMP/work.
setup() {
    isolate
    arv_site far
    PROJECT=$(post groups '{"group":{"name":"annex","group_class":"project"}}' | jq -re .uuid)
    FAR=$SITE FAR_PORT=$HTTP_PORT
    start_site --node a=keep:nodes/a
    cp "$FAR.alice" "$TMP/token"
    add_node "b=arvados://127.0.0.1:$FAR_PORT?project=$PROJECT&ca_file=$TMP/ca.pem"
    add_node "s=keep+https://127.0.0.1:$FAR_PORT?insecure=yes"
    clone_site work 2>"$TMP/clone.err"
    cd work || return
    git commit -q --allow-empty -m start
    git push -q origin main git-annex
}

# add_node NAME=SPEC: a node with the token in $TMP/token, which works.
add_node() {
    local what
    run -0 annex-keep node add "$1" --secret token="file:$TMP/token" --site "$SITE"
    for what in stores "gives back" "gives back the end" locks removes; do assert_line "node ${1%%=*} $what: works"; done
}

# far_stops, far_starts: the cluster's daemon, on the same port.
far_stops() { stop_daemon; }
far_starts() { SITE=$FAR HTTP_PORT=$FAR_PORT start_daemon; }

# files: the files of all collections of the project that are not in the trash, by Arvados's own client.
files() {
    local uuid
    api collections -G --data-urlencode "filters=[[\"owner_uuid\",\"=\",\"$PROJECT\"]]" | jq -r '.items[].uuid' |
        while read -r uuid; do arv_ls "$uuid"; done
}

@test "keys are files of collections in the project, which Arvados's client reads, and a drop takes them out" {
    add_file large 70M
    add_file small 1000
    : >empty
    git annex add -q empty
    git commit -q -m empty
    git annex copy -q --to origin
    for name in large small empty; do assert_logged "$(annex_key "$name")" a b s; done
    assert_equal "$(files | sort)" "$(for name in large small empty; do echo "./$(annex_key "$name")"; done | sort)"
    holder=$(api collections -G --data-urlencode "filters=[[\"name\",\"like\",\"git-annex $(site_uuid b) %\"]]" |
        jq -re '[.items[] | select(.file_count > 0)] | max_by(.file_size_total).uuid')
    arv_get "$holder/$(annex_key large)" "$TMP/got"
    assert_same large "$TMP/got"
    # Whatever nobody refers to may be collected: what is in collections stays.
    annex-keep gc --site "$FAR"
    for node in b s; do
        git annex drop -q --force .
        git annex get -q --from "origin-$node" .
        for name in large small; do assert_same "$name" "$TMP/original-$name"; done
        git annex drop -q --force --from "origin-$node" large
        run -1 git annex checkpresentkey "$(annex_key large)" "origin-$node"
        git annex checkpresentkey "$(annex_key small)" "origin-$node"
    done
    assert_equal "$(files | sort)" "$(for name in small empty; do echo "./$(annex_key "$name")"; done | sort)"
    # Somebody removes a collection: its keys are gone, and known to be.
    api collections -G --data-urlencode "filters=[[\"owner_uuid\",\"=\",\"$PROJECT\"]]" | jq -r '.items[].uuid' |
        while read -r uuid; do api "collections/$uuid" -X DELETE >/dev/null; done
    run -1 git annex checkpresentkey "$(annex_key small)" origin-b
    run -0 annex-keep keep ls s --site "$SITE"
    assert_equal "${#lines[@]}" 2
}

@test "two repositories on the same nodes have nothing of each other" {
    annex-keep repo create other --site "$SITE"
    add_file file 300K
    git annex copy -q --to origin
    assert_logged "$KEY" a b s
    git clone -q ssh://testhost/other "$TMP/other" 2>"$TMP/clone.err"
    cp file "$TMP/other"
    cd "$TMP/other"
    git annex init -q other
    git annex add -q file
    git commit -q -m file
    for node in b s; do run -1 git annex checkpresentkey "$KEY" "origin-$node"; done
    git annex copy -q --to origin-b
    git annex copy -q --to origin-s
    assert_equal "$(files | sort)" "$(printf './%s\n' "$KEY" "$KEY")"
    cd "$TMP/work"
    git annex drop -q --force --from origin-b file
    git annex drop -q --force --from origin-s file
    cd "$TMP/other"
    for node in b s; do
        git annex drop -q --force file
        git annex get -q --from "origin-$node" file
        assert_same file "$TMP/original-file"
    done
}

# begun NODE: blocks of an unfinished upload are remembered here.
begun() {
    local count
    count=$(python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM uploads").fetchone()[0])' \
        "$SITE"/nodes/"$1"-*.index/index.db 2>/dev/null) && [ "$count" = 1 ]
}

@test "an upload goes on where it was when client and gateway were killed" {
    for node in arvados:b keep:s; do
        add_file "file-${node#*:}" 110M
        # Slow enough to be killed between one block and the next.
        sed -i '/^\[limits\]/a bytes_per_second = "21 MB"' "$SITE/annex-keep.toml"
        setsid git annex copy -q --to "origin-${node#*:}" "file-${node#*:}" >/dev/null 2>&1 3>&- &
        client=$!
        wait_until 30 begun "${node%:*}"
        pkill -KILL -f "annex-keep shell --site $SITE" || fail "it was over already"
        kill -KILL -- "-$client" 2>/dev/null || true
        wait "$client" || true
        sed -i '/^bytes_per_second = "21 MB"/d' "$SITE/annex-keep.toml"
        run -1 git annex checkpresentkey "$KEY" "origin-${node#*:}"
        run -0 git annex copy --debug --to "origin-${node#*:}" "file-${node#*:}"
        assert_output 'PUT-FROM 67108864'
        git annex drop -q "file-${node#*:}" --force
        git annex get -q --from "origin-${node#*:}"
        assert_same "file-${node#*:}" "$TMP/original-file-${node#*:}"
    done
}

@test "a cluster that hangs, is away, full, or refuses the token, stops nobody and is named" {
    add_file before 100K
    git annex copy -q --to origin
    assert_logged "$KEY" a b s
    before=$KEY
    # It hangs: nobody is waited for longer than the site says.
    sed -i 's/^answer_seconds = .*/answer_seconds = 3/' "$SITE/annex-keep.toml"
    kill -STOP "$DAEMON_PID"
    for node in b s; do run -100 timeout 20 git annex checkpresentkey "$before" "origin-$node"; done
    kill -CONT "$DAEMON_PID"
    for node in b s; do git annex checkpresentkey "$before" "origin-$node"; done
    far_stops
    add_file file 100K
    timeout 60 git annex copy -q --to origin file
    assert_logged "$KEY" a
    for node in b s; do
        run -100 timeout 30 git annex checkpresentkey "$before" "origin-$node"
        run ! timeout 30 git annex copy --to "origin-$node" file
        assert_output "$node"
        assert_output "https://127.0.0.1:$FAR_PORT"
        run ! git annex drop --from "origin-$node" before
    done
    git annex drop -q --force before
    git annex get -q before
    far_starts
    for node in b s; do git annex checkpresentkey "$before" "origin-$node"; done
    # A token that ends, one that never was, and a good one again, which nobody is told of.
    annex-keep user token alice --site "$FAR" --expires 1s >"$TMP/token"
    sleep 2
    for _ in ended never; do
        for node in b s; do
            run ! timeout 30 git annex copy --to "origin-$node" file
            assert_output "$node"
            assert_output "401"
            run -100 git annex checkpresentkey "$before" "origin-$node"
        done
        echo v2/zzzzz-gj3su-000000000000000/never >"$TMP/token"
    done
    refute_output "never"
    cp "$FAR.alice" "$TMP/token"
    for node in b s; do git annex copy -q --to "origin-$node" file; done
    assert_logged "$KEY" a b s
    # No room is left there.
    far_stops
    sed -i 's/^store = .*/&\nreserve = "1000 TB"/' "$FAR/annex-keep.toml"
    far_starts
    add_file more 100K
    for node in b s; do
        run ! git annex copy --to "origin-$node" more
        assert_output "$node: full"
    done
    git annex checkpresentkey "$before" origin-b
}
