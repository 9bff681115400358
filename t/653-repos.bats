#!/usr/bin/env bats
# Many repositories in one site: names, settings, removal, and what they share and do not.

load lib

repo() { annex-keep repo "$@" --site "$SITE"; }

# uuids REPO: all UUIDs of a repository.
uuids() { repo info "$1" --json | jq -r '.cluster, .gateway, .nodes[].uuid'; }

# filled DIR URL: a clone of URL with the annexed file `file`, which is stored there.
filled() {
    git clone -q "$2" "$1"
    git -C "$1" annex init -q "$1"
    (cd "$1" && random_file file 30000 && git annex add -q . && git commit -qm files && git annex copy -q --to origin &&
        git push -q origin main +git-annex:synced/git-annex)
}

# stored_blocks: how many bytes all stores hold.
stored_blocks() { node_files | (cd "$SITE/nodes" && xargs -r stat -c %s | awk '{ sum += $1 } END { print sum + 0 }'); }

@test "settings of a repository are set, shown, and forgotten with it" {
    new_site
    assert_equal "$(repo info data --json | jq -r .anonymous)" none
    repo set data --anonymous read
    repo create open --anonymous read
    repo create org/nested
    assert_equal "$(repo list --json | jq -r '[.name, .anonymous] | join("=")' | tr '\n' ' ')" \
        "data=read open=read org/nested=none "
    run -0 repo info open
    assert_line "anonymous   read"
    sed -i 's/^anonymous = .*/anonymous = "read"/' "$SITE/annex-keep.toml"
    assert_equal "$(repo info org/nested --json | jq -r .anonymous)" read
    repo set open --anonymous none
    assert_equal "$(repo info open --json | jq -r .anonymous)" none
    repo set open --anonymous default
    assert_equal "$(repo info open --json | jq -r .anonymous)" read
    run -2 repo set open --anonymous write
    run -2 repo set open
    assert_output "nothing to set"
    run -1 repo set nothing --anonymous read
    assert_output "there is no repository nothing here"
    run -1 repo create open --anonymous none
    assert_output "there is a repository open already"
    assert_equal "$(repo info open --json | jq -r .anonymous)" read
    # A later repository of the same name starts anew, for single users, too.
    annex-keep user add alice --role none --repo data=admin --site "$SITE"
    run -2 repo remove data
    assert_output "--force"
    repo info data
    sed -i 's/^anonymous = .*/anonymous = "none"/' "$SITE/annex-keep.toml"
    repo remove data --force
    run -1 repo info data
    repo create data
    assert_equal "$(repo info data --json | jq -r .anonymous)" none
    assert_equal "$(annex-keep user list --json --site "$SITE" | jq -c .repos)" '{}'
    # Nothing is left of a nested name.
    repo remove org/nested --force
    [ ! -e "$SITE/repos/org" ]
    [ -d "$SITE/repos" ]
}

@test "names may be nested, and one repository stand inside the name of another" {
    start_site
    repo create a
    repo create a/b
    repo create a/b/c
    for name in a a/b a/b/c; do
        filled "$(tr / - <<<"$name")" "ssh://testhost/$name"
        git -C "$SITE/repos/$name.git" rev-parse -q --verify main
    done
    # Each has its own, by every spelling.
    assert_equal "$(for name in a a/b a/b/c; do uuids $name; done | sort | uniq -d)" ''
    git clone -q ssh://testhost/~/a/b.git again
    cmp <(git -C again rev-parse HEAD) <(git -C a-b rev-parse HEAD)
    repo remove a --force
    run -128 git clone ssh://testhost/a gone
    assert_output "there is no repository a here"
    git -C a-b-c annex get -q --force file
    git -C a-b-c annex fsck -q --from origin file
    repo remove a/b/c --force
    git -C a-b annex fsck -q --from origin file
    for name in ../x a//b .a a/.b x.git/y -a 'a b' ''; do
        run -2 repo create "$name"
    done
}

@test "a fork has nodes of its own, and its own content, though blocks are shared" {
    local key before fork_a
    start_site
    filled work ssh://testhost/data
    cd work
    key=$(annex_key file)
    before=$(stored_blocks)
    git remote add fork ssh://testhost/fork
    git push -q fork main git-annex:synced/git-annex
    git annex sync -q --no-content --no-push fork 2>/dev/null || git annex info -q --fast fork
    assert_equal "$({ uuids data && uuids fork; } | sort | uniq -d)" ''
    fork_a=$(site_uuid a fork)
    # The fork's branch knows the old nodes, and that they have the key; its own do not.
    server_branch uuid.log fork | grep -q "^$(site_uuid a) "
    server_branch uuid.log fork | grep -q "^$fork_a "
    run -1 git annex checkpresentkey "$key" fork
    git clone -q ssh://testhost/fork ../copy
    cd ../copy
    git annex init -q copy
    # By the branch the key is elsewhere, so git-annex does not even ask; asked, the fork does not have it.
    git annex get -q --from origin file
    lacks_content file
    run -1 git annex checkpresentkey "$key" origin
    # To know its hash is not enough: every byte has to come.
    P2P_DIR=/fork p2p <<END
open one $(site_uuid cluster fork)
S AUTH-SUCCESS $(site_uuid cluster fork)
C VERSION 4
S VERSION 4
C GET 0  $key
S DATA 0
S INVALID
C FAILURE
C PUT  $key
S PUT-FROM 0
C DATA-PRESENT
S FAILURE
C PUT  $key
S PUT-FROM 0
C DATA 0
C VALID
S FAILURE
C CHECKPRESENT $key
S FAILURE
close
code 0
END
    cd ../work
    git annex copy -q --to fork file
    # A manifest for each entry is all that was added.
    (($(stored_blocks) - before < 3 * 2000))
    cd ../copy
    git fetch -q
    git annex get -q --from origin file
    assert_same file "../work"/file
    # What goes in one stays in the other.
    git -C ../work annex drop -q --from fork --force file
    run -1 git annex checkpresentkey "$key" origin
    git -C ../work annex fsck -q --from origin file
    repo remove fork --force
    git -C ../work annex drop -q file
    git -C ../work annex get -q file
}

@test "a repository that is removed and made again is a new one for its old clients" {
    local key
    start_site
    filled work ssh://testhost/data
    repo remove data --force
    cd work
    key=$(annex_key file)
    run -128 git fetch
    assert_output "there is no repository data here"
    run -1 git annex copy --to origin --force file
    repo create data
    # The old cluster is not here any more, and the new one not taken for it.
    run -1 git annex fsck --fast --from origin file
    assert_output "expected repository UUID"
    git clone -q ssh://testhost/data ../copy
    cd ../copy
    git annex init -q copy
    assert_equal "$(git config remote.origin.annex-uuid)" "$(site_uuid cluster)"
    run -1 git annex checkpresentkey "$key" origin
}
