# Helpers of the end-to-end tests. Each test gets a home of its own, with nothing of the caller's.
# A .bats file starts with `load lib`; one that defines setup or teardown calls isolate or stop_everything in it.
# shellcheck disable=SC2154 # bats sets output

bats_require_minimum_version 1.5.0
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=t/sshd.bash
. "$ROOT/t/sshd.bash"
# shellcheck source=t/daemon.bash
. "$ROOT/t/daemon.bash"

setup() { isolate; }
teardown() { stop_everything; }

# The program under test: what `cargo build` built, or ANNEX_KEEP_TEST_BINARY.
program() { echo "${ANNEX_KEEP_TEST_BINARY:-${CARGO_TARGET_DIR:-$ROOT/target}/debug/annex-keep}"; }

# isolate: a fresh HOME in the test's directory, a git identity, and a PATH with annex-keep and the current git-annex
# (ANNEX_KEEP_TEST_GIT_ANNEX: another directory to take git-annex from). Leaves the test in $TMP.
isolate() {
    local name
    for name in $(compgen -e | grep -E '^(GIT_|SSH_|XDG_|ANNEX_|GNUPGHOME|ARVADOS_|LANG|LC_)' |
        grep -vE '^ANNEX_KEEP_TEST_'); do
        unset "$name"
    done
    TMP=$BATS_TEST_TMPDIR
    SYSTEM_PATH=${SYSTEM_PATH:-$PATH}
    BIN=$TMP/bin
    export LC_ALL=C.UTF-8 HOME=$TMP/home
    export XDG_CONFIG_HOME=$HOME/.config XDG_DATA_HOME=$HOME/.local/share XDG_CACHE_HOME=$HOME/.cache
    export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$HOME/.gitconfig
    mkdir -p "$BIN" "$HOME"
    git config --global user.name Tester
    git config --global user.email tester@example.org
    git config --global init.defaultBranch main
    for name in annex-keep git-annex-remote-keep; do
        ln -sfn "$(program)" "$BIN/$name"
    done
    use_annex "${ANNEX_KEEP_TEST_GIT_ANNEX:-$ROOT/.peers/venv/bin}"
    cd "$TMP" || return
}

# on_disk: before isolate, puts the test's directory on disk, where other tests may be in memory (script/test-dir).
on_disk() {
    BATS_TEST_TMPDIR=$(mktemp -d /var/tmp/annex-keep-test.XXXXXX)
    ON_DISK=$BATS_TEST_TMPDIR
}

# use_annex DIR: from here on, git-annex is the one in DIR.
use_annex() {
    export PATH=$BIN:$1:$SYSTEM_PATH
    [ -x "$1/git-annex" ] || fail "no git-annex in $1: run script/bootstrap"
}

# use_old_annex: from here on, git-annex is Debian's 10.20230126, which speaks version 1 of the P2P protocol.
use_old_annex() { use_annex "$ROOT/.peers/old/usr/bin"; }

# stop_everything: ends what the test started, and lets bats remove the test's directory.
stop_everything() {
    local pid log
    # What a failed test's daemon had to say is shown with it.
    for log in "$TMP"/*.log; do
        if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -s "$log" ]; then
            printf 'the end of %s:\n' "${log##*/}"
            tail -n 25 "$log" | cut -c 1-400
        fi
    done
    stop_sshd
    # Only jobs that run: the id of one that ended may be that of another test's process by now. The last are programs of
    # ours that outlived the git-annex that started them.
    for pid in $(jobs -pr) $(pgrep -f "^$BIN/"); do
        kill_tree "$pid"
    done
    [ ! -d "$HOME/.gnupg" ] || gpgconf --kill all
    stop_left
    # git-annex takes write permission from its objects.
    chmod -R u+w "$TMP" 2>/dev/null || true
    [ -z "${ON_DISK:-}" ] || rm -rf "$ON_DISK"
}

# add_file NAME SIZE: a new annexed file in the present repository, committed, with a copy in $TMP/original-NAME. Sets KEY.
add_file() {
    random_file "$1" "$2"
    cp "$1" "$TMP/original-$1"
    git annex add -q "$1"
    git commit -q -m "$1"
    KEY=$(annex_key "$1")
}

# stop_left: kills what still runs with a HOME in the test's directory. bats waits for whoever has its pipes: for ever, if it
# is a server that a killed git-annex had started.
stop_left() {
    local pids
    mapfile -t pids < <(grep -lsz "^HOME=$TMP/" /proc/[0-9]*/environ | cut -d / -f 3)
    kill -KILL "${pids[@]}" 2>/dev/null || true
}

