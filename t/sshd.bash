# A real sshd on loopback, with forced commands. Sourced by t/lib.bash and script/demo.
# Works for root and for an ordinary user (who can then log in only as that user).

# start_sshd DIR [NAME=VALUE]...: starts sshd on a free port of 127.0.0.1, with all its files in DIR.
# NAME=VALUE is set in the environment of every forced command. Sets SSHD_DIR and SSHD_PID.
# DIR/bin/ssh is ssh for the client: ssh looks for its configuration in the home of the password file, git-annex
# ignores GIT_SSH_COMMAND, and both run the first `ssh` in PATH.
start_sshd() {
    SSHD_DIR=$1
    shift
    mkdir -p "$SSHD_DIR/bin"
    chmod 700 "$SSHD_DIR"
    printf '#!/bin/sh\nexec %s -F '%s/client' "$@"\n' "$(PATH=/usr/bin:/bin command -v ssh)" "$SSHD_DIR" >"$SSHD_DIR/bin/ssh"
    chmod +x "$SSHD_DIR/bin/ssh"
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$SSHD_DIR/host_key"
    : >"$SSHD_DIR/authorized_keys"
    : >"$SSHD_DIR/client"
    sed 's/^/* /' "$SSHD_DIR/host_key.pub" >"$SSHD_DIR/known_hosts"
    [ "$(id -u)" != 0 ] || mkdir -p /run/sshd

    local try
    for try in {1..10}; do
        SSHD_PORT=$((20000 + RANDOM % 10000))
        sshd_config "$@" >"$SSHD_DIR/config"
        # Descriptor 3 is bats's own: a process that keeps it keeps bats waiting.
        "$(PATH="$PATH:/usr/sbin" command -v sshd)" -D -f "$SSHD_DIR/config" -E "$SSHD_DIR/log" 3>&- &
        SSHD_PID=$!
        wait_until 10 sshd_has_answered && kill -0 "$SSHD_PID" 2>/dev/null && return 0
        stop_sshd
    done
    echo "sshd: no port was free in $try tries" >&2
    cat "$SSHD_DIR/log" >&2
    return 1
}

sshd_config() {
    # sshd refuses a user with a locked password unless PAM decides. Only root can read that, and only root is asked.
    local pam=no
    [[ $(getent shadow "$(id -un)" | cut -d: -f2) != '!'* ]] || pam=yes
    cat <<END
ListenAddress 127.0.0.1:$SSHD_PORT
HostKey $SSHD_DIR/host_key
AuthorizedKeysFile $SSHD_DIR/authorized_keys
PidFile none
UsePAM $pam
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AcceptEnv GIT_PROTOCOL
MaxStartups 100
MaxSessions 100
LogLevel VERBOSE
END
    [ $# = 0 ] || printf 'SetEnv%s\n' "$(printf ' "%s"' "$@")"
}

sshd_has_answered() {
    grep -qs "^Server listening on 127.0.0.1 port $SSHD_PORT\." "$SSHD_DIR/log" || ! kill -0 "$SSHD_PID" 2>/dev/null
}

# authorize NAME HOST COMMAND: makes the key pair NAME in SSHD_DIR unless it exists; whoever connects to HOST, a name
# of the client's own, uses it and gets COMMAND, run by sshd as `sh -c`, whatever they asked for.
authorize() {
    local name=$1 host=$2 command=$3 key=$SSHD_DIR/$1.key
    [ -e "$key" ] || ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$key"
    printf 'restrict,command="%s" %s\n' "${command//\"/\\\"}" "$(cat "$key.pub")" >>"$SSHD_DIR/authorized_keys"
    cat >>"$SSHD_DIR/client" <<END
Host $host
    HostName 127.0.0.1
    Port $SSHD_PORT
    User $(id -un)
    IdentityFile $key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile $SSHD_DIR/known_hosts
    HostKeyAlias $host
    StrictHostKeyChecking yes
    BatchMode yes
    SendEnv GIT_PROTOCOL
END
}

# stop_sshd: ends sshd, its sessions and their commands.
stop_sshd() {
    [ -n "${SSHD_PID:-}" ] || return 0
    kill_tree "$SSHD_PID"
    SSHD_PID=
}

# kill_tree PID [SIGNAL]: signals a process and all its descendants, and waits until they are gone (at most 10 s).
kill_tree() {
    local pids
    mapfile -t pids < <(descendants "$1")
    kill "-${2:-TERM}" "${pids[@]}" 2>/dev/null || true
    wait_until 10 all_gone "${pids[@]}" || kill -KILL "${pids[@]}" 2>/dev/null || true
}

descendants() {
    local child
    echo "$1"
    for child in $(pgrep -P "$1"); do
        descendants "$child"
    done
}

all_gone() {
    local pid
    for pid in "$@"; do
        # A zombie is gone: its parent, perhaps this shell, has yet to hear of it.
        [[ $(ps -o stat= -p "$pid") == '' || $(ps -o stat= -p "$pid") == Z* ]] || return 1
    done
}

# wait_until SECONDS COMMAND...: runs COMMAND until it succeeds; fails when SECONDS have passed.
wait_until() {
    local deadline=$((SECONDS + $1 + 1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}
