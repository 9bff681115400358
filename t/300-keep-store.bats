#!/usr/bin/env bats
# The Keep store from the command line: annex-keep keep put|get|ls|index|status|reindex|trash|untrash.
load lib

# make_store: a store with the entries one and two, which share a block.
make_store() {
    head -c 100000 /dev/urandom >one
    cat one >two
    head -c 50000 /dev/urandom >>two
    annex-keep keep put store --create --block-size 100000 one two >put.out
}

# locator NAME: the locator of an entry's manifest.
locator() { awk -v name="$1" '$1 == name { print $3 }' put.out; }

@test "contents come back as they went, equal blocks are stored once" {
    make_store
    annex-keep keep get store one | cmp - one
    annex-keep keep get store two -o got
    cmp got two
    annex-keep keep get store two --offset 120000 | cmp - <(tail -c +120001 two)
    annex-keep keep put store --name three <one
    annex-keep keep get store three | cmp - one
    [ "$(annex-keep keep status store --json | jq '[.entries, .blocks, .trash, .damaged] | tostring')" = '"[3,5,0,0]"' ]
}

@test "a block comes back by its locator, named as md5sum names it" {
    make_store
    block=$(md5sum <one | cut -d ' ' -f 1)+100000
    annex-keep keep get store "$block" | cmp - one
    [ -f "store/${block:0:3}/${block:0:32}" ]
    run -1 annex-keep keep get store "${block:0:32}+99999"
    [[ $output = *"100000 bytes"* ]]
    annex-keep keep get store "$block" | cmp - one
}

@test "the index has a keepstore's form and ends in an empty line" {
    make_store
    annex-keep keep index store >listing
    [ "$(tail -n 1 listing)" = "" ]
    [ "$(grep -cE '^[0-9a-f]{32}\+[0-9]+ [0-9]{19}$' listing)" = 4 ]
    block=$(md5sum <one | cut -d ' ' -f 1)
    annex-keep keep index store "${block:0:5}" | grep -q "^$block+100000 "
    run -2 annex-keep keep index store XYZ
}

@test "the manifest that put names is a Keep manifest, and its portable data hash is right" {
    make_store
    annex-keep keep get store "$(locator two)" >manifest
    grep -qE '^\./annex-keep/files [0-9a-f]{32}\+100000\+A[0-9a-f]{40}@ffffffff [0-9a-f]{32}\+50000\+A[0-9a-f]{40}@ffffffff 0:150000:two$' manifest
    stripped=$(sed -E 's/\+A[0-9a-f]{40}@[0-9a-f]{8}//g' manifest | tee stripped | md5sum | cut -d ' ' -f 1)
    [ "$(awk '$1 == "two" { print $4 }' put.out)" = "$stripped+$(wc -c <stripped)" ]
}

@test "a deleted index is rebuilt from the blocks alone" {
    make_store
    annex-keep keep ls store --json >before
    rm store/.annex-keep/index.db*
    run -1 annex-keep keep ls store
    [[ $output = *reindex* ]]
    annex-keep keep reindex store
    annex-keep keep ls store --json | jq -c 'del(.stored)' | cmp - <(jq -c 'del(.stored)' before)
    annex-keep keep get store two | cmp - two
}

@test "a damaged block is never given out whole, and storing the content again repairs it" {
    make_store
    block=$(md5sum <one | cut -d ' ' -f 1)
    printf 'other bytes' | dd of="store/${block:0:3}/$block" bs=1 seek=5000 conv=notrunc status=none
    run -1 annex-keep keep get store one -o got
    [ ! -e got ]
    run -1 annex-keep keep get store two
    [ "$(annex-keep keep status store --json | jq .damaged)" = 1 ]
    annex-keep keep put store one
    annex-keep keep get store two | cmp - two
}

@test "trash and untrash: a manifest takes its entry along and brings it back" {
    make_store
    run -1 annex-keep keep trash store "$(locator one)"
    [[ $output = *--force* ]]
    annex-keep keep trash store --force "$(locator two)"
    run -1 annex-keep keep get store two
    annex-keep keep get store one | cmp - one
    annex-keep keep trash store --empty
    annex-keep keep untrash store "$(locator two)"
    annex-keep keep get store two | cmp - two
    annex-keep keep trash store --force "$(locator two)"
    annex-keep keep trash store --empty --all
    run -1 annex-keep keep untrash store "$(locator two)"
    run -3 annex-keep keep trash store --force "$(locator one)" "$(locator two)"
    run -2 annex-keep keep trash store not-a-locator
}

@test "a missing store is an error that makes nothing" {
    for command in 'ls nowhere' 'put nowhere /etc/passwd' 'reindex nowhere' 'status nowhere'; do
        # shellcheck disable=SC2086 # words on purpose
        run -1 annex-keep keep $command
        [[ $output = *"no Keep store at nowhere"* ]]
    done
    [ ! -e nowhere ]
}

@test "put of several files stores those that it can" {
    make_store
    run -3 annex-keep keep put store one absent
    [[ $output = *absent* ]]
}

@test "many processes at once, removals among them" {
    local clients=()
    make_store
    for n in {1..8}; do
        annex-keep keep put store --name "name$n" two >/dev/null 3>&- &
        clients+=($!)
        annex-keep keep put store --name same one >/dev/null 3>&- &
        clients+=($!)
    done
    for _ in {1..5}; do
        annex-keep keep trash store --force "$(locator two)" || :
        annex-keep keep put store two >/dev/null
    done
    # Not for all: bats has a process of its own here, which ends a test that hangs.
    wait "${clients[@]}"
    for n in {1..8}; do
        annex-keep keep get store "name$n" | cmp - two
    done
    annex-keep keep get store same | cmp - one
}
