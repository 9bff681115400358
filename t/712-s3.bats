#!/usr/bin/env bats
# A node that is the bucket of git-annex's S3 special remote, used by git-annex directly as well. The server is moto.

# shellcheck disable=SC2016,SC2030,SC2031 # conditions of wait_until; each test is a process of its own

load lib
load s3.bash
load alone.bash

# start_s3_site [SETTINGS [CONFIG]]: a site whose repository `data` has the Keep node a and the node d, the bucket `bucket`,
# with the settings given; and a client in $TMP/work. The repository $TMP/alone never heard of the site: it has the special
# remote `direct` on the same bucket and, if CONFIG is given, with that configuration, under the node's own UUID.
start_s3_site() {
    SITE=$TMP/site
    start_moto
    make_bucket bucket
    start_ssh_server
    annex-keep init "$SITE" --node a=keep:nodes/a
    annex-keep repo create data --site "$SITE"
    run -0 annex-keep node add d="s3://bucket${1:-?}&endpoint=$S3" --repo data --uuid "$D_UUID" \
        --secret s3creds="file:$TMP/s3creds" --site "$SITE"
    for what in "is asked" stores "gives back" "gives back the end" locks removes; do
        assert_line "node d $what: works"
    done
    [ -z "$(objects bucket)" ]
    git config --global annex.security.allowed-ip-addresses 127.0.0.1
    start_clients type=S3 bucket=bucket host=127.0.0.1 port="$S3_PORT" protocol=http requeststyle=path signature=v4 "${@:2}"
}

# content: the names of the objects that are content.
content() { objects bucket | grep -v 'annex-uuid$' || true; }

nothing_unfinished() { assert_equal "$(unfinished bucket)" 0; }

@test "what the gateway stores in a bucket git-annex reads, and the other way round" {
    start_s3_site '?storageclass=STANDARD_IA'
    readable_both_ways 0 20000000
    # It is stored as git-annex stores it: under the key's own name.
    add_to_both file 100K
    git annex copy -q --to origin file
    assert_logged "$KEY" a d
    assert_equal "$(content | grep -F "$KEY")" "$KEY"
    s3 GET "bucket?list-type=2&prefix=$KEY" | grep -q '<StorageClass>STANDARD_IA<'
    # By its own numbers, git-annex finds it sound.
    alone setpresentkey "$KEY" "$D_UUID" 1 >/dev/null
    alone fsck -q --from direct file
}

@test "with chunks and a prefix it is the same, and the names are git-annex's own" {
    start_s3_site '/some/folder?chunk=1MiB' chunk=1MiB fileprefix=some/folder/
    readable_both_ways 3500000
    add_to_both file 2500000
    git annex copy -q --to origin-d file
    content >"$TMP/ours"
    assert_equal "$(wc -l <"$TMP/ours")" 3
    git annex drop -q --force --from origin-d file
    (cd "$TMP/alone" && cp "$TMP/original-file" again && git annex add -q --backend=SHA256E again &&
        git annex copy -q --to direct again)
    content | cmp - "$TMP/ours" || [ "$(content | grep -c "S1048576-C[123]--")" = 3 ]
}

