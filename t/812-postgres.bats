#!/usr/bin/env bats
# Collections in a PostgreSQL database by one setting.
# shellcheck disable=SC2030,SC2031 # each test has variables of its own
load lib
# shellcheck disable=SC2030,SC2031 # each test has variables of its own
# shellcheck source=t/arv.bash
. "$ROOT/t/arv.bash"

teardown() {
    if [ -n "${PG:-}" ]; then
        postgres stop || true
        rm -rf "$PG"
    fi
    stop_everything
}

# unprivileged COMMAND…: PostgreSQL does not run as root.
unprivileged() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && setpriv --reuid postgres --regid postgres --clear-groups "$@")
    else
        "$@"
    fi
}

# postgres start|stop: Debian's server on a Unix socket, in a directory of its own, $PG: where root's tests are, it may not go.
postgres() {
    local bin
    bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
    if [ -z "${PG:-}" ]; then
        PG=$(mktemp -d "${TMPDIR:-/tmp}/annex-keep-pg.XXXXXX")
        [ "$(id -u)" != 0 ] || chown postgres "$PG"
        unprivileged "$bin/initdb" -A trust -U keeper --no-sync -D "$PG/data" >/dev/null
    fi
    case $1 in
        start)
            unprivileged "$bin/pg_ctl" -D "$PG/data" -w -l "$PG/log" -o "-k $PG -c listen_addresses= -c fsync=off" \
                start >/dev/null 3>&-
            ;;
        stop) unprivileged "$bin/pg_ctl" -D "$PG/data" -w -m fast stop >/dev/null ;;
    esac
}

setting() { sed -i "s|^database = .*|database = \"$1\"|" "$SITE/annex-keep.toml"; }

@test "collections are in PostgreSQL, and two gateways of one database see the same" {
    postgres start
    arv_site site
    stop_daemon
    rm "$SITE"/catalogue.db*
    setting "postgres://keeper@/postgres?host=$PG"
    arv_daemon
    mkdir tree
    echo one >tree/one
    local uuid
    uuid=$(arv_put tree/ --name 'in a database')
    arv_get "$uuid/" out/
    diff -r tree out
    assert_equal "$(psql -h "$PG" -U keeper -Atc 'SELECT name FROM collection' postgres)" 'in a database'
    [ ! -e "$SITE/catalogue.db" ]
    # A site of another directory, with the same stores, key and users.
    cp -r "$SITE" "$TMP/second"
    rm -rf "$TMP/second/nodes" "$TMP/second/run"
    ln -s "$SITE/nodes" "$TMP/second/nodes"
    local first=$HTTP first_pid=$DAEMON_PID
    SITE=$TMP/second
    unset HTTP_PORT SSH_PORT
    arv_daemon
    [ "$HTTP" != "$first" ]
    assert_equal "$(arv_get "$uuid/one" -)" one
    echo two >tree/two
    arv_put tree/ --update-collection "$uuid"
    ARVADOS_API_HOST=${first#https://} arv_get "$uuid/two" - | cmp - tree/two
    kill "$first_pid"
}

@test "a database that is away is said so, and found again" {
    postgres start
    arv_site site
    stop_daemon
    setting "postgres://keeper@/postgres?host=$PG"
    arv_daemon
    echo x >file
    local uuid
    uuid=$(arv_put file)
    postgres stop
    assert_equal "$(api_status collections)" 503
    assert_json '.errors[0] | test("database .* cannot be reached")' "$(cat answer)"
    assert_equal "$(curl -sS --cacert "$SSL_CERT_FILE" "$HTTP/-/healthz")" ok
    postgres start
    assert_equal "$(arv_get "$uuid/file" -)" x
}

@test "an address that cannot be used is refused when the daemon starts, without its password" {
    arv_site site
    stop_daemon
    setting 'postgres://keeper:secret@localhost/x?sslmode=require'
    run annex-keep serve "$SITE" --http 127.0.0.1:0 --ssh 127.0.0.1:0
    assert_equal "$status" 1
    assert_output 'sslmode=require: TLS to PostgreSQL is not supported'
    refute_output secret
    setting 'mysql://keeper:secret@localhost/x'
    run annex-keep serve "$SITE" --http 127.0.0.1:0 --ssh 127.0.0.1:0
    assert_equal "$status" 1
    assert_output 'begin with postgres://'
    refute_output secret
}
