#!/usr/bin/env bats
# Arvados's own Python client, 3.2.1, against a site: arv-put, arv-get, arv-ls, arv-copy, and its library.
load lib
# shellcheck source=t/arv.bash
. "$ROOT/t/arv.bash"

# A tree with names that need escapes, an empty file, and an empty folder's worth of depth.
make_tree() {
    mkdir -p tree/deep/er 'tree/with space'
    printf 'hello\n' >tree/hello
    printf 'foo' >'tree/with space/a:b\c'
    printf 'größe' >tree/deep/ü
    : >tree/deep/er/empty
    random_file tree/deep/er/random 3000000
}

@test "files, a folder and standard input go in by arv-put and come out by arv-get" {
    arv_site site
    make_tree
    local uuid hash
    uuid=$(arv_put tree/ --name 'a tree')
    [[ $uuid =~ ^x[0-9a-z]{4}-4zz18-[0-9a-z]{15}$ ]]
    arv_get "$uuid/" out/
    diff -r tree out
    # One file of it, by the collection's hash.
    hash=$(api "collections/$uuid" | jq -r .portable_data_hash)
    arv_get "$hash/with space/a:b\\c" - | cmp - 'tree/with space/a:b\c'
    arv_ls -s "$hash" >listing
    assert_equal "$(sort listing)" "$(printf '%10s %s\n' 0 ./deep/er/empty 2930 ./deep/er/random 1 ./deep/ü \
        1 ./hello 1 './with space/a:b\c' | sort)"
    # Its manifest: signed for whoever asks, and without signatures on demand.
    arv_get "$uuid" >signed
    grep -q '+A[0-9a-f]*@' signed
    arv_get --strip-manifest "$uuid" >plain
    assert_equal "$(md5sum <plain | cut -d' ' -f1)+$(stat -c %s plain)" "$hash"
    assert_json '.file_count == 5 and .file_size_total == 3000016 and .name == "a tree" and .version == 1' \
        "$(api "collections/$uuid")"
    # Standard input, and the hash instead of the UUID.
    hash=$(printf 'from a pipe' | arv_put --portable-data-hash --filename piped -)
    assert_equal "$(arv_get "$hash/piped" -)" 'from a pipe'
    # Without a collection: locators.
    arv_put --raw tree/hello >locators
    grep -qE '^b1946ac92492d2347c6235b4d2611184\+6\+A[0-9a-f]{40}@[0-9a-f]{8}$' locators
    assert_equal "$(arv_get "$(cat locators)")" hello
    assert_equal "$(api collections | jq .items_available)" 2
}

@test "a collection grows by --update-collection, and stands in the project that was asked for" {
    arv_site site
    local project uuid
    project=$(post groups '{"group": {"name": "experiments", "group_class": "project"}}' | jq -r .uuid)
    mkdir tree
    echo one >tree/one
    uuid=$(arv_put tree/ --project-uuid "$project" --name run)
    assert_equal "$(api "collections/$uuid" | jq -r .owner_uuid)" "$project"
    echo two >tree/two
    assert_equal "$(arv_put tree/ --update-collection "$uuid")" "$uuid"
    arv_get "$uuid/" out/
    diff -r tree out
    assert_json '.version == 2 and .file_count == 2' "$(api "collections/$uuid")"
    # A name that is taken gets the time behind it.
    local again
    again=$(arv_put tree/one --project-uuid "$project" --name run)
    api "collections/$again" | jq -r .name | grep -qE '^run \(20..-..-..T.*Z\)$'
    run ! arv_put tree/one --project-uuid "${project%????}0000"
    assert_output 'not found'
}

@test "an upload that was ended goes on with what is stored already" {
    arv_site site
    mkdir tree
    random_file tree/file 200M
    "$ARVADOS/arv-put" --no-progress --retries 1 --threads 1 tree/ --name resumed 2>put.err 3>&- &
    local pid=$! uuid
    wait_until 60 has_blocks
    kill "$pid"
    wait "$pid" || true
    assert_equal "$(api collections | jq .items_available)" 0
    uuid=$(arv_put tree/ --name resumed 2>put.err)
    grep -q 'Resuming upload from cache file' put.err
    arv_get "$uuid/" out/
    diff -r tree out
}

