#!/usr/bin/env bats
# Plain downloads of keys, as curl and browsers make them.

# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own

load lib

setup() { start; }

# start: a site that everybody may read, with `file` on the cluster as KEY. URL is its address.
start() {
    isolate
    new_site
    anonymous read
    start_daemon
    http_user alice secret --role write
    CLUSTER=$(site_uuid cluster)
    random_file file 100000
    store file
}

# anonymous read|none: what everybody may do, from the daemon's next start on.
anonymous() {
    sed -i "s/^anonymous = .*/anonymous = \"$1\"/" "$SITE/annex-keep.toml"
    grep -qx "anonymous = \"$1\"" "$SITE/annex-keep.toml"
}

# store FILE: uploads it to the cluster; sets KEY and URL.
store() {
    KEY=$(sha256_key "$1")
    curl -sSf -u alice:secret -X POST --data-binary "@$1" -H "X-git-annex-data-length: $(stat -c %s "$1")" \
        "$HTTP/git-annex/$CLUSTER/v4/put?key=$KEY&clientuuid=c-1" | jq -e .stored >/dev/null
    URL=$HTTP/git-annex/$CLUSTER/key/$KEY
}

# get [CURL-ARG]...: GETs URL. Sets CODE; headers are in $TMP/headers, the body in $TMP/got.
get() {
    rm -f "$TMP/got"
    CODE=$(curl -sS -D "$TMP/headers" -o "$TMP/got" -w '%{http_code}' "$@" "$URL")
    sed -i 's/\r$//' "$TMP/headers"
}

# header NAME: its value in the last answer.
header() { sed -n "s/^$1: //Ip" "$TMP/headers"; }

bytes() { tail -c "+$(($1 + 1))" file | head -c "$(($2 - $1 + 1))"; }

@test "a key comes as a file that browsers can keep and must not run" {
    get
    assert_equal "$CODE" 200
    assert_same "$TMP/got" file
    assert_equal "$(header content-length)" 100000
    assert_equal "$(header x-git-annex-data-length)" 100000
    assert_equal "$(header accept-ranges)" bytes
    assert_equal "$(header etag)" "\"$KEY\""
    assert_equal "$(header content-type)" application/octet-stream
    assert_equal "$(header x-content-type-options)" nosniff
    assert_equal "$(header content-security-policy)" sandbox
    assert_equal "$(header cache-control)" "public, max-age=31536000, immutable"
    assert_equal "$(header content-disposition)" "inline; filename=\"$KEY\""
    get --compressed
    assert_equal "$(header content-encoding)" ""
    # curl goes on with a download that broke off.
    head -c 1000 file >part
    curl -sSf -C - -o part "$URL"
    assert_same part file
}

@test "HEAD tells all of that and sends nothing" {
    get
    grep -vi '^date:' "$TMP/headers" | sort >wanted
    run -0 curl -sS -I "$URL"
    tr -d '\r' <<<"$output" | grep -vi '^date:' | sed '/^$/d' | sort | diff <(sed '/^$/d' wanted) -
    code=$(curl -sS -I -H 'Range: bytes=0-9' -o /dev/null -w '%{http_code}' "$URL")
    assert_equal "$code" 200
}

