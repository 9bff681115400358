#!/usr/bin/env bats
# A node that is an external special remote, beside one that is a Keep store: stock git-annex in front of it, and the
# same program with real git-annex behind it.

load lib

setup() {
    isolate
    SHELF=$TMP/shelf
    ln -s "$ROOT/t/git-annex-remote-shelf" "$BIN/git-annex-remote-shelf"
    printf '#!/bin/sh\nexec %s %s\n' "$ROOT/.peers/venv/bin/python" "$ROOT/t/git-annex-remote-pyshelf" \
        >"$BIN/git-annex-remote-pyshelf"
    chmod +x "$BIN/git-annex-remote-pyshelf"
}

# start_shelf SPEC [TOML]...: a site with the Keep node a and the node x (what follows external: in its spec, and more
# lines of its section), its repository, the user alice, and a clone `work` with an annexed file.
start_shelf() {
    SITE=$TMP/site
    start_ssh_server
    annex-keep init "$SITE" --node "a=keep:$SITE/nodes/a"
    {
        printf '[nodes.x]\nid = "%s"\n' "$(cat /proc/sys/kernel/random/uuid)"
        printf 'store = "external:%s"\nrepo = "data"\n' "$1"
        printf '%s\n' "${@:2}"
    } >>"$SITE/annex-keep.toml"
    annex-keep repo create data --site "$SITE"
    add_user alice testhost --role write
    clone_site work 2>clone.err
    cd work || return
    random_file file "${SIZE:-300K}"
    cp file "$TMP/original"
    git annex add -q file
    git commit -q -m file
    KEY=$(annex_key file)
}

# The usual program, with little patience.
start_usual() { start_shelf "shelf?directory=$SHELF" 'deadline_seconds = 6'; }

fault() { echo "$1" >"$SHELF/.fault"; }

# on_shelf: where the program keeps the key; nothing if it does not.
on_shelf() { find "$SHELF" -name "$KEY" -type f; }

# behind SETTING...: what real git-annex finds through the same program, with no gateway between.
behind() {
    git annex initremote -q direct type=external encryption=none "$@"
    git annex fsck -q --from direct file
}

# client_says REMOTE...: exactly these remotes and this repository have the file by the client's location log.
client_says() {
    local name
    for name in "$@"; do site_uuid "$name"; done >"$TMP/wanted"
    if [ -n "$(git annex find --in=here file)" ]; then git config annex.uuid >>"$TMP/wanted"; fi
    assert_equal "$(git annex whereis --json file | jq -r '.whereis[].uuid' | grep -v "^$(site_uuid cluster)\$" | sort)" \
        "$(sort "$TMP/wanted")"
}

presence() {
    local status=0
    git annex checkpresentkey "$KEY" "$1" >/dev/null 2>&1 || status=$?
    echo $status
}

spooled() { find "$SITE/run/spool" -type f ! -name lock; }

# all_of_it: everything that a client does with content, through the cluster and with the node alone.
all_of_it() {
    git annex copy -q --to origin file
    client_says a x
    git annex drop -q file
    git annex get -q --from origin-x file
    assert_same file "$TMP/original"
    git annex fsck -q --from origin-x file
    git annex drop -q --from origin-x file
    assert_equal "$(presence origin-x)" 1
    client_says a
    git annex copy -q --to origin-x file
    assert_equal "$(presence origin-x)" 0
    git annex drop -q --from origin-a file
    git annex drop -q --force file
    git annex get -q file
    assert_same file "$TMP/original"
    git annex move -q --from origin-x file
    assert_same file "$TMP/original"
    client_says
    git annex move -q --to origin file
    lacks_content file
    client_says a x
    git annex get -q file
    git annex push -q --no-content
    assert_logged "$KEY" a x "$(git config annex.uuid)"
    # Many at once, and no bytes at all.
    for number in 1 2 3 4 5 6; do random_file "many$number" 20K; done
    : >empty
    git annex add -q .
    git commit -q -m many
    git annex copy -q -J4 --to origin .
    git annex drop -q --force .
    git annex get -q -J4 --from origin-x .
    assert_equal "$(spooled)" ""
}

@test "jobs of one client are worked on side by side" {
    start_shelf "shelf?directory=$SHELF" 'deadline_seconds = 60'
    mkdir -p "$SHELF"
    fault STORE:together
    for i in 1 2 3; do random_file "more$i" 16K; done
    git annex add -q more*
    git annex copy -q -J4 --to origin file more*
    assert_equal "$(find "$SHELF" -name 'SHA256E-*' -type f | wc -l)" 4
}

