#!/usr/bin/env bats
# Users of a site: roles, keys, passwords and tokens from the command line, and what each role sees over ssh.

load lib

# user ARG...: `annex-keep user` on the site.
user() { annex-keep user "$@" --site "$SITE"; }

# listed NAME FILTER: a jq filter on what `user list` tells of a user.
listed() { user list --json | jq -r --arg name "$1" "select(.name == \$name) | $2"; }

# filled_site: a site whose repository has the annexed files `kept` and `spare`, from alice, who may write.
filled_site() {
    start_site
    clone_site work
    (cd work && random_file kept 20000 && random_file spare 20000 && git annex add -q . && git commit -qm files &&
        git annex copy -q --to origin && git push -q origin main +git-annex:synced/git-annex)
}

# fresh_file NAME: a new annexed file in the clone that the test is in.
fresh_file() {
    random_file "$1" 3000
    git annex add -q "$1"
    git commit -qm "$1"
}

@test "a user is changed in one step, or not at all" {
    new_site
    ssh-keygen -q -t ed25519 -N '' -C 'alice at home' -f one
    ssh-keygen -q -t rsa -N '' -C two -f two
    run -0 user add alice --key one.pub --key two.pub --role read --repo data=admin --password-stdin <<<secret
    assert_equal "$(wc -l <<<"$output")" 2
    assert_output "shell --site $SITE --user alice\" $(cut -d' ' -f1,2 one.pub) alice at home"
    assert_equal "$(listed alice '[.role, .repos.data, .password, .tokens, (.keys | length)] | map(tostring) | join(" ")')" \
        "read admin true 0 2"
    assert_equal "$(listed alice '.keys[].fingerprint' | sort)" \
        "$(for key in one two; do ssh-keygen -lf $key.pub | cut -d' ' -f2; done | sort)"
    # The key of somebody else: nothing of that user is made, nothing of this one changed.
    run -1 user add bob --key one.pub --password-stdin <<<other
    assert_output "belongs to user alice"
    assert_equal "$(listed bob .name)" ''
    ssh-keygen -q -t ed25519 -N '' -C x -f three
    run -1 user set alice --role admin --key three.pub --remove-key SHA256:none --no-password
    assert_output "user alice has no key SHA256:none"
    assert_equal "$(listed alice '[.role, .password, (.keys | length)] | map(tostring) | join(" ")')" "read true 2"
    # Keys go by file or fingerprint; a role in one repository goes by "default".
    user set alice --remove-key one.pub --remove-key "$(ssh-keygen -lf two.pub | cut -d' ' -f2)" --repo data=default \
        --no-password
    assert_equal "$(listed alice '[.role, (.repos | length), .password, (.keys | length)] | map(tostring) | join(" ")')" \
        "read 0 false 0"
    run -0 user list
    assert_line "alice read (no password, tokens: 0)"
    user remove alice
    run -1 user set alice --role read
    assert_output "there is no user alice"
    assert_equal "$(user list)" ''
}

@test "names that stand for somebody else, and nonsense, are refused" {
    new_site
    for name in git anonymous owner Owner 'a b' ../x; do
        run -1 user add "$name"
        assert_output "name"
    done
    run -2 user add alice --role king
    run -2 user add alice --repo data
    run -2 user add alice --repo data=king
    run -1 user add alice --password-stdin <<<''
    assert_output "the password is empty"
    run -2 user add alice --password --password-stdin <<<x
    run -2 user add alice --password <<<x
    assert_output "use --password-stdin"
    run -1 user add alice --key /dev/null
    assert_output "not an ssh public key"
    assert_equal "$(user list)" ''
}

@test "a password is asked for on the terminal, twice, and not shown" {
    new_site
    cat >terminal.py <<'END'
import os, pty, sys
answers = sys.argv[1:3]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
seen = b""
while True:
    try:
        new = os.read(terminal, 1000)
    except OSError:
        break
    if not new:
        break
    seen += new
    if new.endswith(b": ") and answers:
        os.write(terminal, answers.pop(0).encode() + b"\n")
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
    run -0 python3 terminal.py hush-hush hush-hush annex-keep user add alice --password --site "$SITE"
    assert_output "Password: "
    refute_output hush
    assert_equal "$(listed alice .password)" true
    run -1 python3 terminal.py hush-hush hush-hash annex-keep user add bob --password --site "$SITE"
    assert_output "passwords differ"
    assert_equal "$(listed bob .name)" ''
    run ! grep -aq hush "$SITE/site.db" "$SITE/site.db-wal"
}

@test "a token is printed once, listed without its secret, and revoked by its id" {
    local token id secret
    new_site
    user add alice
    token=$(user token alice --expires 30d)
    [[ $token =~ ^v2/([^/]+)/([^/]+)$ ]] || fail "not a token: $token"
    id=${BASH_REMATCH[1]} secret=${BASH_REMATCH[2]}
    user token alice >/dev/null
    assert_equal "$(listed alice .tokens)" 2
    run -0 user tokens alice --json
    refute_output "$secret"
    assert_json '.user == "alice" and .live and .expires - .created == 30 * 86400' "$(grep -F "$id" <<<"$output")"
    run -0 user tokens
    assert_output "$id alice made "
    assert_output "until it is revoked"
    run ! grep -aqF -- "$secret" "$SITE/site.db" "$SITE/site.db-wal"
    user revoke "$id"
    run -1 user revoke "$id"
    assert_output "there is no token $id"
    assert_equal "$(listed alice .tokens)" 1
    run -2 user token alice --expires tomorrow
    assert_output "is no time"
    run -1 user token nobody
    assert_output "there is no user nobody"
    # It ends by itself, and with its user.
    user token alice --expires 1s >/dev/null
    ended() { [ "$(listed alice .tokens)" = 1 ]; }
    wait_until 10 ended
    assert_equal "$(user tokens alice --json | jq -s 'map(select(.live | not)) | length')" 1
    user remove alice
    assert_equal "$(user tokens)" ''
}

