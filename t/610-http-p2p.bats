#!/usr/bin/env bats
# P2P over HTTP, request by request, and with the stock git-annex.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own

load lib

setup() {
    isolate
    new_site
    start_daemon
    http_user alice 'a:b~~~???' --role write
    sed -i 's/:a:b~~~???@/:a%3Ab~~~%3F%3F%3F@/' "$HOME/.git-credentials"
    CLUSTER=$(site_uuid cluster) GATEWAY=$(site_uuid gateway)
    A=$(site_uuid a) B=$(site_uuid b) C=$(site_uuid c)
    CLIENT=clientuuid=11111111-2222-3333-4444-555555555555
    random_file file 100000
    KEY=$(sha256_key file)
    WHO=(-u 'alice:a:b~~~???')
}

# api PATH [QUERY] [CURL-ARG]...: POSTs to /git-annex/PATH as alice, with a client's UUID. Sets CODE; the body is in
# $output.
api() {
    local path=$1 query=${2:-}
    shift $(($# < 2 ? $# : 2))
    CODE=$(curl -sS "${WHO[@]}" -X POST -o "$TMP/body" -w '%{http_code}' "$@" "$HTTP/git-annex/$path?$query&$CLIENT")
    output=$(cat "$TMP/body")
    rm "$TMP/body"
}

# expect CODE [JSON|TEXT]: of the last api.
expect() {
    assert_equal "$CODE" "$1" "status (of '$output')"
    [ $# = 1 ] || [ "$output" = "$2" ] || assert_equal "$(jq -Sc . <<<"$output")" "$(jq -Sc . <<<"$2")" body
}

# put V UUID FILE KEY [QUERY] [LENGTH]: uploads.
put() {
    api "$2/$1/put" "key=$4&offset=0${5:+&$5}" --data-binary "@$3" -H "X-git-annex-data-length: ${6:-$(stat -c %s "$3")}"
}

# connect PATH [HEADER]: opens a connection for a POST with a chunked body, as FD 5. Then chunk TEXT, end_body,
# answer (prints status and JSON), hang_up.
connect() {
    exec 5<>"/dev/tcp/127.0.0.1/$HTTP_PORT"
    printf 'POST /git-annex/%s&%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n' "$1" "$CLIENT" >&5
    printf 'Authorization: Basic %s\r\n%s\r\n' "$(printf '%s' "${WHO[1]}" | base64)" "${2:+$2$'\r\n'}" >&5
}
chunk() { printf '%x\r\n%s\r\n' "${#1}" "$1" >&5; }
end_body() { printf '0\r\n\r\n' >&5; }
answer() { timeout 20 sed -n '1s/^HTTP.1.1 \([0-9]*\).*/\1/p; /^[{]/p' <&5; }
hang_up() { exec 5>&- 5<&-; }

lock() {
    api "$1/v4/lockcontent" "key=$KEY"
    expect 200
    jq -re 'select(.locked).lockid' <<<"$output"
}

removed() {
    api "$CLUSTER/v4/remove" "key=$KEY"
    [ "$CODE" = 200 ] && [ "$(jq .removed <<<"$output")" = true ]
}

@test "content goes up, is there, comes back and goes away, at every version and to every kind of UUID" {
    for version in v0 v1 v2 v3 v4; do
        for uuid in "$CLUSTER" "$B"; do
            if [ "$uuid" = "$CLUSTER" ]; then others="\"$A\",\"$B\",\"$C\""; else others=; fi
            case $version in v0 | v1) plus= ;; *) plus=",\"plusuuids\":[$others]" ;; esac
            api "$uuid/$version/checkpresent" "key=$KEY"
            expect 200 '{"present":false}'
            put $version "$uuid" file "$KEY" "associatedfile=some%20file"
            expect 200 "{\"stored\":true$plus}"
            api "$uuid/$version/checkpresent" "key=$KEY"
            expect 200 '{"present":true}'
            curl -sSf "${WHO[@]}" "$HTTP/git-annex/$uuid/$version/key/$KEY?$CLIENT" | cmp - file
            curl -sSf "${WHO[@]}" "$HTTP/git-annex/$uuid/$version/key/$KEY?$CLIENT&offset=99990" | cmp - <(tail -c 10 file)
            api "$uuid/$version/remove" "key=$KEY"
            expect 200 "{\"removed\":true$plus}"
            api "$uuid/$version/checkpresent" "key=$KEY"
            expect 200 '{"present":false}'
        done
    done
}

@test "the gateway's own UUID has nothing, and says why it takes nothing" {
    api "$GATEWAY/v4/checkpresent" "key=$KEY"
    expect 200 '{"present":false}'
    put v4 "$GATEWAY" file "$KEY"
    expect 403
    assert_output "holds no content of its own"
    api "$GATEWAY/v4/lockcontent" "key=$KEY"
    expect 200 '{"locked":false}'
    api "$GATEWAY/v4/remove" "key=$KEY"
    expect 200 '{"plusuuids":[],"removed":true}'
}

@test "the headers of a download tell its length from the offset on, and HEAD sends nothing else" {
    put v4 "$CLUSTER" file "$KEY"
    for head in '' -I; do
        curl -sSf $head "${WHO[@]}" -D headers -o got "$HTTP/git-annex/$CLUSTER/v4/key/$KEY?$CLIENT&offset=99000"
        grep -qix $'x-git-annex-data-length: 1000\r' headers
        grep -qix $'content-type: application/octet-stream\r' headers
        refute grep -qi '^content-encoding' headers
    done
    curl -sSf "${WHO[@]}" -D headers -o got "$HTTP/git-annex/$CLUSTER/v4/key/$KEY?$CLIENT&offset=400000"
    grep -qix $'x-git-annex-data-length: 0\r' headers
    [ ! -s got ]
}

refute() { ! "$@"; }

@test "content that is not there is 404, so that no bytes are never taken for it" {
    for version in v0 v1 v2 v3 v4; do
        for args in "" -I; do
            code=$(curl -sS $args "${WHO[@]}" -o /dev/null -w '%{http_code}' \
                "$HTTP/git-annex/$CLUSTER/$version/key/$KEY?$CLIENT")
            assert_equal "$code" 404
        done
    done
}

@test "versions and calls that there are not are 404, and so are unknown UUIDs" {
    for path in v5/checkpresent v17/key/"$KEY" v0/putoffset v2/gettimestamp v2/remove-before v4/notifychange v4 \
        vx/put v4/put/more; do
        api "$CLUSTER/$path" "key=$KEY"
        expect 404
        assert_equal "$(wc -l <<<"$output")" 1
    done
    for version in v0 v4; do
        api "99999999-0000-4000-8000-000000000000/$version/checkpresent" "key=$KEY"
        expect 404 "no repository here has the UUID 99999999-0000-4000-8000-000000000000"
    done
}

@test "other methods are 405 and name the right ones" {
    for method in GET PUT DELETE HEAD; do
        code=$(curl -sS "${WHO[@]}" -X $method -m 10 -D headers -o /dev/null -w '%{http_code}' \
            "$HTTP/git-annex/$CLUSTER/v4/checkpresent?key=$KEY&$CLIENT" || true)
        assert_equal "$code" 405 "$method"
        grep -qix $'allow: POST\r' headers
    done
    api "$CLUSTER/v4/key/$KEY"
    expect 405
}

@test "a parameter that is missing or unreadable is 400, and the answer names it" {
    for case in checkpresent: lockcontent: remove: remove-before:timestamp=1 put: putoffset:; do
        api "$CLUSTER/v4/${case%%:*}" "${case#*:}" -H 'X-git-annex-data-length: 0'
        expect 400 "Query parameter key is required"
        api "$CLUSTER/v4/${case%%:*}" "${case#*:}&key=notakey"
        expect 400 "Error parsing query parameter key failed: not a git-annex key"
    done
    api "$CLUSTER/v4/remove-before" "key=$KEY"
    expect 400 "Query parameter timestamp is required"
    api "$CLUSTER/v4/remove-before" "key=$KEY&timestamp=soon"
    expect 400
    assert_output timestamp
    api "$CLUSTER/v4/keeplocked"
    expect 400 "Query parameter lockid is required"
    api "$CLUSTER/v4/put" "key=$KEY"
    expect 400 "Header X-git-annex-data-length is required"
    api "$CLUSTER/v4/put" "key=$KEY" -H 'X-git-annex-data-length: +1'
    expect 400
    api "$CLUSTER/v4/put" "key=$KEY&offset=x" -H 'X-git-annex-data-length: 1'
    expect 400
    assert_output offset
    api "$CLUSTER/v4/checkpresent" "key=$KEY&bypass=%5B!%5D"
    expect 400
    assert_output bypass
    local CLIENT=x
    for path in v4/checkpresent v0/remove v3/gettimestamp; do
        api "$CLUSTER/$path" "key=$KEY"
        expect 400 "Query parameter clientuuid is required"
    done
    run -0 curl -sS "${WHO[@]}" "$HTTP/git-annex/$CLUSTER/v4/key/$KEY"
    assert_line "Query parameter clientuuid is required"
    api "%5B!%5D/v4/checkpresent" "key=$KEY"
    expect 400
}

@test "values in brackets, bypass and a doubled prefix are understood" {
    put v4 "$CLUSTER" file "$KEY"
    bracketed() { printf '%%5B%s%%5D' "$(printf '%s' "$1" | base64 -w0 | tr +/ -_)"; }
    api "$(bracketed "$CLUSTER")/v4/checkpresent" "key=$(bracketed "$KEY")&bypass=$A&bypass=$(bracketed "$B")&new=1"
    expect 200 '{"present":true}'
    api "git-annex/$CLUSTER/v4/checkpresent" "key=$KEY"
    expect 200 '{"present":true}'
    curl -sSf "${WHO[@]}" "$HTTP/git-annex/git-annex/$CLUSTER/v4/key/$(bracketed "$KEY")?$CLIENT" | cmp - file
}

@test "a key of any characters goes up and comes back" {
    name='WORM-s3-m1--a+b c%/ü?#&[x]'
    encoded=$(jq -rn --arg name "$name" '$name|@uri')
    printf abc >abc
    put v4 "$CLUSTER" abc "$encoded"
    expect 200
    assert_json .stored "$output"
    curl -sSf "${WHO[@]}" "$HTTP/git-annex/$CLUSTER/v4/key/$encoded?$CLIENT" | cmp - abc
    curl -sSf "${WHO[@]}" "$HTTP/git-annex/$CLUSTER/key/$encoded" | cmp - abc
}

@test "an upload that is there already is answered at once, whatever its body" {
    put v4 "$CLUSTER" file "$KEY"
    put v4 "$CLUSTER" /dev/null "$KEY" '' 100000
    expect 200 "{\"stored\":true,\"plusuuids\":[\"$A\",\"$B\",\"$C\"]}"
    random_file other 3M
    put v1 "$A" other "$KEY"
    expect 200 '{"stored":true}'
    # Larger than what is read on for nothing, by a client that listens only when it has sent everything.
    random_file large 6M
    connect "$CLUSTER/v4/put?key=$KEY" 'X-git-annex-data-length: 6291456'
    printf '%x\r\n' 6291456 >&5
    cat large >&5
    printf '\r\n' >&5
    end_body
    answer | grep -qx 200
    hang_up
    api "$CLUSTER/v2/putoffset" "key=$KEY"
    expect 200 "{\"alreadyhave\":true,\"plusuuids\":[\"$A\",\"$B\",\"$C\"]}"
    api "$A/v4/putoffset" "key=$KEY"
    expect 200 '{"alreadyhave":true,"plusuuids":[]}'
    api "$CLUSTER/v1/putoffset" "key=$KEY"
    expect 200 '{"alreadyhave":true}'
}

@test "data-present says whether the content has come another way" {
    api "$CLUSTER/v4/put" "key=$KEY&data-present=true" -H "X-git-annex-data-length: 100000"
    expect 200 '{"stored":false,"plusuuids":[]}'
    put v4 "$B" file "$KEY"
    expect 200 '{"stored":true,"plusuuids":[]}'
    api "$CLUSTER/v4/put" "key=$KEY&data-present=true" -H "X-git-annex-data-length: 100000"
    expect 200 "{\"stored\":true,\"plusuuids\":[\"$B\"]}"
    api "$CLUSTER/v4/put" "key=$KEY&data-present=true"
    expect 400
}

@test "a body that is longer than announced is not stored" {
    put v4 "$CLUSTER" file "$KEY" '' 99999
    expect 200 '{"stored":false,"plusuuids":[]}'
    cat file file >twice
    put v4 "$CLUSTER" twice "$KEY" '' 100000
    expect 200 '{"stored":false,"plusuuids":[]}'
    api "$CLUSTER/v4/checkpresent" "key=$KEY"
    expect 200 '{"present":false}'
}

@test "content that is not the key's is not stored and leaves nothing behind" {
    random_file other 100000
    put v4 "$CLUSTER" other "$KEY"
    expect 200 '{"stored":false,"plusuuids":[]}'
    api "$CLUSTER/v4/putoffset" "key=$KEY"
    expect 200 '{"offset":0}'
}

@test "a short body is not stored, and an upload goes on where it ended" {
    head -c 60000 file >first
    put v4 "$CLUSTER" first "$KEY" '' 100000
    expect 200 '{"stored":false,"plusuuids":[]}'
    for _ in 1 2; do
        api "$CLUSTER/v4/putoffset" "key=$KEY"
        expect 200 '{"offset":60000}'
    done
    # From further on than the nodes have: cannot be, and takes nothing away.
    tail -c 10000 file >rest
    put v4 "$CLUSTER" rest "$KEY" offset=90000 10000
    local first=$output
    api "$CLUSTER/v4/put" "key=$KEY&offset=90000" --data-binary @rest -H 'X-git-annex-data-length: 10000'
    expect 200 '{"stored":false,"plusuuids":[]}'
    assert_equal "$first" "$output"
    api "$CLUSTER/v4/putoffset" "key=$KEY"
    expect 200 '{"offset":60000}'
    # From before: what the nodes have is left out.
    tail -c +50001 file >rest
    api "$CLUSTER/v4/put" "key=$KEY&offset=50000" --data-binary @rest -H 'X-git-annex-data-length: 50000'
    expect 200 "{\"stored\":true,\"plusuuids\":[\"$A\",\"$B\",\"$C\"]}"
    assert_on "$KEY" file a b c
}

@test "an upload whose connection breaks goes on where it was, also in the next daemon" {
    random_file big 3M
    key=$(sha256_key big)
    connect "$CLUSTER/v4/put?key=$key&offset=0" 'X-git-annex-data-length: 3145728'
    printf '%x\r\n' 3145728 >&5
    head -c 2000000 big >&5
    hang_up
    kept() {
        api "$CLUSTER/v4/putoffset" "key=$key"
        [ "$(jq .offset <<<"$output")" = 2000000 ]
    }
    wait_until 20 kept
    stop_daemon
    start_daemon
    kept
    tail -c +2000001 big >rest
    api "$CLUSTER/v4/put" "key=$key&offset=2000000" --data-binary @rest -H 'X-git-annex-data-length: 1145728'
    expect 200
    assert_json .stored "$output"
    assert_on "$key" big a b c
    wait_until 10 assert_logged "$key" a b c
}

@test "a lock keeps content until it is given back" {
    put v4 "$CLUSTER" file "$KEY"
    for uuid in "$CLUSTER" "$A"; do
        id=$(lock "$uuid")
        connect "$uuid/v4/keeplocked?lockid=$id"
        chunk '{"unlock":false}'
        chunk $'\n'
        refute removed
        api "$A/v4/remove" "key=$KEY"
        expect 409
        assert_output "node a: the content is locked against removal"
        # No answer yet.
        refute timeout 1 head -c 1 <&5
        chunk '{"unlock":true}'
        end_body
        assert_equal "$(answer)" $'200\n{"locked":false}'
        hang_up
        api "$A/v4/remove" "key=$KEY"
        expect 200 '{"plusuuids":[],"removed":true}'
        put v4 "$CLUSTER" file "$KEY"
    done
    removed
}

@test "a lock stays when its connection is lost, its body ends, or the daemon starts anew" {
    put v4 "$A" file "$KEY"
    id=$(lock "$A")
    connect "$A/v4/keeplocked?lockid=$id"
    chunk $'{"unlock":false}\n'
    hang_up
    refute removed
    connect "$A/v4/keeplocked?lockid=$id"
    chunk $'{"unlock":false}\n'
    end_body
    assert_equal "$(answer)" $'200\n{"locked":false}'
    hang_up
    refute removed
    stop_daemon KILL
    start_daemon
    refute removed
    # Draining ends what holds it, and nothing else.
    connect "$B/v0/keeplocked?lockid=$id"
    chunk $'{"unlock":false}\n'
    stop_daemon
    assert_equal "$(answer)" 503
    hang_up
    start_daemon
    refute removed
    connect "$B/v0/keeplocked?lockid=$id"
    chunk '{"unlock":true}'
    end_body
    assert_equal "$(answer)" $'200\n{"locked":false}'
    hang_up
    removed
}

@test "a lock that is held lasts ten minutes from the last sign of life, any other from its beginning" {
    # deadline [CHANGE]: the only lock's, after it was changed.
    deadline() {
        python3 - "$SITE/site.db" "${1:-0}" <<'END'
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
database.execute("UPDATE content_lock SET deadline = deadline + ?", [int(sys.argv[2])])
print(*database.execute("SELECT deadline FROM content_lock").fetchone())
END
    }
    put v4 "$A" file "$KEY"
    id=$(lock "$A")
    fresh=$(deadline)
    deadline -500
    connect "$A/v4/keeplocked?lockid=$id"
    chunk '{"unlock":false}'
    renewed() { [ "$(deadline)" -ge "$fresh" ]; }
    wait_until 20 renewed
    hang_up
    refute removed
    deadline -700
    connect "$A/v4/keeplocked?lockid=$id"
    chunk '{"unlock":false}'
    end_body
    assert_equal "$(answer)" $'200\n{"locked":false}'
    hang_up
    removed
}

@test "locks that are not granted or not known do no harm" {
    for _ in $(seq 20); do
        api "$CLUSTER/v4/lockcontent" "key=$KEY"
        expect 200 '{"locked":false}'
    done
    put v4 "$CLUSTER" file "$KEY"
    connect "$CLUSTER/v4/keeplocked?lockid=03c93c1c-7f19-40c2-9f79-9c74f332bdff"
    chunk $'{"unlock":false}\n'
    refute timeout 1 head -c 1 <&5
    end_body
    assert_equal "$(answer)" $'200\n{"locked":false}'
    hang_up
    id=$(lock "$A")
    connect "$A/v4/keeplocked?lockid=$id"
    chunk $'no json\n'
    assert_equal "$(timeout 20 head -c 12 <&5)" "HTTP/1.1 400"
    hang_up
    refute removed
}

@test "a removal comes in time or not at all" {
    put v4 "$CLUSTER" file "$KEY"
    api "$CLUSTER/v3/gettimestamp"
    expect 200
    now=$(jq -e .timestamp <<<"$output")
    api "$A/v4/remove-before" "key=$KEY&timestamp=$now"
    expect 409
    assert_output "node a: the time allowed for the removal is over"
    api "$CLUSTER/v4/checkpresent" "key=$KEY"
    expect 200 '{"present":true}'
    api "$CLUSTER/v3/remove-before" "key=$KEY&timestamp=$((now + 600))"
    expect 200 "{\"plusuuids\":[\"$A\",\"$B\",\"$C\"],\"removed\":true}"
}

@test "a removal that succeeds on some nodes names them" {
    put v4 "$CLUSTER" file "$KEY"
    lock "$A" >/dev/null
    api "$CLUSTER/v4/remove" "key=$KEY"
    expect 200 "{\"plusuuids\":[\"$B\",\"$C\"],\"removed\":false}"
    api "$CLUSTER/v1/remove" "key=$KEY"
    expect 409
    assert_output "node a: "
    assert_on "$KEY" file a
}

@test "a node that is out of reach is 503 with a line that names it, and a time to come again" {
    put v4 "$A" file "$KEY"
    mv "$SITE/nodes/a" "$SITE/nodes/gone"
    stop_daemon
    start_daemon
    for call in checkpresent remove lockcontent; do
        api "$A/v4/$call" "key=$KEY" -D headers
        expect 503
        grep -qi '^retry-after: [1-9]' headers
        assert_equal "$(wc -l <<<"$output")" 1
        assert_output "node a: not reachable"
    done
    code=$(curl -sS "${WHO[@]}" -o got -w '%{http_code}' "$HTTP/git-annex/$A/v4/key/$KEY?$CLIENT")
    assert_equal "$code" 503
    grep -q "node a: not reachable" got
    # All nodes of the cluster.
    rm -r "$SITE/nodes/b" "$SITE/nodes/c"
    stop_daemon
    start_daemon
    random_file new 1000
    put v4 "$CLUSTER" new "$(sha256_key new)"
    expect 503
    for node in a b c; do assert_output "node $node: not reachable"; done
    grep -q 'operation=put .*outcome="failed" kind="unreachable" reason="node a' "$TMP/daemon.log"
}

@test "a quota that is used up and a key that is too large have statuses of their own, and git-annex shows the reason" {
    sed -i 's/^\[limits\]/&\nrepository_quota = "300 kB"\nlargest_key = "200 kB"/' "$SITE/annex-keep.toml"
    stop_daemon
    start_daemon
    put v4 "$CLUSTER" file "$KEY"
    expect 200
    random_file new 1000
    for call in put putoffset; do
        api "$CLUSTER/v4/$call" "key=$(sha256_key new)" --data-binary @new -H 'X-git-annex-data-length: 1000'
        expect 507
        assert_output "over the quota of this repository: its nodes may hold 300 kB, they hold 300 kB"
    done
    random_file large 300000
    put v4 "$CLUSTER" large "$(sha256_key large)"
    expect 413
    assert_output "the content is too large: at most 200 kB of a key are stored here"
    grep -q 'operation=put .*outcome="failed" kind="quota" reason="over the quota' "$TMP/daemon.log"
    http_clone work
    cp ../new .
    git annex add -q new
    run -1 git annex copy --to origin new
    assert_output "over the quota of this repository"
}

@test "content that turns out to be damaged breaks off, and no client takes it for whole" {
    put v4 "$A" file "$KEY"
    block=$(find "$SITE/nodes/a" -type f -size 98k -path '*/???/*' | head -1)
    [ -n "$block" ]
    chmod u+w "$block"
    printf 'other bytes' | dd of="$block" bs=1 seek=50000 conv=notrunc status=none
    run curl -sS "${WHO[@]}" -o got "$HTTP/git-annex/$CLUSTER/v4/key/$KEY?$CLIENT"
    [ "$status" != 0 ] || refute cmp -s got file
    [ "$(stat -c %s got)" -lt 100000 ] || fail "it came in full"
}

@test "who may do what, and whom a password would help" {
    annex-keep user add rita --site "$SITE" --role read --password-stdin <<<secret
    annex-keep user add adam --site "$SITE" --role append --password-stdin <<<secret
    annex-keep user add nora --site "$SITE" --role none --password-stdin <<<secret
    put v4 "$A" file "$KEY"
    codes() {
        local call codes=
        for call in checkpresent lockcontent putoffset remove; do
            api "$A/v4/$call" "key=$KEY"
            codes+="$CODE "
        done
        code=$(curl -sS "${WHO[@]}" -o /dev/null -w '%{http_code}' "$HTTP/git-annex/$A/key/$KEY")
        echo "$codes$code"
    }
    WHO=()
    assert_equal "$(codes)" "401 401 401 401 401" "anonymous, nothing allowed"
    curl -sS -D headers -o body -X POST "$HTTP/git-annex/$A/v4/checkpresent?key=$KEY&$CLIENT"
    grep -qix $'www-authenticate: Basic realm="git-annex", charset="UTF-8"\r' headers
    # Also when the client sends first and listens then.
    WHO=(-u rita:secret)
    connect "$A/v4/put?key=$KEY" 'X-git-annex-data-length: 6000000'
    printf '%x\r\n' 6000000 >&5
    head -c 6000000 /dev/zero >&5
    printf '\r\n' >&5
    end_body
    assert_equal "$(answer)" 403
    hang_up
    assert_equal "$(codes)" "200 200 403 403 200" "may read"
    WHO=(-u adam:secret)
    assert_equal "$(codes)" "200 200 200 403 200" "may append"
    WHO=(-u nora:secret)
    assert_equal "$(codes)" "403 403 403 403 403" "may do nothing"
    WHO=(-u rita:wrong)
    assert_equal "$(codes)" "401 401 401 401 401" "wrong password"
    sed -i 's/^anonymous = .*/anonymous = "read"/' "$SITE/annex-keep.toml"
    stop_daemon
    start_daemon
    WHO=()
    assert_equal "$(codes)" "200 200 401 401 200" "anonymous, reading allowed"
    WHO=(-u rita:wrong)
    assert_equal "$(codes)" "401 401 401 401 401" "wrong password, reading allowed to all"
    for password in 'YWxpY2U6YTpifn5+Pz8/' 'YWxpY2U6YTpifn5-Pz8_'; do
        WHO=(-H "Authorization: Basic $password")
        api "$A/v4/putoffset" "key=$KEY"
        expect 200
    done
    WHO=(-H "Authorization: Bearer x")
    api "$A/v4/checkpresent" "key=$KEY"
    expect 400
}

@test "HTTP/2 serves the same" {
    put v4 "$CLUSTER" file "$KEY"
    run -0 curl -sS --http2-prior-knowledge "${WHO[@]}" -o got -w '%{http_version} %{http_code}' \
        "$HTTP/git-annex/$CLUSTER/v4/key/$KEY?$CLIENT"
    assert_equal "$output" "2 200"
    assert_same got file
    random_file other 3M
    api "$CLUSTER/v4/put" "key=$(sha256_key other)&offset=0" --http2-prior-knowledge --data-binary @other \
        -H "X-git-annex-data-length: 3145728"
    expect 200
    assert_on "$(sha256_key other)" other a b c
}

# http_clone DIR: a clone with an annex whose origin is the daemon, for git-annex at least.
http_clone() {
    git clone -q "$SITE/repos/data.git" "$1" 2>/dev/null
    cd "$1" || return
    git config remote.origin.url "$HTTP/data"
    git config remote.origin.annexUrl "annex+$HTTP/git-annex/"
    git config remote.origin.annex-uuid "$CLUSTER"
    # git-annex keeps away from loopback otherwise.
    git config --global annex.security.allowed-ip-addresses all
    # What a fetch would bring: which nodes there are.
    git fetch -q "$SITE/repos/data.git" git-annex:refs/remotes/origin/git-annex
    git annex init -q "$1"
}

@test "git-annex copies, fetches, moves, drops and checks over HTTP" {
    http_clone work
    random_file one 3M
    random_file 'q [x] ü.bin' 50000
    : >empty
    git annex add -q .
    git commit -qm files
    git annex copy --to origin --json . >../json
    assert_equal "$(jq -s 'map(.success) | all' ../json)" true
    local key
    key=$(annex_key one)
    assert_on "$key" one a b c
    assert_logged "$key" a b c
    # The lock of a proven drop: locked on a node over HTTP, then given back.
    git annex drop -q .
    lacks_content one
    git annex get -q .
    has_content one
    has_content 'q [x] ü.bin'
    git annex fsck --from origin -q .
    git annex drop --from origin -q .
    api "$CLUSTER/v4/checkpresent" "key=$key"
    expect 200 '{"present":false}'
    git annex move --to origin -q .
    lacks_content one
    git annex move --from origin -q .
    has_content one
    api "$CLUSTER/v4/checkpresent" "key=$key"
    expect 200 '{"present":false}'
}

@test "git-annex reaches each node over HTTP" {
    http_clone work
    random_file one 300000
    git annex add -q .
    git commit -qm files
    git annex copy --to origin-b -q one
    assert_on "$(annex_key one)" one b
    git annex fsck --from origin-b -q one
    git annex drop -q one
    git annex get --from origin-b -q one
    git annex drop --from origin-b -q one
    assert_on "$(annex_key one)" one
}

@test "an upload of git-annex that was killed goes on where it was" {
    http_clone work
    git config annex.stalldetection false
    random_file big 40M
    git annex add -q .
    git commit -qm files
    key=$(annex_key big)
    git -c annex.bwlimit=4MB annex copy --to origin -q big 3>&- &
    local copying=$!
    under_way() { [ "$(find "$SITE/nodes/a" -type f -size +4M | wc -l)" -gt 0 ]; }
    wait_until 30 under_way
    kill_tree $copying
    wait $copying || true
    kept() {
        api "$CLUSTER/v4/putoffset" "key=$key"
        [ "$(jq .offset <<<"$output")" -gt 1000000 ]
    }
    wait_until 20 kept
    git annex copy --to origin -q big
    assert_on "$key" big a b c
}

@test "a download of git-annex that broke off goes on where it was, and a damaged copy does not stop it" {
    stop_daemon
    export ANNEX_KEEP_LOG=annex_keep::request=info
    start_daemon
    http_clone work
    random_file big 3M
    git annex add -q .
    git commit -qm files
    key=$(annex_key big)
    cp big ../big
    git annex copy --to origin -q big
    git annex drop -q big
    mkdir -p .git/annex/tmp
    head -c 1000000 ../big >".git/annex/tmp/$key"
    git annex get -q big
    assert_same big ../big
    grep -F "operation=get key=$key" "$TMP/daemon.log" | grep -q 'bytes=2145728 ' ||
        fail "$(grep -F operation=get "$TMP/daemon.log")"
    git annex drop -q big
    block=$(find "$SITE/nodes/a" -type f -size +2M | head -1)
    chmod u+w "$block"
    printf 'other bytes' | dd of="$block" bs=1 seek=2000000 conv=notrunc status=none
    git annex get -q big
    assert_same big ../big
}

@test "git-annex testremote passes against the cluster over HTTP" {
    http_clone work
    git annex testremote --fast --size 1M origin >../out 2>&1 || fail "$(tail -30 ../out)"
}

@test "git-annex with a user who may only read says what is wrong" {
    annex-keep user add rita --site "$SITE" --role read --password-stdin <<<secret
    printf 'http://rita:secret@127.0.0.1:%s\n' "$HTTP_PORT" >"$HOME/.git-credentials"
    put v4 "$CLUSTER" file "$KEY"
    http_clone work
    git annex get --json --key "$KEY" --from origin | jq -e .success
    git annex setpresentkey "$KEY" "$CLUSTER" 1 >/dev/null
    random_file one 1000
    git annex add -q .
    run git annex copy --to origin one
    [ "$status" != 0 ]
    assert_output "rita may not do that in data"
}
