#!/usr/bin/env bats
# What an admin sees of a site: status, metrics, health, and the log.

# shellcheck disable=SC2016,SC2029 # jq has variables too, and UUIDs are the client's to fill in
# shellcheck disable=SC2030,SC2031 # a wrong secret is wrong for one command

load lib

SECRET=correct-horse-battery

setup() {
    isolate
    start_site
    CLUSTER=$(site_uuid cluster)
}

# with_users: the daemon, and users with passwords: root is an admin of the site, prom has no role.
with_users() {
    annex-keep user add root --site "$SITE" --role admin --password-stdin <<<"$SECRET"
    annex-keep user add prom --site "$SITE" --role none --password-stdin <<<"$SECRET"
    annex-keep user set alice --site "$SITE" --password-stdin <<<"$SECRET"
    start_daemon "$@"
}

# code USER PATH: the status code of a request.
code() { curl -s -o "$TMP/body" -w '%{http_code}' ${1:+-u "$1:$SECRET"} "$HTTP$2"; }

# store_something: an upload, a download and something that is not there.
store_something() {
    random_file file 100000
    KEY=$(sha256_key file)
    p2p <<END
open one $CLUSTER testhost
S AUTH-SUCCESS $CLUSTER
C PUT  $KEY
S PUT-FROM 0
C DATA 100000
send file
S SUCCESS
C GET 0  $KEY
S DATA 100000
receive got 100000
C SUCCESS
C CHECKPRESENT WORM--absent
S FAILURE
close
END
}

# metric NAME{LABELS}: its value.
metric() { curl -sf -u "prom:$SECRET" "$HTTP/-/metrics" | awk -v name="annex_keep_$1" '$1 == name { print $2 }'; }

@test "status: of a daemon, and without one" {
    run -0 annex-keep status --site "$SITE"
    assert_line "no daemon is running; this is what the site's files tell"
    assert_output "node a: up, "
    assert_output "repositories: 1, locks: 0"
    json=$(annex-keep status --site "$SITE" --json)
    assert_json '.daemon == false and .repositories == ["data"] and ([.nodes[].state] | unique) == ["up"]' "$json"

    start_daemon
    store_something
    run -0 annex-keep status --site "$SITE"
    assert_output "process $DAEMON_PID, up for"
    assert_line "listening http $HTTP/"
    assert_output "transfers: 0 running, 0 waiting"
    json=$(annex-keep status --site "$SITE" --json)
    assert_json '.daemon and .process == $pid and .open_repositories == 1 and (.nodes | length) == 3' "$json" --argjson pid "$DAEMON_PID"
    assert_json '.nodes[] | select(.name == "a") | .store == "keep:nodes/a" and .free > 0 and .total > .free' "$json"
    assert_json 'all(.nodes[]; .bytes_in == 100000 and .errors == 0 and .requests > 0)' "$json"
    assert_json '([.nodes[].bytes_out] | add) == 100000' "$json"
}

@test "a node that went away is down, with the cause, and the exit code is 3" {
    with_users
    store_something
    mv "$SITE/nodes/b" "$SITE/nodes/gone"
    run -3 annex-keep status --site "$SITE"
    assert_output "node b: down: "
    assert_output "node a: up, "
    run -0 jq -r '.nodes[] | select(.state == "down") | .name + " " + .reason' <<<"$(annex-keep status --site "$SITE" --json)"
    [[ $output == "b "*"nodes/b"* ]] || fail "$output"
    assert_equal "$(metric 'node_up{node="b"}') $(metric 'node_up{node="a"}')" "0 1"
    # An empty directory in its place, as a disk that is not mounted leaves it.
    mkdir "$SITE/nodes/b"
    run -3 annex-keep status --site "$SITE"
    assert_output "node b: down: "
    # What fails is remembered.
    printf '%s\n' "open one $CLUSTER" "S AUTH-SUCCESS $CLUSTER" "C PUT  WORM-s3--x" "S PUT-FROM 0" "C DATA 3" \
        "send $TMP/three" "S~ SUCCESS.*" >"$TMP/script"
    printf abc >"$TMP/three"
    p2p <"$TMP/script"
    json=$(annex-keep status --site "$SITE" --json || true)
    assert_json '.nodes[] | select(.name == "b") | .errors > 0 and .last_error != null and .last_error_at > 1000000000' "$json"
    rmdir "$SITE/nodes/b"
    stop_daemon
    run -3 annex-keep status --site "$SITE"
    assert_output "node b: down: "
    mv "$SITE/nodes/gone" "$SITE/nodes/b"
    run -0 annex-keep status --site "$SITE"
}

