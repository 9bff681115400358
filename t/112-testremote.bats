#!/usr/bin/env bats
# git-annex's own test of a special remote, whole.

load lib
load special_remote

test_remote() {
    make_repo a
    cd a
    git annex initremote -q k type=external externaltype=keep store="$TMP/store" "$@"
    git annex testremote k >log 2>&1 || fail "$(tail -n 40 log)"
    grep -qE 'All [0-9]+ tests passed' log
}

@test "encryption=none" { test_remote encryption=none; }
@test "encryption=shared" { test_remote encryption=shared; }
@test "chunk=1MiB" { test_remote encryption=none chunk=1MiB; }
@test "encryption=shared chunk=1MiB" { test_remote encryption=shared chunk=1MiB; }
