#!/usr/bin/env bats
# git-annex's own test of a special remote, whole: 573 tests a run, each of them with and without encryption, and with
# chunks of 1 KiB to 1 MiB. ANNEX_KEEP_TEST_FAST=1 takes its short form, for work on something else.

load lib
load special_remote

test_remote() {
    local form=()
    [ -z "${ANNEX_KEEP_TEST_FAST:-}" ] || form=(--fast)
    make_repo a
    cd a || return
    git annex initremote -q k type=external externaltype=keep store="$TMP/store" "$@"
    git annex testremote "${form[@]}" k >log 2>&1 || fail "$(tail -n 40 log)"
    grep -qE 'All [0-9]+ tests passed' log
}

@test "encryption=none" { test_remote encryption=none; }
@test "encryption=shared" { test_remote encryption=shared; }
@test "chunk=1MiB" { test_remote encryption=none chunk=1MiB; }
@test "encryption=shared chunk=1MiB" { test_remote encryption=shared chunk=1MiB; }
