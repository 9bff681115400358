#!/usr/bin/env bats
# What git-annex-shell is asked for over ssh, and who may do what.

# shellcheck disable=SC2016 # what is not expanded is for others to expand

load lib

setup() {
    isolate
    start_site
}

# as HOST: a clone $TMP/work as that host's user, with a committed annexed file that is in the cluster.
work_as() {
    cd "$TMP" || return
    clone_site work "$1" 2>clone.err
    cd work || return
    random_file file 100K
    cp file "$TMP/original"
    git annex add -q file
    git commit -q -m file
    KEY=$(annex_key file)
}

# A clone as alice, who has stored and pushed one file.
stored_by_alice() {
    work_as testhost
    git annex copy -q --to origin file
    git annex push -q --no-content
}

# with_environment NAME HOST ROLE NAME=VALUE...: a user whose forced command has these variables.
with_environment() {
    local name=$1 host=$2 role=$3
    shift 3
    authorize "$name" "$host" "env $* annex-keep shell --site '$SITE' --user $name"
    annex-keep user add "$name" --site "$SITE" --key "$SSHD_DIR/$name.key.pub" --role "$role"
}

@test "configlist is two lines, true is nothing" {
    ssh testhost "git-annex-shell 'configlist' '/data'" >listed
    printf 'annex.uuid=%s\ncore.gcrypt-id=\n' "$(site_uuid cluster)" | cmp - listed
    ssh testhost "git-annex-shell 'configlist' '/data' '--' 'autoinit=1' '--'" | cmp - listed
    run -0 ssh testhost true
    assert_equal "$output" ""
}

@test "every spelling of the path is the repository" {
    for path in /data /data.git /~/data /~/data.git /data/ //data data "$SITE/repos/data.git"; do
        run -0 --separate-stderr ssh testhost "git-annex-shell 'configlist' '$path'"
        assert_line "annex.uuid=$(site_uuid cluster)"
    done
    git clone -q "ssh://testhost/~/data" one
    git clone -q ssh://testhost/data.git two
    git clone -q testhost:data three
    for clone in one two three; do
        git -C "$clone" rev-parse -q --verify origin/git-annex
    done
    for path in /../data /data/../../x '/a b' /; do
        run -1 ssh testhost "git-annex-shell 'configlist' '$path'"
    done
}

@test "a session is for exactly the UUID that was asked for" {
    for name in cluster gateway a b c; do
        uuid=$(site_uuid $name)
        p2p <<END2
open one $uuid testhost
S AUTH-SUCCESS $uuid
C VERSION 4
S VERSION 4
close
code 0
END2
    done
    # Without one it is the cluster.
    run -0 --separate-stderr ssh testhost "git-annex-shell 'p2pstdio' '/data' '11111111-2222-3333-4444-555555555555'" </dev/null
    assert_equal "$output" "AUTH-SUCCESS $(site_uuid cluster)"
    run -1 --separate-stderr ssh testhost "git-annex-shell 'p2pstdio' '/data' '1' --uuid 59a5eba9-ef36-4fc5-b11d-effc1bd2effc" </dev/null
    assert_equal "$output" ""
    # A node of another repository of the same site is not served here.
    annex-keep repo create other --site "$SITE"
    run -1 --separate-stderr ssh testhost "git-annex-shell 'p2pstdio' '/data' '1' --uuid $(site_uuid a other)" </dev/null
    assert_equal "$output" ""
}

@test "commands that are not served fail with 1 and say nothing on standard output" {
    for command in "inannex '/data' 'WORM--x'" "dropkey '/data' 'WORM--x'" "recvkey '/data' 'WORM--x'" \
        "sendkey '/data' 'WORM--x'" "gcryptsetup '/data' 'id'" "nonsense '/data'" "p2pstdio '/data'" "configlist"; do
        run -1 --separate-stderr ssh testhost "git-annex-shell $command"
        assert_equal "$output" "" "$command"
    done
    for command in "ls /" "sh" "git-annex-shell" "rsync --server . /" "git-upload-pack '/data'; id" 'git-annex-shell configlist $(id)'; do
        run ! --separate-stderr ssh testhost "$command"
        refute_output uid=
        # 255 would be ssh's own failure.
        [ "$status" != 255 ] || fail "$command: 255"
    done
}

