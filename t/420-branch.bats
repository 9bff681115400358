#!/usr/bin/env bats
# The git-annex branch of a hosted repository, written by us and by a real git-annex in the same directory at once.
# shellcheck disable=SC2016 # what git-annex is to see is not the shell's

load lib

setup() {
    isolate
    start_site
    sed -i 's/^unwanted = .*/unwanted = "all"/' "$SITE/annex-keep.toml"
    SERVER=$SITE/repos/data.git
    clone_site client
}

teardown() {
    # Whatever was done, the repository is one that git finds nothing wrong with, and every log line is whole.
    if [ -n "${SERVER:-}" ] && [ -d "$SERVER" ]; then
        git -C "$SERVER" fsck --strict --no-dangling
        git -C "$SERVER" rev-parse -q --verify git-annex
    fi
    stop_everything
}

# server_annex ARG...: git-annex in the hosted repository itself.
server_annex() { git -C "$SERVER" annex "$@"; }

# server_annex_dirty ARG...: the same, leaving what it writes in the journal.
server_annex_dirty() { git -C "$SERVER" -c annex.alwayscommit=false annex "$@"; }

# server_file PATH: a file of the server's committed branch.
server_file() { git -C "$SERVER" cat-file blob "git-annex:$1"; }

# server_path KEY SUFFIX: the path of a key's log on the server's branch.
server_path() { git -C "$SERVER" ls-tree -r --name-only git-annex | grep -F "/$1$2" | grep -- "$2\$"; }

# journal_files: how many branch files wait in the server's journal.
journal_files() { find "$SERVER/annex/journal" -type f | wc -l; }

journal_is_empty() { [ "$(journal_files)" = 0 ]; }

# add_files DIR PREFIX COUNT: small files in the annex of DIR, all different, committed.
add_files() {
    local i
    for ((i = 0; i < $3; i++)); do
        printf '%s %s\n' "$2" "$i" >"$1/$2$i"
    done
    git -C "$1" annex add -q .
    git -C "$1" commit -q -m "$2"
}

# check_uploads DIR: every file of DIR is recorded at all three nodes on the server's branch, and is there.
check_uploads() {
    local wanted key
    wanted=$(for node in a b c; do site_uuid $node; done | sort)
    while read -r key; do
        assert_equal "$(server_file "$(server_path "$key" .log)" | awk '$2 == "1" { print $3 }' | grep -xF "$wanted" | sort)" \
            "$wanted" "$key on the server's branch"
    done < <(git -C "$1" annex find --format='${key}\n' --include='*')
    git -C "$1" fetch -q
    git -C "$1" annex merge -q
    for node in a b c; do
        git -C "$1" annex fsck --fast --quiet --from "origin-$node" .
    done
}

@test "uploads and a git-annex on the server at once: no line is lost on either side" {
    local i pid
    add_files client f 60
    (
        for ((i = 0; i < 40; i++)); do
            key=WORM-s1-m1--server$i
            server_annex setpresentkey "$key" 11111111-2222-4333-8444-000000000001 1
            server_annex_dirty setpresentkey "$key" 11111111-2222-4333-8444-000000000002 1
            server_annex describe "$(site_uuid a)" "disk $i" --quiet
        done >"$TMP/server-said" 2>&1
    ) 3>&- &
    pid=$!
    (cd client && git annex copy -q -J2 --to origin .)
    wait $pid || fail "$(cat "$TMP/server-said")"
    # Whatever is still in the journal is committed when a client comes.
    git -C client fetch -q
    assert_equal "$(journal_files)" 0
    check_uploads client
    for ((i = 0; i < 40; i++)); do
        assert_equal "$(server_file "$(server_path WORM-s1-m1--server$i .log)" | awk '$2 == "1" { print $3 }')" \
            "$(printf '11111111-2222-4333-8444-00000000000%s\n' 1 2)" "server$i"
    done
    assert_equal "$(server_annex info --fast --json "$(site_uuid a)" | jq -r .description)" "disk 39"
}

@test "the same keys from both sides: lines of one file are never lost" {
    local i pid key
    add_files client f 30
    git -C client annex find --include='*' --format='${key}\n' >keys
    (
        while read -r key; do
            server_annex_dirty setpresentkey "$key" 11111111-2222-4333-8444-000000000003 1
            server_annex metadata --key="$key" -s "seen=on the server" --quiet
        done <keys >"$TMP/server-said" 2>&1
    ) 3>&- &
    pid=$!
    (cd client && git annex copy -q -J2 --to origin .)
    wait $pid || fail "$(cat "$TMP/server-said")"
    git -C client fetch -q
    check_uploads client
    while read -r key; do
        server_file "$(server_path "$key" .log)" | grep -q ' 1 11111111-2222-4333-8444-000000000003$'
        git -C client annex metadata --json --key="$key" |
            jq -e '.fields.seen == ["on the server"]' >/dev/null
    done <keys
}

