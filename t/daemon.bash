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
# store for http://NAME@…. Loopback is no place that git-annex downloads from unless it is told to.
http_user() {
    local name=$1 password=$2
    shift 2
    annex-keep user add "$name" --site "$SITE" "$@" --password-stdin <<<"$password"
    git config --global credential.helper store
    git config --global annex.security.allowed-ip-addresses 127.0.0.1
    password=$(jq -rn --arg text "$password" '$text | @uri')
    printf 'http://%s:%s@127.0.0.1:%s\n' "$name" "$password" "$HTTP_PORT" >>"$HOME/.git-credentials"
}

# ssh_user NAME HOST [ARG]...: a user of the site with a key pair; ssh to HOST is then ssh to the daemon as that user.
# The daemon must have been started once: its port counts.
ssh_user() {
    local name=$1 host=$2
    shift 2
    ssh_key "$name"
    annex-keep user add "$name" --site "$SITE" --key "$TMP/ssh/$name.pub" "$@" >/dev/null
    ssh_host "$host" "$name" "$name"
}

# ssh_key NAME [ARG]...: the key pair $TMP/ssh/NAME; further arguments go to ssh-keygen.
ssh_key() {
    mkdir -p "$TMP/ssh"
    ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$TMP/ssh/$1" "${@:2}"
}

# ssh_host HOST USER KEY [LINE]...: ssh to HOST, a name of the client's own, is ssh to the daemon as USER with the key pair
# KEY. Further lines go to ssh's configuration. See sshd.bash for why there is an `ssh` of ours.
ssh_host() {
    local host=$1 user=$2 key=$3
    shift 3
    printf '* %s\n' "$(ssh-keygen -y -f "$SITE/host_ed25519")" >"$TMP/ssh/known_hosts"
    cat >>"$TMP/ssh/client" <<END
Host $host
    HostName 127.0.0.1
    Port $SSH_PORT
    User $user
    IdentityFile $TMP/ssh/$key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile $TMP/ssh/known_hosts
    HostKeyAlias $host
    StrictHostKeyChecking yes
    SendEnv GIT_PROTOCOL
END
    [ $# = 0 ] || printf '    %s\n' "$@" >>"$TMP/ssh/client"
    printf '#!/bin/sh\nexec %s -F '%s/ssh/client' "$@"\n' "$(PATH=/usr/bin:/bin command -v ssh)" "$TMP" >"$BIN/ssh"
    chmod +x "$BIN/ssh"
}
