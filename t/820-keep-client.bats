#!/usr/bin/env bats
# Keep servers as git-annex's special remote: the Keep door of a site, by its address.

load lib
load special_remote

# start_keep: a site that serves Keep, and a token of somebody who may write. Sets KEEP and ARVADOS_API_TOKEN.
start_keep() {
    new_site "$@"
    start_daemon
    annex-keep user add alice --site "$SITE" --role write
    ARVADOS_API_TOKEN=$(annex-keep user token alice --site "$SITE")
    export ARVADOS_API_TOKEN
    KEEP=$HTTP
}

init_servers() { git annex initremote -q k type=external externaltype=keep encryption=none keep="$KEEP" "$@"; }

# start_keep_repo NAME [ARG]...: makes a repository with the special remote `k` on the servers, and goes there.
start_keep_repo() {
    make_repo "$TMP/$1"
    cd "$TMP/$1" || return
    init_servers "${@:2}"
}

@test "git-annex's own test of a special remote" {
    start_keep
    start_keep_repo a exporttree=yes
    git annex testremote --fast --size=300KiB k >log 2>&1 || fail "$(tail -n 40 log)"
    grep -qE 'All [0-9]+ tests passed' log
}

@test "a fresh clone reads everything by the git-annex branch alone" {
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
    run ! git grep -qF "${ARVADOS_API_TOKEN##*/}" git-annex
    unset ARVADOS_API_TOKEN
    git annex drop -q
    git annex get -q big
    cp --dereference big "$TMP/big"
    git clone -q "$TMP/a" "$TMP/b"
    cd "$TMP/b"
    git annex init -q b
    ARVADOS_API_TOKEN=$(annex-keep user token alice --site "$SITE")
    export ARVADOS_API_TOKEN
    run -0 git annex enableremote k
    git annex verifyremote k --safe "$(grep -o -- '--safe [0-9]*' <<<"$output" | cut -d' ' -f2)"
    rm -rf "$TMP/a/.git/annex/creds"
    if git annex get -q --from k; then assert_same big "$TMP/big"; fi
}

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

@test "a drop takes a key away, and its state" {
    start_keep
    start_keep_repo a
    add_file f 100K
    git annex copy -q --to k
    git annex drop -q --from k f
    assert_equal "$(check_key f)" absent
    run ! git annex get --from k f --force
    git annex copy -q --to k f
    assert_equal "$(check_key f)" present
}
