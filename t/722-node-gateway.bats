#!/usr/bin/env bats
# Gateways whose nodes are other gateways: of ours and of git-annex.

# shellcheck disable=SC2016,SC2034 # a script keeps its own variables; lib.bash reads SITE

load lib

# gateway_site NAME HOST NODE: a site $TMP/NAME with one Keep node, reached as HOST by a user of that name.
gateway_site() {
    annex-keep init "$TMP/$1" --node "$3=$TMP/keep-$3"
    authorize "$1" "$2" "annex-keep shell --site '$TMP/$1' --user $1"
    annex-keep user add "$1" --site "$TMP/$1" --key "$SSHD_DIR/$1.key.pub" --role write
}

# node SITE NAME SPEC UUID [LINE]...: a node of the site's repository `data`.
node() {
    local site=$TMP/$1 name=$2 spec=$3 uuid=$4
    shift 4
    {
        printf '\n[nodes.%s]\nid = "%s"\nstore = "%s"\nrepo = "data"\nuuid = "%s"\n' \
            "$name" "$(cat /proc/sys/kernel/random/uuid)" "$spec" "$uuid"
        [ $# = 0 ] || printf '%s\n' "$@"
    } >>"$site/annex-keep.toml"
}

uuid_at() { SITE=$TMP/$1 site_uuid "$2"; }

begin() {
    SITE=$TMP/near
    add_user alice testhost --role write
    clone_site work 2>clone.err
    cd work || return
    random_file file 300K
    cp file "$TMP/original"
    git annex add -q file
    git commit -q -m file
    KEY=$(annex_key file)
}

setup() {
    isolate
    start_ssh_server
    gateway_site near nearhost n
    gateway_site far farhost f
}

@test "a node of another gateway is a node here, by the same UUID" {
    annex-keep repo create data --site "$TMP/far"
    node near remote ssh://farhost/data "$(uuid_at far f)" "gateway = \"$(uuid_at far gateway)\""
    annex-keep repo create data --site "$TMP/near"
    begin
    git annex copy -q --to origin file
    assert_logged "$KEY" n "$(uuid_at far f)"
    SITE=$TMP/far assert_logged "$KEY" f
    git annex drop -q file
    git annex get -q --from origin-remote file
    assert_same file "$TMP/original"
    git annex drop -q --from origin-remote file
    assert_logged "$KEY" n
    SITE=$TMP/far assert_logged "$KEY"
}

@test "another gateway's cluster is a node here, and its own nodes are what is recorded" {
    annex-keep repo create data --site "$TMP/far"
    node near remote ssh://farhost/data "$(uuid_at far cluster)" "gateway = \"$(uuid_at far gateway)\""
    annex-keep repo create data --site "$TMP/near"
    begin
    git annex copy -q --to origin file
    assert_logged "$KEY" n "$(uuid_at far f)"
    SITE=$TMP/far assert_logged "$KEY" f
    git annex drop -q file
    git annex get -q file
    assert_same file "$TMP/original"
    git annex drop -q --from origin file
    assert_logged "$KEY"
    SITE=$TMP/far assert_logged "$KEY"
}

# far_chooses_by_name: the far cluster has the node g, too, for *.dat alone; all else is for f.
far_chooses_by_name() {
    SITE=$TMP/far
    annex-keep node add g="$TMP/keep-g" --site "$SITE"
    annex-keep repo create data --site "$SITE"
    annex-keep user set far --site "$SITE" --role admin
    git clone -q ssh://farhost/data "$TMP/admin" 2>/dev/null
    git -C "$TMP/admin" annex init -q admin
    git -C "$TMP/admin" commit -q --allow-empty -m start
    git -C "$TMP/admin" annex wanted -q origin-g "include=sub/*.dat"
    git -C "$TMP/admin" annex wanted -q origin-f "exclude=sub/*.dat"
    git -C "$TMP/admin" annex push -q --no-content
}

# names_reach_far: a file goes to where the far cluster wants its name.
names_reach_far() {
    begin
    mkdir sub
    random_file "sub/a b.dat" 20K
    random_file sub/other.txt 20K
    git annex add -q sub
    git commit -q -m sub
    git annex copy -q --to origin sub
    assert_logged "$(annex_key "sub/a b.dat")" n "$(uuid_at far g)"
    assert_logged "$(annex_key sub/other.txt)" n "$(uuid_at far f)"
    SITE=$TMP/far assert_logged "$(annex_key "sub/a b.dat")" g
    SITE=$TMP/far assert_logged "$(annex_key sub/other.txt)" f
}

@test "a far cluster chooses by the names of files, which are passed on" {
    far_chooses_by_name
    node near remote ssh://farhost/data "$(uuid_at far cluster)" "gateway = \"$(uuid_at far gateway)\""
    annex-keep repo create data --site "$TMP/near"
    names_reach_far
}

@test "a far cluster behind HTTP chooses by the names of files, too" {
    far_chooses_by_name
    annex-keep user add door --site "$SITE" --role write --password-stdin <<<"far-enough"
    start_daemon
    echo far-enough >"$TMP/password"
    node near remote "annex+$HTTP/git-annex/" "$(uuid_at far cluster)" "gateway = \"$(uuid_at far gateway)\"" \
        'user = "door"' "password_file = \"$TMP/password\""
    annex-keep repo create data --site "$TMP/near"
    names_reach_far
}

@test "clusters that are nodes of each other do not ask in a circle" {
    annex-keep repo create data --site "$TMP/far"
    annex-keep repo create data --site "$TMP/near"
    node near remote ssh://farhost/data "$(uuid_at far cluster)" "gateway = \"$(uuid_at far gateway)\""
    node far remote ssh://nearhost/data "$(uuid_at near cluster)" "gateway = \"$(uuid_at near gateway)\""
    begin
    timeout 60 git annex copy -q --to origin file
    assert_logged "$KEY" n "$(uuid_at far f)"
    SITE=$TMP/far assert_logged "$KEY" f
    # What nobody has is absent, and not asked for for ever.
    CLUSTER=$(site_uuid cluster)
    p2p <<END
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 4
S VERSION 4
C CHECKPRESENT WORM--nobody
S FAILURE
close
code 0
END
    timeout 60 git annex drop -q --from origin file
    assert_logged "$KEY"
    SITE=$TMP/far assert_logged "$KEY"
}

@test "a request that came through a node's gateway leaves that node out" {
    annex-keep repo create data --site "$TMP/far"
    node near remote ssh://farhost/data "$(uuid_at far cluster)" "gateway = \"$(uuid_at far gateway)\""
    annex-keep repo create data --site "$TMP/near"
    random_file file 1000
    SITE=$TMP/near
    CLUSTER=$(site_uuid cluster)
    local key
    key=$(sha256_key file)
    p2p <<END
open one $CLUSTER
S AUTH-SUCCESS $CLUSTER
C VERSION 4
S VERSION 4
C BYPASS $(uuid_at far gateway)
C PUT  $key
S PUT-FROM 0
C DATA 1000
send $PWD/file
C VALID
S SUCCESS-PLUS $(site_uuid n)
close
code 0
END
    assert_logged "$key" n
    SITE=$TMP/far assert_logged "$key"
}

# annex_gateway: a gateway of git-annex's own, $TMP/gw, with a cluster of the repositories $TMP/one and $TMP/two, reached
# as gwhost. Sets THEIRS, the cluster's UUID.
annex_gateway() {
    local annex=${ANNEX_KEEP_TEST_GIT_ANNEX:-$ROOT/.peers/venv/bin} name
    git init -q "$TMP/gw"
    git -C "$TMP/gw" annex init -q gw
    for name in one two; do
        git init -q --bare "$TMP/$name"
        git -C "$TMP/$name" annex init -q "$name"
        git -C "$TMP/gw" remote add "$name" "$TMP/$name"
        git -C "$TMP/gw" config "remote.$name.annex-cluster-node" theirs
    done
    serve_annex_cluster "$TMP/gw" "$annex"
    THEIRS=$(git -C "$TMP/gw" config annex.cluster.theirs)
}

their() { git -C "$TMP/$1" config annex.uuid; }

@test "a cluster of git-annex's own gateway is a node here, and so is one of its nodes" {
    annex_gateway
    node near theirs "ssh://gwhost$TMP/gw" "$THEIRS" "gateway = \"$(their gw)\""
    annex-keep repo create data --site "$TMP/near"
    begin
    git annex copy -q --to origin file
    for name in one two; do
        [ -n "$(find "$TMP/$name/annex/objects" -type f -name "$KEY")" ] || fail "$name lacks the content"
    done
    assert_logged "$KEY" n "$(their one)" "$(their two)"
    git annex drop -q file
    git annex get -q file
    assert_same file "$TMP/original"
    git annex drop -q --from origin file
    for name in one two; do
        [ -z "$(find "$TMP/$name/annex/objects" -type f -name "$KEY")" ] || fail "$name has the content"
    done
    assert_logged "$KEY"
}

@test "a node of git-annex's own gateway is a node here" {
    annex_gateway
    node near one "ssh://gwhost$TMP/gw" "$(their one)" "gateway = \"$(their gw)\""
    annex-keep repo create data --site "$TMP/near"
    begin
    git annex copy -q --to origin-one file
    cmp "$(find "$TMP/one/annex/objects" -type f -name "$KEY")" "$TMP/original"
    assert_logged "$KEY" "$(their one)"
    git annex drop -q file
    git annex get -q --from origin-one file
    git annex drop -q --from origin-one file
    assert_logged "$KEY"
}

@test "a node that names others as holders is not believed" {
    cat >"$BIN/liar" <<'END'
#!/bin/sh
echo "AUTH-SUCCESS $1"
read -r version
echo VERSION 4
while read -r word rest; do
    case $word in
        CHECKPRESENT) echo FAILURE ;;
        PUT) echo PUT-FROM 0 ;;
        DATA) head -c "$rest" >/dev/null ;;
        VALID) echo "SUCCESS-PLUS $2" ;;
    esac