@test "who may see what over HTTP" {
    with_users
    for path in /-/status /-/metrics; do
        assert_equal "$(code '' $path)" 401
        assert_equal "$(SECRET=wrong; code root $path)" 401
    done
    assert_equal "$(code root /-/status) $(jq -r .daemon "$TMP/body")" "200 true"
    assert_equal "$(code alice /-/status) $(code prom /-/status)" "403 403"
    assert_equal "$(code root /-/metrics) $(code prom /-/metrics)" "200 200"
    assert_equal "$(code '' /-/healthz)" 200
    assert_equal "$(code '' /)" 200
    run ! grep -F data "$TMP/body"
    assert_equal "$(code alice /)" 200
    grep -qF '<code>data</code>' "$TMP/body"
    assert_equal "$(code prom /)" 200
    run ! grep -F data "$TMP/body"
}

@test "metrics count requests, bytes and nodes, and name neither users, repositories nor keys" {
    with_users
    store_something
    assert_equal "$(metric 'requests_total{operation="put",door="shell",outcome="done"}')" 1
    assert_equal "$(metric 'requests_total{operation="checkpresent",door="shell",outcome="no"}')" 1
    assert_equal "$(metric 'bytes_total{direction="in",door="shell"}')" 100000
    assert_equal "$(metric 'bytes_total{direction="out",door="shell"}')" 100000
    assert_equal "$(metric 'node_bytes_total{node="a",direction="in"}')" 100000
    assert_equal "$(metric 'node_latency_seconds_count{node="a",operation="commit"}')" 1
    assert_equal "$(metric locks) $(metric transfers_running) $(metric transfers_waiting)" "0 0 0"
    [ "$(metric 'node_free_bytes{node="c"}')" -gt 0 ]
    [ "$(metric process_resident_memory_bytes)" -gt 1000000 ]
    curl -sf -u "prom:$SECRET" "$HTTP/-/metrics" >"$TMP/metrics"
    assert_equal "$(tail -n 1 "$TMP/metrics")" "# EOF"
    # No family is told twice.
    assert_equal "$(grep '^# TYPE' "$TMP/metrics" | cut -d' ' -f3 | sort | uniq -d)" ""
    run ! grep -E "alice|prom|data|$KEY" <(grep -v '^#' "$TMP/metrics")
}

@test "one line for each request, as text or JSON, and secrets in none" {
    with_users --log-format json
    store_something
    code root /-/status
    (SECRET=wrong-$SECRET; code root /-/status)
    curl -s -o /dev/null -H "Authorization: Bearer $SECRET" "$HTTP/-/status"
    jq -c 'select(.target == "annex_keep::request")' "$TMP/daemon.log" >"$TMP/requests"
    assert_equal "$(jq -r '[.user, .repository, .door, .operation, .key, .nodes, .bytes, .outcome] | join(" ")' "$TMP/requests" | sed 's/get \(.*\) [abc] 1/get \1 NODE 1/')" \
        "alice data shell put $KEY a,b,c 100000 done
alice data shell get $KEY NODE 100000 done
alice data shell checkpresent WORM--absent  0 no"
    jq -e '.timestamp and .level == "INFO" and .milliseconds >= 0' "$TMP/requests"
    stop_daemon

    mv "$TMP/daemon.log" "$TMP/daemon.json"
    start_daemon
    store_something
    assert_equal "$(grep -c 'request user=alice repository=data door="shell" operation=' "$TMP/daemon.log")" 3
    grep -qE '^20[0-9-]+T[0-9:.]+Z +INFO request user=alice .*operation=put .*nodes="a,b,c" bytes=100000 milliseconds=[0-9]+ outcome="done"' "$TMP/daemon.log"
    run ! grep -iE "$SECRET|$(printf 'root:%s' "$SECRET" | base64)|argon2|authorization" "$TMP/daemon.log" "$TMP/daemon.json" "$TMP/daemon.out"
    stop_daemon

    # Quiet is quiet, and over ssh a user sees none of it.
    mv "$TMP/daemon.log" "$TMP/daemon.text"
    start_daemon --quiet
    store_something
    stop_daemon
    store_something 2>"$TMP/seen"
    [ ! -s "$TMP/daemon.log" ]
    [ ! -s "$TMP/seen" ]
}

@test "what is under way shows" {
    start_daemon
    mkfifo "$TMP/in"
    random_file file 100000
    key=$(sha256_key file)
    ssh testhost "git-annex-shell 'p2pstdio' '/data' 'x' --uuid $CLUSTER" <"$TMP/in" >"$TMP/out" 3>&- &
    exec 7>"$TMP/in"
    printf 'PUT  %s\nDATA 100000\n' "$key" >&7
    head -c 40000 file >&7
    under_way() {
        annex-keep status --site "$SITE" --json | jq -e --arg key "$key" '.running == 1 and .connections == 1
            and (.transfers == [.transfers[0]]) and (.transfers[0] | .user == "alice" and .repository == "data"
            and .door == "shell" and .operation == "put" and .key == $key and .bytes == 40000 and (.waits | not))'
    }
    wait_until 20 under_way
    run -0 annex-keep status --site "$SITE"
    assert_output "put $key alice data: 40000 bytes"
    exec 7>&-
    wait_until 20 bash -c "annex-keep status --site '$SITE' --json | jq -e '.transfers == [] and .connections == 0'"
}
