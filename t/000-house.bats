#!/usr/bin/env bats
# The ground the other tests stand on: real git, git-annex and sshd, in a home of their own.

load lib

# A server that serves plain git, with nothing of ours.
serve_git() {
    git init -q --bare "$TMP/data"
    cat >"$BIN/serve-git" <<'END'
#!/bin/sh
exec git-shell -c "$SSH_ORIGINAL_COMMAND"
END
    chmod +x "$BIN/serve-git"
    start_ssh_server
    authorize alice testhost serve-git
}

@test "home, identity and programs are the test's own" {
    assert_equal "$(git config --get-all user.name)" Tester
    assert_equal "$HOME" "$BATS_TEST_TMPDIR/home"
    assert_equal "$(command -v annex-keep)" "$BIN/annex-keep"
    git annex version --raw | grep -qxE "$(awk '$1 == "current" { print $2 }' "$ROOT/script/peers.txt").*"
    use_old_annex
    assert_equal "$(git annex version --raw)" 10.20230126
    run env
    refute_output SSH_AUTH_SOCK
}

@test "a clone and a push go through the key's forced command" {
    serve_git
    git clone -q "ssh://testhost$TMP/data" clone 2>/dev/null
    cd clone
    git commit -q --allow-empty -m first
    git push -q
    assert_equal "$(git -C "$TMP/data" log --format=%s main)" first
}

@test "a forced command sees the test's home and no git-annex" {
    start_ssh_server
    authorize bob bobhost "printf '%s\n' \"\$HOME\" \"\$GIT_CONFIG_GLOBAL\"; ls \"$BIN\"; echo asked \$SSH_ORIGINAL_COMMAND"
    run ssh bobhost anything at all
    assert_line "$HOME"
    assert_line "$HOME/.gitconfig"
    refute_output git-annex-shell
    assert_line "asked anything at all"
}

@test "git-annex reaches the server by the same ssh" {
    git init -q --bare data
    git -C data annex init -q server
    start_ssh_server
    # The server here is git-annex's own.
    authorize alice testhost "PATH=\$PATH:$ROOT/.peers/venv/bin git-annex-shell -c \"\$SSH_ORIGINAL_COMMAND\""
    git clone -q "ssh://testhost$TMP/data" clone
    cd clone
    git annex init -q client
    random_file file 100K
    git annex add -q file
    git commit -q -m file
    git annex copy -q --to origin file
    assert_whereis file here origin
    git annex drop -q file
    assert_whereis file origin
    lacks_content file
    git annex get -q file
    has_content file
    use_old_annex
    git annex drop -q file
    git annex get -q file
    has_content file
}

@test "nothing of the server is left when it is stopped" {
    start_ssh_server
    authorize alice testhost 'echo ready; sleep 1000'
    ssh testhost x >said 3>&- &
    wait_until 10 grep -q ready said
    mapfile -t pids < <(descendants "$SSHD_PID")
    [ ${#pids[@]} -ge 3 ]
    stop_sshd
    all_gone "${pids[@]}"
    run ! pgrep -f "$SSHD_DIR/config"
}