done
END
    chmod +x "$BIN/liar"
    annex-keep repo create data --site "$TMP/far"
    LIAR=1b0e07ac-3fb0-4d2c-8b39-7a2a2b4f7a11
    # As a cluster it may speak for others than this gateway's own nodes; as a repository, for none.
    node near liar "command:liar {uuid} $(uuid_at far f)" "$LIAR"
    node near n2 "keep:$TMP/keep-n2" 2c0e07ac-3fb0-4d2c-8b39-7a2a2b4f7a12
    node near cluster-liar "command:liar {uuid} '2c0e07ac-3fb0-4d2c-8b39-7a2a2b4f7a12 $(uuid_at far f)'" ac0e07ac-3fb0-8d2c-8b39-7a2a2b4f7a11
    annex-keep repo create data --site "$TMP/near"
    begin
    git annex copy -q --to origin-liar file
    assert_logged "$KEY" "$LIAR"
    git annex copy -q --to origin-cluster-liar file
    assert_logged "$KEY" "$LIAR" "$(uuid_at far f)"
}

@test "a node that hangs is waited for once; who answers is heard at once" {
    annex-keep repo create data --site "$TMP/far"
    # New conversations hang, too, while there is a file `hang`.
    printf '#!/bin/sh\n[ ! -e "%s/hang" ] || exec sleep 600\nexec annex-keep shell --site "%s/far" "$@"\n' "$TMP" "$TMP" >"$BIN/far"
    chmod +x "$BIN/far"
    node near far "command:far -c 'git-annex-shell p2pstdio /data {client} --uuid {uuid}'" "$(uuid_at far f)" 'cost = 1'
    sed -i 's/^answer_seconds = .*/answer_seconds = 10/' "$TMP/near/annex-keep.toml"
    annex-keep repo create data --site "$TMP/near"
    SITE=$TMP/near
    start_daemon
    begin
    git annex copy -q --to origin file
    assert_logged "$KEY" n "$(uuid_at far f)"
    touch "$TMP/hang"
    pkill -STOP -f "^annex-keep shell --site $TMP/far"
    # It is the first one asked; the other one has the file, too.
    timeout 9 git annex checkpresentkey "$KEY" origin
    for name in one two three; do add_file $name 20K; done
    git annex copy -q --to origin one two three
    assert_logged "$KEY" n
    assert_equal "$(grep -c 'milliseconds=1[0-9][0-9][0-9][0-9] ' "$TMP/daemon.log")" 1
    grep -q 'no answer in 1 s, nor in the 10 s before' "$TMP/daemon.log"
    # The cheapest to fetch from, and asked last all the same.
    git annex drop -q --force file
    timeout 9 git annex get -q --from origin file
    assert_same file "$TMP/original"
    # So it is with a lock on any copy.
    printf 'VERSION 2\nLOCKCONTENT %s\nUNLOCKCONTENT\n' "$(annex_key file)" |
        annex-keep shell --site "$SITE" -c "git-annex-shell 'p2pstdio' '/data' 'x' --uuid $(site_uuid cluster)" >said
    assert_equal "$(tail -n 1 said)" SUCCESS
    grep -q 'operation=lock .* milliseconds=[0-9]\{1,3\} outcome="done"' "$TMP/daemon.log"
    rm "$TMP/hang"
    add_file four 20K
    git annex copy -q --to origin four
    assert_logged "$KEY" n "$(uuid_at far f)"
}
