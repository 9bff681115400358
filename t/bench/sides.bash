# The two sides of the comparison: annex-keep's clusters of three Keep nodes, and git-annex's of three repositories, both
# on one disk. Sourced by t/bench/run.
#
# SIDE_stdio NODES and SIDE_http NODES print what `annex-keep bench node` takes, SIDE_access the options for that, one a
# line, SIDE_uuid NODES the cluster's UUID, SIDE_node_uuid a node's, and SIDE_pid the process that answers over HTTP.
# Ours take the name of any site that make_ours made in place of NODES.

# prepare: a home of its own on disk, and both sides. Sets TMP.
prepare() {
    local name nodes
    for name in $(compgen -e | grep -E '^(GIT_|SSH_|XDG_|ANNEX_KEEP_|GNUPGHOME$)'); do unset "$name"; done
    TMP=$(mktemp -d "${BENCH_DIR:-/var/tmp}/annex-keep-bench.XXXXXX")
    export HOME=$TMP/home LC_ALL=C.UTF-8 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$TMP/home/.gitconfig
    mkdir -p "$TMP/bin" "$HOME"
    ln -s "$PROGRAM" "$TMP/bin/annex-keep"
    ln -s "$PROGRAM" "$TMP/bin/git-annex-remote-keep"
    ln -s "$TMP/sshd/bin/ssh" "$TMP/bin/ssh"
    export PATH=$TMP/bin:$ROOT/.peers/venv/bin:$PATH
    git config --global user.name Bench
    git config --global user.email bench@example.org
    git config --global init.defaultBranch main
    git config --global annex.security.allowed-ip-addresses 127.0.0.1
    git config --global credential.helper store
    cd "$TMP" || return
    start_sshd "$TMP/sshd" "HOME=$HOME" "PATH=$PATH" GIT_CONFIG_NOSYSTEM=1 "GIT_CONFIG_GLOBAL=$GIT_CONFIG_GLOBAL"
    authorize sink sink 'cat >/dev/null'
    authorize ours ours "annex-keep shell --site '$TMP/ours3' --user bench"
    # shellcheck disable=SC2016 # for the far side's shell
    authorize theirs theirs 'git-annex-shell -c "$SSH_ORIGINAL_COMMAND"'
    for nodes in $(sizes); do
        make_ours "$nodes"
        limited 30 make_theirs "$nodes" || echo "git-annex's cluster of $nodes could not be made" >&2
    done
    serve_ours
    serve_theirs
}

clean() {
    local pid
    cd /
    for pid in ${OURS_PID:-} ${THEIRS_PID:-} ${FRESH_PID:-}; do kill_tree "$pid"; done
    stop_sshd
    [ -z "${TMP:-}" ] || {
        chmod -R u+w "$TMP"
        rm -rf "$TMP"
    }
}

# sizes: the numbers of nodes that clusters are needed of.
sizes() { if [[ " $ROWS " == *" fanout "* ]]; then echo 1 2 3 6; else echo 3; fi; }

# names NODES: the first so many names of nodes.
names() { printf '%s\n' a b c d e f | head -n "$1"; }

# make_ours NODES [NAME]: a site of so many nodes, called after their number, or NAME.
make_ours() {
    local name site=${2:-$1} nodes=()
    for name in $(names "$1"); do nodes+=(--node "$name=keep:$TMP/ours$site-$name"); done
    annex-keep init "$TMP/ours$site" "${nodes[@]}" >/dev/null
    annex-keep repo create data --site "$TMP/ours$site" >/dev/null
    annex-keep user add bench --site "$TMP/ours$site" --role write --password-stdin \
        --key "$TMP/sshd/ours.key.pub" <<<bench >/dev/null
}