@test "an existing bucket is put behind a gateway, whatever its chunks" {
    start_s3_site '?chunk=1MiB' chunk=300KiB
    for i in 1 2 3; do random_file "$TMP/alone/$i" 1000000; done
    (cd "$TMP/alone" && git annex add -q . && git annex copy -q --to direct . && git commit -qm files)
    git fetch -q "$TMP/alone" main
    git merge -q --allow-unrelated-histories FETCH_HEAD
    # Nobody told the site what there is.
    git annex fsck -q --fast --from origin-d .
    git annex get -q --from origin-d .
    for i in 1 2 3; do assert_same "$i" "$TMP/alone/$i"; done
    git annex fsck -q --from origin-d .
    # A copy with a chunk missing is none.
    KEY=$(annex_key 1)
    s3 DELETE "bucket/$(content | grep "S307200-C3--${KEY#*--}")"
    run ! git annex checkpresentkey "$KEY" origin-d
    assert_equal "$status" 1
    git annex copy -q --to origin-d 1
    git annex drop -q --force 1
    git annex get -q --from origin-d 1
    assert_same 1 "$TMP/alone/1"
}

@test "a server that dies in the middle of an upload leaves nothing visible, and the other nodes have the key" {
    start_s3_site
    add_to_both file 30000000
    add_to_both before 100K
    git annex copy -q --to origin before
    mkfifo "$TMP/script"
    p2p <"$TMP/script" 3>&- &
    talking=$!
    exec 7>"$TMP/script"
    printf '%s\n' "open one $(site_uuid cluster)" 'S~ AUTH-SUCCESS .*' 'C VERSION 4' 'S VERSION 4' \
        "C PUT file $(annex_key file)" 'S PUT-FROM 0' 'C DATA 30000000' "send $PWD/file 0 20000000" >&7
    wait_until 20 eval '[ "$(unfinished bucket)" = 1 ]'
    run ! grep -qF "$(annex_key file)" <(content)
    stop_moto
    printf '%s\n' "send $PWD/file 20000000 10000000" 'C VALID' 'S~ SUCCESS.*' close >&7
    exec 7>&-
    wait $talking
    assert_logged "$(annex_key file)" a
    # It is unknown what the bucket has, not absent; and nobody hangs.
    run -100 timeout 60 git annex checkpresentkey "$(annex_key before)" origin-d
    git annex drop -q --force before
    git annex get -q --from origin before
    run ! timeout 60 git annex copy --to origin-d file
    assert_output "s3://bucket/ at $S3"
    refute_output hunter2
    # Back, and with an empty bucket: the copy that was lost is told of and made again.
    start_moto
    make_bucket bucket
    git annex copy -q --to origin-d file
    assert_logged "$(annex_key file)" a d
    git annex drop -q --force file
    git annex get -q --from origin-d file
    assert_same file "$TMP/original-file"
}

@test "an upload that its client breaks off leaves nothing in the bucket" {
    start_s3_site '?chunk=6MiB'
    add_to_both file 30000000
    for end in close kill; do
        mkfifo "$TMP/script"
        p2p <"$TMP/script" 3>&- &
        talking=$!
        exec 7>"$TMP/script"
        printf '%s\n' "open one $D_UUID" 'S~ AUTH-SUCCESS .*' 'C VERSION 4' 'S VERSION 4' "C PUT file $KEY" 'S PUT-FROM 0' \
            'C DATA 30000000' "send $PWD/file 0 20000000" >&7
        wait_until 20 eval '[ "$(unfinished bucket)" -ge 1 ]'
        echo $end >&7
        exec 7>&-
        wait $talking
        rm "$TMP/script"
        [ -z "$(content)" ]
        run -1 git annex checkpresentkey "$KEY" origin-d
        [ $end = kill ] || wait_until 20 eval '[ "$(unfinished bucket)" = 0 ]'
    done
    git annex copy -q --to origin-d file
    git annex drop -q --force file
    git annex get -q --from origin-d file
    assert_same file "$TMP/original-file"
}

@test "wrong bytes never become an object, and wrong credentials are told without showing them" {
    start_s3_site '?chunk=1MiB'
    add_to_both file 3000000
    random_file "$TMP/wrong" 3000000
    p2p <<P2P
open one $D_UUID
S~ AUTH-SUCCESS .*
C VERSION 4
S VERSION 4
C PUT file $KEY
S PUT-FROM 0
C DATA 3000000
send $TMP/wrong
C VALID
S~ (FAILURE|ERROR .*)
close
P2P
    [ -z "$(content)" ]
    assert_equal "$(unfinished bucket)" 0
    echo hunter2hunter2 >"$TMP/s3creds"
    run ! git annex copy --to origin-d file
    assert_output "two lines"
    refute_output hunter2
    rm "$TMP/s3creds"
    run ! git annex copy --to origin-d file
    assert_output "$TMP/s3creds"
}

@test "a bucket is emptied and leaves the site" {
    start_s3_site '?chunk=1MiB'
    add_to_both file 3000000
    git annex copy -q --to origin file
    assert_logged "$KEY" a d
    run -0 annex-keep node list --site "$SITE"
    assert_output "d: s3://bucket?endpoint=$S3&chunk=1048576 (only data), cost 100"
    annex-keep node set d --cost 50 --site "$SITE"
    git annex push -q --no-content
    run -0 annex-keep node drain d --site "$SITE"
    assert_line "data: 1 keys are gone from node d"
    assert_logged "$KEY" a "$(git config annex.uuid)"
    [ -z "$(content)" ]
    annex-keep node remove d --site "$SITE"
}