@test "an unknown repository is an error that says so" {
    run -1 ssh testhost "git-annex-shell 'configlist' '/nothing'"
    assert_output nothing
    run -1 ssh testhost "git-annex-shell 'p2pstdio' '/nothing' 'u'" </dev/null
    run ! git clone ssh://testhost/nothing
    [ ! -e "$SITE/repos/nothing.git" ]
}

told_of_the_git_annex_branch() {
    grep -q "^CHANGED .*$(git -C "$SITE/repos/data.git" rev-parse git-annex)" "$TMP/told"
}

@test "changes of branches are told to who waits for them" {
    work_as testhost
    mkfifo "$TMP/in"
    ssh testhost "git-annex-shell 'notifychanges' '/data'" <"$TMP/in" >"$TMP/told" 3>&- &
    waiter=$!
    exec 9>"$TMP/in"
    wait_until 20 grep -qx READY "$TMP/told"
    git push -q origin main
    wait_until 20 grep -qE "^CHANGED (.* )?$(git rev-parse main)( |\$)" "$TMP/told"
    git annex copy -q --to origin file
    wait_until 20 told_of_the_git_annex_branch
    exec 9>&-
    wait "$waiter"
}

@test "a reader gets, and can neither store, drop nor push" {
    add_user reader readhost --role read
    stored_by_alice
    cd "$TMP"
    git clone -q ssh://readhost/data mine
    cd mine
    git annex init -q mine
    git annex get -q file
    assert_same file "$TMP/original"
    run ! git annex drop --from origin file
    assert_output read-only
    run ! git annex drop --from origin-a file
    random_file new 1000
    git annex add -q new
    git commit -q -m new
    run ! git annex copy --to origin new
    assert_on "$(annex_key new)" new
    run ! git push origin main
    assert_output "reader may not push to data"
    assert_on "$KEY" "$TMP/original" a b c
    assert_equal "$(git -C "$SITE/repos/data.git" log --format=%s -1 main)" file
}

@test "who may append stores and pushes, and cannot drop" {
    add_user adder addhost --role append
    work_as addhost
    git annex copy -q --to origin file
    git annex push -q --no-content
    assert_on "$KEY" "$TMP/original" a b c
    run ! git annex drop --from origin file
    assert_output append-only
    run ! git annex drop --from origin-b file
    assert_on "$KEY" "$TMP/original" a b c
    # A drop here needs locks there, which change nothing.
    git annex drop -q file
    # Nor do they make repositories.
    run ! git push ssh://addhost/fresh main
    [ ! -e "$SITE/repos/fresh.git" ]
}

@test "who may append cannot rewrite or delete what is there" {
    add_user adder addhost --role append
    work_as addhost
    git tag v1
    git push -q origin main main:topic v1
    local tip
    tip=$(git rev-parse main)
    git commit -q --amend -m other
    git tag -f v1 2>/dev/null
    for push in +main +v1 :topic :v1 +main:v1; do
        run ! git push origin "$push"
        assert_output "only those with the role write may"
    done
    assert_equal "$(git -C "$SITE/repos/data.git" rev-parse main v1)" "$tip
$tip"
    git reset -q --hard "$tip"
    git commit -q --allow-empty -m next
    git push -q origin main main:topic
    # Somebody with the role write may, and what was there can be found again.
    git push -q -f ssh://testhost/data "$tip:refs/heads/main"
    git -C "$SITE/repos/data.git" reflog main | grep -F "$(git rev-parse --short main)"
}

@test "no other reference is called git-annex: clients would merge it" {
    add_user adder addhost --role append
    add_user boss bosshost --role admin
    work_as addhost
    git push -q origin main
    git annex numcopies 7
    for name in refs/heads/x/git-annex refs/tags/git-annex refs/heads/synced/x/git-annex; do
        run ! git push origin "git-annex:$name"
        assert_output "git-annex merges $name wherever it finds it"
        run ! git push ssh://bosshost/data "git-annex:$name"
    done
    git push -q origin git-annex:refs/heads/synced/git-annex
    git clone -q ssh://bosshost/data "$TMP/boss"
    git -C "$TMP/boss" annex sync -q
    run ! server_branch numcopies.log
}

