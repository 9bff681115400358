#!/usr/bin/env python3
"""Stands between a gateway and a real program that speaks the P2P protocol over its standard streams, and misbehaves.

    peer.py CONTROL PROGRAM ARGUMENT...

CONTROL is a directory: `fault` in it says OPERATION KEY HOW, and only that request suffers; `dead` in it means that nobody is
there; `greeting` that it ends before it has greeted.
"""

import os
import select
import subprocess
import sys
import time

control = sys.argv[1]
PAUSE = 0.8


def there(name):
    return os.path.exists(os.path.join(control, name))


def fault_for(operation, key):
    try:
        with open(os.path.join(control, "fault")) as file:
            wanted, its_key, how = file.read().split(" ", 2)
    except FileNotFoundError:
        return None
    return how if (wanted, its_key) == (operation, key) else None


class Side:
    """Lines and announced data of one direction."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.buffer = b""
        self.data = 0  # Bytes of announced data that are still to come.

    def fill(self):
        got = os.read(self.source, 1 << 16)
        self.buffer += got
        return bool(got)

    def write(self, data):
        while data:
            data = data[os.write(self.sink, data) :]


def hang():
    while True:
        select.select([0], [], [])
        if not os.read(0, 1 << 16):
            os._exit(0)


def die(inner):
    inner.kill()
    inner.wait()
    os._exit(1)


class Proxy:
    def __init__(self, program):
        self.inner = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.asked = Side(0, self.inner.stdin.fileno())
        self.said = Side(self.inner.stdout.fileno(), 1)
        self.how = self.operation = None
        self.size = 0  # Of the data that passes.
        self.passed = 0

    def run(self):
        sources = {side.source: side for side in (self.asked, self.said)}
        while True:
            for source in select.select(list(sources), [], [])[0]:
                side = sources[source]
                if not side.fill():
                    if side is self.said:
                        os._exit(self.inner.wait())
                    self.inner.stdin.close()
                    del sources[source]
                self.work(side)

    def work(self, side):
        while side.buffer:
            if side.data:
                part, side.buffer = side.buffer[: side.data], side.buffer[side.data :]
                side.data -= len(part)
                self.content(side, part)
                continue
            if b"\n" not in side.buffer:
                return
            line, side.buffer = side.buffer.split(b"\n", 1)
            (self.request if side is self.asked else self.answer)(side, line)

    def request(self, side, line):
        words = line.decode(errors="surrogateescape").split(" ")
        if words[0] in ("PUT", "GET", "CHECKPRESENT", "LOCKCONTENT", "REMOVE", "REMOVE-BEFORE"):
            self.operation = words[0].removesuffix("-BEFORE")
            self.how = fault_for(self.operation, words[-1])
            if self.how == "hangs":
                hang()
            if self.how == "refuses":
                no = "FAILURE" if self.operation in ("LOCKCONTENT", "REMOVE") else "ERROR the disk is on fire"
                self.said.write(no.encode() + b"\n")
                return
        elif words[0] == "DATA":
            self.announced(side, int(words[1]))
            sent = self.size + {"too short": -1, "too long": 1}.get(self.how, 0)
            line = b"DATA %d" % sent
        elif words[0] == "VALID" and self.how == "too long":
            side.write(b"x")
        side.write(line + b"\n")

    def answer(self, side, line):
        if line.startswith(b"DATA "):
            self.announced(side, int(line[5:]))
        elif line.startswith(b"AUTH-SUCCESS") and there("greeting"):
            die(self.inner)
        elif line.startswith((b"PUT-FROM", b"ALREADY-HAVE")) and self.operation == "PUT":
            pass
        elif self.how == "dies after the last byte":
            die(self.inner)
        elif self.how == "dies at 30 %" and self.operation != "PUT":
            side.write(line[: len(line) // 2])
            die(self.inner)
        elif self.how == "slow":
            time.sleep(PAUSE)
        side.write(line + b"\n")

    def announced(self, side, length):
        side.data = self.size = length
        self.passed = 0

    def content(self, side, part):
        least = self.passed
        self.passed += len(part)
        if self.how == "dies at 30 %" and self.passed >= self.size * 3 // 10:
            side.write(part[: self.size * 3 // 10 - least])
            time.sleep(0.1)
            die(self.inner)
        if self.operation == "PUT" and self.how == "wrong bytes" and least == 0:
            part = bytes([part[0] ^ 1]) + part[1:]
        if self.operation == "PUT" and self.how == "too short" and side.data == 0:
            part = part[:-1]
        if self.how == "slow":
            # Each pause is shorter than the deadline, and all are longer.
            quarter = self.size // 4 + 1
            for _ in range(least // quarter, self.passed // quarter):
                time.sleep(PAUSE)
        side.write(part)


if there("dead"):
    sys.exit("ssh: connect to host far port 22: Connection refused")
Proxy(sys.argv[2:]).run()