@test "a shell script is a node, and git-annex reads what it keeps" {
    start_usual
    all_of_it
    cmp "$(on_shelf)" "$TMP/original"
    assert_equal "$(cat "$SHELF/.initremote")" init "INITREMOTE once"
    git annex copy -q --to origin-x file
    behind externaltype=shelf directory="$SHELF"
}

@test "a shell script that writes in order is a node" {
    start_shelf "shelf?directory=$SHELF&ordered=yes"
    all_of_it
}

@test "a program made with annexremote is a node, and git-annex reads what it keeps" {
    start_shelf "pyshelf?directory=$SHELF"
    all_of_it
    cmp "$(on_shelf)" "$TMP/original"
    behind externaltype=pyshelf directory="$SHELF"
}

@test "our own special remote is a node, with one process for all jobs" {
    start_shelf "keep?store=$SHELF"
    all_of_it
    # Entries in the store belong to the special remote, so git-annex has to be it.
    run annex-keep keep ls "$SHELF"
    assert_output "$KEY"
}

@test "git-annex's own test of remotes passes on the node" {
    start_usual
    git annex testremote --fast origin-x >"$TMP/testremote" 2>&1 || fail "$(tail -40 "$TMP/testremote")"
}

@test "an exporttree remote keeps keys where git-annex does" {
    start_shelf "pyshelf?directory=$SHELF&exporttree=yes&annexobjects=yes"
    all_of_it
    assert_equal "$(on_shelf | wc -l)" 1
    [[ $(on_shelf) == "$SHELF/.git/annex/objects/"*"/$KEY/$KEY" ]] || fail "$(on_shelf)"
    behind externaltype=pyshelf directory="$SHELF" exporttree=yes annexobjects=yes
}

@test "a program that fails at storing stores nothing, and the other node has it" {
    start_usual
    git annex copy -q --to origin-x file
    git annex drop -q --from origin-x file
    for how in crash garbage error half hang fail lie; do
        fault "STORE:$how"
        run ! git annex copy --to origin-x file
        client_says
        assert_equal "$(on_shelf)" "" "$how"
        git annex copy -q --to origin file
        client_says a
        assert_logged "$KEY" a
        rm "$SHELF/.fault"
        git annex drop -q --from origin-a file
    done
    git annex copy -q --to origin file
    client_says a x
    assert_equal "$(spooled)" ""
}

@test "a program that fails at retrieving is followed by the next copy" {
    start_usual
    git annex copy -q --to origin file
    # Asked first: nodes stand in the order of their names.
    for how in crash garbage error half hang fail; do
        git annex drop -q file
        fault "RETRIEVE:$how"
        run ! git annex get --from origin-x file
        lacks_content file
        git annex get -q file
        assert_same file "$TMP/original"
        rm "$SHELF/.fault"
        assert_logged "$KEY" a x
    done
}

@test "wrong bytes of a program never reach the client, are recorded as gone, and are repaired" {
    start_usual
    git annex copy -q --to origin file
    git annex push -q --no-content
    client=$(git config annex.uuid)
    for how in wrong short long; do
        git annex drop -q --force file
        fault "RETRIEVE:$how"
        run ! git annex get --from origin-x file
        lacks_content file
        rm "$SHELF/.fault"
        assert_logged "$KEY" a "$client"
        assert_equal "$(presence origin-x)" 1
        git annex get -q file
        assert_same file "$TMP/original"
        git annex pull -q --no-content
        client_says a
        git annex copy -q --to origin-x file
        cmp "$(on_shelf)" "$TMP/original"
        assert_logged "$KEY" a x "$client"
        git annex fsck -q --from origin-x file
    done
}

@test "unknown is neither present nor absent" {
    start_usual
    git annex copy -q --to origin-x file
    for how in unknown crash garbage hang; do
        fault "CHECKPRESENT:$how"
        assert_equal "$(presence origin-x)" 100
        run ! git annex drop file
        has_content file
        run ! git annex drop --from origin-x file
        rm "$SHELF/.fault"
        client_says x
        assert_logged "$KEY" x
    done
    for how in fail crash hang; do
        fault "REMOVE:$how"
        run ! git annex drop --from origin-x file
        rm "$SHELF/.fault"
        client_says x
        assert_logged "$KEY" x
        cmp "$(on_shelf)" "$TMP/original"
    done
    assert_equal "$(presence origin-x)" 0
    git annex drop -q --from origin-x file
    assert_equal "$(on_shelf)" ""
}

