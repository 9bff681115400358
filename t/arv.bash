# Sites that Arvados's own Python client speaks to. Sourced by tests after `load lib`.

ARVADOS=$ROOT/.peers/arvados/bin

# arv_site NAME [ROLE]: a site $TMP/NAME behind https, with the user alice, and the environment of Arvados's client for
# alice. After this SITE, HTTP and DAEMON_PID are this site's; what another one of the test does goes on.
arv_site() {
    SITE=$TMP/$1
    unset HTTP_PORT SSH_PORT
    annex-keep init "$SITE"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE -keyout "$SITE/key.pem" -out "$SITE/cert.pem" 2>/dev/null
    cat "$SITE/cert.pem" >>"$TMP/ca.pem"
    printf '[http.tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n' >>"$SITE/annex-keep.toml"
    export SSL_CERT_FILE=$TMP/ca.pem
    arv_daemon
    arv_user alice "${2:-write}"
    arv_as alice
}

# arv_daemon: starts the site's daemon, again perhaps, on the port it had.
arv_daemon() {
    start_daemon
    export ARVADOS_API_HOST=127.0.0.1:$HTTP_PORT
}

# arv_user NAME ROLE: a user of the site, with a token in $SITE.NAME.
arv_user() {
    annex-keep user add "$1" --site "$SITE" --role "$2" >/dev/null
    annex-keep user token "$1" --site "$SITE" >"$SITE.$1"
}

# arv_as NAME: from here on, Arvados's client and `api` come with this user's token.
arv_as() {
    ARVADOS_API_TOKEN=$(cat "$SITE.$1")
    export ARVADOS_API_TOKEN
}

# arv_config: makes the site, as the client knows it now, known to arv-copy by its cluster's id; sets CLUSTER.
arv_config() {
    CLUSTER=$(api config | jq -re .ClusterID)
    mkdir -p "$XDG_CONFIG_HOME/arvados"
    printf 'ARVADOS_API_HOST=%s\nARVADOS_API_TOKEN=%s\n' "$ARVADOS_API_HOST" "$ARVADOS_API_TOKEN" \
        >"$XDG_CONFIG_HOME/arvados/$CLUSTER.conf"
}

# The client's own programs. A miss is final at once, not after a minute of trying.
arv_put() { "$ARVADOS/arv-put" --no-progress --retries 1 "$@"; }
arv_ls() { "$ARVADOS/arv-ls" --retries 1 "$@"; }
arv_copy() { "$ARVADOS/arv-copy" --no-progress --retries 1 "$@"; }

# arv_get LOCATOR [DESTINATION]: a folder as destination, with / at its end, is made.
arv_get() {
    case ${2:-} in */) mkdir -p "$2" ;; esac
    "$ARVADOS/arv-get" --no-progress --retries 1 "$@"
}

# api PATH [CURL-ARG]...: asks the API server; prints the answer, whatever its status is.
api() {
    local path=$1
    shift
    curl -sS --cacert "$SSL_CERT_FILE" -H "Authorization: Bearer $ARVADOS_API_TOKEN" "$HTTP/arvados/v1/$path" "$@"
}

# api_status PATH [CURL-ARG]...: the same; prints the status, and leaves the answer in $TMP/answer.
api_status() { api "$@" -o "$TMP/answer" -w '%{http_code}'; }

# post PATH JSON [CURL-ARG]...: sends an object.
post() {
    local path=$1 body=$2
    shift 2
    api "$path" -H 'Content-Type: application/json' --data-binary "$body" "$@"
}