@test "a journal that git-annex left dirty is committed with the next upload" {
    add_files client f 1
    server_annex_dirty wanted "$(site_uuid b)" 'include=*.b or anything'
    server_annex_dirty setpresentkey WORM-s1-m1--waiting 11111111-2222-4333-8444-000000000001 1
    [ "$(journal_files)" -ge 1 ]
    git -C client annex copy -q --to origin f0
    wait_until 10 journal_is_empty
    server_file "$(server_path WORM-s1-m1--waiting .log)" | grep -q ' 1 11111111-2222-4333-8444-000000000001$'
    server_file preferred-content.log | grep -F "$(site_uuid b) include=*.b or anything timestamp="
    check_uploads client
}

@test "a journal that git-annex left dirty is committed by a push and by a fetch" {
    server_annex_dirty setpresentkey WORM-s1-m1--fetched 11111111-2222-4333-8444-000000000001 1
    git -C client fetch -q
    assert_equal "$(journal_files)" 0
    git -C client cat-file blob "origin/git-annex:$(server_path WORM-s1-m1--fetched .log)" |
        grep -q ' 1 11111111-2222-4333-8444-000000000001$'
    # A push of a diverged branch on top of a dirty journal.
    git -C client annex setpresentkey WORM-s1-m1--pushed 11111111-2222-4333-8444-000000000002 1
    git -C client annex merge -q
    server_annex_dirty setpresentkey WORM-s1-m1--pushed 11111111-2222-4333-8444-000000000001 1
    git -C client push -q origin +git-annex
    assert_equal "$(server_file "$(server_path WORM-s1-m1--pushed .log)" | awk '{ print $2, $3 }' | sort)" \
        "$(printf '1 11111111-2222-4333-8444-00000000000%s\n' 1 2)"
    assert_equal "$(server_annex readpresentkey WORM-s1-m1--pushed 11111111-2222-4333-8444-000000000001 && echo yes)" yes
}

# log_lines REPOSITORY BRANCH: every line of every file of the branch, with its path.
log_lines() { git -C "$1" grep -hI '' "$2" -- | sort; }

@test "diverged pushes of git-annex and synced/git-annex are merged, whichever name they come under" {
    local name
    clone_site second
    for name in git-annex synced/git-annex; do
        for repo in client second; do
            git -C $repo annex setpresentkey "WORM-s1-m1--both" "$(git -C $repo config annex.uuid)" 1
            git -C $repo annex setpresentkey "WORM-s1-m1--$repo" "$(git -C $repo config annex.uuid)" 1
            git -C $repo annex describe here "$repo under $name" --quiet
            log_lines $repo git-annex >"$TMP/$repo.lines"
        done
        # Neither knows of the other. The + only keeps the client's own git from refusing; git-annex pushes so, too.
        git -C client push origin "+git-annex:$name"
        git -C second push origin "+git-annex:$name"
        log_lines "$SERVER" git-annex >"$TMP/server.lines"
        assert_equal "$(sort -u client.lines second.lines | comm -23 - server.lines)" '' "lines not on the server"
        for repo in client second; do
            git -C "$SERVER" merge-base --is-ancestor "$(git -C $repo rev-parse git-annex)" git-annex
            git -C "$SERVER" cat-file blob git-annex:uuid.log | grep -qF "$repo under $name"
        done
        [ "$name" = git-annex ] ||
            assert_equal "$(git -C "$SERVER" rev-parse synced/git-annex)" "$(git -C "$SERVER" rev-parse git-annex)"
        server_annex merge
    done
}

@test "many pushes at once lose nothing" {
    local i pids=() pid
    for i in 1 2 3 4; do
        clone_site "c$i"
        git -C "c$i" annex setpresentkey WORM-s1-m1--shared "$(git -C "c$i" config annex.uuid)" 1
        git -C "c$i" annex setpresentkey "WORM-s1-m1--c$i" "$(git -C "c$i" config annex.uuid)" 1
        git -C "c$i" annex merge -q
    done
    for i in 1 2 3 4; do
        git -C "c$i" push -q origin +git-annex:synced/git-annex 3>&- &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid"
    done
    for i in 1 2 3 4; do
        server_annex readpresentkey "WORM-s1-m1--c$i" "$(git -C "c$i" config annex.uuid)"
        server_annex readpresentkey WORM-s1-m1--shared "$(git -C "c$i" config annex.uuid)"
        git -C "$SERVER" merge-base --is-ancestor "$(git -C "c$i" rev-parse git-annex)" git-annex
    done
}

