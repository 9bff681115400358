#!/usr/bin/env bats
# What is in contrib/, each with the real program in front of the real daemon.
# shellcheck disable=SC2034,SC2153 # SSHD_PID and SSHD_DIR are those of t/sshd.bash
load lib

CONTRIB=$ROOT/contrib

# behind_proxy: a site whose daemon listens on a Unix socket, with a commit in `data` and the user wanda, who may write.
behind_proxy() {
    new_site
    git init -q source
    random_file source/file 3M
    git -C source add file
    git -C source commit -qm first
    git -C source push -q "$SITE/repos/data.git" main
    SOCKET=$SITE/http.socket
    start_daemon --http "unix:$SOCKET"
}

# on_free_port COMMAND...: runs COMMAND with PORT and OTHER_PORT set to two ports until it succeeds.
on_free_port() {
    local try
    for try in {1..10}; do
        PORT=$((20000 + RANDOM % 10000))
        OTHER_PORT=$((PORT + 1))
        "$@" && return 0
    done
    fail "no port was free in $try tries"
}

# configured FROM TO: an example as it stands in contrib, with this test's addresses.
configured() {
    sed -e "s|/run/annex-keep-http.socket|$SOCKET|" -e "s|/etc/ssl/private/.*\.example\.org\.key|$TMP/key.pem|" \
        -e "s|/etc/ssl/.*\.example\.org\.pem|$TMP/cert.pem|" "$1" >"$2"
    run ! grep -qE '/run/|/etc/' <(grep -v '#' "$2")
}

answers() { curl -sS -o /dev/null --cacert "$TMP/cert.pem" "$1" 2>/dev/null || ! kill -0 "$PROXY_PID" 2>/dev/null; }

certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=proxy \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$TMP/key.pem" -out "$TMP/cert.pem" 2>/dev/null
}

has_child() { pgrep -P "$DAEMON_PID" -f "$1" >/dev/null; }
no_children() { ! pgrep -P "$DAEMON_PID" >/dev/null; }

# works_behind URL ANNEX_URL: git clones and pushes through the proxy at URL, git-annex hears ANNEX_URL, and a request
# reaches the daemon while it is still being sent.
works_behind() {
    local url=$1 client name
    name=$(echo "$url" | tr -c 'a-z0-9' _)
    printf '%s\n' "$url" | sed 's|://|://wanda:secret@|; s|\(:[0-9][0-9]*\)/.*|\1|' >>"$HOME/.git-credentials"
    git clone -q "${url/:\/\//:\/\/wanda@}/data" "$name"
    assert_same source/file "$name/file"
    random_file "$name/pushed" 5M
    git -C "$name" add pushed
    git -C "$name" commit -qm pushed
    git -C "$name" push -q origin "main:$name"
    curl -fsS --cacert "$TMP/cert.pem" -u wanda:secret "$url/data/config" >config
    assert_equal "$(git config -f config annex.url)" "$2"
    # The push's own receive-pack may still be there: what follows must not take it for the next one.
    wait_until 20 no_children
    mkfifo "pipe.$name"
    exec 7<>"pipe.$name"
    curl -sS --cacert "$TMP/cert.pem" -u wanda:secret -T - -X POST -o "out.$name" \
        -H 'Content-Type: application/x-git-receive-pack-request' "$url/data/git-receive-pack" \
        <"pipe.$name" 3>&- 7>&- &
    client=$!
    printf 00 >&7
    wait_until 20 has_child receive-pack
    printf 00 >&7
    exec 7>&-
    wait "$client"
    wait_until 20 no_children
}

wanda() {
    annex-keep user add wanda --site "$SITE" --role write --password-stdin <<<secret
    git config --global credential.helper store
    git config --global http.sslCAInfo "$TMP/cert.pem"
    # This git can wait for itself over HTTP/2, which Caddy offers; see contrib/nginx.conf.
    git config --global http.version HTTP/1.1
}

