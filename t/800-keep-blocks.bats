#!/usr/bin/env bats
# Keep's own protocol on a site's stores: curl, Arvados's own Python client, and code that knows only keepstore's layout.
# shellcheck disable=SC2154 # bats sets output; keep.bash sets the tokens

load lib
# shellcheck source=t/keep.bash
. "$ROOT/t/keep.bash"

teardown() {
    [ ! -e "$TMP/mounted" ] || umount -l "$TMP/small"
    stop_everything
}

@test "a block is stored on as many nodes as asked, and comes back by its signed locator alone" {
    keep_site
    random_file file 300000
    locator=$(put file -H 'X-Keep-Desired-Replicas: 2')
    [[ $locator =~ ^$(md5 file)\+300000\+A[0-9a-f]{40}@[0-9a-f]{8}$ ]] || fail "not signed: $locator"
    assert_equal "$(header x-keep-replicas-stored) $(header x-keep-storage-classes-confirmed)" "2 default=2"
    assert_equal "$(copies "$(md5 file)")" 2
    for word in Bearer OAuth2; do
        curl -sSf -H "Authorization: $word $ALICE" "$KEEP/$locator" | cmp - file
    done
    # Also on the port of everything else, and as old clients ask.
    curl -sSf -H "Authorization: Bearer $ALICE" "$HTTP//$locator" | cmp - file
    keep "$ALICE" HEAD "$locator" >/dev/null
    assert_equal "$(status) $(header content-length)" "200 300000"
    # Hints of others are looked past; a wrong size is another block.
    keep "$ALICE" GET "${locator/+A/+K@xyzzy+A}+Zfoo" | cmp - file
    keep "$ALICE" GET "${locator/+300000/+299999}" >/dev/null
    assert_equal "$(status)" 404
    keep "$ALICE" GET "$(md5 file)${locator#*+300000}" >/dev/null
    assert_equal "$(status)" 405
    # The secret alone is a token, too, and has signatures of its own.
    secret=${ALICE##*/}
    keep "$secret" GET "$locator" >/dev/null
    assert_equal "$(status)" 400
    mine=$(keep "$secret" POST '' --data-binary @file -H 'X-Keep-Desired-Replicas: 1')
    keep "$secret" GET "$mine" | cmp - file
    assert_equal "$(copies "$(md5 file)")" 2
}

@test "without the right token, role and signature there is no block" {
    keep_site
    random_file file 1000
    locator=$(put file)
    refused() {
        keep "$1" GET "$2" >"$TMP/body"
        assert_equal "$(status)" "$3" "$2"
        run ! cmp -s "$TMP/body" file
    }
    refused "$BOB" "$locator" 400
    refused "$ROOT_TOKEN" "$locator" 400
    refused "${ALICE}x" "$locator" 401
    refused "$ALICE" "${locator%%+A*}" 400
    refused "$ALICE" "${locator/+A?/+A}" 400
    wrong=$(tr 0-9a-f 1-9a-f0 <<<"${locator:$((${#locator} - 49)):40}")
    refused "$ALICE" "${locator%%+A*}+A$wrong@${locator##*@}" 400
    refused "$ALICE" "${locator%@*}@00000001" 401
    refused "$ALICE" "${locator%@*}@ffffffff" 400
    refused "$ALICE" "${locator/+A/+Rzzzzz-}" 400
    run -0 curl -sS -o /dev/null -w '%{http_code}' "$KEEP/$locator"
    assert_equal "$output" 401
    keep "$BOB" PUT "$(md5 file)" -T file >/dev/null
    assert_equal "$(status)" 403
    run -0 curl -sS -o /dev/null -w '%{http_code}' -T file "$KEEP/$(md5 file)"
    assert_equal "$output" 401
    annex-keep user revoke "$(cut -d / -f 2 <<<"$ALICE")" --site "$SITE"
    refused "$ALICE" "$locator" 401
}

@test "a signature ends in its time" {
    keep_site signature_seconds=2
    random_file file 1000
    locator=$(put file)
    keep "$ALICE" GET "$locator" | cmp - file
    is_over() { keep "$ALICE" GET "$locator" >/dev/null && [ "$(status)" = 401 ]; }
    wait_until 10 is_over
    keep "$ALICE" GET "$(put file)" | cmp - file
}

@test "what is not the block that it is called is not stored" {
    keep_site
    random_file file 1000
    random_file other 1000
    keep "$ALICE" PUT "$(md5 other)" -T file >/dev/null
    assert_equal "$(status) $(copies "$(md5 other)") $(copies "$(md5 file)")" "400 0 0"
    head -c 67108865 /dev/zero >large
    keep "$ALICE" PUT "$(md5 large)" -T large >/dev/null
    assert_equal "$(status)" 413
    head -c 67108864 large >most
    keep "$ALICE" PUT "$(md5 most)" -T - -H 'Transfer-Encoding: chunked' <large >/dev/null
    assert_equal "$(status) $(copies "$(md5 most)")" "413 0"
    keep "$ALICE" GET "$(put most)" | cmp - most
    # Half of a block, and then nothing more: by a client that announces more than it sends.
    (printf 'PUT /%s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n' "$(md5 file)" "$ALICE"
        head -c 500 file) | timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$KEEP_PORT"
    assert_equal "$(copies "$(md5 file)")" 0
    for path in "$(md5 file)+" data/config nothing "$(md5 file)x"; do
        keep "$ALICE" GET "$path" >/dev/null
        assert_equal "$(status)" 400 "$path"
    done
    # Two contents with one MD5: the first one stays.
    local first='4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa200a8284bf36e8e4b55b35f427593d849676da0d1555d8360fb5f07fea2'
    local second='4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa202a8284bf36e8e4b55b35f427593d849676da0d1d55d8360fb5f07fea2'
    xxd -r -p <<<"$first" >one
    xxd -r -p <<<"$second" >two
    locator=$(put one)
    put two -H 'X-Keep-Desired-Replicas: 3' >/dev/null
    assert_equal "$(status)" 500
    keep "$ALICE" GET "$locator" | cmp - one
}

@test "a damaged copy is followed by a good one, and is never delivered as whole" {
    keep_site
    random_file file 3M
    random_file small 1000
    for name in file small; do
        put "$name" -H 'X-Keep-Desired-Replicas: 2' >"$name.locator"
        copy=$(find "$SITE/nodes" -name "$(md5 "$name")" | head -1)
        printf 'other bytes' | dd of="$copy" bs=1 seek=500 conv=notrunc status=none
    done
    # Nothing of a small one has left before it is known to be bad; the large one may break off, once.
    keep "$ALICE" GET "$(cat small.locator)" | cmp - small
    whole() { keep "$ALICE" GET "$(cat file.locator)" >got && cmp got file; }
    whole || whole
    # Both copies are bad now: never a whole body, and in the end the block is gone.
    for name in file small; do
        find "$SITE/nodes" -name "$(md5 "$name")" -exec cp /dev/null {} \; -exec truncate -s "$(stat -c %s "$name")" {} \;
    done
    keep "$ALICE" GET "$(cat small.locator)" >/dev/null
    assert_equal "$(status)" 502
    run ! keep "$ALICE" GET "$(cat file.locator)"
    # Each of the copies may break off, once.
    keep "$ALICE" GET "$(cat file.locator)" >/dev/null || keep "$ALICE" GET "$(cat file.locator)" >/dev/null
    assert_equal "$(status)" 404
    # Stored again it is whole.
    keep "$ALICE" GET "$(put file)" | cmp - file
}

@test "16 writers of one block at once all succeed, and there is one copy" {
    keep_site
    random_file file 2M
    for number in $(seq 16); do
        curl -sS -f -T file -H "Authorization: Bearer $ALICE" "$KEEP/$(md5 file)" -o "locator$number" 3>&- &
        writers+=($!)
    done
    wait "${writers[@]}"
    for number in 1 16; do
        keep "$ALICE" GET "$(cat "locator$number")" | cmp - file
    done
    assert_equal "$(copies "$(md5 file)")" 1
    assert_equal "$(find "$SITE/nodes" -path '*/.annex-keep/tmp/*' -type f | wc -l)" 0
}

@test "another store takes the place of a full one, and 507 says that all are full" {
    mkdir small
    mount -t tmpfs -o size=80m tmpfs small 2>/dev/null || skip "needs the right to mount a filesystem"
    touch "$TMP/mounted"
    new_site --node small="$TMP/small/keep" --node roomy="$TMP/site/nodes/roomy"
    keep_site
    random_file one 30000000
    random_file two 30000000
    put one -H 'X-Keep-Desired-Replicas: 2' >/dev/null
    assert_equal "$(status) $(header x-keep-replicas-stored)" "200 2"
    locator=$(put two -H 'X-Keep-Desired-Replicas: 2')
    assert_equal "$(status) $(header x-keep-replicas-stored)" "200 1"
    keep "$ALICE" GET "$locator" | cmp - two
    # The last node of the file may only be read from now on.
    [ "$(grep '^\[nodes' "$SITE/annex-keep.toml" | tail -1)" = '[nodes.roomy]' ]
    cat >>"$SITE/annex-keep.toml" <<<"keep = { read_only = true }"
    kill -HUP "$DAEMON_PID"
    random_file three 10000000
    refuses() { put three >/dev/null && [ "$(status)" = 507 ]; }
    wait_until 5 refuses
    assert_equal "$(find "$TMP/small" -path '*/.annex-keep/tmp/*' -type f | wc -l)" 0
    keep "$ALICE" GET "$locator" | cmp - two
}

@test "storage classes decide where blocks go" {
    new_site --node a="$TMP/site/nodes/a" --node b="$TMP/site/nodes/b"
    cat >>"$SITE/annex-keep.toml" <<<'keep = { storage_classes = ["archival"], replication = 3 }'
    keep_site
    random_file file 1000
    put file -H 'X-Keep-Storage-Classes: archival' >/dev/null
    assert_equal "$(header x-keep-replicas-stored) $(header x-keep-storage-classes-confirmed)" "3 archival=3"
    assert_equal "$(find "$SITE/nodes/a" -name "$(md5 file)" | wc -l)" 0
    put file -H 'X-Keep-Storage-Classes: default, archival' >/dev/null
    assert_equal "$(header x-keep-storage-classes-confirmed)" "archival=3, default=1"
    put file -H 'X-Keep-Storage-Classes: none' >/dev/null
    assert_equal "$(status)" 503
}

@test "root lists, touches, trashes and brings back" {
    keep_site signature_seconds=100
    random_file file 1000
    random_file kept 1000
    locator=$(put file)
    put kept >/dev/null
    hash=$(md5 file)
    for path in index mounts status.json "index/${hash:0:3}"; do
        keep "$ALICE" GET "$path" >/dev/null
        assert_equal "$(status)" 403 "$path"
    done
    keep "$ROOT_TOKEN" GET index >listing
    assert_equal "$(tail -n 1 listing)" ""
    assert_equal "$(grep -cE "^($hash|$(md5 kept))\+1000 [0-9]{19}$" listing)" 2
    keep "$ROOT_TOKEN" GET "index/${hash:0:6}" | grep -q "^$hash+1000 "
    keep "$ROOT_TOKEN" GET "index?prefix=${hash:0:6}" | grep -q "^$hash+1000 "
    keep "$ROOT_TOKEN" GET mounts >mounts.json
    assert_equal "$(jq -c 'map([.allow_write, .replication, .storage_classes]) | unique' mounts.json)" \
        '[[true,1,{"default":true}]]'
    assert_equal "$(jq -r '.[].uuid | length' mounts.json | sort -u)" 27
    listed=0
    for uuid in $(jq -r '.[].uuid' mounts.json); do
        keep "$ROOT_TOKEN" GET "mounts/$uuid/blocks/${hash:0:3}" | grep -q "^$hash+1000 " && listed=$((listed + 1))
    done
    assert_equal "$listed" 1
    keep "$ROOT_TOKEN" GET mounts/zzzzz-nyw5e-000000000000000/blocks >/dev/null
    assert_equal "$(status)" 404

    # Too young to go; and that is no error.
    keep "$ROOT_TOKEN" DELETE "$hash"
    assert_equal "$(status) $(copies "$hash")" "200 1"
    # Its lease holds it, though it looks old: a signature of it is still good.
    age "$hash" 200
    keep "$ROOT_TOKEN" DELETE "$hash" >/dev/null
    assert_equal "$(status) $(copies "$hash")" "409 1"
    keep "$ROOT_TOKEN" TOUCH "$hash"
    [ -z "$(find "$SITE/nodes" -name "$hash" -mmin +1)" ]
    end_leases
    age "$hash" 200
    keep "$ALICE" DELETE "$hash" >/dev/null
    assert_equal "$(status)" 403
    keep "$ROOT_TOKEN" DELETE "$hash"
    assert_equal "$(status) $(copies "$hash")" "200 0"
    keep "$ALICE" GET "$locator" >/dev/null
    assert_equal "$(status)" 404
    keep "$ROOT_TOKEN" PUT "untrash/$hash"
    keep "$ALICE" GET "$locator" | cmp - file
    keep "$ROOT_TOKEN" DELETE 00000000000000000000000000000000 >/dev/null
    assert_equal "$(status)" 404
    keep "$ROOT_TOKEN" PUT untrash/00000000000000000000000000000000 >/dev/null
    assert_equal "$(status)" 404

    # By a list: only what was last written just when the list says.
    end_leases
    for name in "$hash" "$(md5 kept)"; do
        age "$name" 200
    done
    keep "$ROOT_TOKEN" GET index >listing
    awk -v hash="$hash" 'NF { split($1, part, "+"); printf "%s{\"locator\":\"%s\",\"block_mtime\":%s,\"mount_uuid\":\"\"}", \
        (n++ ? "," : "["), $1, (part[1] == hash ? $2 : substr($2, 1, 18) (substr($2, 19) + 1) % 10) } END { print "]" }' listing >list.json
    keep "$ROOT_TOKEN" PUT trash -T list.json
    assert_equal "$(status)" 200
    is_gone() { [ "$(copies "$hash")" = 0 ]; }
    wait_until 5 is_gone
    assert_equal "$(copies "$(md5 kept)")" 1
    keep "$ROOT_TOKEN" PUT trash --data '{"no":"list"}' >/dev/null
    assert_equal "$(status)" 400
}

# end_leases: as if the lifetime of all signatures were over.
end_leases() {
    for index in "$SITE"/nodes/*/.annex-keep/index.db; do
        python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None).execute("DELETE FROM leases")' "$index"
    done
}

@test "a list of blocks to pull is fetched from other servers to the mount that it names" {
    keep_site
    random_file file 500000
    put file >/dev/null
    held=$(find "$SITE/nodes" -name "$(md5 file)" | cut -d / -f "$(awk -F / '{ print NF + 2 }' <<<"$SITE")")
    uuid=$(keep "$ROOT_TOKEN" GET mounts | jq -r --arg held "/$held" 'map(select(.device_id | endswith($held) | not))[0].uuid')
    keep "$ROOT_TOKEN" PUT pull --data "[{\"locator\":\"$(md5 file)+500000\",\"servers\":[\"http://127.0.0.1:1\",\"$KEEP\"],\"mount_uuid\":\"$uuid\"}]"
    assert_equal "$(status)" 200
    is_twice() { [ "$(copies "$(md5 file)")" = 2 ]; }
    wait_until 10 is_twice
    keep "$ROOT_TOKEN" PUT pull --data "[{\"locator\":\"$(md5 file)\",\"servers\":[\"$KEEP\"]}]" >/dev/null
    assert_equal "$(status)" 400
}

@test "Arvados's own KeepClient stores and fetches blocks" {
    keep_site
    export ARVADOS_KEEP_SERVICES=$KEEP ARVADOS_API_TOKEN=$ALICE OTHER_TOKEN=$BOB
    arvados '
import os
import arvados, arvados.errors, arvados.keep

def client(token=None):
    return arvados.keep.KeepClient(api_token=token, num_retries=0)

keep = client()
for data in [b"foo", b"x" * 3000000, os.urandom(1 << 26)]:
    locator = keep.put(data, copies=2)
    assert "+A" in locator, locator
    assert client().get(locator) == data
    assert client().head(locator)
    assert keep.put(data, copies=3, classes=["default"])
locator = keep.put(b"foo")
for token, text in [(os.environ["OTHER_TOKEN"], locator), (None, locator.split("+A")[0]), (None, locator[:-8] + "00000001")]:
    try:
        client(token).get(text)
    except arvados.errors.KeepReadError as error:
        print("refused:", type(error).__name__)
    else:
        raise SystemExit("read without leave: " + text)
try:
    client().get("0" * 32 + "+3" + locator[locator.index("+A"):])
except arvados.errors.KeepReadError:
    pass
try:
    keep.put(b"too many", copies=4)
except arvados.errors.KeepWriteError:
    pass
else:
    raise SystemExit("four copies on three nodes")
'
}

@test "the directory is keepstore's: what others write is read here, and what is written here others read" {
    keep_site signature_seconds=100
    others="$ROOT/t/keepstore.py"
    store=$SITE/nodes/a
    random_file theirs 200000
    locator=$(python3 "$others" put "$store" theirs)
    keep "$ROOT_TOKEN" GET index | grep -q "^$locator "
    # They know no signature: it takes one that the site gives for bytes that somebody has.
    signed=$(put theirs)
    assert_equal "${signed%%+A*} $(copies "$(md5 theirs)")" "$locator 1"
    keep "$ALICE" GET "$signed" | cmp - theirs

    random_file ours 200000
    put ours -H 'X-Keep-Desired-Replicas: 3' >/dev/null
    python3 "$others" get "$store" "$(md5 ours)+200000" | cmp - ours
    python3 "$others" index "$store" | grep -q "^$(md5 ours)+200000 "
    diff <(python3 "$others" index "$store" | sort) <(annex-keep keep index "$store" | sort)
    assert_equal "$(python3 "$others" trash "$store" "$(md5 ours)" 100 1000)" young
    age "$(md5 ours)" 200
    assert_equal "$(python3 "$others" trash "$store" "$(md5 ours)" 100 1000)" trashed
    [ "$(annex-keep keep status "$store" --json | jq .trash)" = 1 ]
    keep "$ROOT_TOKEN" PUT "untrash/$(md5 ours)"
    python3 "$others" get "$store" "$(md5 ours)+200000" | cmp - ours
}

@test "web pages may ask, and ping is answered to who has a token" {
    keep_site
    run -0 curl -sS -i -X OPTIONS "$KEEP/anything"
    assert_output "HTTP/1.1 200 OK"
    assert_output "access-control-allow-methods: GET, HEAD, PUT"
    assert_equal "$(keep "$BOB" GET _health/ping)" '{"health":"OK"}'
    keep "$BOB" GET metrics | grep -q '^annex_keep_'
    assert_equal "$(keep "$ROOT_TOKEN" GET status.json | jq -r '.cluster | length')" 5
    for path in _health/ping metrics; do
        run -0 curl -sS -o /dev/null -w '%{http_code}' "$KEEP/$path"
        assert_equal "$output" 401
    done
}
