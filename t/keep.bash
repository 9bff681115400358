# A site's Keep, and its clients. Sourced by tests of Keep.
# shellcheck disable=SC2034 # the tests use the tokens

# keep_site [ARG]...: a site and its daemon, with a port for Keep alone: $KEEP, its URL without / at the end. Further
# arguments are settings of [keep], NAME=VALUE. Tokens: $ALICE may append, $BOB read, $ROOT_TOKEN is an admin's.
keep_site() {
    local user
    [ -n "${SITE:-}" ] || new_site
    for user in alice=append bob=read root=admin; do
        annex-keep user add "${user%=*}" --site "$SITE" --role "${user#*=}" >/dev/null
    done
    ALICE=$(annex-keep user token alice --site "$SITE")
    BOB=$(annex-keep user token bob --site "$SITE")
    ROOT_TOKEN=$(annex-keep user token root --site "$SITE")
    keep_settings "$@"
    start_keep
}

# keep_settings NAME=VALUE...: changes settings of [keep].
keep_settings() {
    local setting
    for setting in "$@"; do
        sed -i "/^\[keep\]/,/^\[/s/^${setting%%=*} = .*/${setting%%=*} = ${setting#*=}/" "$SITE/annex-keep.toml"
    done
}

# start_keep: the daemon, with a port for Keep alone.
start_keep() {
    start_daemon --keep "127.0.0.1:${KEEP_PORT:-0}"
    KEEP=$(sed -n 's|^listening keep \(http.*\)/$|\1|p' "$TMP/daemon.out")
    KEEP_PORT=${KEEP##*:}
}

# keep TOKEN METHOD PATH [ARG]...: a request to Keep; prints the body, and leaves the status in $TMP/status and the
# headers in $TMP/headers.
keep() {
    local token=$1 method=$2 path=$3
    shift 3
    local head=()
    [ "$method" != HEAD ] || head=(--head)
    curl -sS -X "$method" "${head[@]}" -H "Authorization: Bearer $token" -D "$TMP/headers" -w '%{stderr}%{http_code}' \
        "$@" "$KEEP/$path" 2>"$TMP/status"
}

# status: the status of the last request.
status() { tail -c 3 "$TMP/status"; }

# header NAME: a header of the last answer.
header() { grep -i "^$1:" "$TMP/headers" | tail -1 | cut -d ' ' -f 2- | tr -d '\r'; }

# put FILE [ARG]...: stores a file as alice's block; prints its signed locator.
put() {
    local file=$1
    shift
    keep "$ALICE" PUT "$(md5 "$file")" -T "$file" "$@"
}

md5() { md5sum <"$1" | cut -d ' ' -f 1; }

# copies HASH: how many nodes' stores have a block in place.
copies() { find "$SITE/nodes" -name "$1" | wc -l; }

# age HASH SECONDS: makes all copies of a block look that old.
age() {
    find "$SITE/nodes" -name "$1" -exec touch -d "$2 seconds ago" {} +
}

# arvados SCRIPT [ARG]...: runs a Python script with Arvados's own client.
arvados() { "$ROOT/.peers/arvados/bin/python" - "${@:2}" <<<"$1"; }