run_nginx() {
    {
        printf 'daemon off; error_log %s/nginx.log; pid %s/nginx.pid; events {}\nhttp {\n' "$TMP" "$TMP"
        printf 'access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;\n' \
            "$TMP" "$TMP" "$TMP"
        printf 'uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n' "$TMP" "$TMP"
        sed -e "0,/listen 443/s//listen 127.0.0.1:$PORT/" -e "s/listen 443/listen 127.0.0.1:$OTHER_PORT/" "$TMP/site.conf"
        echo '}'
    } >"$TMP/nginx.conf"
    # Started as root, its workers would be another user, whom the test's directory does not let in.
    [ "$(id -u)" != 0 ] || sed -i '1s/^/user root; /' "$TMP/nginx.conf"
    PATH=$PATH:/usr/sbin nginx -c "$TMP/nginx.conf" -e "$TMP/nginx.log" 3>&- &
    PROXY_PID=$!
    wait_until 20 answers "https://127.0.0.1:$PORT/"
    kill -0 "$PROXY_PID"
}

@test "nginx.conf: a host of its own, and a path" {
    behind_proxy
    certificate
    wanda
    configured "$CONTRIB/nginx.conf" site.conf
    on_free_port run_nginx
    works_behind "https://127.0.0.1:$PORT" "annex+https://127.0.0.1:$PORT/git-annex/"
    sed -i "s|^url = .*|url = \"https://127.0.0.1:$OTHER_PORT/annex\"|" "$SITE/annex-keep.toml"
    kill -HUP "$DAEMON_PID"
    wait_until 20 grep -q . <(curl -fsS --unix-socket "$SOCKET" -u wanda:secret http://h/annex/data/config)
    works_behind "https://127.0.0.1:$OTHER_PORT/annex" "annex+https://127.0.0.1:$OTHER_PORT/annex/"
}

run_caddy() {
    {
        printf '{\n\tadmin off\n\tauto_https off\n\tstorage file_system %s/caddy\n}\n' "$TMP"
        sed -e "s|^keep.example.org|http://127.0.0.1:$PORT|" -e "s|^www.example.org|http://127.0.0.1:$OTHER_PORT|" \
            "$TMP/site.caddy"
    } >"$TMP/Caddyfile"
    caddy run --adapter caddyfile --config "$TMP/Caddyfile" >"$TMP/caddy.log" 2>&1 3>&- &
    PROXY_PID=$!
    wait_until 20 answers "http://127.0.0.1:$PORT/"
    kill -0 "$PROXY_PID"
}

@test "Caddyfile: a host of its own, and a path" {
    behind_proxy
    certificate
    wanda
    configured "$CONTRIB/Caddyfile" site.caddy
    on_free_port run_caddy
    works_behind "http://127.0.0.1:$PORT" "annex+http://127.0.0.1:$PORT/git-annex/"
    sed -i "s|^url = .*|url = \"http://127.0.0.1:$OTHER_PORT/annex\"|" "$SITE/annex-keep.toml"
    kill -HUP "$DAEMON_PID"
    wait_until 20 grep -q . <(curl -fsS --unix-socket "$SOCKET" -u wanda:secret http://h/annex/data/config)
    works_behind "http://127.0.0.1:$OTHER_PORT/annex" "annex+http://127.0.0.1:$OTHER_PORT/annex/"
}

@test "annex-keep.service and annex-keep.socket: systemd finds nothing wrong, and not much exposed" {
    mkdir units
    sed -e "s|/usr/bin/annex-keep|$(program)|" -e "s|^\(User\|Group\)=.*|\1=daemon|" -e '/^Documentation=/d' \
        "$CONTRIB/annex-keep.service" >units/annex-keep.service
    sed "s|^SocketUser=.*|SocketUser=daemon|" "$CONTRIB/annex-keep.socket" >units/annex-keep.socket
    run systemd-analyze verify units/annex-keep.service units/annex-keep.socket
    assert_equal "$status" 0
    # Only what is about our own files.
    assert_equal "$(grep 'units/annex-keep' <<<"$output" || true)" ''
    # In tenths; 10.0 is a service with no limits at all.
    run systemd-analyze security --offline=true --threshold=20 --no-pager units/annex-keep.service
    assert_equal "$status" 0
}

# notifications: what the daemon told systemd so far.
notifications() {
    python3 - "$TMP/notify" >"$TMP/notified" 3>&- <<'END' &
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
while True:
    print(listener.recv(4096).decode().replace("\n", " "), flush=True)
END
    wait_until 20 test -S "$TMP/notify"
}

notified() { [ "$(sed 's/_USEC=[0-9]\+/_USEC=N/; s/ $//' "$TMP/notified" | tr '\n' ',')" = "$1" ]; }

@test "systemd is told when the daemon is ready, reads its configuration again, and ends" {
    new_site
    notifications
    NOTIFY_SOCKET=$TMP/notify start_daemon
    wait_until 20 notified READY=1,
    kill -HUP "$DAEMON_PID"
    wait_until 20 notified 'READY=1,RELOADING=1 MONOTONIC_USEC=N,READY=1,'
    stop_daemon
    wait_until 20 notified 'READY=1,RELOADING=1 MONOTONIC_USEC=N,READY=1,STOPPING=1,'
}

@test "sockets of systemd take the place of the configured ones" {
    new_site
    activate() {
        systemd-socket-activate -l "$TMP/activated" -l "127.0.0.1:$PORT" --fdname=http:http \
            "$(program)" serve "$SITE" --ssh 127.0.0.1:0 >daemon.out 2>daemon.log 3>&- &
        DAEMON_PID=$!
        wait_until 20 listens
        kill -0 "$DAEMON_PID"
    }
    listens() { grep -q 'Listening on .*activated' daemon.log || ! kill -0 "$DAEMON_PID" 2>/dev/null; }
    on_free_port activate
    # The first connection starts it.
    assert_equal "$(curl -sS --max-time 30 -o body -w '%{http_code}' --unix-socket activated http://h/data/config)" 401
    assert_equal "$(curl -sS --max-time 30 -o body -w '%{http_code}' "http://127.0.0.1:$PORT/data/config")" 401
    assert_equal "$(grep 'listening http' daemon.out)" "listening http unix:$TMP/activated
listening http http://127.0.0.1:$PORT/"
    stop_daemon
    # It is systemd's, who takes it away or not.
    [ -S activated ]
}

@test "sshd_config.snippet: the system's sshd lets users in by their keys, and only to annex-keep" {
    new_site
    start_ssh_server
    # Makes the key, and ssh's configuration; what it authorizes is in a file that the snippet takes no notice of.
    authorize alice testhost 'echo wrong way in'
    stop_sshd
    # shellcheck disable=SC2153 # start_sshd sets it
    annex-keep user add alice --site "$SITE" --role write --key "$SSHD_DIR/alice.key.pub" >"$SITE/authorized_keys"
    sed -e "s|^Match User annex-keep|Match User $(id -un)|" -e "s|/var/lib/annex-keep|$SITE|" \
        "$CONTRIB/sshd_config.snippet" >>"$SSHD_DIR/config"
    : >"$SSHD_DIR/log"
    "$(PATH="$PATH:/usr/sbin" command -v sshd)" -D -f "$SSHD_DIR/config" -E "$SSHD_DIR/log" 3>&- &
    # shellcheck disable=SC2034 # for stop_sshd
    SSHD_PID=$!
    wait_until 20 sshd_has_answered
    git clone -q ssh://testhost/data work
    git -C work annex init -q work
    assert_equal "$(git -C work config remote.origin.annex-uuid)" "$(site_uuid cluster)"
    run ssh testhost 'id'
    [ "$status" != 0 ]
    refute_output uid=
    run ssh testhost
    assert_output 'Hello alice!'
}
