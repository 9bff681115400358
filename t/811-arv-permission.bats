#!/usr/bin/env bats
# Who may do what with collections: tokens, signatures, roles, shared things; and blocks that nobody may claim.
load lib
# shellcheck source=t/arv.bash
. "$ROOT/t/arv.bash"

# saved MANIFEST: tries to make a collection of a manifest; prints the status, the answer is in $TMP/answer.
saved() {
    post collections "$(jq -n --arg text "$1" '{manifest_text: $text}')" -o "$TMP/answer" -w '%{http_code}'
}

# manifest_of UUID: a collection's manifest as the caller sees it.
manifest_of() { api "collections/$1" | jq -rj '.manifest_text + "."' | sed '$ s/\.$//'; }

# with_line_feed TEXT: what command substitution took off.
saved_line() { saved "$1"$'\n'; }

@test "everybody may ask where keep services are, and nobody's body is read for that" {
    arv_site site
    local path
    asked() { curl -sS --http1.1 --max-time 30 --cacert "$SSL_CERT_FILE" -o answer -w '%{http_code}' "$HTTP/arvados/v1/$1" "${@:2}"; }
    for path in keep_services/accessible config; do
        assert_equal "$(asked "$path" -H 'Authorization: Bearer xxx')" 200
        assert_equal "$(asked "$path" -I)" 200
        # A megabyte is announced, and never comes.
        assert_equal "$(asked "$path" -X POST -H 'Content-Length: 1000000')" 404
    done
    assert_equal "$(asked keep_services)" 401
}

@test "who knows a block's hash cannot have it by a manifest" {
    arv_site site
    arv_user bob write
    printf secret >file
    local uuid signed plain
    uuid=$(arv_put file)
    signed=$(manifest_of "$uuid")
    plain=$(sed -E 's/\+A[0-9a-f]{40}@[0-9a-f]{8}//' <<<"$signed")
    # Alice herself saves it with her own signature, and not without.
    assert_equal "$(saved_line "$signed")" 200
    assert_equal "$(saved_line "$plain")" 403
    arv_as bob
    assert_equal "$(saved_line "$plain")" 403
    assert_json '.errors[0] | test("Permission denied: block 5ebe2294ecd0e0f08eab7690d2a6ee69.6: the locator is not signed")' \
        "$(cat answer)"
    assert_equal "$(saved_line "$signed")" 403
    assert_json '.errors[0] | test("invalid signature")' "$(cat answer)"
    local made_up
    made_up="+A$(printf '%040d' 1)@7fffffff"
    assert_equal "$(saved_line "${plain/+6 /+6$made_up }")" 403
    # His own block beside it does not help, and nothing was saved.
    printf own >own
    arv_put --raw own >locator
    assert_equal "$(saved_line "${plain/ 5ebe/ $(cat locator) 5ebe}")" 403
    assert_equal "$(saved_line ". $(cat locator) 0:3:own")" 200
    assert_equal "$(api collections | jq .items_available)" 1
    # Nor does an update of what is his.
    local mine
    mine=$(jq -r .uuid answer)
    assert_equal "$(post "collections/$mine" "$(jq -n --arg text "$plain"$'\n' '{manifest_text: $text}')" -X PUT \
        -o answer -w '%{http_code}')" 403
    # He who cannot see the collection finds it neither by UUID nor by hash.
    assert_equal "$(api_status "collections/$uuid")" 404
    assert_equal "$(api_status "collections/$(ARVADOS_API_TOKEN=$(cat "$SITE.alice") api "collections/$uuid" |
        jq -r '.portable_data_hash | @uri')")" 404
    run ! arv_get "$uuid/file" -
}

@test "what is in a collection already may stay there without a signature" {
    arv_site site
    printf one >one
    local uuid plain
    uuid=$(arv_put one)
    plain=$(manifest_of "$uuid" | sed -E 's/\+A[0-9a-f]{40}@[0-9a-f]{8}//; s/:one$/:renamed/')
    assert_equal "$(post "collections/$uuid" "$(jq -n --arg text "$plain"$'\n' '{manifest_text: $text}')" -X PUT \
        -o answer -w '%{http_code}')" 200
    assert_equal "$(arv_get "$uuid/renamed" -)" one
}

@test "a signature ends, and a collection gives a new one" {
    arv_site site
    sed -i 's/^signature_seconds = .*/signature_seconds = 3/' "$SITE/annex-keep.toml"
    stop_daemon
    arv_daemon
    printf lasting >file
    local uuid signed
    uuid=$(arv_put file)
    signed=$(manifest_of "$uuid")
    sleep 5
    assert_equal "$(saved_line "$signed")" 403
    assert_json '.errors[0] | test("expired")' "$(cat answer)"
    local locator
    locator=$(grep -oE '[0-9a-f]{32}\+7\+A[0-9a-f@]+' <<<"$signed")
    assert_equal "$(curl -sS --cacert "$SSL_CERT_FILE" -H "Authorization: Bearer $ARVADOS_API_TOKEN" -o body \
        -w '%{http_code}' "$HTTP/$locator")" 401
    assert_equal "$(arv_get "$uuid/file" -)" lasting
}