# start_ssh_server: sshd whose commands see the test's HOME, annex-keep, and no git-annex of ours; see `authorize` in
# sshd.bash. The test's git and git-annex then reach it by the host names that `authorize` gave.
start_ssh_server() {
    start_sshd "$TMP/sshd" "HOME=$HOME" "PATH=$BIN:/usr/local/bin:/usr/bin:/bin" "LC_ALL=$LC_ALL" \
        "GIT_CONFIG_NOSYSTEM=1" "GIT_CONFIG_GLOBAL=$GIT_CONFIG_GLOBAL"
    ln -sfn "$SSHD_DIR/bin/ssh" "$BIN/ssh"
}

# start_site [ARG]...: `annex-keep init` with the arguments given, a repository `data`, and the user alice, who may
# write, behind sshd: ssh://testhost/data. Sets SITE.
# shellcheck disable=SC2120 # tests pass arguments
start_site() {
    SITE=$TMP/site
    start_ssh_server
    annex-keep init "$SITE" "$@"
    annex-keep repo create data --site "$SITE"
    add_user alice testhost --role write
}

# add_user NAME HOST [ARG]...: a user of the site; ssh to HOST is then ssh as that user.
add_user() {
    local name=$1 host=$2
    shift 2
    authorize "$name" "$host" "annex-keep shell --site '$SITE' --user $name"
    annex-keep user add "$name" --site "$SITE" --key "$SSHD_DIR/$name.key.pub" "$@"
}

# make_repo DIR: a new git repository with an annex, described by its name.
make_repo() {
    git init -q "$1"
    git -C "$1" annex init -q "$(basename "$1")"
}

# clone_site DIR [HOST]: a clone of the site's repository with an annex.
clone_site() {
    git clone -q "ssh://${2:-testhost}/data" "$1"
    git -C "$1" annex init -q "$(basename "$1")"
}

# serve_annex_cluster DIR PATH: makes git-annex's repository DIR, whose remotes are configured to be nodes, the gateway of its
# cluster `theirs`, reached as gwhost with the programs in PATH.
serve_annex_cluster() {
    (
        cd "$1" || exit
        git commit -q --allow-empty -m start
        git annex sync -q --no-content 2>/dev/null || true
        git annex initcluster -q theirs
        git annex updatecluster -q
    )
    # shellcheck disable=SC2016 # the script's own
    printf '#!/bin/sh\nPATH=%s:$PATH\nexport PATH\nexec git-annex-shell -c "$SSH_ORIGINAL_COMMAND"\n' "$2" >"$BIN/gw-shell"
    chmod +x "$BIN/gw-shell"
    authorize gw-key gwhost "$BIN/gw-shell"
}

# site_uuid cluster|gateway|NODE: a UUID of the site's repository `data`, or of REPO.
site_uuid() {
    annex-keep repo info "${2:-data}" --site "$SITE" --json |
        jq -re --arg name "$1" '.[$name] // (.nodes[] | select(.name == $name).uuid)'
}

# server_branch FILE [REPO]: a file of the git-annex branch on the server.
server_branch() { git -C "$SITE/repos/${2:-data}.git" show "git-annex:$1"; }

# start_work: a site, a client of it in $TMP/work, the present directory from now on, and there an annexed file, not copied
# yet. Sets KEY.
# shellcheck disable=SC2034,SC2119 # KEY is for the test
start_work() {
    isolate
    start_site
    clone_site work
    cd work || return
    random_file file 300K
    git annex add -q file
    git commit -q -m file
    KEY=$(annex_key file)
}

# assert_logged KEY NODE...: exactly these nodes (or other repositories, by UUID) have the key by the location log on
# the server. A session may commit it just after its client has gone.
assert_logged() {
    local key=$1 node
    shift
    for node in "$@"; do
        if [[ $node == *-* ]]; then echo "$node"; else site_uuid "$node"; fi
    done | sort >"$TMP/wanted-uuids"
    wait_until 3 logged_as_wanted "$key" || fail "location log of $key: got" "$(cat "$TMP/logged-uuids")" \
        wanted "$(cat "$TMP/wanted-uuids")"
}

logged_as_wanted() {
    local path
    path=$(git -C "$SITE/repos/data.git" ls-tree -r --name-only git-annex | grep -F "/$1.log" | grep '\.log$')
    if [ -n "$path" ]; then server_branch "$path"; fi |
        sort -t ' ' -k 1,1n | awk '{ state[$3] = $2 } END { for (uuid in state) if (state[uuid] == 1) print uuid }' |
        sort >"$TMP/logged-uuids"
    cmp -s "$TMP/logged-uuids" "$TMP/wanted-uuids"
}

