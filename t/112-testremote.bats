#!/usr/bin/env bats
# git-annex's own test of a special remote. Whole it takes minutes a run, since it calls gpg once for each of thousands of
# chunks: without ANNEX_KEEP_TEST_SLOW=1 it is the short form.

load lib
load special_remote

test_remote() {
    local fast=
    [ -z "${ANNEX_KEEP_TEST_SLOW:-}" ] || unset fast
    make_repo a
    cd a
    git annex initremote -q k type=external externaltype=keep store="$TMP/store" "$@"
    git annex testremote ${fast+--fast} k >log 2>&1 || fail "$(tail -n 40 log)"
    grep -qE 'All [0-9]+ tests passed' log
}

@test "encryption=none" { test_remote encryption=none; }
@test "encryption=shared" { test_remote encryption=shared; }
@test "chunk=1MiB" { test_remote encryption=none chunk=1MiB; }
@test "encryption=shared chunk=1MiB" { test_remote encryption=shared chunk=1MiB; }
