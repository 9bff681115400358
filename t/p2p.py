#!/usr/bin/env python3
"""Speaks the P2P protocol of git-annex with a server by a script on standard input. No git-annex in between.

    open NAME UUID        starts a connection to UUID and makes it the one spoken on; P2P_LOCAL is the command
    open NAME UUID HOST   the same through `ssh HOST`
    use NAME              speaks on another connection that is open
    C LINE                sends the line
    S LINE                the next line of the server must be this one
    S~ REGEX              ... must match as a whole
    C* CHAR COUNT         sends CHAR COUNT times, without a line feed
    send FILE [FROM [N]]  sends bytes of a file as they are
    receive FILE N        the next N bytes of the server become FILE
    silent                the server must not say anything for half a second
    close                 closes the sending side; the server must end without a word
    end                   the server must end without a word, though the sending side stays open
    code N                the exit code of the server, or of ssh, after close or end
    kill                  SIGKILL for the process that was opened: the server itself, or ssh
    run COMMAND           the command of the shell has to succeed meanwhile

P2P_DIR is the repository that the server is asked for. Prints the first thing that differs and exits 1.
"""

import os
import re
import select
import subprocess
import sys

TIMEOUT = 120


class Differs(Exception):
    pass


class Connection:
    def __init__(self, uuid, host):
        words = b"git-annex-shell 'p2pstdio' '%s' '%s' --uuid %s" % (os.environb[b"P2P_DIR"], CLIENT, uuid)
        command = [b"ssh", host, words] if host else os.environb[b"P2P_LOCAL"].split(b"\n") + [b"-c", words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.buffer = b""
        self.ended = False

    def write(self, data):
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # What the server says next tells what is wrong.

    def fill(self, timeout=TIMEOUT):
        out = self.process.stdout.fileno()
        if not select.select([out], [], [], timeout)[0]:
            return False
        data = os.read(out, 1 << 20)
        self.ended = not data
        self.buffer += data
        return True

    def line(self):
        while b"\n" not in self.buffer:
            if not self.fill():
                raise Differs("the server said nothing for %d s" % TIMEOUT)
            if self.ended:
                raise Differs("the server ended, after %r" % self.buffer)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def receive(self, path, length):
        with open(path, "wb") as file:
            while length:
                if not self.buffer and (not self.fill() or self.ended):
                    raise Differs("%d bytes are missing" % length)
                piece, self.buffer = self.buffer[:length], self.buffer[length:]
                file.write(piece)
                length -= len(piece)

    def silent(self):
        if self.buffer or self.fill(0.5):
            raise Differs("the server ended" if self.ended else "the server said %r" % self.buffer)

    def end(self):
        while not self.ended:
            if not self.fill():
                raise Differs("the server did not end for %d s" % TIMEOUT)
        if self.buffer:
            raise Differs("the server said %r" % self.buffer)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


CLIENT = b"11111111-2222-3333-4444-555555555555"


def same(got, wanted):
    if got != wanted:
        raise Differs("the server said %r" % got)


def run(script):
    connections = {}
    now = None
    number = 0
    try:
        for number, step in enumerate(script, 1):
            verb, _, rest = step.rstrip(b"\n").partition(b" ")
            words = rest.split()
            if verb == b"open":
                now = connections[words[0]] = Connection(words[1], words[2] if len(words) > 2 else None)
            elif verb == b"use":
                now = connections[words[0]]
            elif verb == b"C":
                now.write(rest + b"\n")
            elif verb == b"C*":
                now.write(words[0] * int(words[1]))
            elif verb == b"S":
                same(now.line(), rest)
            elif verb == b"S~":
                line = now.line()
                if not re.fullmatch(rest, line):
                    raise Differs("the server said %r" % line)
            elif verb == b"send":
                with open(words[0], "rb") as file:
                    file.seek(int(words[1]) if len(words) > 1 else 0)
                    now.write(file.read(int(words[2]) if len(words) > 2 else -1))
            elif verb == b"receive":
                now.receive(words[0], int(words[1]))
            elif verb == b"silent":
                now.silent()
            elif verb == b"close":
                now.process.stdin.close()
                now.end()
            elif verb == b"end":
                now.end()
            elif verb == b"code":
                code = now.process.wait(TIMEOUT)
                if code != int(rest):
                    raise Differs("the exit code is %d" % code)
            elif verb == b"kill":
                now.stop()
            elif verb == b"run":
                code = subprocess.run(rest, shell=True).returncode
                if code:
                    raise Differs("the exit code is %d" % code)
            elif verb:
                raise Differs("no such step")
    except Differs as differs:
        sys.exit("line %d: %s: %s" % (number, step.rstrip(b"\n").decode(errors="backslashreplace"), differs))
    finally:
        for connection in connections.values():
            connection.stop()


run(sys.stdin.buffer)
