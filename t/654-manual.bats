#!/usr/bin/env bats
# Man pages and completions are made from the command line's own definitions.

load lib

# commands COMMAND...: every command below this one that its help shows, in full, a line each.
commands() {
    local name
    while read -r name; do
        [ "$name" != help ] || continue
        echo "$* $name"
        commands "$@" "$name"
    done < <("$@" --help | awk '/^Commands:/ { on = 1; next } /^[^ ]/ { on = 0 } on && /^  [a-z]/ { print $1 }')
}

@test "every command has a man page that groff shows without a warning" {
    annex-keep man man1 >listed
    { echo annex-keep && commands annex-keep; } | tr ' ' - | sort >wanted
    find man1 -name '*.1' -printf '%f\n' | sed 's/\.1$//' | sort | diff wanted -
    grep -qx annex-keep-user-token wanted
    assert_equal "$(wc -l <listed)" "$(wc -l <wanted)"
    for page in man1/*; do
        assert_equal "$(groff -man -ww -K utf8 -Tutf8 -z "$page" 2>&1)" '' "$page"
    done
    groff -man -Tutf8 man1/annex-keep-user-token.1 | grep -q 'How long it is good'
}

@test "bash completes commands and options; other shells have scripts, too" {
    annex-keep completions bash >script.bash
    bash -n script.bash
    complete_as() {
        bash -c '. ./script.bash; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _annex__keep annex-keep "${!#}" "" && printf "%s\n" "${COMPREPLY[@]}"' bash x "$@"
    }
    run -0 complete_as annex-keep us
    assert_line user
    run -0 complete_as annex-keep user to
    assert_line token
    assert_line tokens
    run -0 complete_as annex-keep user set --remo
    assert_line --remove-key
    annex-keep completions zsh | grep -qx '#compdef annex-keep'
    annex-keep completions fish | grep -q '^complete -c annex-keep '
    run -2 annex-keep completions tcsh
}

@test "make install puts program, pages and completions where they are looked for" {
    mkdir -p build/release
    cp "$(program)" build/release/annex-keep
    make -s -C "$ROOT" install TARGET="$TMP/build" DESTDIR="$TMP/installed" PREFIX=/usr
    cd installed/usr
    bin/annex-keep --version
    test -s share/man/man1/annex-keep-serve.1
    test -s share/man/man1/git-annex-remote-keep.1
    bash -n share/bash-completion/completions/annex-keep
    test -s share/zsh/site-functions/_annex-keep
    test -s share/fish/vendor_completions.d/annex-keep.fish
}
