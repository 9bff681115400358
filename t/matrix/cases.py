"""One case: an operation on a key while a node suffers a fault, what the client is told, and whether that is the truth."""

import hashlib
import random
import time

from doors import Http
from kinds import DAMAGE
from rig import DEADLINE

SIZE = 200_000

# What may become of a node though nobody is told so: it did what it was asked, and could not say so.
UNCONFIRMED = ("dies after the last byte", "hangs", "dies at 30 %", "dead during connect")


class Untrue(Exception):
    """A client was told what is not so, or something was lost."""


class Case:
    def __init__(self, rig, door, target, fault, operation, seed):
        self.rig, self.door, self.target, self.fault, self.operation = rig, door, target, fault, operation
        self.nodes = ["a", "x"] if target == "cluster" else ["x"]
        # What is slow has to be more than what fits between two programs.
        size = 20 * SIZE if fault == "slow" else SIZE
        self.data = random.Random(seed).randbytes(size)
        self.key = "SHA256-s%d--%s" % (size, hashlib.sha256(self.data).hexdigest())
        self.damaged = fault in DAMAGE
        self.told = None

    def run(self, storing):
        """Returns the answer as it stands in the table. `storing` is the door by which the key comes to be there."""
        rig = self.rig
        if self.operation != "PUT":
            stored, said = storing.put("cluster", self.key, self.data)
            self.claim(stored == ["a", "x"] or self.is_repaired(), "before the fault, stored on %s: %s" % (stored, said))
        hooks = rig.kind.arm(self.fault, self.operation, self.key)
        try:
            started = time.monotonic()
            answer = getattr(self, self.operation.lower())(hooks)
            took = time.monotonic() - started
            self.claim(took < 8 * DEADLINE, "it took %.1f s" % took)
            # A lock that is held takes the conversation until it is given back.
            if self.operation != "LOCKCONTENT" or answer != "yes":
                self.goes_on(answer)
            self.truth_of_nodes()
        finally:
            rig.kind.mend()
        self.afterwards()
        return answer

    def is_repaired(self):
        """On a busy machine, x may have missed its deadline: then the daemon brings the key there."""
        deadline = time.monotonic() + 30
        while self.rig.logged(self.key) != ["a", "x"]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def goes_on(self, answer):
        # That content breaks off can be told in no other way than by an end.
        broken = self.operation == "GET" and answer == "breaks off"
        self.claim(self.door.alive(self.target) or broken, "the conversation ended")

    def claim(self, true, text):
        if not true:
            raise Untrue("%s, told: %s" % (text, self.told))

    def copies(self):
        return {node: self.rig.copy(node, self.key) for node in ("a", "x")}

    def put(self, hooks):
        stored, self.told = self.door.put(self.target, self.key, self.data, hooks)
        self.stored = stored or []
        return "on " + ", ".join(stored) if stored else "no"

    def get(self, hooks):
        got, self.told = self.door.get(self.target, self.key, hooks)
        if got is None:
            return "no"
        data, valid = got
        self.claim(not valid or data == self.data, "other bytes were vouched for")
        return "all" if valid else "breaks off"

    def checkpresent(self, _hooks):
        self.answer, self.told = self.door.check(self.target, self.key)
        return self.answer

    def lockcontent(self, _hooks):
        self.answer, self.told = self.door.lock(self.target, self.key)
        return self.answer

    def remove(self, _hooks):
        (self.gone, self.all), self.told = self.door.remove(self.target, self.key)
        return "of " + ", ".join(self.gone) if self.gone else "no"

    def of_another_size(self, copies):
        return [copy for copy in copies.values() if copy is not None and len(copy) != len(self.data)]

    def truth_of_nodes(self):
        """While the fault lasts: the answer against the bytes on the nodes, and the location log."""
        copies, key = self.copies(), self.key
        logged = self.rig.logged(key)
        damaged = self.damaged
        if self.operation == "PUT":
            for node in self.stored:
                good = copies[node] == self.data
                self.claim(good or (node == "x" and damaged), "%s does not have the content" % node)
            for node in {"a", "x"} - set(self.stored):
                self.claim(copies[node] is None or (node == "x" and self.fault in UNCONFIRMED), "%s has it" % node)
                self.claim(copies[node] in (None, self.data), "part of the content is to be seen on %s" % node)
            # The daemon may have looked after the upload already, and found or brought a copy there.
            more = [node for node in logged if node not in self.stored]
            later = self.copies() if more else {}
            true = set(self.stored) <= set(logged) and all(later[node] == self.data for node in more)
            self.claim(true, "the location log says %s" % logged)
        elif self.operation == "REMOVE":
            for node in self.nodes:
                if node in self.gone:
                    # A copy of another size is none.
                    self.claim(copies[node] in (None, *self.of_another_size(copies)), "%s still has it" % node)
                    self.claim(node not in logged, "the location log says %s" % logged)
                elif copies[node] is None:
                    self.claim(node == "x" and self.fault in UNCONFIRMED, "%s does not have it" % node)
            self.claim(self.all == (sorted(self.gone) == self.nodes), "all: %s, gone from %s" % (self.all, self.gone))
            if self.target == "x":
                self.claim(copies["a"] == self.data and "a" in logged, "another node was disturbed")
        else:
            self.claim(copies["a"] == self.data, "a has lost it")
            self.claim(damaged or copies["x"] == self.data, "x has lost it")
            self.claim("a" in logged, "the location log says %s" % logged)
            if self.operation == "CHECKPRESENT":
                self.claim(self.answer != "no" or (damaged and self.nodes == ["x"]), "it is not there")

    def wait_until_well(self):
        """A program that did not start is left alone for a moment."""
        nobody = "SHA256-s0--" + hashlib.sha256(b"").hexdigest()
        deadline = time.monotonic() + 20
        # Not in the conversation that is looked at: it may hold a lock.
        while Http(self.rig).check("x", nobody)[0] != "no":
            self.claim(time.monotonic() < deadline, "x does not come back")
            time.sleep(0.1)

    def afterwards(self):
        """After the fault: the lock that was had holds; nobody is given wrong bytes; nothing that was promised is lost."""
        other = self.door
        self.wait_until_well()
        if self.operation == "LOCKCONTENT" and self.answer == "yes":
            # On a connection of its own, that whoever has the lock is not disturbed.
            remover = type(other)(self.rig)
            (gone, _), said = remover.remove(self.target, self.key)
            good = [node for node, copy in self.copies().items() if copy == self.data]
            self.claim(gone != self.nodes, "locked, and removed: %s" % said)
            # Nobody has read a copy that is damaged: it may be the one that was locked.
            self.claim(good or self.damaged or self.nodes == ["x"], "locked, and no copy is left: %s" % said)
            other.unlock(self.target)
            self.goes_on("yes")
            if hasattr(remover, "close"):
                remover.close(self.target)
        got, _ = other.get("x", self.key)
        if got and got[1]:
            self.claim(got[0] == self.data, "other bytes were vouched for by x, afterwards")
        promised = self.operation in ("GET", "CHECKPRESENT") or (self.operation == "PUT" and self.stored == ["a"])
        if promised and "a" in getattr(self, "stored", ["a"]):
            self.claim(self.rig.copy("a", self.key) == self.data, "a has lost it, afterwards")
