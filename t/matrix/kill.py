#!/usr/bin/env python3
"""Kills a gateway's daemon again and again while clients store, fetch, remove and lock over ssh and HTTP.

    kill.py DIR KIND TIMES SEED

The nodes are those of rig.py, x of that KIND. With the daemon dead, and at the end, the nodes' files and the location log are
compared with what the clients were told. Prints what was done; exits 1 if anything was lost.
"""

import hashlib
import http.client
import os
import random
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from doors import Broken, Http, Ssh  # noqa: E402
from rig import Rig  # noqa: E402

FAILURES = (Broken, OSError, http.client.HTTPException, ValueError)


class Held:
    """A key, and what its client knows of it. `told` is None while nobody can know: its last request was not answered."""

    def __init__(self, name):
        made = random.Random(name)
        self.data = made.randbytes(made.choice((100, 20_000, 300_000)))
        self.key = "SHA256-s%d--%s" % (len(self.data), hashlib.sha256(self.data).hexdigest())
        self.told = set()
        self.locked = self.removing = False


class Client(threading.Thread):
    """Does one thing after the other with keys of its own, and notes what it was told."""

    def __init__(self, rig, door, name):
        super().__init__(daemon=True)
        self.rig, self.door, self.name = rig, door, name
        self.random = random.Random(name)
        self.keys = []
        self.wrong, self.done = [], {"put": 0, "get": 0, "remove": 0, "lock": 0, "broken": 0}
        self.stopped = False

    def run(self):
        while not self.stopped:
            known = [held for held in self.keys[-60:] if held.told]
            what = self.random.choice(("put", "put", "get", "remove", "lock")) if known else "put"
            try:
                # Nothing is begun while nobody is there.
                self.door.greet("cluster")
            except FAILURES:
                self.again()
                continue
            try:
                getattr(self, what)(known)
                self.done[what] += 1
            except FAILURES:
                self.done["broken"] += 1
                self.again()

    def again(self):
        self.door = type(self.door)(self.rig)
        time.sleep(0.05)

    def put(self, _known):
        held = Held("%s %d" % (self.name, len(self.keys)))
        self.keys.append(held)
        held.told = None
        stored, _ = self.door.put("cluster", held.key, held.data)
        held.told = set(stored or ())

    def get(self, known):
        held = self.random.choice(known)
        got, said = self.door.get("cluster", held.key)
        if got and got[1] and got[0] != held.data:
            self.wrong.append("%s: other bytes were vouched for" % held.key)
        elif got is None:
            self.wrong.append("%s: it was stored, and is not there: %s" % (held.key, said))
        elif not got[1]:
            raise Broken("it broke off")

    def remove(self, known):
        held = self.random.choice(known)
        told, held.told, held.removing = held.told, None, True
        (gone, _), _ = self.door.remove("cluster", held.key)
        held.told = told - set(gone)
        if held.locked and not held.told:
            self.wrong.append("%s: it was removed while it was locked" % held.key)

    def lock(self, known):
        """Half of the locks are given back, the others are left to time, which does not come in this test."""
        held = self.random.choice(known)
        if self.door.lock("cluster", held.key)[0] != "yes":
            return
        if self.random.random() < 0.5 and not held.locked:
            self.door.unlock("cluster")
        else:
            held.locked = True
            self.door = type(self.door)(self.rig)


def look(rig, clients, most=None):
    """What is not as the clients were told. The daemon is dead, or its clients have stopped."""
    wrong = []
    for client in clients:
        for held in client.keys[-most:] if most else client.keys:
            copies = {node: rig.copy(node, held.key) for node in ("a", "x")}
            parts = [node for node, copy in copies.items() if copy not in (None, held.data)]
            if held.told is None and held.removing:
                # Half removed: what can be had of it through the gateway is looked at in the end.
                continue
            wrong += ["%s: %d bytes of it are to be seen on %s" % (held.key, len(copies[node]), node) for node in parts]
            if held.told is None:
                continue
            wrong += ["%s: %s has lost it" % (held.key, node) for node in held.told if copies[node] is None]
            if held.locked and all(copy is None for copy in copies.values()):
                wrong.append("%s: it was locked, and is gone" % held.key)
            logged = set(rig.logged(held.key))
            if not held.told <= logged:
                wrong.append("%s: stored on %s, logged on %s" % (held.key, held.told, logged))
            if any(copies[node] is None for node in logged):
                wrong.append("%s: logged on %s, where it is not" % (held.key, logged))
    return wrong


def ask(rig, clients):
    """What of the keys that nobody knows about is not as a node says, asked through the gateway."""
    wrong, door = [], Http(rig)
    for held in [held for client in clients for held in client.keys if held.told is None]:
        for node in "a", "x":
            present, said = door.check(node, held.key)
            got, _ = door.get(node, held.key)
            whole = got == (held.data, True)
            if present == "unknown" or whole != (present == "yes") or (got and got[1] and not whole):
                wrong.append("%s: %s says %s (%s), and gives %s" % (held.key, node, present, said, got and (len(got[0]), got[1])))
    return wrong


def wait_for(clients, more):
    """Waits until so many more things were done, or a while."""
    count = lambda: sum(client.done[what] for client in clients for what in client.done if what != "broken")
    enough, deadline = count() + more, time.monotonic() + 3
    while count() < enough and time.monotonic() < deadline:
        time.sleep(0.002)


def main():
    base, kind, times, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    rig = Rig(base, kind)
    chance = random.Random(seed)
    clients = [Client(rig, door(rig), "%s %s %d" % (seed, door.name, i)) for door in (Ssh, Http) for i in (1, 2)]
    for client in clients:
        client.start()
    wrong, started = [], time.monotonic()
    for _ in range(times):
        wait_for(clients, chance.randrange(12))
        time.sleep(chance.uniform(0, 0.03))
        rig.daemon.kill()
        rig.daemon.wait()
        wrong += look(rig, clients, 5)
        rig.start(again=True)
    for client in clients:
        client.stopped = True
    for client in clients:
        client.join(60)
        wrong += client.wrong
    wrong += look(rig, clients) + ask(rig, clients)
    done = {what: sum(client.done[what] for client in clients) for what in clients[0].done}
    told = sum(1 for client in clients for held in client.keys if held.told)
    text = ", ".join("%d %s" % (number, what) for what, number in done.items())
    print("\n".join(wrong))
    print("%s: %d kills in %d s, seed %s: %s; %d keys are to be there" % (kind, times, time.monotonic() - started, seed, text, told))
    rig.end()
    return 1 if wrong or min(done.values()) == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
