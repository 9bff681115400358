#!/usr/bin/env bats
# The daemon is killed again and again under load. ANNEX_KEEP_TEST_KILLS is how often, ANNEX_KEEP_TEST_SEED repeats a run.

load lib

# kill_under_load KIND: the share of the kills that a kind of node has.
kill_under_load() {
    local seed=${ANNEX_KEEP_TEST_SEED:-$RANDOM$RANDOM} kills=${ANNEX_KEEP_TEST_KILLS:-40} apart=(unshare --mount)
    [ "$(id -u)" = 0 ] || apart=(unshare --mount --map-root-user)
    "${apart[@]}" true 2>/dev/null || apart=()
    echo "# seed $seed" >&3
    run -0 "${apart[@]}" python3 "$ROOT/t/matrix/kill.py" "$TMP/load" "$1" $((kills / 2)) "$seed"
    echo "# $(tail -1 <<<"$output")" >&3
    run ! grep -A3 panicked "$TMP/load/daemon.log"
}

@test "a daemon that is killed under load loses no key that it acknowledged, and keeps its locks" {
    kill_under_load keep
}

@test "neither does it where a node is a git-annex repository" {
    kill_under_load annex
}