@test "a program that cannot be prepared, or is not there, stops nothing else" {
    start_usual
    mkdir "$SHELF"
    for how in crash hang garbage; do
        fault "PREPARE:$how"
        git annex copy -q --to origin file
        client_says a
        run ! git annex copy --to origin-x file
        client_says a
        rm "$SHELF/.fault"
        git annex drop -q --from origin-a file
    done
    mv "$SHELF" "$TMP/away"
    git annex copy -q --to origin file
    client_says a
    [ ! -e "$SHELF" ] || fail "a directory was made where a disk is not mounted"
    mv "$TMP/away" "$SHELF"
    mv "$BIN/git-annex-remote-shelf" "$TMP/program"
    run ! git annex copy --to origin-x file
    assert_output "git-annex-remote-shelf"
    mv "$TMP/program" "$BIN/git-annex-remote-shelf"
    git annex copy -q --to origin-x file
    client_says a x
}

@test "credentials come from files, and stand in no log" {
    printf 'alice\nhunter2 and more\n' >"$TMP/login"
    start_shelf "shelf?directory=$SHELF" "secrets = { login = \"file:$TMP/login\" }"
    uuid=$(site_uuid x)
    ANNEX_KEEP_LOG=trace p2p 2>"$TMP/log" <<END
open one $uuid
S AUTH-SUCCESS $uuid
C VERSION 4
S VERSION 4
C CHECKPRESENT $KEY
S FAILURE
close
END
    grep -q 'node x: ready' "$TMP/log" || fail "what the program says is logged:" "$(cat "$TMP/log")"
    assert_equal "$(cat "$SHELF/.creds")" "CREDS alice hunter2 and more"
    run ! grep -r hunter2 "$SITE" "$TMP/log"
    assert_equal "$(find "$SITE"/nodes/*.state -name 'state.db*' ! -perm 600)" "" "readable by others"
    assert_equal "$(stat -c %a "$SITE"/nodes/*.state)" 700
    rm "$TMP/login"
    run ! git annex copy --to origin-x file
    git annex copy -q --to origin file
    client_says a
}

@test "credentials that a program sets are there for the next process, and stand in no log" {
    start_shelf "pyshelf?directory=$SHELF"
    uuid=$(site_uuid x)
    ANNEX_KEEP_LOG=trace p2p 2>"$TMP/log" <<END
open one $uuid
S AUTH-SUCCESS $uuid
C VERSION 4
S VERSION 4
C CHECKPRESENT $KEY
S FAILURE
close
END
    [ -s "$TMP/log" ] || fail "nothing is logged"
    run ! grep s3cret "$TMP/log"
    git annex copy -q --to origin-x file
    client_says x
    git annex fsck -q --from origin-x file
    assert_equal "$(find "$SITE"/nodes/*.state -name 'state.db*' ! -perm 600)" "" "readable by others"
}

@test "an upload that breaks off goes on where it was" {
    SIZE=4M start_usual
    git annex drop -q --force file
    uuid=$(site_uuid cluster)
    p2p <<END
open one $uuid
S AUTH-SUCCESS $uuid
C VERSION 4
S VERSION 4
C PUT  $KEY
S PUT-FROM 0
C DATA 4194304
send $TMP/original 0 3000000
close
open two $uuid
S AUTH-SUCCESS $uuid
C VERSION 4
S VERSION 4
C PUT  $KEY
S PUT-FROM 3000000
C DATA 1194304
send $TMP/original 3000000
C VALID
S SUCCESS-PLUS $(site_uuid a) $(site_uuid x)
close
END
    cmp "$(on_shelf)" "$TMP/original"
    assert_equal "$(spooled)" ""
}

@test "what a killed gateway left in the spool goes with the next start" {
    start_shelf "shelf?directory=$SHELF&ordered=yes"
    git annex copy -q --to origin file
    fault RETRIEVE:slow-once
    uuid=$(site_uuid x)
    p2p <<END
open one $uuid
S AUTH-SUCCESS $uuid
C VERSION 4
S VERSION 4
C GET 0  $KEY
S DATA 307200
receive $TMP/part 100000
kill
END
    cmp -n 100000 "$TMP/part" "$TMP/original"
    [ -n "$(spooled)" ] || fail "there was nothing to clear"
    touch "$SHELF/.go"
    git annex drop -q file
    git annex get -q --from origin-x file
    assert_same file "$TMP/original"
    assert_equal "$(spooled)" ""
}

@test "no room for a temporary file is said, and the other node has the content" {
    start_usual
    sed -i 's/^spool_reserve = .*/spool_reserve = "900 TB"/' "$SITE/annex-keep.toml"
    run ! git annex copy --to origin-x file
    assert_output "node x: full: no room for a temporary file of 307200 bytes"
    git annex copy -q --to origin file
    client_says a
    assert_logged "$KEY" a
    sed -i 's/^spool_reserve = .*/spool_reserve = 0/' "$SITE/annex-keep.toml"
    git annex copy -q --to origin-x file
    client_says a x
}