@test "what a push says of a node is asked of the node" {
    add_user adder addhost --role append
    stored_by_alice
    local never=SHA256E-s5--0000000000000000000000000000000000000000000000000000000000000001 c
    c=$(site_uuid c)
    cd "$TMP"
    git clone -q ssh://addhost/data mine
    cd mine
    git annex init -q mine
    git annex setpresentkey "$KEY" "$c" 0
    git annex setpresentkey "$never" "$c" 1
    git annex merge -q
    git show git-annex | grep " 0 $c"
    git push -q origin git-annex:refs/heads/synced/git-annex
    assert_logged "$KEY" a b c "$(git -C "$TMP/work" config annex.uuid)"
    assert_logged "$never"
    # And whoever said so is put right.
    knows_better() { git fetch -q && git annex merge -q && git annex whereis --json file | jq -e --arg c "$c" '[.whereis[].uuid] | index($c) != null'; }
    wait_until 60 knows_better
}

@test "who has no role sees nothing" {
    add_user stranger strangehost --role none
    run -1 --separate-stderr ssh strangehost "git-annex-shell 'configlist' '/data'"
    assert_equal "$output" ""
    run ! git clone ssh://strangehost/data
    annex-keep user set stranger --site "$SITE" --repo data=read
    git clone -q ssh://strangehost/data
    # Taken away again, while the key stays in authorized_keys.
    annex-keep user remove stranger --site "$SITE"
    run -1 --separate-stderr ssh strangehost "git-annex-shell 'configlist' '/data'"
}

@test "GIT_ANNEX_SHELL_READONLY and APPENDONLY hold for every role" {
    with_environment ro rohost admin GIT_ANNEX_SHELL_READONLY=1
    with_environment ao aohost admin GIT_ANNEX_SHELL_APPENDONLY=1
    with_environment both bothhost admin GIT_ANNEX_SHELL_READONLY=1 GIT_ANNEX_SHELL_APPENDONLY=1
    with_environment empty emptyhost write GIT_ANNEX_SHELL_READONLY=
    stored_by_alice
    random_file new 1000
    git annex add -q new
    git commit -q -m new
    new=$(annex_key new)
    for host in rohost bothhost; do
        git remote add $host "ssh://$host/data"
        run ! git annex copy --to $host new
        assert_on "$new" new
        run ! git annex drop --from $host file
        git annex drop -q file
        git annex get -q --from $host file
        run -1 ssh $host "git-annex-shell 'configlist' '/new' '--' 'autoinit=1' '--'"
        [ ! -e "$SITE/repos/new.git" ]
    done
    git remote add aohost ssh://aohost/data
    git annex copy -q --to aohost new
    assert_on "$new" new a b c
    run ! git annex drop --from aohost file
    assert_output append-only
    git remote add emptyhost ssh://emptyhost/data
    git annex drop -q --from emptyhost file
    assert_on "$KEY" "$TMP/original"
}

@test "GIT_ANNEX_SHELL_LIMITED keeps git away, not content" {
    with_environment limited limitedhost write GIT_ANNEX_SHELL_LIMITED=1
    stored_by_alice
    run ! git fetch ssh://limitedhost/data
    run ! git push ssh://limitedhost/data main:other
    run ! git -C "$SITE/repos/data.git" rev-parse -q --verify other
    git annex drop -q file
    git remote add limited ssh://limitedhost/data
    git config remote.limited.annex-uuid "$(site_uuid cluster)"
    git annex get -q --from limited file
    assert_same file "$TMP/original"
}

@test "GIT_ANNEX_SHELL_DIRECTORY allows one repository" {
    with_environment caged cagedhost write GIT_ANNEX_SHELL_DIRECTORY=/data
    annex-keep repo create other --site "$SITE"
    run -0 --separate-stderr ssh cagedhost "git-annex-shell 'configlist' '/data'"
    assert_line "annex.uuid=$(site_uuid cluster)"
    git clone -q ssh://cagedhost/data
    run -1 ssh cagedhost "git-annex-shell 'configlist' '/other'"
    assert_output "Only allowed to access /data not /other"
    run ! git clone ssh://cagedhost/other
    [ ! -e other ]
}

