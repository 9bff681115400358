"""Makes a site's repository one that holds many keys: location logs on its git-annex branch, entries in its nodes' indexes.

Arguments: what `annex-keep repo info --json` says of the repository, and how many keys. The daemon must
not run. What stands there afterwards is what so many uploads of 4 KiB leave behind, except for the blocks themselves,
which nobody asks for: the keys are made up.
"""

import hashlib
import json
import sqlite3
import subprocess
import sys
import time

repository, count = json.loads(sys.argv[1]), int(sys.argv[2])
nodes, size = repository["nodes"], 4096
now = int(time.time())


def keys():
    for number in range(count):
        yield b"SHA256-s%d--%s" % (size, hashlib.sha256(b"made up %d" % number).hexdigest().encode())


def location_logs():
    """Adds one commit to the branch. Each log has a time of its own, as logs have: no two are one object."""
    branch = b"refs/heads/git-annex"
    git = subprocess.Popen(["git", "-C", repository["dir"], "fast-import", "--quiet"], stdin=subprocess.PIPE)
    out = git.stdin
    out.write(b"commit %s\ncommitter Bench <bench@example.org> %d +0000\ndata 6\nupdate\nfrom %s^0\n" % (branch, now, branch))
    for path, number, key in sorted((hashlib.md5(key).hexdigest(), number, key) for number, key in enumerate(keys())):
        log = b"".join(b"%d.%06ds 1 %s\n" % (now - 3600, number % 1000000, node["uuid"].encode()) for node in nodes)
        out.write(b"M 100644 inline %s/%s/%s.log\ndata %d\n%s\n" % (path[:3].encode(), path[3:6].encode(), key, len(log), log))
    out.close()
    if git.wait() != 0:
        sys.exit("git fast-import failed")


def entries(node):
    """Fills the index of a node with an entry for each key, and what refers to its two blocks."""
    db = sqlite3.connect(node["store"].removeprefix("keep:") + "/.annex-keep/index.db")
    # What is made up needs no care, and room for a large transaction.
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -1000000")
    first = db.execute("SELECT coalesce(max(id), 0) + 1 FROM entries").fetchone()[0]

    def blocks(key):
        digest = hashlib.sha256(key).digest()
        return digest[:16], digest[16:]

    def length(block, bytes):
        return block + bytes.to_bytes(4, "big")

    db.executemany(
        "INSERT INTO entries (id, owner, name, size, manifest, blocks, stored) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (first + number, node["uuid"].encode(), key, size, length(manifest, 225), length(block, size), now * 10**9 + number)
            for number, key in enumerate(keys())
            for manifest, block in [blocks(key)]
        ),
    )
    refs = ((block, first + number) for number, key in enumerate(keys()) for block in blocks(key))
    db.executemany("INSERT INTO refs (block, entry) VALUES (?, ?)", sorted(refs))
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


location_logs()
for node in nodes:
    entries(node)
