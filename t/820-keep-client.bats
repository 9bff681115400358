#!/usr/bin/env bats
# Keep servers and a whole cluster as git-annex's special remote: a site's Keep door, and its Arvados API.

load lib
load special_remote
# shellcheck source=t/arv.bash
. "$ROOT/t/arv.bash"
load keep_client

test_remote() {
    start_keep
    start_keep_repo a "$@"
    git annex testremote --fast --size=100KiB k >log 2>&1 || fail "$(tail -n 40 log)"
    grep -qE 'All [0-9]+ tests passed' log
}

@test "git-annex's own test of keep=" { test_remote; }
@test "git-annex's own test of keep= exporttree=yes" { test_remote exporttree=yes; }
@test "git-annex's own test of api=" { ON=api test_remote; }
@test "git-annex's own test of api= exporttree=yes" { ON=api test_remote exporttree=yes; }

# One file of more than a block, one empty, several at once; into a clone that knows the git-annex branch and the token.
everything() {
    start_keep
    start_keep_repo a
    local i
    for i in 1 2 3; do add_file "f$i" 100K; done
    add_file big 70M
    : >empty
    git annex add -q empty
    git commit -q -m empty
    git annex copy -q -J3 --to k
    assert_whereis big here k
    # The token is on this machine, and nowhere in the repository.
    run -1 git grep -F "${ARVADOS_API_TOKEN##*/}" git-annex
    cp --dereference big f1 "$TMP"
    # It is kept, so that the environment need not have it.
    (unset ARVADOS_API_TOKEN && git annex drop -q f2 && git annex get -q f2)
    clone_keep_repo a b
    git annex get -q -J3 --from k
    assert_same big "$TMP/big"
    assert_same f1 "$TMP/f1"
    git annex fsck -q
    git annex fsck -q --from k
}

@test "keep=: a fresh clone reads everything by the git-annex branch alone" { everything; }
@test "api=: a fresh clone reads everything" { ON=api everything; }

@test "without a server nothing is known to be absent" {
    start_keep
    start_keep_repo a
    add_file f 100K
    git annex copy -q --to k
    stop_daemon
    assert_equal "$(check_key f)" unknown
    run ! git annex drop f
    has_content f
    start_daemon
    assert_equal "$(check_key f)" present
    git annex drop -q f
    git annex get -q f
}

@test "a token that is refused is named, and nothing counts as stored" {
    start_keep
    start_keep_repo a
    add_file f 100K
    ARVADOS_API_TOKEN=v2/zzzzz-gj3su-000000000000000/wrong run git annex copy --to k f
    [ "$status" -ne 0 ]
    assert_output "401"
    assert_whereis f here
    git annex copy -q --to k f
}

@test "a certificate that nobody vouches for is refused, and cafile= vouches" {
    start_keep
    unset SSL_CERT_FILE
    make_repo a
    cd a
    init_remote
    add_file f 10K
    run ! git annex copy --to k f
    git annex enableremote -q k cafile="$TMP/ca.pem"
    git annex copy -q --to k f
}

@test "a drop takes a key away, and storing it again brings it back" {
    start_keep
    for ON in keep api; do
        start_keep_repo "$ON"
        add_file f 100K
        git annex copy -q --to k
        git annex drop -q --from k f
        assert_equal "$(check_key f)" absent
        git annex copy -q --to k f
        assert_equal "$(check_key f)" present
    done
}

@test "api=: keys are files of few collections, which arv-get reads, and a drop takes them out" {
    start_keep
    ON=api start_keep_repo a
    local i key
    for i in $(seq 12); do
        random_file "f$i" 10K
        git annex add -q "f$i"
    done
    git commit -q -m files
    git annex copy -q --to k
    [ "$(collections | wc -l)" -le 4 ]
    assert_equal "$(collections | awk '{ n += $1 } END { print n }')" 12
    key=$(annex_key f1)
    run git annex whereis f1
    assert_output "collection"
    i=$(collections | tail -1 | cut -d' ' -f2)
    arv_get "$i/" "$TMP/out/"
    for key in "$TMP"/out/*; do assert_equal "SHA256E-s10240--$(sha256sum <"$key" | cut -d' ' -f1)" "${key##*/}"; done
    git annex drop -q --from k f1 f2 f3
    assert_equal "$(collections | awk '{ n += $1 } END { print n }')" 9
    git annex fsck -q --from k
}

@test "api=: clones that store and drop at once lose nothing" {
    start_keep
    ON=api start_keep_repo a
    local clone i
    for clone in b c; do (clone_keep_repo a $clone); done
    for clone in a b c; do
        cd "$TMP/$clone"
        for i in $(seq 8); do random_file "$clone$i" 5K; done
        git annex add -q .
        git commit -q -m "$clone"
    done
    local pids=()
    for clone in a b c; do
        (cd "$TMP/$clone" && git annex copy -q -J2 --to k . && git annex drop -q --from k "${clone}1") 3>&- &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
    for clone in a b c; do
        cd "$TMP/$clone"
        for i in $(seq 2 8); do assert_equal "$(check_key "$clone$i")" present; done
        git annex drop -q "${clone}2"
        git annex get -q "${clone}2"
    done
}

@test "api=: a project of one's choice, and a collection for each key" {
    start_keep
    local project
    project=$(post groups '{"name": "ours", "group_class": "project"}' | jq -re .uuid)
    ON=api start_keep_repo a project="$project" collections=key
    add_file f 10K
    add_file g 10K
    git annex copy -q --to k
    # shellcheck disable=SC2016 # jq's variable
    assert_json '.items | length == 2 and all(.owner_uuid == $project)' "$(api collections)" --arg project "$project"
    git annex drop -q --from k f
    assert_equal "$(collections | wc -l)" 1
    git annex drop -q g
    git annex get -q g
    run ! git annex initremote x type=external externaltype=keep encryption=none api="$KEEP" project=nothing
}
