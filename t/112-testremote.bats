#!/usr/bin/env bats
# git-annex's own test of a special remote, whole: 573 tests a run, of all sizes, with and without chunks (up to two
# thousand a file), with and without encryption. Three of the runs take minutes each with files of a megabyte, and get
# files of 500 bytes instead unless ANNEX_KEEP_TEST_FULL=1.

load lib
load special_remote

test_remote() {
    local size=$1
    shift
    [ -z "${ANNEX_KEEP_TEST_FULL:-}" ] || size=1MiB
    # gpg takes a tenth of a second to make a key out of a passphrase, unless told not to.
    mkdir "$HOME/.gnupg"
    chmod 700 "$HOME/.gnupg"
    echo 's2k-mode 0' >"$HOME/.gnupg/gpg.conf"
    make_repo a
    cd a || return
    git annex initremote -q k type=external externaltype=keep store="$TMP/store" "$@"
    git annex testremote --size="$size" k >log 2>&1 || fail "$(tail -n 40 log)"
    grep -qE 'All [0-9]+ tests passed' log
}

@test "encryption=none" { test_remote 1MiB encryption=none; }
@test "encryption=shared" { test_remote 500B encryption=shared; }
@test "chunk=1MiB" { test_remote 500B encryption=none chunk=1MiB; }
@test "encryption=shared chunk=1MiB" { test_remote 500B encryption=shared chunk=1MiB; }
