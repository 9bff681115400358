# How cost grows: with the size of a key, the number of connections, and the number of keys. Sourced by t/bench/run.
#
# Each curve has a site of its own, so that its daemon's memory is that of the curve alone.

# fresh SITE: the daemon of a site. Sets FRESH_PID, FRESH_HTTP, and FRESH_READY: how many milliseconds it took.
fresh() {
    local line began=$EPOCHREALTIME
    exec 5< <(exec annex-keep serve "$TMP/ours$1" --ssh 127.0.0.1:0 --http 127.0.0.1:0 2>>"$TMP/$1.log")
    FRESH_PID=$!
    while read -r line <&5; do
        case $line in
            'listening http '*) FRESH_HTTP=${line#*//} FRESH_HTTP=${FRESH_HTTP%/} ;;
            ready)
                FRESH_READY=$(milliseconds "$began")
                return
                ;;
        esac
    done
    tail -3 "$TMP/$1.log" >&2
    return 1
}

end_fresh() {
    [ -z "${FRESH_PID:-}" ] || kill_tree "$FRESH_PID"
    FRESH_PID=
    exec 5<&-
}

# milliseconds SINCE: since a time of EPOCHREALTIME.
milliseconds() { awk -v began="$1" -v now="$EPOCHREALTIME" 'BEGIN { printf "%.1f", (now - began) * 1000 }'; }

# resident PID FIELD: memory of a process in MiB: VmRSS now, VmHWM the most since the last `forget`.
resident() { awk -v field="$2:" '$1 == field { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
forget() { echo 5 >"/proc/$1/clear_refs"; }

# curve_transfer: speed, and the most memory, of one upload and one download of keys of growing size.
curve_transfer() {
    local mib idle
    [ -d "$TMP/ourstransfer" ] || make_ours 3 transfer
    fresh transfer || return 0
    load ours stdio transfer --operations connect,put,get,remove --keys 10 >/dev/null || return 0
    idle=$(resident "$FRESH_PID" VmRSS)
    for mib in 1 16 64 256 1024 4096 102400; do
        ((mib <= ${MIB_MOST:-$(scaled 1024 16)})) || break
        LIMIT=60 measure "transfer$mib" ours transfer "$mib" "$idle"
    done
    end_fresh
}

# transfer MIB IDLE: one size. What is larger than 4 GiB repeats one block, for which alone there is room on the disk.
transfer() {
    local mib=$1 result repeat=()
    ((mib <= 4096)) || repeat=(--repeat 64MiB)
    forget "$FRESH_PID"
    result=$(load ours stdio transfer --operations put,get,remove --size "${mib}MiB" --limit 86400 \
        --keys $((mib < 64 ? 128 / mib : mib < 512 ? 2 : 1)) "${repeat[@]}") || return
    jq -c --argjson idle "$2" --argjson most "$(resident "$FRESH_PID" VmHWM)" '. + {idle: $idle, most: $most}' <<<"$result"
}

# curve_connections: memory of a daemon that many connections are open to.
curve_connections() {
    make_ours 3 crowd
    LIMIT=60 measure connections ours connections "$(scaled 1000 20)"
}

# connections COUNT: first so many over HTTP, then as many conversations over stdio; a tenth of these hold a lock.
connections() {
    local count=$1 idle http stdio key crowd
    fresh crowd || return
    load ours stdio crowd --operations put --keys 1 >/dev/null || return
    key=$(annex-keep keep ls "$TMP/ourscrowd-a" | sed -n 's/.* //; 1p')
    idle=$(resident "$FRESH_PID" VmRSS)
    mkfifo "$TMP/hold-crowd"
    python3 "$ROOT/t/bench/crowd.py" "bench:bench@$FRESH_HTTP" "$TMP/ourscrowd" "$(ours_uuid crowd)" \
        "$(ours_node_uuid crowd)" "$key" "$count" <"$TMP/hold-crowd" >"$TMP/crowd" &
    crowd=$!
    exec 4>"$TMP/hold-crowd"
    wait_until 30 grep -qx http "$TMP/crowd" || return
    http=$(resident "$FRESH_PID" VmRSS)
    echo >&4
    wait_until 40 grep -qx stdio "$TMP/crowd" || return
    stdio=$(resident "$FRESH_PID" VmRSS)
    exec 4>&-
    wait "$crowd"
    end_fresh
    jq -cn --argjson count "$count" --argjson idle "$idle" --argjson http "$http" --argjson stdio "$stdio" '$ARGS.named'
}

# curve_keys: what a key costs where so many are.
curve_keys() {
    local count
    for count in 1000 10000 100000 1000000; do
        ((count <= ${KEYS_MOST:-$(scaled 100000 1000)})) || break
        LIMIT=90 measure "keys$count" ours keys "$count"
    done
}

# keys COUNT: how long the daemon takes to start and to answer first, what the operations cost, and how long the journal of
# the last uploads takes into the branch, seen by a client that fetches.
keys() {
    local count=$1 site=keys$1 some first result began commit
    some=$(scaled 1000 30)
    if [ ! -e "$TMP/$site.grown" ]; then
        rm -rf "$TMP/ours$site" "$TMP/ours$site"-?
        make_ours 3 "$site"
        python3 "$ROOT/t/bench/grow.py" "$(annex-keep repo info data --site "$TMP/ours$site" --json)" "$count" >&2 || return
        : >"$TMP/$site.grown"
    fi
    fresh "$site" || return
    first=$(load ours stdio "$site" --operations connect --keys 1) || return
    result=$(load ours stdio "$site" --operations put,checkpresent,get,remove --keys "$some" --limit 3) || return
    load ours stdio "$site" --operations put --keys "$some" --limit 2 >/dev/null || return
    began=$EPOCHREALTIME
    git ls-remote -q "http://bench:bench@$FRESH_HTTP/data" git-annex >&2 || return
    commit=$(milliseconds "$began")
    end_fresh
    jq -c --argjson first "$first" --argjson ready "$FRESH_READY" --argjson commit "$commit" \
        '. + {ready: $ready, first: $first.results[0].latency_ms.max, commit: $commit}' <<<"$result"
}