# The stores of the nodes, read by what stands in their files alone.
# manifest NODE KEY: the manifest blocks that name a plain key on the site's node NODE.
manifest() { grep -lsaF -- ":$2" "$SITE/nodes/$1"/???/* | grep -E '/[0-9a-f]{32}$' | xargs -r grep -la '^\./annex-keep/' || true; }

# node_content NODE KEY: the bytes that a node's blocks hold of a plain key; fails if the node has no such key.
node_content() {
    local file locator
    file=$(manifest "$1" "$2" | head -n 1)
    [ -n "$file" ] || fail "node $1 does not have $2"
    for locator in $(head -c 4096000 "$file"); do
        [[ $locator =~ ^([0-9a-f]{32})\+ ]] || continue
        cat "$SITE/nodes/$1/${BASH_REMATCH[1]:0:3}/${BASH_REMATCH[1]}" || return
    done
}

# assert_on KEY FILE NODE...: these nodes and no other of a, b, c hold the key, with the bytes of FILE.
assert_on() {
    local key=$1 file=$2 node
    shift 2
    for node in a b c; do
        if [[ " $* " == *" $node "* ]]; then
            node_content "$node" "$key" | cmp - "$file" || fail "node $node: not the content of $file"
        else
            [ -z "$(manifest "$node" "$key")" ] || fail "node $node has $key"
        fi
    done
}

# node_files [NODE]: every block file of a node (of all nodes), the trash included.
node_files() { (cd "$SITE/nodes" && find "${1:-.}" -path '*/.annex-keep' -prune -o -type f -print | sort); }

# p2p: speaks the P2P protocol by the script on standard input; see p2p.py.
p2p() {
    P2P_DIR=${P2P_DIR:-/data} P2P_LOCAL=$(printf '%s\n' annex-keep shell --site "$SITE") python3 "$ROOT/t/p2p.py"
}

# sha256_key FILE: the key that git-annex gives the file with its backend SHA256.
sha256_key() { printf 'SHA256-s%s--%s' "$(stat -c %s "$1")" "$(sha256sum "$1" | cut -d' ' -f1)"; }

# random_file FILE SIZE: SIZE as head -c takes it (4096, 10M, 5G).
random_file() { head -c "$2" /dev/urandom >"$1"; }

# annex_key FILE: the key of an annexed file.
annex_key() { git annex lookupkey "$1"; }

# annex_uuid REMOTE: the UUID of a remote of the repository that the test is in; nodes are remotes too.
annex_uuid() {
    # Nodes stand in no configuration: git-annex makes up their remotes from the git-annex branch.
    git config "remote.$1.annex-uuid" || git annex info --fast --json "$1" | jq -er .uuid
}

# resident_peak PID: the most memory a living process has had resident, in KiB.
resident_peak() { awk '/^VmHWM/ { print $2 }' "/proc/$1/status"; }

fail() {
    printf '%s\n' "$@" >&2
    return 1
}

# assert_equal GOT WANTED [WHAT]
assert_equal() { [ "$1" = "$2" ] || fail "${3:-value}: got '$1', wanted '$2'"; }

# assert_same FILE FILE: the same bytes.
assert_same() { cmp "$1" "$2"; }

# assert_line LINE, refute_line LINE: the last `run` printed exactly this line, or did not.
assert_line() { grep -qxF -- "$1" <<<"$output" || fail "no line '$1' in:" "$output"; }
refute_line() { ! grep -qxF -- "$1" <<<"$output" || fail "line '$1' in:" "$output"; }

# assert_output TEXT, refute_output TEXT: the last `run` printed this text somewhere, or did not.
assert_output() { grep -qF -- "$1" <<<"$output" || fail "no '$1' in:" "$output"; }
refute_output() { ! grep -qF -- "$1" <<<"$output" || fail "'$1' in:" "$output"; }

# assert_json FILTER JSON [ARG]...: the jq filter is true of the JSON text; further arguments go to jq.
assert_json() {
    local filter=$1 json=$2
    shift 2
    jq -e "$@" "$filter" <<<"$json" >/dev/null || fail "not true: $filter" "$json"
}

# assert_whereis FILE REMOTE...: exactly these remotes (of the current repository) and none else have the file's
# content, as its location log has it; `here` is the repository itself.
assert_whereis() {
    local file=$1 wanted=() name
    shift
    for name in "$@"; do
        if [ "$name" = here ]; then git config annex.uuid; else annex_uuid "$name"; fi
    done >"$TMP/wanted-uuids"
    mapfile -t wanted < <(sort "$TMP/wanted-uuids")
    assert_equal "$(git annex whereis --json "$file" | jq -r '(.whereis + .untrusted)[].uuid' | sort | tr '\n' ' ')" \
        "$(printf '%s ' "${wanted[@]}")" "whereis $file"
}

# has_content FILE, lacks_content FILE: whether the repository that the test is in has the content of an annexed file.
has_content() { [ -n "$(git annex find --in=here "$1")" ] || fail "$1: content is not here"; }
lacks_content() { [ -z "$(git annex find --in=here "$1")" ] || fail "$1: content is here"; }
