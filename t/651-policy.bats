#!/usr/bin/env bats
# What may be stored at all: secure hashes, the largest key, the quota of a repository.

load lib

setup() {
    isolate
    start_site
    clone_site work
    cd work || return
}

# configure TEXT...: lines for the section [limits] of the site's configuration.
configure() {
    local line
    for line in "$@"; do
        sed -i "s/^\[limits\]/&\n$line/" "$SITE/annex-keep.toml"
    done
}

# add FILE SIZE [BACKEND]: a new annexed file.
add() {
    random_file "$1" "$2"
    git annex add -q --backend "${3:-SHA256E}" "$1"
    git commit -qm "$1"
}

# nothing_of KEY: no node has it or a part of it.
nothing_of() {
    assert_on "$1" /dev/null
    assert_equal "$(find "$SITE"/nodes/*/.annex-keep/tmp -type f | wc -l)" 0 "files on their way"
}

@test "annex.securehashesonly on the branch holds from the push on, for every backend" {
    local backend
    add md5 5000 MD5E
    add sha1 5000 SHA1
    add worm 5000 WORM
    add xxh3 5000 XXH3
    add before 5000 MD5
    git annex copy -q --to origin before
    annex-keep user set alice --site "$SITE" --repo data=admin
    git annex config -q --set annex.securehashesonly true
    git push -q origin +git-annex
    # A client obeys it by itself; this one does not, so that the server has to.
    git config annex.securehashesonly false
    for backend in md5 sha1 worm xxh3; do
        run -1 git annex copy --to origin "$backend"
        assert_output "annex.securehashesonly blocked adding "
        assert_output "not cryptographically secure"
        nothing_of "$(annex_key $backend)"
    done
    # Straight to a node it is no different.
    run -1 git annex copy --to origin-a md5
    assert_output "annex.securehashesonly blocked adding MD5E key"
    # What is there already stays readable, can be checked, and goes when it is dropped.
    git annex fsck -q --fast --from origin before
    git annex drop -q before
    git annex get -q before
    git annex copy -q --to origin before
    git annex drop -q --from origin before
    for backend in SHA256E SHA512 SHA3_256 BLAKE2B256E; do
        add "$backend" 5000 "$backend"
        git annex copy -q --to origin "$backend"
        assert_on "$(annex_key "$backend")" "$backend" a b c
    done
    # What the message advises works.
    git annex migrate -q --backend=SHA256E md5
    git annex copy -q --to origin md5
    git annex config -q --set annex.securehashesonly false
    git push -q origin +git-annex
    git annex copy -q --to origin sha1
}

@test "a site can ask for secure hashes whatever the branch says" {
    sed -i 's/^securehashesonly = .*/securehashesonly = true/' "$SITE/annex-keep.toml"
    add md5 5000 MD5E
    add sha 5000
    run -1 git annex copy --to origin md5
    assert_output "this site blocked adding MD5E key"
    git annex copy -q --to origin sha
}

@test "a key that is larger than the site stores is refused before its content flows" {
    configure 'largest_key = "100 kB"'
    add fits 100000
    add large 100001
    git annex copy -q --to origin fits
    run -1 git annex copy --to origin large
    assert_output "the content is too large: at most 100 kB of a key are stored here"
    nothing_of "$(annex_key large)"
    CLUSTER=$(site_uuid cluster)
    p2p <<END
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 4
S VERSION 4
C PUT  $(annex_key large)
S~ ERROR the content is too large.*
C CHECKPRESENT $(annex_key fits)
S SUCCESS
close
code 0
END
}

@test "a key without a size is cut off where it passes the limit, and leaves nothing" {
    configure 'largest_key = "100 kB"'
    CLUSTER=$(site_uuid cluster)
    random_file small 100000
    random_file large 3000000
    p2p <<END
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 4
S VERSION 4
C PUT  URL--http://example.org/large
S PUT-FROM 0
C DATA 3000000
send large
C VALID
S FAILURE
C CHECKPRESENT URL--http://example.org/large
S FAILURE
C PUT  URL--http://example.org/large
S PUT-FROM 0
C DATA 0
C INVALID
S FAILURE
C PUT  URL--http://example.org/small
S PUT-FROM 0
C DATA 100000
send small
C VALID
S~ SUCCESS-PLUS .*
close
code 0
END
    nothing_of "URL--http&c%%example.org%large"
}

@test "content that is more than its key says is cut off there" {
    CLUSTER=$(site_uuid cluster)
    random_file large 3000000
    p2p <<END
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 4
S VERSION 4
C PUT  WORM-s1000--claims-little
S PUT-FROM 0
C DATA 3000000
send large
C VALID
S FAILURE
close
code 0
END
    nothing_of WORM-s1000--claims-little
}

@test "a quota counts all nodes together, says what it is and what is used, and is freed by drops" {
    configure 'repository_quota = "100 kB"'
    add one 10000
    add two 20000
    add three 5000
    git annex copy -q --to origin one two
    run -1 git annex copy --to origin three
    assert_output "over the quota of this repository: its nodes may hold 100 kB, they hold 90 kB"
    assert_output "this key needs 5 kB on each of 3"
    nothing_of "$(annex_key three)"
    # Two of them fit, one node at a time.
    git annex copy -q --to origin-a three
    git annex copy -q --to origin-b three
    run -1 git annex copy --to origin-c three
    assert_output "they hold 100 kB"
    # What is there already is no matter of quota.
    git annex copy -q --to origin one
    git annex drop -q --from origin-a --force one
    git annex copy -q --to origin-c three
    assert_on "$(annex_key three)" three a b c
    # Another repository has its own.
    annex-keep repo create other --site "$SITE"
    git remote add other ssh://testhost/other
    git annex copy -q --to other two
    # A key without a size cannot be counted.
    CLUSTER=$(site_uuid cluster)
    p2p <<END
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 4
S VERSION 4
C PUT  URL--http://example.org/x
S~ ERROR .*has a quota, and the key has no size.*
close
code 0
END
}

@test "uploads at once do not pass a quota together" {
    configure 'repository_quota = "300 kB"'
    CLUSTER=$(site_uuid cluster)
    random_file one 60000
    random_file two 60000
    # The first has announced its content and not sent it yet: the second sees that room as taken.
    p2p <<END
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 4
S VERSION 4
C PUT  $(sha256_key one)
S PUT-FROM 0
open two $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 4
S VERSION 4
C PUT  $(sha256_key two)
S~ ERROR over the quota of this repository: its nodes may hold 300 kB, they hold 0 bytes, 180 kB are on the way.*
use one
C DATA 60000
send one
C VALID
S~ SUCCESS-PLUS .*
use two
C PUT  $(sha256_key two)
S~ ERROR over the quota of this repository: its nodes may hold 300 kB, they hold 180 kB, and.*
use one
C PUT  SHA256-s30000--0000000000000000000000000000000000000000000000000000000000000000
S PUT-FROM 0
C ERROR not today
C CHECKPRESENT $(sha256_key one)
S SUCCESS
use two
C PUT  SHA256-s30000--0000000000000000000000000000000000000000000000000000000000000001
S PUT-FROM 0
C ERROR nor today
close
code 0
END
    # Many real ones: what is stored in the end is within the quota, and no more was refused than had to be.
    for i in {1..10}; do
        add "f$i" 10000
    done
    run git annex copy --json -J5 --to origin .
    stored=$(git annex find --in origin . | wc -l)
    assert_equal "$stored" 4 "files of 3 x 10 kB beside 180 kB of 300 kB"
}
