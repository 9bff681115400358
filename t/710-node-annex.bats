#!/usr/bin/env bats
# A node that is a git-annex repository on the gateway's machine, with a real git-annex in the same repository.

# shellcheck disable=SC2016 # git-annex has variables too

load lib

# start_annex_site DIR [CONFIG]: a site whose repository `data` has the Keep node a and the node r, the git-annex repository
# DIR; and a client in $TMP/work, which has pushed once.
start_annex_site() {
    R=$TMP/$1 R_UUID=$(git -C "$TMP/$1" config annex.uuid)
    SITE=$TMP/site
    start_ssh_server
    annex-keep init "$SITE" --node a=keep:nodes/a
    cat >>"$SITE/annex-keep.toml" <<EOF
[nodes.r]
id = "0b3a4b7c-4f5d-4c21-9f7e-0a1b2c3d4e5f"
store = "annex:$R"
repo = "data"
uuid = "$R_UUID"
EOF
    annex-keep repo create data --site "$SITE"
    add_user alice testhost --role write
    clone_site work 2>"$TMP/clone.err"
    cd work || return
    git commit -q --allow-empty -m start
    git push -q origin main git-annex
}

bare_repo() {
    git init -q --bare "$TMP/$1"
    git -C "$TMP/$1" annex init -q "$1"
}

# object KEY: where the node's repository has the content, by git-annex.
object() { echo "$R/$(git -C "$R" annex contentlocation "$1")"; }

# logged_in_r KEY: the node's repository has the key by its own location log.
logged_in_r() { git -C "$R" annex readpresentkey "$1" "$R_UUID"; }
not_logged_in_r() { ! logged_in_r "$1"; }

# real: speaks the P2P protocol with a real git-annex-shell in the node's repository.
real() { PATH=${R_ANNEX:-}$PATH P2P_DIR=$R P2P_LOCAL=git-annex-shell python3 "$ROOT/t/p2p.py"; }

# hold_open HOW KEY: in the background, takes a content lock by `p2p` or `real` and keeps it until $TMP/unlock appears.
# With $TMP/unlock-by-kill, the process that has it is killed instead.
hold_open() {
    local speak=$1 key=$2
    rm -f "$TMP/unlock" "$TMP/locked" "$TMP/kill"
    mkfifo "$TMP/script.$speak" 2>/dev/null || true
    "$speak" <"$TMP/script.$speak" >"$TMP/hold.out" 2>&1 3>&- &
    HOLDER=$!
    exec 7>"$TMP/script.$speak"
    printf '%s\n' "open one $R_UUID" 'S~ AUTH-SUCCESS .*' 'C VERSION 4' 'S~ VERSION .*' "C LOCKCONTENT $key" \
        'S SUCCESS' "receive $TMP/none 0" >&7
    wait_until 20 test -e "$TMP/none"
    rm "$TMP/none"
}

unlock() {
    printf '%s\n' 'C UNLOCKCONTENT' close 'code 0' >&7
    exec 7>&-
    wait "$HOLDER" || fail "the holder of the lock failed:" "$(cat "$TMP/hold.out")"
}

kill_holder() {
    echo kill >&7
    exec 7>&-
    wait "$HOLDER" || fail "the holder of the lock failed:" "$(cat "$TMP/hold.out")"
}

# branch_says KEY PATTERN: the hosted repository's location log of the key has such a line.
branch_says() { git -C "$SITE/repos/data.git" grep -qE "$2" git-annex -- "*/$1.log"; }

stores_as_git_annex_does() {
    add_file file 3M
    git annex copy -q --to origin-r file
    assert_same "$(object "$KEY")" "$TMP/original-file"
    assert_equal "$(stat -c %a "$(object "$KEY")")" 444
    assert_equal "$(stat -c %a "$(dirname "$(object "$KEY")")")" 555
    logged_in_r "$KEY"
    git -C "$R" annex fsck -q --key "$KEY"
    [ -z "$(find "$R" -path '*annex/tmp/*' -o -path '*annex/annex-keep-tmp/*' -o -path '*/lck/lck.*')" ] ||
        fail "the upload left something"

    git annex drop -q file
    git annex get -q --from origin-r file
    assert_same file "$TMP/original-file"
    git annex drop -q --from origin-r file
    not_logged_in_r "$KEY"
    left=$(find "$R" -name "*$KEY*" ! -path '*/annex/journal/*')
    [ -z "$left" ] || fail "the removal left something:" "$left"
    # The journal was committed by somebody.
    wait_until 20 committed "0 $R_UUID"
}

