#!/usr/bin/env bats
# Garbage of the site's Keep stores: annex-keep gc and the daemon, beside Keep's clients and git-annex.
# shellcheck disable=SC2154 # bats sets output; keep.bash sets the tokens

load lib
# shellcheck source=t/keep.bash
. "$ROOT/t/keep.bash"

gc() { annex-keep gc --site "$SITE" --json; }

# sum FIELD: of what gc reports of all stores.
sum() { jq -s "map(.$1) | add"; }

@test "a block goes to the trash when its time is over, and for good after its time there" {
    keep_site signature_seconds=2 trash_seconds=3
    random_file file 100000
    locator=$(put file -H 'X-Keep-Desired-Replicas: 2')
    assert_equal "$(gc | sum trashed)" 0
    keep "$ALICE" GET "$locator" | cmp - file
    all_trashed() { trashed=$((${trashed:-0} + $(gc | sum trashed))) && [ "$trashed" = 2 ]; }
    wait_until 15 all_trashed
    assert_equal "$(copies "$(md5 file)")" 0
    is_deleted() { gc >/dev/null && [ -z "$(find "$SITE/nodes" -name "$(md5 file).*")" ]; }
    wait_until 15 is_deleted
    # A new one has all its time before it.
    keep "$ALICE" GET "$(put file)" | cmp - file
    assert_equal "$(gc | sum trashed)" 0
}

@test "keys of git-annex are no garbage, and a dropped key takes no block along that a client was promised" {
    keep_site signature_seconds=2 trash_seconds=0
    http_user carol secret --role write
    git clone -q "http://carol@127.0.0.1:$HTTP_PORT/data" work
    cd work
    git annex init -q work
    random_file kept 100000
    random_file dropped 100000
    git annex add -q .
    git commit -qm files
    git annex copy -q --to origin
    sleep 3
    assert_equal "$(gc | sum trashed)" 0
    git annex drop -q --force kept
    git annex get -q kept
    # Somebody has the same bytes, and stores them as a block: the signature is a promise of its own.
    locator=$(put dropped)
    git annex drop -q --from origin --force dropped
    assert_equal "$(copies "$(md5 dropped)")" 1
    keep "$ALICE" GET "$locator" | cmp - dropped
    sleep 3
    gc >/dev/null
    assert_equal "$(copies "$(md5 dropped)")" 0
    git annex drop -q --force kept
    git annex get -q kept
}

@test "the daemon collects by itself" {
    keep_site signature_seconds=1 trash_seconds=0 collect_seconds=1
    random_file file 100000
    put file >/dev/null
    is_gone() { [ "$(copies "$(md5 file)")" = 0 ]; }
    wait_until 20 is_gone
}

@test "nothing that clients store or refer to is lost beside garbage collection" {
    keep_site signature_seconds=4 trash_seconds=0
    # Who stores the same block again before its signature ends must never find it gone within the new one's time.
    cat >client.sh <<'END'
set -e
end=$((SECONDS + $1))
while [ $SECONDS -lt $end ]; do
    for number in 1 2 3; do
        file=$TMP/shared$number
        locator=$(curl -sSf -T "$file" -H "Authorization: Bearer $ALICE" "$KEEP/$(md5sum <"$file" | cut -d ' ' -f 1)")
        curl -sSf -H "Authorization: Bearer $ALICE" "$KEEP/$locator" | cmp - "$file"
    done
    sleep 0.3
done
END
    export TMP ALICE KEEP
    for number in 1 2 3; do
        random_file "shared$number" 5000
    done
    for client in 1 2 3; do
        bash client.sh "${ANNEX_KEEP_TEST_GC_SECONDS:-8}" >"client$client.log" 2>&1 3>&- &
        clients+=($!)
    done
    while kill -0 "${clients[0]}" 2>/dev/null; do
        gc >>gc.log
    done
    for client in 1 2 3; do
        wait "${clients[client - 1]}" || fail "client $client:" "$(cat "client$client.log")"
    done
    [ "$(wc -l <gc.log)" -ge 6 ] || fail "garbage was hardly ever collected: $(wc -l <gc.log)"
}