has_blocks() { [ -n "$(node_files)" ]; }

@test "an upload whose client and daemon are killed begins again and ends well" {
    arv_site site
    random_file file 100M
    "$ARVADOS/arv-put" --no-progress --retries 1 file 2>put.err 3>&- &
    local pid=$! uuid
    wait_until 60 has_blocks
    kill -KILL "$pid" "$DAEMON_PID"
    # Not by `run`: its subshell has no children, so it would not wait, and the next daemon would find the first alive.
    wait "$pid" || true
    wait "$DAEMON_PID" || true
    arv_daemon
    uuid=$(arv_put file)
    arv_get "$uuid/file" - | cmp - file
}

@test "a collection is copied from one site to another, by its UUID and by its hash" {
    arv_site one
    arv_config
    local source=$CLUSTER uuid hash copied
    make_tree
    uuid=$(arv_put tree/ --name travels)
    hash=$(api "collections/$uuid" | jq -r .portable_data_hash)
    arv_site two
    arv_config
    [ "$CLUSTER" != "$source" ]
    copied=$(arv_copy --src "$source" --dst "$CLUSTER" "$uuid" | tail -1)
    [[ $copied == "$CLUSTER"-4zz18-* ]]
    arv_get "$copied/" out/
    diff -r tree out
    assert_json '.name | startswith("travels")' "$(api "collections/$copied")"
    arv_copy --src "$source" --dst "$CLUSTER" "$hash"
    arv_get "$hash/hello" - | cmp - tree/hello
}

@test "the library makes, reads and changes collections" {
    arv_site site
    "$ARVADOS/python" - <<'END'
import arvados, arvados.collection

c = arvados.collection.Collection()
with c.open("dir/file", "wb") as f:
    f.write(b"x" * 1000 + b"end")
with c.open("other", "w") as f:
    f.write("text")
uuid = c.save_new(name="made by the library", properties={"type": "log", "n": 1})
assert uuid is not None
uuid = c.manifest_locator()

again = arvados.collection.Collection(uuid)
with again.open("dir/file", "rb") as f:
    f.seek(1000)
    assert f.read() == b"end"
again.copy("other", "dir/copy")
again.rename("other", "renamed")
again.remove("dir/file")
with again.open("renamed", "a") as f:
    f.write(" and more")
again.save(properties={"type": "data"})

last = arvados.collection.CollectionReader(uuid)
assert sorted(last.keys()) == ["dir", "renamed"], list(last.keys())
assert last.open("renamed").read() == "text and more"
assert last.open("dir/copy").read() == "text"

# Two who change the same collection: both changes are there.
a, b = arvados.collection.Collection(uuid), arvados.collection.Collection(uuid)
with a.open("from-a", "w") as f:
    f.write("a")
with b.open("from-b", "w") as f:
    f.write("b")
a.save()
b.save()
last = arvados.collection.CollectionReader(uuid)
assert {"from-a", "from-b"} <= set(last.keys())

# The API itself: projects, filters, order, pages, trash.
api = arvados.api("v1")
me = api.users().current().execute()
assert me["username"] == "alice" and me["is_active"] and not me["is_admin"]
token = api.api_client_authorizations().current().execute()
assert token["owner_uuid"] == me["uuid"]
project = api.groups().create(body={"group": {"name": "p", "group_class": "project"}}).execute()
for number in range(7):
    api.collections().create(body={"collection": {
        "name": "c%d" % number, "owner_uuid": project["uuid"], "properties": {"even": str(number % 2 == 0)}}}).execute()
mine = [["owner_uuid", "=", project["uuid"]]]
found = api.collections().list(filters=mine + [["properties.even", "=", "True"]], order="name desc").execute()
assert [c["name"] for c in found["items"]] == ["c6", "c4", "c2", "c0"], found
assert "manifest_text" not in found["items"][0]
names = [c["name"] for c in arvados.util.keyset_list_all(api.collections().list, filters=mine, limit=3)]
assert sorted(names) == ["c%d" % n for n in range(7)], names
page = api.collections().list(filters=mine, order="name", limit=2, offset=3, select=["name"], count="none").execute()
assert [c["name"] for c in page["items"]] == ["c3", "c4"] and "items_available" not in page
first = api.collections().list(filters=mine, order=["name asc"], limit=1).execute()["items"][0]["uuid"]
api.collections().delete(uuid=first).execute()
assert api.collections().list(filters=mine).execute()["items_available"] == 6
trashed = api.collections().list(filters=mine, include_trash=True).execute()
assert trashed["items_available"] == 7
try:
    api.collections().get(uuid=first).execute()
    assert False
except arvados.errors.ApiError as error:
    assert error.resp.status == 404
api.collections().untrash(uuid=first).execute()
assert api.collections().get(uuid=first).execute()["is_trashed"] is False
# A filter so long that the client sends it as a POST that is none.
long = api.collections().list(filters=mine + [["name", "in", ["c1"] + ["nobody-%d" % n for n in range(400)]]]).execute()
assert [c["name"] for c in long["items"]] == ["c1"]
assert api.collections().list(filters=mine).execute()["items_available"] == 7
# A project in the trash takes along what is in it.
api.groups().trash(uuid=project["uuid"]).execute()
assert api.collections().list(filters=mine).execute()["items_available"] == 0
api.groups().untrash(uuid=project["uuid"]).execute()
assert api.collections().list(filters=mine).execute()["items_available"] == 7
END
}

