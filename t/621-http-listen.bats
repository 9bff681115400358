#!/usr/bin/env bats
# Where and how the HTTP door listens: TLS, HTTP/2, Unix sockets, a path in front, and clients that behave badly.
load lib

FETCH='data/info/refs?service=git-upload-pack'

# site: a site whose repository `data` holds a commit and may be read by all.
site() {
    new_site
    sed -i 's/^anonymous = .*/anonymous = "read"/' "$SITE/annex-keep.toml"
    git init -q source
    random_file source/file "${1:-1000}"
    git -C source add file
    git -C source commit -qm first
    git -C source push -q "$SITE/repos/data.git" main
}

# setting SECTION LINE: a line of the configuration, in a section that has a heading already.
setting() { sed -i "/^\[$1\]/a $2" "$SITE/annex-keep.toml"; }

# certificate NAME: a self-signed certificate for 127.0.0.1 in the site's directory; $TMP/NAME.pem for clients.
certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$SITE/key.pem" -out "$SITE/cert.pem" 2>/dev/null
    cp "$SITE/cert.pem" "$TMP/$1.pem"
}

serves_certificate() { curl -fsS --cacert "$TMP/$1.pem" "$HTTP/$FETCH" -o "$TMP/body" 2>"$TMP/curl.err"; }

status() { curl -sS -o "$TMP/body" -w '%{http_code}' "$@"; }

# open_connection FD [TEXT]: a connection to the daemon that has sent TEXT and waits.
open_connection() {
    eval "exec $1<>/dev/tcp/127.0.0.1/$HTTP_PORT"
    [ -z "${2:-}" ] || printf '%b' "$2" >&"$1"
}

# closed FD: the daemon has closed the connection. Reads what it said before that.
closed() { timeout 20 cat <&"$1" >"$TMP/said"; }

