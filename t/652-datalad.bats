#!/usr/bin/env bats
# DataLad as a client: its own words for init, save, push, clone, get and drop.

load lib

# with_datalad: DataLad sees this test's home, and is asked no questions.
with_datalad() {
    command -v datalad >/dev/null || fail "no datalad beside git-annex: run script/bootstrap"
    export DATALAD_UI_PROGRESSBAR=none GIT_TERMINAL_PROMPT=0
    export DATALAD_LOCATIONS_CACHE=$TMP/datalad-cache DATALAD_LOCATIONS_SOCKETS=$TMP/datalad-sockets
}

# datalad_story URL WHO: a dataset goes to URL and comes back from it. WHO is the URL's user, for messages.
datalad_story() {
    local url=$1 key
    datalad create first
    cd first || return
    random_file data.bin 300000
    mkdir sub
    random_file sub/more.bin 1000
    datalad save -m data
    git remote add origin "$url"
    datalad push --to origin
    key=$(annex_key data.bin)
    assert_on "$key" data.bin a b c
    # Nothing is to be done twice.
    run -0 datalad -f json push --to origin
    assert_json 'map(select(.status | IN("error", "impossible"))) == []' "$(jq -s . <<<"$(grep '^{' <<<"$output")")"

    cd "$TMP" || return
    datalad clone "$url" second
    cd second || return
    lacks_content data.bin
    datalad get data.bin sub
    assert_same data.bin ../first/data.bin
    assert_same sub/more.bin ../first/sub/more.bin
    # DataLad drops what it knows to be elsewhere, and says so where it is not.
    datalad drop data.bin
    lacks_content data.bin
    datalad get data.bin
    random_file mine.bin 2000
    datalad save -m mine
    run ! datalad drop mine.bin
    has_content mine.bin
    datalad push --to origin
    datalad drop mine.bin

    cd ../first || return
    datalad update -s origin --how merge
    datalad get mine.bin
    datalad -f json siblings | jq -e --arg url "$url" 'select(.name == "origin") | .url == $url' >/dev/null
}

@test "a dataset goes to the cluster and comes back, over ssh" {
    with_datalad
    start_site
    datalad_story ssh://testhost/data
}

@test "a dataset goes to the cluster and comes back, over the built-in ssh" {
    with_datalad
    new_site
    start_daemon
    ssh_user alice annexhost --role write
    datalad_story ssh://annexhost/data
}

@test "a dataset goes to the cluster and comes back, over http" {
    with_datalad
    new_site
    start_daemon
    http_user alice secret --role write
    datalad_story "http://alice@127.0.0.1:$HTTP_PORT/data"
}

@test "a repository that git's first push made is a sibling like any other" {
    with_datalad
    start_site
    datalad create set
    cd set
    random_file data.bin 3000
    datalad save -m data
    # DataLad itself looks before it pushes, and takes what is not there for no annex.
    git push -q ssh://testhost/org/set main
    datalad siblings add -s keep --url ssh://testhost/org/set
    datalad push --to keep
    annex-keep repo info org/set --site "$SITE"
    assert_on "$(annex_key data.bin)" data.bin a b c
    datalad clone ssh://testhost/org/set "$TMP/copy"
    datalad get -d "$TMP/copy" "$TMP/copy/data.bin"
    assert_same data.bin "$TMP/copy/data.bin"
}

@test "a reader clones and gets; what is pushed is refused with a reason" {
    with_datalad
    start_site
    add_user bob bobhost --role read
    datalad create set
    cd set
    random_file data.bin 3000
    datalad save -m data
    git remote add origin ssh://testhost/data
    datalad push --to origin
    cd "$TMP"
    datalad clone ssh://bobhost/data copy
    cd copy
    datalad get data.bin
    random_file mine.bin 3000
    datalad save -m mine
    run -1 datalad push --to origin
    assert_output "this repository is read-only; write access denied"
    run ! datalad push --data nothing --to origin
    assert_output "bob may not push to data"
}