@test "a push to a new name makes the repository, and content follows" {
    make_repo mine
    cd mine
    random_file file 70K
    git annex add -q file
    git commit -q -m file
    git remote add origin ssh://testhost/org/fresh
    git push -q origin main
    git annex copy -q --to origin file
    annex-keep repo list --site "$SITE" --json | jq -re .name >"$TMP/names"
    assert_equal "$(tr '\n' ' ' <"$TMP/names")" "data org/fresh "
    uuid=$(site_uuid cluster org/fresh)
    assert_equal "$(annex_uuid origin)" "$uuid"
    node_content b "$(annex_key file)" | cmp - file
    git clone -q ssh://testhost/org/fresh "$TMP/clone"
    cd "$TMP/clone"
    git annex init -q clone
    git annex get -q file
    cmp file ../mine/file
}

@test "git annex push alone makes the repository and stores" {
    make_repo work
    cd work
    random_file file 70K
    git annex add -q file
    git commit -q -m file
    git remote add origin ssh://testhost/fresh
    git annex push -q
    for node in a b c; do node_content $node "$(annex_key file)" | cmp - file; done
    assert_equal "$(git -C "$SITE/repos/fresh.git" rev-parse main)" "$(git rev-parse main)"
}

@test "no git-annex runs on the server" {
    # start_ssh_server gives forced commands a PATH without git-annex's directory; this one tells of any other.
    for name in git-annex git-annex-shell; do
        printf '#!/bin/sh\necho "$0 $*" >>%s\nexit 1\n' "$TMP/ran" >"$SSHD_DIR/$name"
        chmod +x "$SSHD_DIR/$name"
    done
    authorize spied spiedhost "PATH=$SSHD_DIR:$BIN:/usr/bin:/bin annex-keep shell --site '$SITE' --user spied"
    annex-keep user add spied --site "$SITE" --key "$SSHD_DIR/spied.key.pub"
    work_as spiedhost
    git annex push -q
    git annex drop -q file
    git annex get -q file
    git annex drop -q --from origin file
    git annex pull -q
    [ ! -e "$TMP/ran" ] || fail "$(cat "$TMP/ran")"
}

# placed_by HOST: sets numcopies and what a node wants, stores a file there, and pushes; $output is what git said.
placed_by() {
    work_as "$1"
    git annex numcopies -q 2
    git annex wanted -q origin-a 'include=*.only-this'
    git annex group -q origin-b special
    git annex copy -q --to origin-c file
    git annex metadata -q --set tag=kept file
    run git push origin main git-annex:refs/heads/synced/git-annex
}

@test "placement that a writer pushes is left out, and the writer is told" {
    placed_by testhost
    [ "$status" = 0 ]
    for file in numcopies.log preferred-content.log group.log; do
        grep -E "^remote: .*$file.*left out.*admin" <<<"$output" || fail "$file is not told of:" "$output"
    done
    run ! server_branch numcopies.log
    run ! server_branch group.log
    run server_branch preferred-content.log
    refute_output only-this
    # The rest is there.
    server_branch uuid.log | grep -F "$(git config annex.uuid) work"
    assert_logged "$KEY" c "$(git config annex.uuid)"
    git -C "$SITE/repos/data.git" ls-tree -r --name-only git-annex | grep -F ".log.met"
    # And comes again when an admin pushes the same.
    add_user boss bosshost --role admin
    git fetch -q
    git annex merge -q
    git push -q ssh://bosshost/data git-annex:refs/heads/synced/git-annex
    server_branch preferred-content.log | grep -F 'include=*.only-this'
    server_branch numcopies.log | grep -x '[0-9.]*s 2'
}

@test "placement that an admin pushes is taken without a word" {
    add_user boss bosshost --role admin
    placed_by bosshost
    [ "$status" = 0 ]
    refute_output "left out"
    server_branch preferred-content.log | grep -F "$(site_uuid a) include=*.only-this"
    server_branch group.log | grep -F "$(site_uuid b) special"
    server_branch numcopies.log | grep -x '[0-9.]*s 2'
    assert_equal "$(git -C "$SITE/repos/data.git" rev-parse synced/git-annex)" \
        "$(git -C "$SITE/repos/data.git" rev-parse git-annex)"
}

@test "an admin's placement holds for the next copy" {
    add_user boss bosshost --role admin
    placed_by bosshost
    for name in new other.only-this; do
        random_file $name 5000
        git annex add -q $name
    done
    git annex copy -q --to origin new other.only-this
    assert_on "$(annex_key new)" new b c
    assert_on "$(annex_key other.only-this)" other.only-this a b c
}
