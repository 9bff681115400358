# A site that speaks Keep, and special remotes on it; loaded after lib, special_remote and arv.bash.
# shellcheck disable=SC2154 # bats sets output

# start_keep: a site behind https with the token of alice, who may write, in the environment. Sets KEEP, its address.
start_keep() {
    arv_site keep
    KEEP=$HTTP
}

# init_remote [ARG]...: in the present repository, a special remote `k` on the site: its Keep door, or with ON=api its
# API server and collections.
init_remote() {
    git annex initremote -q k type=external externaltype=keep encryption=none "${ON:-keep}=$KEEP" "$@"
}

# start_keep_repo NAME [ARG]...: makes a repository with the special remote `k`, and goes there.
start_keep_repo() {
    make_repo "$TMP/$1"
    cd "$TMP/$1" || return
    init_remote "${@:2}"
}

# clone_keep_repo NAME CLONE: a clone of $TMP/NAME that uses `k`, and goes there.
clone_keep_repo() {
    git clone -q "$TMP/$1" "$TMP/$2"
    cd "$TMP/$2" || return
    git annex init -q "$2"
    git remote remove origin
    run -0 git annex enableremote k
    git annex verifyremote k --safe "$(grep -o -- '--safe [0-9]*' <<<"$output" | cut -d' ' -f2)"
}

# collections: name, file count and UUID of each collection.
collections() { api collections | jq -r '.items[] | "\(.file_count) \(.uuid) \(.name)"' | sort -n; }
