# moto, a real S3 server, on a free port of loopback. Sourced by the tests that need it.

# start_moto: the server; on the same port again after stop_moto, and empty. Sets MOTO_PID, S3 (its URL) and S3_PORT. Its
# log is in $TMP/moto.log.
start_moto() {
    : >"$TMP/moto.log"
    "$ROOT/.peers/moto/bin/moto_server" -H 127.0.0.1 -p "${S3_PORT:-0}" >"$TMP/moto.log" 2>&1 3>&- &
    MOTO_PID=$!
    wait_until 30 grep -q 'Running on' "$TMP/moto.log"
    S3=$(sed -n 's|.*Running on \(http://[0-9.:]*\).*|\1|p' "$TMP/moto.log" | head -1)
    S3_PORT=${S3##*:}
    export AWS_ACCESS_KEY_ID=AKIAEXAMPLE AWS_SECRET_ACCESS_KEY=hunter2hunter2
    printf '%s\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >"$TMP/s3creds"
}

# stop_moto [SIGNAL]: ends the server and waits for it.
stop_moto() {
    kill -"${1:-KILL}" "$MOTO_PID"
    wait "$MOTO_PID" || true
}

# make_bucket NAME: a bucket.
make_bucket() { curl -sSf -X PUT "$S3/$1" >/dev/null; }

# objects BUCKET: the names of its objects, a line each, in order.
objects() { curl -sSf "$S3/$1?list-type=2" | grep -o '<Key>[^<]*' | sed 's/<Key>//' || true; }

# unfinished BUCKET: how many uploads in parts are neither complete nor aborted.
unfinished() { curl -sSf "$S3/$1?uploads" | grep -o '<UploadId>' | wc -l; }