committed() { git -C "$R" log -p git-annex | grep -q "^+.*s $1"; }

# shaky_gateway: from here on, the client reaches the site by a gateway that is killed soon after each connection, sooner or
# later than the work is done; $TMP/killed has a line for each that did not end before.
shaky_gateway() {
    local shaky="timeout -s KILL 0.0\$(shuf -i 10-99 -n 1) annex-keep shell --site '$SITE' --user bob"
    authorize bob shakyhost "$shaky || { echo \$? >>'$TMP/killed'; exit 1; }"
    annex-keep user add bob --site "$SITE" --key "$SSHD_DIR/bob.key.pub" --role write
    git config remote.origin.url ssh://shakyhost/data
}

# sound_gateway: and no longer.
sound_gateway() { git config remote.origin.url ssh://testhost/data; }

@test "what is added in the node's own repository is recorded when that is pushed, once the node says so itself" {
    git init -q "$TMP/own"
    git -C "$TMP/own" annex init -q own
    start_annex_site own
    local key
    cd "$R"
    random_file mine 100K
    git annex add -q mine
    git commit -q -m mine
    key=$(annex_key mine)
    git push -q ssh://testhost/data git-annex:refs/heads/synced/git-annex
    wait_until 60 branch_says "$key" " 1 $R_UUID\$"
    cd "$TMP/work"
    git fetch -q
    git annex merge -q
    git annex get -q --key "$key"
}

@test "a bare repository gets, serves and drops content as if by git-annex" {
    bare_repo r.git
    start_annex_site r.git
    stores_as_git_annex_does
    add_file file2 100
    git annex copy -q --to origin-r file2
    [ -f "$R/annex/objects/$(git annex examinekey --format='${hashdirlower}' "$KEY")$KEY/$KEY" ]
}

@test "a repository with a work tree gets, serves and drops content as if by git-annex" {
    make_repo "$TMP/r"
    start_annex_site r
    stores_as_git_annex_does
    add_file file2 100
    git annex copy -q --to origin-r file2
    [ -f "$R/.git/annex/objects/$(git annex examinekey --format='${hashdirmixed}' "$KEY")$KEY/$KEY" ]
}

@test "an empty file and a key without a size are stored too" {
    bare_repo r.git
    start_annex_site r.git
    : >empty
    git annex add -q empty
    git commit -q -m empty
    git annex copy -q --to origin-r empty
    git -C "$R" annex fsck -q --key "$(annex_key empty)"
    random_file one 5000
    key=URL--http://example.org/a%b\&c:d
    git annex setkey -q "$key" one
    git annex copy -q --to origin-r --key "$key"
    cmp "$(object "$key")" <(git annex contentlocation "$key" | xargs cat)
    git annex drop -q --force --key "$key"
    git annex get -q --from origin-r --key "$key"
}

@test "what git-annex stored in the repository is on the node" {
    bare_repo r.git
    start_annex_site r.git
    add_file file 200K
    cp file "$TMP/file"
    git -C "$R" annex setkey -q "$KEY" "$TMP/file"
    # Neither client nor gateway has a record of it: the node is asked.
    git annex copy -q --to origin-r file
    git annex drop -q --force file
    git annex get -q --from origin-r file
    assert_same file "$TMP/original-file"
    # In the other folder of the two that git-annex looks in, it is found as well.
    mixed=$R/annex/objects/$(git annex examinekey --format='${hashdirmixed}' "$KEY")
    mkdir -p "$mixed"
    chmod u+w "$(dirname "$(object "$KEY")")"
    mv "$(dirname "$(object "$KEY")")" "$mixed"
    git annex drop -q --force file
    git annex get -q --from origin-r file
    git annex drop -q --from origin-r file
    [ -z "$(git -C "$R" annex contentlocation "$KEY")" ]
}

@test "an upload that broke off is gone on with by the gateway and by git-annex alike" {
    bare_repo r.git
    start_annex_site r.git
    add_file file 3M
    mkdir -p "$R/annex/tmp"
    head -c 1000000 file >"$R/annex/tmp/$KEY"
    tail -c +1000001 file | head -c 1000000 >"$TMP/second"
    p2p <<EOF
open one $R_UUID
S~ AUTH-SUCCESS .*
C VERSION 4
S VERSION 4
C PUT file $KEY
S PUT-FROM 1000000
C DATA 2145728
send $TMP/second
close
EOF
    assert_equal "$(stat -c %s "$R/annex/tmp/$KEY")" 2000000
    tail -c +2000001 file >"$TMP/third"
    real <<EOF
open one $R_UUID
S~ AUTH-SUCCESS .*
C VERSION 4
S VERSION 4
C PUT file $KEY
S PUT-FROM 2000000
C DATA 1145728
send $TMP/third
C VALID
S SUCCESS
close
EOF
    assert_same "$(object "$KEY")" file
}

@test "what a gateway that was killed had received is gone on with, and hinders nobody" {
    bare_repo r.git
    start_annex_site r.git
    add_file file 5000000
    mkfifo "$TMP/script"
    p2p <"$TMP/script" 3>&- &
    talking=$!
    exec 7>"$TMP/script"
    printf '%s\n' "open one $R_UUID" 'S~ AUTH-SUCCESS .*' 'C VERSION 4' 'S VERSION 4' "C PUT file $KEY" 'S PUT-FROM 0' \
        'C DATA 5000000' "send $PWD/file 0 3000000" >&7
    wait_until 20 test -s "$R/annex/tmp/$KEY"
    echo kill >&7
    exec 7>&-
    wait $talking
    run ! git annex checkpresentkey "$KEY" origin-r
    assert_equal "$status" 1
    p2p <<EOF
open one $R_UUID
S~ AUTH-SUCCESS .*
C VERSION 4
S VERSION 4
C PUT file $KEY
S~ PUT-FROM [1-9][0-9]*
close
EOF
    git annex copy -q --to origin-r file
    assert_same "$(object "$KEY")" file
    [ -z "$(find "$R/annex/tmp" "$R/annex/annex-keep-tmp" "$R/annex/transfer" -type f)" ]
}

@test "two uploads of one key at the same time both succeed" {
    bare_repo r.git
    start_annex_site r.git
    add_file file 3000000
    mkfifo "$TMP/script"
    p2p <"$TMP/script" 3>&- &
    talking=$!
    exec 7>"$TMP/script"
    printf '%s\n' "open one $R_UUID" 'S~ AUTH-SUCCESS .*' 'C VERSION 4' 'S VERSION 4' "C PUT file $KEY" 'S PUT-FROM 0' \
        'C DATA 3000000' "send $PWD/file 0 2000000" >&7
    wait_until 20 test -s "$R/annex/tmp/$KEY"
    git annex copy -q --to origin-r file
    assert_same "$(object "$KEY")" file
    printf '%s\n' "send $PWD/file 2000000" 'C VALID' 'S~ SUCCESS.*' close >&7
    exec 7>&-
    wait $talking
    assert_same "$(object "$KEY")" file
    [ -z "$(find "$R/annex/tmp" "$R/annex/annex-keep-tmp" "$R/annex/transfer" -type f)" ]
}

@test "partial content of something else is not gone on with" {
    bare_repo r.git
    start_annex_site r.git
    add_file file 3M
    mkdir -p "$R/annex/tmp"
    random_file "$R/annex/tmp/$KEY" 1000000
    # The client tries again when it hears that the whole was not the content.
    git annex copy -q --to origin-r file || git annex copy -q --to origin-r file
    assert_same "$(object "$KEY")" file
}

# in_r [ARG]...: git-annex in the node's repository; R_ANNEX is where another git-annex is, with a colon.
in_r() { PATH=${R_ANNEX:-}$PATH git -C "$R" annex "$@"; }

# refused_here, dropped_here KEY: a real git-annex in the node's repository cannot, or can, remove the key.
refused_here() {
    run ! in_r dropkey --force "$1"
    [ -e "$(object "$1")" ] || fail "it was dropped"
}
dropped_here() {
    in_r dropkey -q --force "$1"
    [ -z "$(git -C "$R" annex contentlocation "$1")" ]
}

locks_hold_both_ways() {
    add_file file 1000
    git annex copy -q --to origin-r file
    hold_open p2p "$KEY"
    refused_here "$KEY"
    unlock
    dropped_here "$KEY"

    git annex copy -q --to origin-r file
    hold_open real "$KEY"
    run ! git annex drop --from origin-r file
    assert_output "locked against removal"
    assert_same "$(object "$KEY")" file
    unlock
    git annex drop -q --from origin-r file
    left=$(find "$R" -name "*$KEY*" ! -path '*/annex/journal/*')
    [ -z "$left" ] || fail "the locks left something:" "$left"
}

@test "a lock held through the gateway stops git-annex, and git-annex's lock stops the gateway" {
    bare_repo r.git
    start_annex_site r.git
    locks_hold_both_ways
}

@test "version 8 repositories are locked their own way" {
    git init -q "$TMP/r"
    git -C "$TMP/r" config annex.autoupgraderepository false
    git -C "$TMP/r" annex init -q --version=8
    start_annex_site r
    locks_hold_both_ways
    assert_equal "$(git -C "$R" config annex.version)" 8
}

@test "an old git-annex in the repository keeps to the same locks" {
    bare_repo r.git
    start_annex_site r.git
    R_ANNEX=$ROOT/.peers/old/usr/bin:
    locks_hold_both_ways
}

@test "a lock outlives its holder on both sides" {
    bare_repo r.git
    start_annex_site r.git
    add_file file 1000
    git annex copy -q --to origin-r file
    hold_open p2p "$KEY"
    kill_holder
    refused_here "$KEY"
    add_file file2 1000
    git annex copy -q --to origin-r file2
    hold_open real "$KEY"
    kill_holder
    run ! git annex drop --from origin-r file2
    assert_output "locked against removal"
    assert_same "$(object "$KEY")" file2
    # It is over when its time is.
    folder=$(dirname "$(object "$KEY")")
    chmod u+w "$folder"
    echo 1500000000.5s >"$folder/$KEY.rtm"
    git annex drop -q --from origin-r file2
}

@test "the gateway and git-annex store and drop in one repository at the same time" {
    bare_repo r.git
    start_annex_site r.git
    mkdir files
    for i in {1..30}; do random_file "files/$i" $((i * 5000)); done
    git annex add -q files
    git commit -q -m files
    git remote add direct "$R"
    git clone -q . "$TMP/second" 2>/dev/null
    (cd "$TMP/second" && git annex init -q second && git remote add direct "$R" && git annex get -q files)
    git annex copy -q --to origin-r files &
    copying=$!
    # git-annex sends no key that is just coming in from somebody else.
    (cd "$TMP/second" && wait_until 60 git annex copy -q --to direct files)
    wait $copying
    for file in files/*; do
        assert_same "$(object "$(annex_key "$file")")" "$file"
        logged_in_r "$(annex_key "$file")"
    done
    git -C "$R" annex fsck -q --all
    git annex drop -q --from origin-r files/1* &
    dropping=$!
    (cd "$TMP/second" && git annex drop -q --from direct files/2*)
    wait $dropping
    for i in {1..30}; do
        key=$(annex_key "files/$i")
        if [[ $i == [12]* ]]; then
            not_logged_in_r "$key"
            [ -z "$(find "$R" -name "*$key*" ! -path '*/annex/journal/*')" ]
        else
            logged_in_r "$key"
            git -C "$R" annex fsck -q --key "$key"
        fi
    done
}

@test "an unlocked file of the work tree is never left wrong" {
    make_repo "$TMP/r"
    cd "$TMP/r"
    random_file unlocked 5000
    random_file locked 5000
    git annex add -q .
    git annex unlock -q unlocked
    git commit -q -m both
    cp unlocked "$TMP/unlocked"
    cp locked "$TMP/locked-content"
    locked=$(annex_key locked) unlocked=$(annex_key unlocked)
    cd "$TMP"
    start_annex_site r
    git remote add direct "$R"
    git annex get -q --from direct --key "$unlocked"
    git annex get -q --from direct --key "$locked"

    # Content that is there is read; it is not removed under the file.
    git annex copy -q --to origin-r --key "$unlocked"
    run ! git annex drop --from origin-r --key "$unlocked"
    assert_output "only git-annex itself may store or remove it"
    assert_same "$R/unlocked" "$TMP/unlocked"
    git -C "$R" annex drop -q --force unlocked
    run ! git annex copy --to origin-r --key "$unlocked"
    assert_output "the unlocked file unlocked of the work tree"
    [ -z "$(git -C "$R" annex contentlocation "$unlocked")" ]
    assert_equal "$(git -C "$R" status --porcelain)" ""
    # A locked file is of no concern.
    git annex drop -q --from origin-r --key "$locked"
    git annex copy -q --to origin-r --key "$locked"
    assert_same "$R/locked" "$TMP/locked-content"
    assert_equal "$(git -C "$R" status --porcelain)" ""
    git -C "$R" annex fsck -q locked
}

@test "an unlocked file that git-annex itself has not seen yet is left to it too" {
    make_repo "$TMP/r"
    start_annex_site r
    add_file file 5000
    git annex unlock -q file
    git commit -q -m unlocked
    # The work tree gets the pointer without git-annex's filter.
    git -C "$R" -c filter.annex.smudge= -c filter.annex.process= -c filter.annex.clean= pull -q "$TMP/work" main
    run ! git annex copy --to origin-r file
    assert_output "only git-annex itself may store or remove it"
    [ -z "$(git -C "$R" annex contentlocation "$KEY")" ]
    assert_equal "$(git -C "$R" status --porcelain)" ""
}

# with_git_annex: the gateway has git-annex, too; it has not in the other tests.
with_git_annex() {
    local name
    for name in git-annex git-annex-shell; do ln -s "$ROOT/.peers/venv/bin/$name" "$BIN/$name"; done
}

# unlocked_file: a work tree as the node's repository, with the unlocked file `file` and its content; the client has both.
unlocked_file() {
    make_repo "$TMP/r"
    start_annex_site r
    with_git_annex
    add_file file 5000
    git annex unlock -q file
    git commit -q -m unlocked
    git -C "$R" pull -q "$TMP/work" main
    [ "$(head -c 15 "$R/file")" = /annex/objects/ ] || fail "it is no pointer"
}

# clean_in_r: git finds nothing changed there. git-annex writes its index last, after its answer.
clean_in_r() { [ -z "$(git -C "$R" status --porcelain)" ]; }

@test "with git-annex on the gateway, unlocked files get their content and lose it as by its own hands" {
    unlocked_file
    git annex copy -q --to origin-r file
    assert_same "$R/file" "$TMP/original-file"
    assert_same "$(object "$KEY")" "$TMP/original-file"
    wait_until 20 clean_in_r
    git -C "$R" annex fsck -q file
    logged_in_r "$KEY"
    assert_logged "$KEY" "$R_UUID"
    git annex drop -q --force file
    git annex get -q --from origin-r file
    assert_same file "$TMP/original-file"

    hold_open p2p "$KEY"
    refused_here "$KEY"
    unlock
    git annex drop -q --from origin-r file
    assert_equal "$(cat "$R/file")" "/annex/objects/$KEY"
    [ -z "$(git -C "$R" annex contentlocation "$KEY")" ]
    wait_until 20 clean_in_r
    not_logged_in_r "$KEY"
    assert_logged "$KEY"
    # To the whole cluster: one upload for both nodes.
    git annex copy -q --to origin file
    assert_logged "$KEY" a "$R_UUID"
    assert_same "$R/file" "$TMP/original-file"
}

@test "what somebody changed in an unlocked file stays when the key is dropped" {
    unlocked_file
    git annex copy -q --to origin-r file
    echo changed >>"$R/file"
    cp "$R/file" "$TMP/changed"
    git annex drop -q --from origin-r file
    assert_same "$R/file" "$TMP/changed"
    git annex get -q --from origin-r file 2>/dev/null || true
    assert_same file "$TMP/original-file"
}

@test "unlocked files of many keys come while git-annex works in the repository" {
    unlocked_file
    for i in 1 2 3 4 5 6; do random_file "many$i" 20K; done
    git annex add -q .
    git annex unlock -q many1 many2 many3
    git commit -q -m many
    git -C "$R" pull -q "$TMP/work" main
    (for i in 1 2 3; do
        random_file "$R/own$i" 3000
        # git gives up at once while somebody else has its index: git-annex, when it restages what came.
        wait_until 20 git -C "$R" annex add -q "own$i"
        wait_until 20 git -C "$R" commit -q -m "own$i"
    done) &
    git annex copy -q -J3 --to origin-r .
    wait $!
    for i in 1 2 3 4 5 6; do assert_same "$R/many$i" "many$i"; done
    git -C "$R" annex fsck -q .
    wait_until 20 clean_in_r
    git annex drop -q --from origin-r .
    for i in 1 2 3; do assert_equal "$(cat "$R/many$i")" "/annex/objects/$(annex_key "many$i")"; done
    wait_until 20 clean_in_r
}

@test "with git-annex on the gateway, a repository that only it can work in is a node" {
    bare_repo r.git
    start_annex_site r.git
    with_git_annex
    local setting
    for setting in annex.pidlock=true core.sharedRepository=group annex.thin=true; do
        git -C "$R" config "${setting%%=*}" "${setting#*=}"
        add_file "${setting%%=*}" 1000
        git annex copy -q --to origin-r "${setting%%=*}"
        git annex drop -q --force "${setting%%=*}"
        git annex get -q --from origin-r "${setting%%=*}"
        git -C "$R" annex fsck -q --key "$KEY"
        git annex drop -q --from origin-r "${setting%%=*}"
        [ -z "$(git -C "$R" annex contentlocation "$KEY")" ]
        git -C "$R" config --unset "${setting%%=*}"
    done
}

@test "a repository that only git-annex can work in is refused with the reason" {
    bare_repo r.git
    start_annex_site r.git
    add_file file 1000
    local setting
    for setting in annex.pidlock=true annex.thin=true annex.crippledfilesystem=true core.sharedRepository=group \
        annex.tune.objecthash1=true annex.version=7 "annex.freezecontent-command=true"; do
        git -C "$R" config "${setting%%=*}" "${setting#*=}"
        run ! git annex copy --to origin-r file
        assert_output "only git-annex itself may work in it; install git-annex on this machine, or use a node ssh://"
        if [[ $setting == annex.version* ]]; then git -C "$R" config annex.version 10; else git -C "$R" config --unset "${setting%%=*}"; fi
    done
    git -C "$R" config annex.securehashesonly true
    random_file md5 1000
    git -c annex.backend=MD5 annex add -q md5
    git commit -q -m md5
    run ! git annex copy --to origin-r md5
    assert_output "annex.securehashesonly"
    git annex copy -q --to origin-r file
}

@test "another repository in the place of the node's is not taken for it" {
    bare_repo r.git
    start_annex_site r.git
    add_file file 1000
    git annex copy -q --to origin file
    assert_logged "$KEY" a "$R_UUID"
    mv "$R" "$TMP/away"
    run ! git annex checkpresentkey "$KEY" origin-r
    assert_equal "$status" 100
    bare_repo r.git
    run ! git annex checkpresentkey "$KEY" origin-r
    assert_equal "$status" 100
    run ! git annex drop --from origin-r file
    run ! git annex get --force --from origin-r file2
    # What cannot be asked is not said to have lost it, and the other node serves.
    assert_logged "$KEY" a "$R_UUID"
    git annex drop -q --force file
    git annex get -q --from origin file
    chmod -R u+w "$R"
    rm -rf "$R"
    mv "$TMP/away" "$R"
    git annex checkpresentkey "$KEY" origin-r
}

@test "a file of the wrong size is no copy, and is replaced" {
    bare_repo r.git
    start_annex_site r.git
    add_file file 100K
    git annex copy -q --to origin file
    chmod u+w "$(object "$KEY")"
    truncate -s 50K "$(object "$KEY")"
    run ! git annex checkpresentkey "$KEY" origin-r
    assert_equal "$status" 1
    git annex drop -q --force file
    git annex get -q --from origin file
    assert_same file "$TMP/original-file"
    git annex copy -q --to origin-r file
    assert_same "$(object "$KEY")" "$TMP/original-file"
    assert_equal "$(stat -c %s "$R/annex/bad/$KEY")" 51200
    git -C "$R" annex fsck -q --key "$KEY"
}

@test "a disk without room is said to be full before anything is sent" {
    bare_repo r.git
    start_annex_site r.git
    git -C "$R" config annex.diskreserve 900TB
    add_file file 1M
    run ! git annex copy --to origin-r file
    assert_output "node r: full: 0 bytes are free"
    # The other node takes it.
    git annex copy -q --to origin file
    assert_logged "$KEY" a
}

@test "moves through a gateway that is killed again and again lose no content" {
    bare_repo r.git
    start_annex_site r.git
    for i in {1..12}; do add_file "$i" 4000000; done
    shaky_gateway
    # At first whatever comes of it, then until it is done.
    for i in {1..12}; do git annex move -q --to origin-r "$i" 2>/dev/null || true; done
    sound_gateway
    moved=0
    for i in {1..12}; do
        KEY=$(annex_key "$i")
        if [ -n "$(git annex find --in=here "$i")" ]; then
            assert_same "$i" "$TMP/original-$i"
        else
            moved=$((moved + 1))
            assert_same "$(object "$KEY")" "$TMP/original-$i"
            git -C "$R" annex fsck -q --key "$KEY"
        fi
    done
    [ "$(grep -c 137 "$TMP/killed")" -ge 3 ] || fail "the gateway was too quick to be killed ($moved of 12 moved)"
    git annex move -q --to origin-r .
    git annex get -q --from origin-r .
    for i in {1..12}; do assert_same "$i" "$TMP/original-$i"; done
}