@test "https with a certificate from files, which SIGHUP reads again" {
    site
    printf '[http.tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n' >>"$SITE/annex-keep.toml"
    run annex-keep serve "$SITE" --http 127.0.0.1:0 --ssh 127.0.0.1:0
    assert_equal "$status" 1
    assert_output 'cert.pem: No such file'
    certificate first
    start_daemon
    [[ $HTTP == https://* ]]
    serves_certificate first
    git -c http.sslCAInfo="$TMP/first.pem" clone -q "$HTTP/data" clone
    assert_same source/file clone/file
    curl -fsS --cacert "$TMP/first.pem" "$HTTP/data/config" >config
    assert_equal "$(git config -f config annex.url)" "annex+https://127.0.0.1:$HTTP_PORT/git-annex/"
    # A connection that is open stays so.
    exec {held}> >(timeout 60 openssl s_client -quiet -connect "127.0.0.1:$HTTP_PORT" >"$TMP/held" 2>/dev/null 3>&-)
    printf 'GET /data/config HTTP/1.1\r\nHost: h\r\n\r\n' >&"$held"
    wait_until 20 grep -q uuid "$TMP/held"
    certificate second
    kill -HUP "$DAEMON_PID"
    wait_until 20 serves_certificate second
    run ! serves_certificate first
    printf 'GET /data/config HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n' >&"$held"
    wait_until 20 grep -q other "$TMP/held"
    exec {held}>&-
    # One that is none changes nothing.
    echo nonsense >"$SITE/cert.pem"
    kill -HUP "$DAEMON_PID"
    wait_until 20 grep -q 'the certificate stays as it was' "$TMP/daemon.log"
    serves_certificate second
    # Nor a key that belongs to another one.
    cp "$TMP/first.pem" "$SITE/cert.pem"
    kill -HUP "$DAEMON_PID"
    wait_until 20 grep -q 'cert.pem and .*key.pem' "$TMP/daemon.log"
    serves_certificate second
}

@test "HTTP/2, over TLS and in clear" {
    site 3M
    start_daemon
    assert_equal "$(curl -sS --http2-prior-knowledge -o body -w '%{http_version}' "$HTTP/data/config")" 2
    assert_equal "$(git config -f body annex.url)" "annex+http://127.0.0.1:$HTTP_PORT/git-annex/"
    stop_daemon
    printf '[http.tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n' >>"$SITE/annex-keep.toml"
    certificate ca
    start_daemon
    assert_equal "$(curl -sS --cacert ca.pem --http2 -o body -w '%{http_version}' "$HTTP/$FETCH")" 2
    assert_equal "$(curl -sS --cacert ca.pem --http1.1 -o body -w '%{http_version}' "$HTTP/$FETCH")" 1.1
    GIT_TRACE_CURL=$TMP/trace GIT_TRACE_CURL_NO_DATA=1 git -c http.sslCAInfo="$TMP/ca.pem" -c http.version=HTTP/2 \
        clone -q "$HTTP/data" clone
    assert_same source/file clone/file
    grep -q 'HTTP/2 200' "$TMP/trace"
}

@test "a Unix socket: for owner and group, replaced when stale, gone at the end" {
    site
    start_daemon --http unix:http.socket
    grep -qx "listening http unix:$SITE/http.socket" "$TMP/daemon.out"
    assert_equal "$(stat -c %a "$SITE/http.socket")" 660
    local unix=(--unix-socket "$SITE/http.socket")
    assert_equal "$(status "${unix[@]}" "http://localhost/$FETCH")" 200
    # A proxy behind it says by which URL the client came.
    curl -fsS "${unix[@]}" -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: keep.example.org' \
        http://localhost/data/config >config
    assert_equal "$(git config -f config annex.url)" annex+https://keep.example.org:443/git-annex/
    # Another daemon does not take it away.
    annex-keep init "$TMP/other"
    run annex-keep serve "$TMP/other" --http "unix:$SITE/http.socket" --ssh 127.0.0.1:0
    assert_equal "$status" 1
    assert_output 'another process listens there'
    kill -KILL "$DAEMON_PID"
    wait "$DAEMON_PID" || true
    [ -S "$SITE/http.socket" ]
    start_daemon --http unix:http.socket
    assert_equal "$(status "${unix[@]}" "http://localhost/$FETCH")" 200
    stop_daemon
    [ ! -e "$SITE/http.socket" ]
}

@test "the path of the configured URL may stand in front of every address" {
    site
    sed -i 's|^url = .*|url = "https://keep.example.org/annex/keep/"|' "$SITE/annex-keep.toml"
    start_daemon
    local prefix
    for prefix in '' /annex/keep; do
        git clone -q "$HTTP$prefix/data" "clone${#prefix}"
        curl -fsS "$HTTP$prefix/data/config" >config
        assert_equal "$(git config -f config annex.url)" annex+https://keep.example.org:443/annex/keep/
    done
    assert_equal "$(status "$HTTP/annex/keepers/data/config")" 401
    # Without a path in it, the usual form.
    sed -i 's|^url = .*|url = "https://keep.example.org"|' "$SITE/annex-keep.toml"
    kill -HUP "$DAEMON_PID"
    wait_until 20 config_says annex+https://keep.example.org:443/git-annex/
}

config_says() { [ "$(curl -fsS "$HTTP/data/config" | git config -f - annex.url)" = "$1" ]; }

@test "clients that are slow with their request are cut, and others are not" {
    site
    sed -i 's/^stalled_seconds = .*/stalled_seconds = 2/' "$SITE/annex-keep.toml"
    start_daemon
    open_connection 7
    open_connection 8 'GET /data/config HTTP/1.1\r\nHost: h\r\nX-Slow: '
    open_connection 9 'GET /data/config HTTP/1.1\r\nHost: h\r\n\r\n'
    git clone -q "$HTTP/data" clone
    # Nothing said, half a request said, and a whole one answered, then nothing more.
    closed 7
    closed 8
    closed 9
    grep -q '200 OK' "$TMP/said"
    exec 7>&- 8>&- 9>&-
    # A head that never ends is not kept in memory either.
    head -c 300000 /dev/zero | tr '\0' a >long
    { printf 'X-Long: '; cat long; echo; } >headers
    assert_equal "$(status -H "@$TMP/headers" "$HTTP/data/config")" 431
}

@test "a client that does not take its answer is cut" {
    site 30M
    sed -i 's/^stalled_seconds = .*/stalled_seconds = 2/' "$SITE/annex-keep.toml"
    start_daemon
    local body
    body=$(printf '0011command=fetch0001000fno-progress0031want %s0009done\n0000' "$(git -C source rev-parse HEAD)")
    open_connection 7 "POST /data/git-upload-pack HTTP/1.1\r\nHost: h\r\nGit-Protocol: version=2\r\n"
    printf 'Content-Type: application/x-git-upload-pack-request\r\nContent-Length: %d\r\n\r\n%s' "${#body}" "$body" >&7
    wait_until 20 pgrep -P "$DAEMON_PID"
    wait_until 20 no_children
    git clone -q "$HTTP/data" clone
    # Should it read on, it hears no end: what came is not the whole.
    timeout 60 cat <&7 >answer
    grep -aq '^HTTP/1.1 200' answer
    assert_equal "$(tail -c 5 answer | od -An -tx1 | grep -c '30 0d 0a 0d 0a')" 0
    exec 7>&-
}

no_children() { ! pgrep -P "$DAEMON_PID" >/dev/null; }

@test "more connections than the limit wait, and idle ones make room" {
    site
    sed -i 's/^connections = .*/connections = 2/' "$SITE/annex-keep.toml"
    start_daemon
    open_connection 7 'GET /data/config HTTP/1.1\r\nHost: h\r\n\r\n'
    open_connection 8
    # Two idle connections, kept for a minute, do not keep a third out.
    assert_equal "$(status --max-time 20 "$HTTP/$FETCH")" 200
    grep -q 'as many connections as limits.connections allows' "$TMP/daemon.log"
    exec 7>&- 8>&-
}

@test "at the end idle connections are closed, and a clone under way comes to its end" {
    site 8M
    start_daemon
    open_connection 7 'GET /data/config HTTP/1.1\r\nHost: h\r\n\r\n'
    local body client
    printf '0011command=fetch0001000fno-progress0031want %s0009done\n0000' "$(git -C source rev-parse HEAD)" >want
    curl -sS --limit-rate 3M -H 'Git-Protocol: version=2' -H 'Content-Type: application/x-git-upload-pack-request' \
        --data-binary @want "$HTTP/data/git-upload-pack" -o pack 3>&- 7>&- &
    client=$!
    wait_until 20 test -s pack
    kill -TERM "$DAEMON_PID"
    closed 7
    wait "$client"
    [ "$(stat -c %s pack)" -gt 8388608 ]
    tail -c 4 pack | grep -qx 0000
    wait "$DAEMON_PID"
    exec 7>&-
}
