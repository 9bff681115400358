#!/usr/bin/env python3
"""A volume in keepstore's directory layout, by somebody who knows nothing but that layout.

    keepstore.py put DIR FILE      stores a block as keepstore does, prints its locator
    keepstore.py get DIR LOCATOR   prints a block, if its MD5 is right
    keepstore.py index DIR         lists blocks, then an empty line
    keepstore.py trash DIR HASH TTL LIFETIME
                                   moves a block to the trash if it is older than TTL seconds; says whether
    keepstore.py untrash DIR HASH
"""

import fcntl
import hashlib
import os
import re
import sys
import tempfile
import time

HASH = re.compile(r"[0-9a-f]{32}")
FOLDER = re.compile(r"[0-9a-f]+")


def path(root, block):
    return os.path.join(root, block[:3], block)


def put(root, file):
    with open(file, "rb") as source:
        data = source.read(1 << 26)
    block = hashlib.md5(data).hexdigest()
    place = path(root, block)
    os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix="tmp" + block, dir=os.path.dirname(place))
    with os.fdopen(handle, "wb") as out:
        out.write(data)
    os.rename(temporary, place)
    print(f"{block}+{len(data)}")


def get(root, locator):
    block = locator[:32]
    with open(path(root, block), "rb") as source:
        data = source.read()
    if hashlib.md5(data).hexdigest() != block:
        sys.exit(f"{block}: damaged")
    sys.stdout.buffer.write(data)


def index(root):
    for folder in sorted(os.listdir(root)):
        if not FOLDER.fullmatch(folder):
            continue
        for name in sorted(os.listdir(os.path.join(root, folder))):
            if HASH.fullmatch(name):
                found = os.stat(os.path.join(root, folder, name))
                print(f"{name}+{found.st_size} {found.st_mtime_ns}")
    print()


def trash(root, block, ttl, lifetime):
    place = path(root, block)
    with open(place, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if time.time() - os.stat(place).st_mtime < int(ttl):
            return print("young")
        os.rename(place, f"{place}.trash.{int(time.time()) + int(lifetime)}")
    print("trashed")


def untrash(root, block):
    folder = os.path.dirname(path(root, block))
    for name in os.listdir(folder):
        if name.startswith(block + ".trash."):
            return os.rename(os.path.join(folder, name), path(root, block))
    sys.exit(f"{block}: not in the trash")


if __name__ == "__main__":
    {"put": put, "get": get, "index": index, "trash": trash, "untrash": untrash}[sys.argv[1]](*sys.argv[2:])
