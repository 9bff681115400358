#!/usr/bin/env bats
# git-annex's own test of a special remote, whole: 573 tests a run, of all sizes, with and without chunks (up to two
# thousand a file), with and without encryption. ANNEX_KEEP_TEST_FAST=1: files of 500 bytes instead of a megabyte.

load lib
load special_remote

test_remote() {
    local size=1MiB
    [ -z "${ANNEX_KEEP_TEST_FAST:-}" ] || size=500B
    # gpg takes a tenth of a second to make a key out of a passphrase, unless told not to.
    mkdir "$HOME/.gnupg"
    chmod 700 "$HOME/.gnupg"
    echo 's2k-mode 0' >"$HOME/.gnupg/gpg.conf"
    make_repo a
    cd a || return
    git annex initremote -q k type=external externaltype=keep store="$TMP/store" "$@"
    git annex testremote --size=$size k >log 2>&1 || fail "$(tail -n 40 log)"
    grep -qE 'All [0-9]+ tests passed' log
}

@test "encryption=none" { test_remote encryption=none; }
@test "encryption=shared" { test_remote encryption=shared; }
@test "chunk=1MiB" { test_remote encryption=none chunk=1MiB; }
@test "encryption=shared chunk=1MiB" { test_remote encryption=shared chunk=1MiB; }