make_theirs() {
    local name gateway=$TMP/theirs$1
    git init -q "$gateway"
    git -C "$gateway" annex init -q gateway
    for name in $(names "$1"); do
        git init -q --bare "$gateway-$name"
        git -C "$gateway-$name" annex init -q "$name"
        git -C "$gateway" remote add "$name" "$gateway-$name"
        git -C "$gateway" config "remote.$name.annex-cluster-node" bench
    done
    git -C "$gateway" commit -q --allow-empty -m start
    # Learns the UUIDs of the nodes.
    git -C "$gateway" annex sync -q --no-content >/dev/null 2>&1 || true
    git -C "$gateway" annex initcluster -q bench >/dev/null
    git -C "$gateway" annex updatecluster -q >/dev/null
}

serve_ours() {
    annex-keep serve "$TMP/ours3" --ssh 127.0.0.1:0 --http 127.0.0.1:0 >"$TMP/ours.out" 2>"$TMP/ours.log" &
    OURS_PID=$!
    wait_until 20 grep -qx ready "$TMP/ours.out"
    OURS_HTTP=$(sed -n 's|^listening http http://\(.*\)/$|\1|p' "$TMP/ours.out" | head -1)
    printf 'bench\n' >"$TMP/password"
    printf 'http://bench:bench@%s\n' "$OURS_HTTP" >>"$HOME/.git-credentials"
}

serve_theirs() {
    local port
    [ -z "${THEIRS_PID:-}" ] || kill_tree "$THEIRS_PID"
    for _ in {1..10}; do
        port=$((30000 + RANDOM % 20000))
        (cd "$TMP/theirs3" && exec git-annex p2phttp --jobs 4 --proxyconnections 4 --bind 127.0.0.1 --port $port \
            --wideopen) >"$TMP/theirs.log" 2>&1 &
        THEIRS_PID=$!
        THEIRS_HTTP=127.0.0.1:$port
        ! wait_until 20 theirs_answers $port || break
        kill_tree "$THEIRS_PID"
    done
}

theirs_answers() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null && kill -0 "$THEIRS_PID"; }

ours_stdio() { echo "command:annex-keep shell --site $TMP/ours$1 -c 'git-annex-shell p2pstdio /data {client} --uuid {uuid}'"; }
theirs_stdio() { echo "command:git-annex-shell p2pstdio $TMP/theirs$1 {client} --uuid {uuid}"; }
ours_http() { echo "annex+http://$OURS_HTTP/git-annex/"; }
theirs_http() { echo "annex+http://$THEIRS_HTTP/git-annex/"; }
ours_access() { [ "$1" != http ] || printf '%s\n' --user bench --password-file "$TMP/password"; }
theirs_access() { :; }
ours_address() { echo "bench:bench@$OURS_HTTP"; }
theirs_address() { echo "$THEIRS_HTTP"; }
ours_uuid() { annex-keep repo info data --site "$TMP/ours$1" --json | jq -re .cluster; }
theirs_uuid() { git -C "$TMP/theirs$1" config annex.cluster.bench; }
ours_node_uuid() { annex-keep repo info data --site "$TMP/ours${1:-3}" --json | jq -re ".nodes[0].uuid"; }
theirs_node_uuid() { git -C "$TMP/theirs3-a" config annex.uuid; }
ours_pid() { echo "$OURS_PID"; }
theirs_pid() { echo "$THEIRS_PID"; }

# client SIDE WAY: goes to the stock client's clone of a side, by ssh or http, made anew.
client() {
    local dir=$TMP/client-$1-$2-$ROUND
    rm -rf "$dir"
    case $1-$2 in
        ours-ssh) git clone -q ssh://ours/data "$dir" ;;
        ours-http) git clone -q "http://bench@$OURS_HTTP/data" "$dir" ;;
        theirs-*) git clone -q "ssh://theirs$TMP/theirs3" "$dir" ;;
    esac 2>/dev/null || return
    cd "$dir" || return
    git annex init -q client || return
    if [ "$1-$2" = theirs-http ]; then git config remote.origin.annexUrl "annex+http://$THEIRS_HTTP/git-annex/"; fi
}

# client_remote SIDE: how the client calls the cluster.
client_remote() { if [ "$1" = ours ]; then echo origin; else echo origin-bench; fi; }
