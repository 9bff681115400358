#!/usr/bin/env bats
# The worst days: every kind of node, every operation, every fault, through both doors; see matrix/table.py.

load lib

@test "what clients are told is the truth whatever happens to a node, and stands in docs/faults.md" {
    # Mounts of its own go away with it.
    local apart=(unshare --mount)
    [ "$(id -u)" = 0 ] || apart=(unshare --mount --map-root-user)
    "${apart[@]}" true 2>/dev/null || apart=()
    git config --global annex.security.allowed-ip-addresses 127.0.0.1
    run -0 "${apart[@]}" python3 "$ROOT/t/matrix/run.py" "$TMP/matrix" "$ROOT/docs/faults.md"
    echo "# $(tail -1 <<<"$output")" >&3
}
