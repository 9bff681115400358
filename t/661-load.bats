#!/usr/bin/env bats
# Many clients, slow clients, and a daemon that is stopped under them.

load lib

setup() {
    isolate
    new_site
    start_daemon
    ssh_user alice annexhost --role write
    git clone -q ssh://annexhost/data work 2>/dev/null
    cd work || return
    git annex init -q work
}

# files NAME COUNT: annexed files of 16 KiB, NAME1 and so on.
files() {
    local i
    for ((i = 1; i <= $2; i++)); do random_file "$1$i" 16K; done
    git annex add -q "$1"*
    git commit -q -m "$1"
}

seconds() {
    local start=$EPOCHREALTIME
    "$@" >&2 || return
    awk -v start="$start" -v end="$EPOCHREALTIME" 'BEGIN { print end - start }'
}

there_and_back() {
    git annex copy -q --to origin "$1"*
    git annex drop -q "$1"*
    git annex get -q "$1"*
}

@test "200 idle clients and 50 slow ones do not disturb the next" {
    local alone crowded memory
    annex-keep user add crowd --site "$SITE" --role read --password-stdin <<<"crowd"
    random_file big 100M
    files small 30
    files more 30
    git annex add -q big
    git commit -q -m big
    git annex copy -q --to origin big
    alone=$(seconds there_and_back small)
    mkfifo "$TMP/hold"
    python3 "$ROOT/t/crowd.py" "$HTTP_PORT" annexhost "$(site_uuid cluster)" "$(site_uuid b)" "$(annex_key big)" crowd:crowd 200 50 \
        <"$TMP/hold" >"$TMP/crowd" 2>"$TMP/crowd.err" 3>&- &
    exec 4>"$TMP/hold"
    wait_until 120 test -s "$TMP/crowd"
    assert_equal "$(cat "$TMP/crowd")" ready
    crowded=$(seconds there_and_back more)
    memory=$(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$DAEMON_PID/status")
    echo "# alone $alone s, with 250 others $crowded s; the daemon holds $memory MiB" >&3
    exec 4>&-
    ((memory < 600)) || fail "the daemon holds $memory MiB"
}

# A user who stores, drops, fetches and moves all the time, and notes what was done for sure.
busy() {
    local name=$1 until=$2 i=0 file
    git clone -q ssh://annexhost/data "$TMP/$name" 2>/dev/null
    cd "$TMP/$name" || return
    git annex init -q "$name"
    while ((SECONDS < until)); do
        i=$((i + 1))
        file=$name-$i
        random_file "$file" "$((RANDOM % 300 + 1))K"
        sha256sum "$file" >>"$TMP/sums.$name"
        git annex add -q "$file" && git commit -q -m "$file"
        if git annex copy -q --to origin "$file"; then
            annex_key "$file" >>"$TMP/stored.$name"
            git annex drop -q "$file" || true
        else
            git annex move -q --to origin "$file" || true
        fi
        [ $((i % 3)) != 0 ] || git annex get -q "$file" || true
    done >>"$TMP/$name.log" 2>&1
}

@test "a daemon that is stopped and killed under load gives no wrong answer" {
    local users=(one two three) pids=() name signal key
    for name in "${users[@]}"; do
        busy "$name" $((SECONDS + 40)) 3>&- &
        pids+=($!)
    done
    for signal in TERM KILL TERM KILL; do
        sleep 7
        stop_daemon "$signal"
        start_daemon
    done
    wait "${pids[@]}"
    for name in "${users[@]}"; do
        cd "$TMP/$name"
        [ -s "$TMP/stored.$name" ]
        echo "# $name: $(wc -l <"$TMP/sums.$name") files, $(wc -l <"$TMP/stored.$name") copied" >&3
        # What was said to be stored is there, bit for bit.
        while read -r key; do
            git annex fsck -q --from origin --key "$key" >/dev/null || fail "$name lost $key"
        done < <(shuf -n 10 "$TMP/stored.$name")
        # Whatever failed, each file is somewhere.
        git annex get -q . || fail "$name cannot get everything: $(git annex get . 2>&1 | tail -5)"
        sha256sum --quiet -c "$TMP/sums.$name"
    done
    grep -q panicked "$TMP/daemon.log" && fail "$(grep -A3 panicked "$TMP/daemon.log")"
    true
}
