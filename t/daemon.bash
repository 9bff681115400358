# The daemon on free ports of loopback. Sourced by t/lib.bash.

# new_site [ARG]...: `annex-keep init` with the arguments given, and an empty repository `data`. Sets SITE. No door is open yet.
new_site() {
    SITE=$TMP/site
    annex-keep init "$SITE" "$@"
    annex-keep repo create data --site "$SITE"
}

# start_daemon [ARG]...: `annex-keep serve` for SITE; after stop_daemon, on the same ports again. Sets DAEMON_PID, HTTP
# (its URL without / at the end), HTTP_PORT and SSH_PORT. What it prints is in $TMP/daemon.out, its log in $TMP/daemon.log.
start_daemon() {
    # Or the last daemon's `ready` would be taken for this one's.
    : >"$TMP/daemon.out"
    annex-keep serve "$SITE" --ssh "127.0.0.1:${SSH_PORT:-0}" --http "127.0.0.1:${HTTP_PORT:-0}" "$@" \
        >"$TMP/daemon.out" 2>>"$TMP/daemon.log" 3>&- &
    DAEMON_PID=$!
    wait_until 20 daemon_has_answered
    grep -qx ready "$TMP/daemon.out" || fail "the daemon did not start:" "$(cat "$TMP/daemon.log")"
    HTTP=$(sed -n 's|^listening http \(http.*\)/$|\1|p' "$TMP/daemon.out" | head -1)
    HTTP_PORT=${HTTP##*:}
    SSH_PORT=$(sed -n 's|^listening ssh .*:\([0-9]*\) SHA256:.*|\1|p' "$TMP/daemon.out" | head -1)
}

daemon_has_answered() { grep -qx ready "$TMP/daemon.out" || ! kill -0 "$DAEMON_PID" 2>/dev/null; }

# stop_daemon [SIGNAL]: ends the daemon and waits for it.
stop_daemon() {
    kill -"${1:-TERM}" "$DAEMON_PID"
    wait "$DAEMON_PID" || true
}

# http_user NAME PASSWORD [ARG]...: a user of the site with a password, whom git and git-annex know by git's credential
# store for http://NAME@…
http_user() {
    local name=$1 password=$2
    shift 2
    annex-keep user add "$name" --site "$SITE" "$@" --password-stdin <<<"$password"
    git config --global credential.helper store
    printf 'http://%s:%s@127.0.0.1:%s\n' "$name" "$password" "$HTTP_PORT" >>"$HOME/.git-credentials"
}
