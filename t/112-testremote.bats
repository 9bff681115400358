#!/usr/bin/env bats
# git-annex's own test of a special remote, whole: 573 tests a run. It calls gpg once for each of thousands of chunks of
# its files of a megabyte, which takes many minutes where encryption is set up: there the files have 500 bytes, and a
# hundred chunks at most. ANNEX_KEEP_TEST_SLOW=1: a megabyte everywhere.

load lib
load special_remote

# test_remote [SIZE] -- [ARG]...: git-annex's tests, with files of about SIZE, of a remote with these settings.
test_remote() {
    local size=()
    if [ "$1" != -- ]; then
        [ -n "${ANNEX_KEEP_TEST_SLOW:-}" ] || size=(--size="$1")
        shift
    fi
    shift
    make_repo a
    cd a || return
    git annex initremote -q k type=external externaltype=keep store="$TMP/store" "$@"
    git annex testremote "${size[@]}" k >log 2>&1 || fail "$(tail -n 40 log)"
    grep -qE 'All [0-9]+ tests passed' log
}

@test "encryption=none" { test_remote -- encryption=none; }
@test "encryption=shared" { test_remote 500B -- encryption=shared; }
@test "chunk=1MiB" { test_remote -- encryption=none chunk=1MiB; }
@test "encryption=shared chunk=1MiB" { test_remote 500B -- encryption=shared chunk=1MiB; }
