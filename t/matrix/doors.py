"""Clients of a gateway, one for each door. Both give the same answers:

    put     the names of the nodes that are said to have it, a list; or None
    get     (bytes, True) when they were vouched for; (bytes, False) when not; None when there was no answer with content
    check   "yes", "no", or "unknown"
    lock    the same; a lock that was had is given back by unlock
    remove  (names of the nodes that are said not to have it, whether all was done)

`hooks` are called on the way of a content: after 30 % of it, and after its last byte, before it is vouched for.
"""

import base64
import http.client
import json
import os
import select
import subprocess
import time

from buffered import Buffered

CLIENT = "11111111-2222-3333-4444-555555555555"
PATIENCE = 60


class Broken(Exception):
    """The conversation cannot go on."""


def parts(data, hooks):
    """The parts of a content, with a hook to call after each."""
    at = len(data) * 3 // 10
    return [(data[:at], hooks[0]), (data[at:], hooks[1])] if hooks else [(data, None)]


def settle():
    """Gives what was sent the time to arrive where it goes."""
    time.sleep(0.15)


class Ssh:
    """P2P over ssh, one conversation for each target."""

    name = "ssh"

    def __init__(self, rig):
        self.rig = rig
        self.talks = {}
        self.errors = open(os.path.join(rig.base, "ssh.err"), "ab")

    def talk(self, target):
        if target not in self.talks:
            self.talks[target] = Talk(self.rig.ssh_command(target), self.rig.uuids[target], self.errors)
        return self.talks[target]

    def greet(self, target):
        """Fails if nobody is there."""
        self.talk(target)

    def alive(self, target):
        """Whether the conversation goes on."""
        if target not in self.talks:
            return False
        try:
            return self.ask(target, "GETTIMESTAMP").startswith("TIMESTAMP ")
        except Broken:
            self.close(target)
            return False

    def ask(self, target, line):
        talk = self.talk(target)
        talk.write(line.encode() + b"\n")
        return talk.line()

    def close(self, target):
        if talk := self.talks.pop(target, None):
            talk.end()

    def names(self, target, answer):
        word, *named = answer.split(" ")
        named = [self.rig.names.get(uuid, uuid) for uuid in named if word.endswith("-PLUS")]
        own = [target] if target != "cluster" and word.startswith("SUCCESS") else []
        return sorted(own + named)

    def put(self, target, key, data, hooks=None):
        answer = self.ask(target, "PUT  " + key)
        if answer.startswith("ALREADY-HAVE"):
            raise Broken(answer)
        if not answer.startswith("PUT-FROM "):
            return None, answer
        data = data[int(answer[9:]) :]
        talk = self.talk(target)
        talk.write(b"DATA %d\n" % len(data))
        for part, hook in parts(data, hooks):
            talk.write(part)
            if hook:
                settle()
                hook()
        talk.write(b"VALID\n")
        answer = talk.line()
        return (self.names(target, answer) if answer.startswith("SUCCESS") else None), answer

    def get(self, target, key, hooks=None):
        try:
            answer = self.ask(target, "GET 0  " + key)
        except Broken as error:
            # It can end before the first bytes were sent.
            self.close(target)
            return (b"", False), str(error)
        if not answer.startswith("DATA "):
            return None, answer
        talk, length, got = self.talk(target), int(answer[5:]), b""
        try:
            for size, hook in ((length * 3 // 10, 0), (length - length * 3 // 10, 1)):
                for part in talk.exactly(size):
                    got += part
                if hooks:
                    hooks[hook]()
            valid = talk.line() == "VALID"
        except Broken:
            self.close(target)
            return (got, False), "the connection ended"
        talk.write(b"SUCCESS\n" if valid else b"FAILURE\n")
        return (got, valid) if length else None, "DATA"

    def check(self, target, key):
        answer = self.ask(target, "CHECKPRESENT " + key)
        return {"SUCCESS": "yes", "FAILURE": "no"}.get(answer, "unknown"), answer

    def lock(self, target, key):
        answer = self.ask(target, "LOCKCONTENT " + key)
        return {"SUCCESS": "yes", "FAILURE": "no"}.get(answer, "unknown"), answer

    def unlock(self, target):
        self.talk(target).write(b"UNLOCKCONTENT\n")

    def remove(self, target, key):
        answer = self.ask(target, "REMOVE " + key)
        return (self.names(target, answer), answer.startswith("SUCCESS")), answer


class Talk(Buffered):
    def __init__(self, command, uuid, errors):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
        if self.line() != "AUTH-SUCCESS " + uuid:
            raise Broken("not let in")
        self.write(b"VERSION 4\n")
        if self.line() != "VERSION 4":
            raise Broken("another version")

    def write(self, data):
        try:
            while data:
                data = data[self.process.stdin.write(data) :]
        except BrokenPipeError:
            pass  # What is read next tells.

    def fill(self):
        out = self.process.stdout.fileno()
        if not select.select([out], [], [], PATIENCE)[0]:
            raise Broken("no answer in %d s" % PATIENCE)
        got = os.read(out, 1 << 16)
        if not got:
            raise Broken("the connection ended")
        self.buffer += got

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def end(self):
        self.process.kill()
        self.process.wait()


class Http:
    """P2P over HTTP: each request stands for itself."""

    name = "http"

    def __init__(self, rig):
        self.rig = rig
        self.auth = "Basic " + base64.b64encode(b"alice:secret").decode()
        self.locked = None

    def greet(self, target):
        if not self.alive(target):
            raise Broken("nobody is there")

    def alive(self, target):
        return self.post(target, "gettimestamp")[0] == 200

    def request(self, method, target, path, body=b"", headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.rig.http_port, timeout=PATIENCE)
        url = "/git-annex/%s/v4/%s" % (self.rig.uuids[target], path)
        url += ("&" if "?" in url else "?") + "clientuuid=" + CLIENT
        connection.putrequest(method, url)
        for name, value in {"Authorization": self.auth, "Content-Length": str(len(body)), **dict(headers)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection

    def post(self, target, path, body=b"", headers=(), hooks=None):
        connection = self.request("POST", target, path, body, headers)
        try:
            for part, hook in parts(body, hooks):
                # Nobody vouches for it but by its last byte, which waits.
                last = hook and hook == hooks[1]
                connection.send(part[:-1] if last else part)
                if hook:
                    settle()
                    hook()
                if last:
                    connection.send(part[-1:])
        except OSError:
            pass  # What is answered tells.
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, {"text": text}

    def names(self, target, done, answer):
        own = [target] if target != "cluster" and done else []
        return sorted(own + [self.rig.names.get(uuid, uuid) for uuid in answer.get("plusuuids", [])])

    def put(self, target, key, data, hooks=None):
        headers = {"X-git-annex-data-length": str(len(data)), "Content-Type": "application/octet-stream"}
        status, answer = self.post(target, "put?key=" + key, data, headers, hooks)
        stored = status == 200 and answer["stored"]
        return (self.names(target, True, answer) if stored else None), answer

    def get(self, target, key, hooks=None):
        connection = self.request("GET", target, "key/" + key)
        try:
            answer = connection.getresponse()
        except http.client.RemoteDisconnected as error:
            return (b"", False), str(error)
        if answer.status != 200:
            return None, answer.read()
        length, got = int(answer.headers["X-git-annex-data-length"]), b""
        try:
            for size, hook in ((length * 3 // 10, 0), (length - length * 3 // 10, 1)):
                got += answer.read(size)
                if hooks:
                    hooks[hook]()
            got += answer.read()
        except (http.client.IncompleteRead, OSError) as error:
            got += getattr(error, "partial", b"")
        connection.close()
        return (got, len(got) == length), answer.status

    def check(self, target, key):
        status, answer = self.post(target, "checkpresent?key=" + key)
        return {True: "yes", False: "no"}[answer["present"]] if status == 200 else "unknown", answer

    def lock(self, target, key):
        status, answer = self.post(target, "lockcontent?key=" + key)
        self.locked = answer.get("lockid")
        return {True: "yes", False: "no"}[answer["locked"]] if status == 200 else "unknown", answer

    def unlock(self, target):
        self.post(target, "keeplocked?lockid=" + self.locked, b'{"unlock":true}\n', {"Content-Type": "application/json"})

    def remove(self, target, key):
        status, answer = self.post(target, "remove?key=" + key)
        done = status == 200 and answer["removed"]
        return (self.names(target, done, answer), done), answer
