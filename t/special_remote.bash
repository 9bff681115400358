# Helpers of the special remote's tests; loaded after lib.

# init_keep [ARG]...: in the present repository, a special remote `k` with its store in $STORE.
# shellcheck disable=SC2120
init_keep() {
    STORE=${STORE:-$TMP/store}
    git annex initremote -q k type=external externaltype=keep encryption=none store="$STORE" "$@"
}

# start_repo NAME [ARG]...: makes a repository with the special remote `k`, and goes there.
start_repo() {
    make_repo "$TMP/$1"
    cd "$TMP/$1" || return
    init_keep "${@:2}"
}

# add_file FILE SIZE: an annexed, committed file of random bytes.
add_file() {
    random_file "$1" "$2"
    git annex add -q "$1"
    git commit -q -m "$1"
}

# blocks: the files of all blocks in $STORE, damaged and trashed ones not.
blocks() { find "$STORE" -type f -regextype egrep -regex '.*/[0-9a-f]{3}/[0-9a-f]{32}'; }

# block_of FILE: where the one block of a file of at most 64 MiB is.
block_of() {
    local md5
    md5=$(md5sum <"$1" | cut -c1-32)
    find "$STORE" -path "*/${md5:0:3}/$md5"
}

# damage FILE: changes one byte of a block in place.
damage() {
    chmod u+w "$1"
    printf 'other bytes' | dd of="$1" bs=1 seek=1000 conv=notrunc status=none
}

# watch_remote: from here on the conversation of each special remote process is in $TMP/talk/PID.in and PID.out.
# With CUT=N, the process is cut off after it reported N bytes of progress.
watch_remote() {
    mkdir -p "$TMP/talk"
    rm -f "$BIN/git-annex-remote-keep" "$TMP"/talk/*
    mkdir -p "$TMP/real"
    ln -sfn "$(program)" "$TMP/real/git-annex-remote-keep"
    cat >"$BIN/git-annex-remote-keep" <<END
#!/bin/bash
talk=$TMP/talk/\$\$
cut() { perl -ne 'BEGIN { \$| = 1 } print; exit 1 if \$ENV{CUT} && /PROGRESS (\d+)/ && \$1 >= \$ENV{CUT}'; }
exec "$TMP/real/git-annex-remote-keep" < <(exec tee "\$talk.in") > >(cut | exec tee "\$talk.out")
END
    chmod +x "$BIN/git-annex-remote-keep"
}

# check_key FILE [REMOTE]: prints present, absent or unknown, as the remote answers.
check_key() {
    local status=0
    git annex checkpresentkey "$(annex_key "$1")" "${2:-k}" >/dev/null 2>&1 || status=$?
    case $status in
        0) echo present ;;
        1) echo absent ;;
        *) echo unknown ;;
    esac
}