@test "the git-annex branch cannot be deleted or rewound by a push" {
    local tip
    git -C client annex setpresentkey WORM-s1-m1--kept 11111111-2222-4333-8444-000000000001 1
    git -C client annex merge -q
    git -C client push -q origin git-annex git-annex:synced/git-annex
    tip=$(git -C "$SERVER" rev-parse git-annex)
    run ! git -C client push origin :git-annex
    run ! git -C client push origin :synced/git-annex
    assert_equal "$(git -C "$SERVER" rev-parse git-annex)" "$tip"
    git -C "$SERVER" rev-parse -q --verify synced/git-annex
    # Rewinding by force: nothing goes away.
    git -C client push --force origin git-annex~1:refs/heads/git-annex
    assert_equal "$(git -C "$SERVER" rev-parse git-annex)" "$tip"
    # A branch of another root, with a file less: what was there stays.
    nothing=$(git -C client mktree </dev/null)
    git -C client push --force origin "$(git -C client commit-tree -m empty "$nothing"):refs/heads/git-annex"
    server_annex readpresentkey WORM-s1-m1--kept 11111111-2222-4333-8444-000000000001
    git -C "$SERVER" merge-base --is-ancestor "$tip" git-annex
    # A commit on top of ours with all files removed: they stay, too.
    git -C client fetch -q
    git -C client push origin "$(git -C client commit-tree -p origin/git-annex -m removed "$nothing"):refs/heads/git-annex"
    assert_equal "$(git -C "$SERVER" rev-parse 'git-annex^{tree}')" "$(git -C "$SERVER" rev-parse "$tip^{tree}")"
}

@test "our writer waits for git-annex's lock" {
    add_files client f 1
    # An fcntl lock like git-annex's own.
    python3 - "$SERVER/annex/journal.lck" "$TMP/locked" "$TMP/go" <<'END' 3>&- &
import fcntl, os, sys, time
lock = open(sys.argv[1], "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
open(sys.argv[2], "w").close()
while not os.path.exists(sys.argv[3]):
    time.sleep(0.02)
END
    wait_until 10 test -e locked
    (cd client && git annex copy -q --to origin f0 && touch "$TMP/copied") 3>&- &
    local copy=$!
    git -C client push -q origin git-annex 3>&- &
    local push=$!
    sleep 3
    [ ! -e copied ]
    kill -0 $push
    assert_equal "$(journal_files)" 0
    touch go
    wait $copy
    wait $push
    check_uploads client
}

@test "git-annex waits for our lock" {
    # A push holds the lock while it merges; git-annex writes at the same time, again and again, and neither fails.
    local i pid
    (
        for ((i = 0; i < 20; i++)); do
            server_annex setpresentkey "WORM-s1-m1--s$i" 11111111-2222-4333-8444-000000000001 1
        done
    ) 3>&- &
    pid=$!
    for ((i = 0; i < 20; i++)); do
        git -C client annex setpresentkey "WORM-s1-m1--p$i" 11111111-2222-4333-8444-000000000002 1
        git -C client push -q origin +git-annex:synced/git-annex
    done
    wait $pid
    git -C client fetch -q
    for ((i = 0; i < 20; i++)); do
        server_file "$(server_path "WORM-s1-m1--s$i" .log)" | grep -q ' 1 11111111-2222-4333-8444-000000000001$'
        git -C client ls-tree -r --name-only git-annex | grep -qF "WORM-s1-m1--p$i.log"
    done
    git -C client annex merge -q
    git -C client push -q origin +git-annex
    for ((i = 0; i < 20; i++)); do
        server_file "$(server_path "WORM-s1-m1--p$i" .log)" | grep -q ' 1 11111111-2222-4333-8444-000000000002$'
    done
}

@test "shell processes killed at random moments: what a client was told stays true" {
    local round pid i key
    cd client
    for ((round = 0; round < 10; round++)); do
        add_files . "r${round}x" 6
        git annex copy --json --to origin . >>"$TMP/said" 2>/dev/null 3>&- &
        pid=$!
        sleep "0.$((RANDOM % 10))"
        sleep "0.$((RANDOM % 10))"
        for i in $(descendants "$SSHD_PID"); do
            [[ "$(readlink "/proc/$i/exe")" != */annex-keep ]] || kill -KILL "$i" 2>/dev/null || true
        done
        # git-annex starts it anew, or gives up.
        wait $pid || true
        server_annex_dirty setpresentkey "WORM-s1-m1--r$round" 11111111-2222-4333-8444-000000000001 1
    done
    jq -r 'select(.command == "copy" and .success).key' "$TMP/said" | sort -u >"$TMP/told"
    # Some were stored, or this test shows nothing.
    [ "$(wc -l <"$TMP/told")" -ge 10 ]
    git fetch -q
    git annex merge -q
    for node in a b c; do
        assert_equal "$(git annex checkpresentkey --batch "origin-$node" <"$TMP/told" | sort -u)" 1
        while read -r key; do
            server_file "$(server_path "$key" .log)" | grep -q " 1 $(site_uuid $node)\$"
        done <"$TMP/told"
    done
    for ((round = 0; round < 10; round++)); do
        server_annex readpresentkey "WORM-s1-m1--r$round" 11111111-2222-4333-8444-000000000001
    done
    for node in a b c; do
        git annex fsck --fast --quiet --from "origin-$node" .
    done
    # And it goes on.
    git annex copy -q --to origin .
    cd "$TMP"
    check_uploads client
}