@test "what one client calls by form and another by JSON is the same, and errors say what is wrong" {
    arv_site site
    local uuid
    uuid=$(api collections --data-urlencode 'collection={"name": "by form"}' | jq -r .uuid)
    assert_equal "$(api "collections/$uuid" | jq -r .name)" 'by form'
    assert_equal "$(post collections '{"name": "bare"}' | jq -r .name)" bare
    assert_equal "$(post "collections/$uuid" '{"collection": {"description": "d"}}' -X PATCH | jq -r .description)" d
    assert_equal "$(post "collections/$uuid?_method=PUT" '{"description": "e"}' | jq -r .description)" e
    assert_equal "$(api_status collections/x)" 404
    assert_json '.errors[0] == "x: not found" and (.error_token | test("^[0-9]+[+][0-9a-f]{8}$"))' "$(cat answer)"
    assert_equal "$(api_status nonsense)" 404
    assert_equal "$(api_status 'collections?filters=x')" 422
    assert_equal "$(ARVADOS_API_TOKEN=v2/x/y api_status collections)" 401
    assert_equal "$(ARVADOS_API_TOKEN='' api_status users/current)" 401
    for text in 'x' '. 0:0:x\n' '. d41d8cd98f00b204e9800998ecf8427e+0 0:1:x\n' '. d41d8cd98f00b204e9800998ecf8427e+0 0:0:../x\n'; do
        assert_equal "$(post collections "{\"manifest_text\": \"$text\"}" -o answer -w '%{http_code}')" 422 "$text"
        assert_json '.errors[0] | startswith("Manifest invalid for stream 1: ")' "$(cat answer)"
    done
    assert_equal "$(post collections '{"name": "bare"}' -o answer -w '%{http_code}')" 422
    assert_equal "$(post collections 'x' -o answer -w '%{http_code}')" 422
    assert_equal "$(post collections '{"manifest_text": "", "portable_data_hash": "d41d8cd98f00b204e9800998ecf8427f+0"}' \
        -o answer -w '%{http_code}')" 422
}

