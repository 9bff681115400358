#!/usr/bin/env bats
# Which nodes a key goes to: the same ones that git-annex itself would choose.
load lib

setup() {
    isolate
    start_site
    # Placement is for admins: alice sets it here.
    annex-keep user set alice --site "$SITE" --role admin
    clone_site c
    cd c || return
    # git annex sync pushes nothing before there is a commit.
    git commit -q --allow-empty -m start
    local name
    for name in a b c; do
        git annex group "origin-$name" nodes --quiet
    done
}

# wanted EXPRESSION NODE...: sets it for the nodes, and pushes.
wanted() {
    local expression=$1 node
    shift
    for node in "$@"; do
        git annex wanted "origin-$node" "$expression" --quiet
    done
    git annex sync --no-content --quiet origin
}

# stored FILE: the nodes that really have its content, by their own stores.
stored() {
    local key name
    key=$(annex_key "$1")
    for name in a b c; do
        if annex-keep keep ls "$SITE/nodes/$name" --json | grep -qF "\"name\":\"$key\""; then
            echo "$name"
        fi
    done | xargs
}

# would_want FILE: the nodes that stock git-annex says want the content while nobody has it.
would_want() {
    local name
    for name in a b c; do
        # shellcheck disable=SC2016 # git-annex's own variable
        if git annex find --want-get-by="origin-$name" --format='${file}\n' "$1" | grep -qxF "$1"; then
            echo "$name"
        fi
    done | xargs
}

# lands_as_git_annex_says FILE...: copies the files to the cluster, and compares where they are with what git-annex
# says before; also the location logs of client and server.
lands_as_git_annex_says() {
    local file
    declare -A expected
    for file in "$@"; do
        expected[$file]=$(would_want "$file")
    done
    git annex copy --quiet --to origin "$@"
    for file in "$@"; do
        assert_equal "$(stored "$file")" "${expected[$file]}" "nodes of $file"
        assert_equal "$(logged "$file")" "${expected[$file]}" "nodes of $file in the server's location log"
    done
}

# logged FILE: the nodes that have it by the server's location log.
logged() {
    local key log name
    key=$(annex_key "$1")
    log=$(git -C "$SITE/repos/data.git" ls-tree -r --name-only git-annex | grep -F "/$key.log" | grep '[.]log$')
    for name in a b c; do
        if git -C "$SITE/repos/data.git" show "git-annex:$log" | grep -q " 1 $(site_uuid "$name")"; then
            echo "$name"
        fi
    done | xargs
}

files() {
    local number
    for number in $(seq "$1"); do
        echo "content $number" >"file$number.dat"
    done
    git annex add --quiet ./*.dat
}

@test "balanced=nodes:2 lands on the two nodes that git-annex chooses" {
    wanted "balanced=nodes:2" a b c
    files 12
    lands_as_git_annex_says file*.dat
    # Not all on the same two, or the test would say little.
    [ "$(for file in file*.dat; do stored "$file"; done | sort -u | wc -l)" -gt 1 ]
}

@test "balanced, fullybalanced, with one node left out of the group" {
    git annex ungroup origin-b nodes --quiet
    wanted "fullybalanced=nodes" a b c
    files 8
    lands_as_git_annex_says file*.dat
}

@test "sizebalanced chooses the emptiest by the sizes in the location logs" {
    git annex maxsize origin-a 10kB --quiet
    git annex maxsize origin-b 20kB --quiet
    git annex maxsize origin-c 30kB --quiet
    wanted "sizebalanced=nodes:1" a b c
    local number
    for number in 1 2 3 4 5 6 7 8; do
        random_file "file$number.dat" 3000
        git annex add --quiet "file$number.dat"
        lands_as_git_annex_says "file$number.dat"
    done
    [ "$(for file in file*.dat; do stored "$file"; done | sort -u | wc -l)" -gt 1 ]
}

@test "include and size expressions" {
    wanted "include=*.mp3 or include=doc/*" a
    wanted "exclude=*.mp3 and largerthan=1kb" b
    wanted "anything" c
    mkdir doc
    random_file song.mp3 2000
    random_file doc/text 100
    random_file big.dat 5000
    git annex add --quiet .
    lands_as_git_annex_says song.mp3 doc/text big.dat
    assert_equal "$(stored song.mp3)" "a c"
    assert_equal "$(stored doc/text)" "a c"
    assert_equal "$(stored big.dat)" "b c"
}

@test "standard groups and metadata" {
    git annex group origin-a backup --quiet
    git annex group origin-b archive --quiet
    git annex ungroup origin-b nodes --quiet
    git annex ungroup origin-a nodes --quiet
    wanted standard a b
    wanted "metadata=tag=keep" c
    random_file one 100
    random_file two 200
    git annex add --quiet one two
    git annex metadata --quiet --tag keep two
    git annex sync --no-content --quiet origin
    lands_as_git_annex_says one two
    assert_equal "$(stored two)" "a b c"
}

@test "a key that no node wants is stored on as many nodes as numcopies asks for" {
    wanted nothing a b c
    git annex numcopies 2 --quiet
    git annex sync --no-content --quiet origin
    random_file unwanted 100
    git annex add --quiet unwanted
    git annex copy --quiet --to origin unwanted
    assert_equal "$(stored unwanted | wc -w)" 2
}

@test "changes of wanted hold for the next upload, without a restart" {
    wanted nothing b c
    wanted anything a
    files 2
    git annex copy --quiet --to origin file1.dat
    assert_equal "$(stored file1.dat)" a
    wanted anything c
    git annex copy --quiet --to origin file2.dat
    assert_equal "$(stored file2.dat)" "a c"
}