@test "a reader gets and clones, and is told why nothing else works" {
    filled_site
    add_user bob bobhost --role read
    clone_site copy bobhost
    cd copy
    git annex get -q kept
    assert_same kept "../work"/kept
    git annex fsck -q --fast --from origin-a kept
    fresh_file mine
    run -1 git annex copy --to origin mine
    assert_output "read-only"
    run -1 git annex drop --from origin kept
    assert_output "read-only"
    run -1 git annex drop --from origin-a kept
    assert_output "read-only"
    run -128 git push origin main
    assert_output "bob may not push to data; an admin of this site can allow it (annex-keep user set bob --repo data=ROLE)"
    assert_output "Could not read from remote repository"
    # A copy locked by a reader counts: dropping here relies on it.
    git annex drop -q kept
    assert_on "$(annex_key kept)" "../work"/kept a b c
    assert_logged "$(annex_key kept)" a b c "$(git -C ../work config annex.uuid)"
}

@test "one who may append stores and pushes, and removes nothing" {
    filled_site
    add_user bob bobhost --role append
    clone_site copy bobhost
    cd copy
    fresh_file mine
    git annex copy -q --to origin mine
    git push -q origin main git-annex:synced/git-annex
    git annex get -q kept
    run -1 git annex drop --from origin kept
    assert_output "append-only"
    run -1 git annex move --from origin --force spare
    assert_output "append-only"
    run -1 git annex drop --from origin-b --force spare
    assert_output "append-only"
    assert_on "$(annex_key spare)" "../work"/spare a b c
    assert_equal "$(git -C "$SITE/repos/data.git" rev-parse main)" "$(git rev-parse main)"
}

@test "one who may write removes; placement stays as it was" {
    filled_site
    cd work
    git annex drop -q --from origin kept
    lacks() { [ -z "$(manifest a "$1")$(manifest b "$1")$(manifest c "$1")" ]; }
    lacks "$(annex_key kept)"
    git annex numcopies -q 3
    git annex wanted -q origin-a nothing
    git annex config -q --set annex.securehashesonly true
    run -0 git push origin +git-annex
    assert_output "your changes of numcopies.log were left out: only an admin may change the number of copies here"
    assert_output "your changes of preferred-content.log were left out: only an admin may change placement here"
    assert_output "your changes of config.log were left out"
    run ! server_branch numcopies.log
    user set alice --repo data=admin
    run -0 git push origin +git-annex
    refute_output "left out"
    server_branch numcopies.log | grep -q ' 3$'
    server_branch config.log | grep -q ' annex.securehashesonly true$'
}

@test "none takes a repository away, and nobody else is disturbed" {
    filled_site
    add_user bob bobhost --role none
    run -128 git clone ssh://bobhost/data copy
    assert_output "annex-keep: bob may not read data"
    run -0 ssh bobhost
    assert_output "Hello bob!"
    refute_output "data"
    user set bob --repo data=read
    git clone -q ssh://bobhost/data copy
    git -C copy annex init -q copy
    run -0 ssh bobhost
    assert_output "data (read)"
    git -C copy annex get -q kept
    # In the middle of everything: it holds from the next request on.
    user set bob --repo data=default
    run -1 git -C copy annex get spare
    assert_output "bob may not read data"
    run -128 git -C copy fetch
    # A repository that is not there looks no different.
    run -128 git clone ssh://bobhost/nothing
    assert_output "bob may not read nothing"
    user remove bob
    run -128 git -C copy fetch
    assert_output "there is no user bob"
    git -C work annex get -q .
}

@test "what anybody may read, a user without a role may read, too" {
    filled_site
    add_user bob bobhost --role none
    annex-keep repo set data --anonymous read --site "$SITE"
    clone_site copy bobhost
    git -C copy annex get -q kept
    cd copy
    run -1 git annex drop --from origin kept
    assert_output "read-only"
    annex-keep repo set data --anonymous default --site "$SITE"
    run -128 git fetch
}

@test "a first push makes a repository for those who may, and for no others" {
    local role made
    start_site
    for role in none read append write admin; do
        add_user "u$role" "h$role" --role "$role"
    done
    make_repo new
    cd new
    fresh_file first
    for role in none read append; do
        run -128 git push "ssh://h$role/by-$role" main
        if [ $role = append ]; then assert_output "there is no repository by-append here"; else
            assert_output "u$role may not push to by-$role"
        fi
    done
    for role in write admin; do
        git remote add "$role" "ssh://h$role/org/by-$role"
        git push -q "$role" main
        git annex copy -q --to "$role" first
    done
    made=$(annex-keep repo list --site "$SITE" | tr '\n' ' ')
    assert_equal "$made" "data org/by-admin org/by-write "
    # The site says from which role on; somebody may in a part of the site only.
    sed -i 's/^create = .*/create = "append"/' "$SITE/annex-keep.toml"
    git push -q ssh://happend/by-append main
    sed -i 's/^create = .*/create = "none"/' "$SITE/annex-keep.toml"
    run -128 git push ssh://hadmin/by-none main
    assert_output "there is no repository by-none here"
    sed -i 's/^create = .*/create = "admin"/' "$SITE/annex-keep.toml"
    user set uread --repo mine=admin
    git push -q ssh://hread/mine main
    run -128 git push ssh://hread/other main
    run -128 git clone ssh://hwrite/not-there
    assert_output "there is no repository not-there here"
}