@test "a range is that part of the content" {
    for range in 0-0 0-999 5000- -10 99999- 50000-99999999999999999999999; do
        get -H "Range: bytes=$range"
        assert_equal "$CODE" 206 "$range"
        case $range in
            -10) from=99990 to=99999 ;;
            *) from=${range%-*} to=${range#*-} ;;
        esac
        if [ -z "$to" ] || [ ${#to} -gt 5 ]; then to=99999; fi
        assert_equal "$(header content-range)" "bytes $from-$to/100000"
        assert_equal "$(header content-length)" "$((to - from + 1))"
        bytes "$from" "$to" | cmp - "$TMP/got"
    done
    for range in 'bytes=9-1' 'bytes=x' 'lines=0-1' 'bytes'; do
        get -H "Range: $range"
        assert_equal "$CODE" 200 "$range"
        assert_same "$TMP/got" file
    done
    for range in 'bytes=100000-' 'bytes=-0'; do
        get -H "Range: $range"
        assert_equal "$CODE" 416 "$range"
        assert_equal "$(header content-range)" "bytes */100000"
    done
}

@test "several ranges come as the parts of one answer" {
    get -H 'Range: bytes=100-199, 90000-, 0-0'
    assert_equal "$CODE" 206
    assert_equal "$(header content-length)" "$(stat -c %s "$TMP/got")"
    python3 - "$(header content-type)" <<'END'
import email.parser, email.policy, sys
body = open("got", "rb").read()
whole = open("file", "rb").read()
head = f"Content-Type: {sys.argv[1]}\r\n\r\n".encode()
message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + b"")
boundary = message.get_boundary().encode()
parts = body.split(b"\r\n--" + boundary)
assert parts[0] == b"" and parts[-1] == b"--\r\n", parts[-1]
wanted = [(100, 199), (90000, 99999), (0, 0)]
assert len(parts) == len(wanted) + 2
for part, (start, end) in zip(parts[1:-1], wanted):
    head, data = part.split(b"\r\n\r\n", 1)
    assert f"Content-Range: bytes {start}-{end}/100000".encode() in head, head
    assert b"Content-Type: application/octet-stream" in head, head
    assert data == whole[start:end + 1]
END
    get -H 'Range: bytes=0-, 0-, 0-'
    assert_equal "$CODE" 200 "no more than the whole"
}

@test "who has the content gets none" {
    get
    etag=$(header etag)
    for tag in "$etag" "W/$etag" "\"other\", $etag" '*'; do
        get -H "If-None-Match: $tag"
        assert_equal "$CODE" 304 "$tag"
        assert_equal "$(header etag)" "$etag"
        [ ! -s "$TMP/got" ]
    done
    get -H 'If-None-Match: "other"'
    assert_equal "$CODE" 200
    get -H "If-Range: $etag" -H 'Range: bytes=0-9'
    assert_equal "$CODE" 206
    for tag in '"other"' "W/$etag" 'Sun, 22 Nov 2026 00:00:00 GMT'; do
        get -H "If-Range: $tag" -H 'Range: bytes=0-9'
        assert_equal "$CODE" 200 "$tag"
    done
}

@test "content that is not there is 404, whatever is asked about it" {
    URL=$HTTP/git-annex/$CLUSTER/key/SHA256-s9--0000000000000000000000000000000000000000000000000000000000000000
    for args in '' '-I' '-r 0-1' '-r 100-' '-r 0-1,3-4'; do
        # shellcheck disable=SC2086 # several words
        assert_equal "$(curl -sS $args -o /dev/null -w '%{http_code}' "$URL")" 404 "$args"
    done
    get -H 'If-None-Match: *'
    assert_equal "$CODE" 404
    URL=$HTTP/git-annex/$CLUSTER/key/nokey
    get
    assert_equal "$CODE" 400
}

@test "content whose nodes are all out of reach is 503 with a time to come again, not 404" {
    mv "$SITE/nodes" "$TMP/gone"
    stop_daemon
    start_daemon
    for args in "" -I; do
        get $args
        assert_equal "$CODE" 503
        header retry-after | grep -qx '[1-9][0-9]*'
    done
    get
    grep -q "^node [abc]: not reachable" "$TMP/got"
    stop_daemon
    mv "$TMP/gone" "$SITE/nodes"
    start_daemon
    get
    assert_equal "$CODE" 200
    cmp file "$TMP/got"
}

@test "the file's name and type come along, whatever characters it has" {
    plain=$URL
    disposition() {
        URL="$plain?associatedfile=$(jq -rn --arg name "$1" '$name|@uri')"
        get
        assert_equal "$CODE" 200
        header content-disposition
    }
    assert_equal "$(disposition 'dir/a photo.jpg')" 'inline; filename="a photo.jpg"'
    assert_equal "$(disposition 'say "hi" ü%.txt')" \
        "inline; filename=\"say _hi_ __.txt\"; filename*=UTF-8''say%20%22hi%22%20%C3%BC%25.txt"
    disposition $'evil\r\nX-Header: 1' >/dev/null
    get
    URL="$plain?associatedfile=a.jpg"
    get
    assert_equal "$(header content-type)" image/jpeg
    URL="$plain?associatedfile=x.html"
    get
    assert_equal "$(header content-type)" text/html
    URL="$plain?associatedfile=evil%0D%0AX-Evil%3A%201"
    get
    assert_equal "$(header x-evil)" ""
    mkdir saved
    (cd saved && curl -sSf -OJ "$plain?associatedfile=d/notes.txt")
    assert_same saved/notes.txt file
}

@test "web pages of other origins may read" {
    get -H 'Origin: https://example.org'
    assert_equal "$(header access-control-allow-origin)" '*'
    exposed=$(header access-control-expose-headers)
    for name in etag content-range accept-ranges content-length x-git-annex-data-length; do
        [[ ,${exposed,,}, == *,$name,* ]] || fail "$name is not in $exposed"
    done
    get -X OPTIONS -H 'Origin: https://example.org' -H 'Access-Control-Request-Method: GET' \
        -H 'Access-Control-Request-Headers: range,authorization'
    assert_equal "$CODE" 200
    assert_equal "$(header access-control-allow-origin)" '*'
    [[ $(header access-control-allow-methods) == *GET* ]]
    [[ $(header access-control-allow-headers) == *range* ]]
    [[ $(header access-control-allow-headers) == *authorization* ]]
    # Whoever has no leave is told so in a way that the page sees.
    anonymous none
    stop_daemon
    start_daemon
    get -H 'Origin: https://example.org'
    assert_equal "$CODE" 401
    assert_equal "$(header access-control-allow-origin)" '*'
    get -u alice:secret
    assert_equal "$CODE" 200
    assert_equal "$(header cache-control)" "private, max-age=31536000, immutable"
}

@test "an empty file and one without a known size come whole and in parts" {
    : >empty
    store empty
    get
    assert_equal "$CODE $(header content-length)" "200 0"
    get -r 0-1
    assert_equal "$CODE" 416
    curl -sSf -u alice:secret -X POST --data-binary @file -H "X-git-annex-data-length: 100000" \
        "$HTTP/git-annex/$CLUSTER/v4/put?key=URL--http%3A%2F%2Fh%2Fx&clientuuid=c-1"
    URL=$HTTP/git-annex/$CLUSTER/key/URL--http%3A%2F%2Fh%2Fx
    get
    assert_same "$TMP/got" file
    assert_equal "$(header cache-control)" "public, no-cache"
    assert_equal "$(header etag)" 'W/"URL--http%3A%2F%2Fh%2Fx"'
    get -r 50-59
    assert_equal "$CODE $(header content-range)" "206 bytes 50-59/100000"
    bytes 50 59 | cmp - "$TMP/got"
    code=$(curl -sS -I -D "$TMP/headers" -o /dev/null -w '%{http_code}' "$URL")
    assert_equal "$code $(header content-length | tr -d '\r')" "200 100000"
}

@test "a range near the end of 1 GiB reads only what it needs" {
    stop_daemon
    on_disk
    start
    truncate -s 1G large
    printf 'the very end of it' | dd of=large bs=1 seek=1073741000 conv=notrunc status=none
    KEY=WORM-s1073741824--large
    curl -sSf -u alice:secret -X POST -T large -H "X-git-annex-data-length: 1073741824" \
        "$HTTP/git-annex/$(site_uuid a)/v4/put?key=$KEY&clientuuid=c-1" | jq -e .stored
    peak=$(resident_peak "$DAEMON_PID")
    [ "$peak" -lt 400000 ] || fail "the upload took $peak KiB of memory"
    URL=$HTTP/git-annex/$CLUSTER/key/$KEY
    bytes_read() { awk '/^rchar/ { print $2 }' "/proc/$DAEMON_PID/io"; }
    before=$(bytes_read)
    get -r 1073740800-1073741823
    assert_equal "$CODE" 206
    tail -c 1024 large | cmp - "$TMP/got"
    read=$(($(bytes_read) - before))
    [ $read -lt $((72 << 20)) ] || fail "$read bytes were read"
    echo "# read for 1 KiB near the end of 1 GiB: $read bytes; memory at most: $peak KiB" >&3
    before=$(bytes_read)
    get -r 0-1023
    assert_equal "$CODE" 206
    [ $(($(bytes_read) - before)) -lt $((72 << 20)) ]
    before=$(bytes_read)
    run -0 curl -sS -I "$URL"
    assert_output "1073741824"
    [ $(($(bytes_read) - before)) -lt $((1 << 20)) ]
}