@test "a collection of 10,000 files" {
    arv_site site
    mkdir tree
    "$ARVADOS/python" - <<'END'
import os
for d in range(100):
    os.mkdir("tree/d%d" % d)
    for f in range(100):
        open("tree/d%d/file %d" % (d, f), "w").write("%d %d" % (d, f))
END
    local uuid
    uuid=$(arv_put --no-cache tree/)
    assert_json '.file_count == 10000' "$(api "collections/$uuid")"
    arv_get "$uuid/" out/
    diff -r tree out
    assert_equal "$(arv_ls "$uuid" | wc -l)" 10000
}

@test "a large file (ANNEX_KEEP_TEST_ARV_SIZE, as head -c takes it)" {
    on_disk
    isolate
    arv_site site
    local uuid
    random_file large "${ANNEX_KEEP_TEST_ARV_SIZE:-200M}"
    uuid=$(arv_put --no-cache large)
    arv_get "$uuid/large" - | cmp - large
    [ "$(resident_peak "$DAEMON_PID")" -lt 1500000 ] || fail "memory: $(resident_peak "$DAEMON_PID") KiB"
}

@test "what a collection needs is no garbage until the collection is gone for good" {
    arv_site site
    sed -i 's/^signature_seconds = .*/signature_seconds = 2/; s/^trash_seconds = .*/trash_seconds = 2/' \
        "$SITE/annex-keep.toml"
    stop_daemon
    arv_daemon
    random_file file 100000
    printf x >loose
    local uuid block
    uuid=$(arv_put file)
    arv_put --raw loose >/dev/null
    block=$(md5sum <file | cut -d ' ' -f 1)
    is_there() { [ -n "$(find "$SITE/nodes" -name "$1" -print -quit)" ]; }
    loose_is_gone() { annex-keep gc --site "$SITE" >/dev/null && ! is_there "$(md5sum <loose | cut -d ' ' -f 1)"; }
    wait_until 20 loose_is_gone
    is_there "$block"
    assert_equal "$(arv_get "$uuid/file" - | md5sum | cut -d ' ' -f 1)" "$block"
    # In the trash it can still be brought back; after its time there it is gone, and its blocks with it.
    api "collections/$uuid" -X DELETE -o answer
    annex-keep gc --site "$SITE"
    is_there "$block"
    all_is_gone() { annex-keep gc --site "$SITE" >/dev/null && ! is_there "$block"; }
    wait_until 20 all_is_gone
    assert_equal "$(api_status "collections/$uuid/untrash" -X POST)" 404
    assert_equal "$(api 'collections?include_trash=true' | jq .items_available)" 0
}

@test "paths of a collection are moved, copied and removed by the server" {
    arv_site site
    make_tree
    local uuid other hash
    uuid=$(arv_put tree/)
    printf other >other
    other=$(arv_put other)
    hash=$(api "collections/$other" | jq -r .portable_data_hash)
    post "collections/$uuid" "$(jq -n --arg other "$hash/other" '{replace_files: {
        "/moved": "current/deep", "/deep": "", "/copied/hello": "current/hello", "/from/another": $other}}')" -X PUT -o answer
    assert_json '.file_count == 7' "$(cat answer)"
    arv_get "$uuid/" out/
    diff -r tree/deep out/moved
    [ ! -e out/deep ]
    assert_same tree/hello out/copied/hello
    assert_same other out/from/another
    # What the caller may not read is not found, and then nothing changes.
    arv_user bob write
    arv_as bob
    assert_equal "$(post collections "$(jq -n --arg other "$hash/other" '{replace_files: {"/x": $other}}')" \
        -o answer -w '%{http_code}')" 404
    assert_equal "$(post collections '{"replace_files": {"/x": "current/nothing"}}' -o answer -w '%{http_code}')" 422
    assert_equal "$(api collections | jq .items_available)" 0
}

@test "the daemon is killed and nothing that was stored is lost" {
    arv_site site
    echo kept >file
    local uuid
    uuid=$(arv_put file)
    stop_daemon KILL
    arv_daemon
    arv_get "$uuid/file" - | cmp - file
}