@test "blocks that no store has are refused" {
    arv_site site admin
    assert_equal "$(saved_line '. aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa+3 0:3:x')" 422
    assert_json '.errors[0] | test("1 blocks are in no store of this site: a{32}.3")' "$(cat answer)"
    assert_equal "$(saved_line '. d41d8cd98f00b204e9800998ecf8427e+3 0:3:x')" 422
    assert_equal "$(saved_line '. d41d8cd98f00b204e9800998ecf8427e+0 0:0:x')" 200
    # Another size is another claim.
    printf abc >file
    arv_put --raw file >locator
    assert_equal "$(saved_line ". $(sed 's/+3+/+4+/' locator) 0:4:x")" 422
}

@test "a role says what its user may do at all" {
    arv_site site
    arv_user reader read
    arv_user appender append
    arv_user nobody none
    arv_user boss admin
    echo x >file
    local uuid
    uuid=$(arv_put file)
    arv_as reader
    assert_equal "$(api_status collections)" 200
    assert_equal "$(saved '')" 403
    assert_json '.errors[0] | test("the role is read, and append is needed")' "$(cat answer)"
    arv_as appender
    local own
    own=$(arv_put --no-cache file)
    assert_equal "$(post "collections/$own" '{"name": "y"}' -X PUT -o answer -w '%{http_code}')" 403
    assert_equal "$(api_status "collections/$own" -X DELETE)" 403
    assert_equal "$(arv_get "$own/file" -)" x
    arv_as nobody
    assert_equal "$(api_status collections)" 403
    arv_as boss
    assert_equal "$(api collections | jq .items_available)" 2
    assert_equal "$(arv_get "$uuid/file" -)" x
    assert_equal "$(post "collections/$uuid" '{"name": "by the boss"}' -X PUT | jq -r .name)" 'by the boss'
    # A token that was revoked is none.
    arv_as alice
    local id
    id=$(annex-keep user tokens alice --site "$SITE" --json | jq -r .id)
    annex-keep user revoke "$id" --site "$SITE"
    assert_equal "$(api_status collections)" 401
}

@test "what is shared by a link can be read, and what is linked no more cannot" {
    arv_site site
    arv_user bob write
    arv_user carol write
    local project uuid bob link everybody
    project=$(post groups '{"name": "shared", "group_class": "project"}' | jq -r .uuid)
    echo shared >file
    uuid=$(arv_put file --project-uuid "$project")
    arv_as bob
    bob=$(api users/current | jq -r .uuid)
    assert_equal "$(api_status "collections/$uuid")" 404
    # Nobody shares what is not theirs.
    share() {
        post links "{\"link_class\": \"permission\", \"name\": \"$1\", \"tail_uuid\": \"$2\", \"head_uuid\": \"$3\"}" \
            -o answer -w '%{http_code}'
    }
    assert_equal "$(share can_manage "$bob" "$project")" 404
    arv_as alice
    assert_equal "$(share can_read "$bob" "$project")" 200
    link=$(jq -r .uuid answer)
    arv_as bob
    assert_equal "$(arv_get "$uuid/file" -)" shared
    # What he may read he may save as his own.
    assert_equal "$(saved_line "$(manifest_of "$uuid")")" 200
    assert_equal "$(post "collections/$uuid" '{"name": "y"}' -X PUT -o answer -w '%{http_code}')" 403
    assert_equal "$(api_status "links/$link" -X DELETE)" 403
    assert_equal "$(share can_read "$bob" "$uuid")" 403
    arv_as carol
    assert_equal "$(api_status "collections/$uuid")" 404
    assert_equal "$(api_status "links/$link")" 404
    arv_as alice
    assert_equal "$(api_status "links/$link" -X DELETE)" 200
    everybody=${bob%%-*}-j7d0g-fffffffffffffff
    assert_equal "$(share can_write "$everybody" "$uuid")" 200
    arv_as carol
    assert_equal "$(post "collections/$uuid" '{"name": "by carol"}' -X PUT -o answer -w '%{http_code}')" 200
    # But not take it.
    assert_equal "$(post "collections/$uuid" "{\"owner_uuid\": \"$(api users/current | jq -r .uuid)\"}" -X PUT \
        -o answer -w '%{http_code}')" 403
}

@test "a collection in the trash gives no signatures, and comes back with its blocks" {
    arv_site site
    echo trashed >file
    local uuid
    uuid=$(arv_put file)
    assert_json '.is_trashed and .trash_at != null and .delete_at != null' "$(api "collections/$uuid" -X DELETE)"
    assert_equal "$(api_status "collections/$uuid")" 404
    run ! grep -q '+A' <(api "collections/$uuid?include_trash=true" | jq -r .manifest_text)
    run ! arv_get "$uuid/file" -
    assert_equal "$(post "collections/$uuid" '{"name": "y"}' -X PUT -o answer -w '%{http_code}')" 422
    assert_json '.is_trashed | not' "$(api "collections/$uuid/untrash" -X POST)"
    assert_equal "$(arv_get "$uuid/file" -)" trashed
}
