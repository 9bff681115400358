"""Kinds of nodes: how each is set up, where its content is, and how a fault is brought about.

`arm` brings a fault about for one request, and returns the two hooks of doors.py, or None where the request needs none. A
fault that a kind does not know raises Nothing.
"""

import glob
import json
import os
import signal
import subprocess
import sys

from disk import Disk, change
from files import KeepFiles, hashed, read

HERE = os.path.dirname(os.path.abspath(__file__))
DAMAGE = ("wrong bytes", "too short", "too long")
CONTENT = ("PUT", "GET")


class Nothing(Exception):
    """There is no such fault here."""


def kill(pid, how=signal.SIGKILL):
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        pass


def processes():
    """The parent and the command line of each process."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, errors="replace") as stat, open("/proc/%s/cmdline" % pid, errors="replace") as words:
                found[int(pid)] = int(stat.read().rsplit(")", 1)[1].split()[1]), words.read().split("\0")
        except OSError:
            pass  # It has ended meanwhile.
    return found


class Kind:
    """What all kinds share: content on a disk of their own."""

    settings = ()

    def __init__(self, rig):
        self.rig = rig
        self.disk = Disk(rig.base)
        self.setup()

    def setup(self):
        pass

    def path(self, key):
        """The file with the key's content."""
        return os.path.join(self.disk.path(), *hashed(key), key, key)

    def copy(self, key):
        """The bytes that are to be seen under the key; None if there are none."""
        return read(self.path(key))

    def damage(self, key, how):
        change(self.path(key), how)

    def on_disk(self, fault):
        todo = {"disk full": self.disk.fill, "read-only": self.disk.write_protect}[fault]
        if not self.disk.real:
            raise Nothing
        todo()

    def mend(self):
        self.disk.mend()

    def end(self):
        self.disk.end()


class Local(Kind):
    """On a disk of the gateway's machine."""

    def folders(self):
        """Where content is."""
        return [self.disk.root]

    def arm(self, fault, operation, key):
        disk = self.disk
        if fault == "dead before":
            disk.go_away()
        elif fault == "killed, restarted":
            disk.go_away()
            disk.mend()
        elif fault in ("dies at 30 %", "dies after the last byte"):
            if operation not in CONTENT:
                raise Nothing
            nothing = lambda: None
            return (disk.go_away, nothing) if fault == "dies at 30 %" else (nothing, disk.go_away)
        elif fault in DAMAGE:
            if operation == "PUT":
                raise Nothing
            self.damage(key, fault)
        elif fault in ("hangs", "refuses"):
            if not disk.real:
                raise Nothing
            disk.freeze() if fault == "hangs" else disk.petrify(self.folders())
        elif fault in ("disk full", "read-only"):
            self.on_disk(fault)
        else:
            raise Nothing
        return None


class Keep(Local):
    def setup(self):
        os.rmdir(self.disk.root)
        self.store = "keep:" + self.disk.root
        self.files = KeepFiles()

    def folders(self):
        # Its index is not meant: what SQLite has mapped into memory may not become immutable under it.
        return glob.glob(os.path.join(self.disk.root, "[0-9a-f]" * 3))

    def copy(self, key):
        return self.files.content(self.disk.path(), key)

    def damage(self, key, how):
        change(self.files.blocks(self.disk.path(), key)[0], how)


def annex_repo(path):
    """A bare git-annex repository; returns its UUID."""
    subprocess.run(["git", "init", "-q", "--bare", path], check=True)
    for words in ("annex init -q x", "config annex.diskreserve 1kb"):
        subprocess.run(["git", "-C", path] + words.split(), check=True)
    return subprocess.check_output(["git", "-C", path, "config", "annex.uuid"], text=True).strip()


class Annex(Local):
    def setup(self):
        self.uuid = annex_repo(self.disk.root)
        self.store = "annex:" + self.disk.root

    def path(self, key):
        return os.path.join(self.disk.path(), "annex/objects", *hashed(key), key, key)


class Directory(Local):
    def setup(self):
        self.uuid = "7c1d2e3f-0a9b-4c8d-8e7f-102030405060"
        self.store = "directory:" + self.disk.root


class External(Kind):
    """The program is told by a file how to fail; see t/git-annex-remote-shelf."""

    settings = ("deadline_seconds = 2",)
    requests = {"PUT": "STORE", "GET": "RETRIEVE", "LOCKCONTENT": "CHECKPRESENT"}
    ways = {"dies after the last byte": "mute", "hangs": "hang", "slow": "drip"}

    def setup(self):
        self.program = os.path.join(self.rig.bin, "git-annex-remote-shelf")
        self.come()
        self.store = "external:shelf?directory=" + self.disk.root
        self.away = False

    def come(self):
        os.symlink(os.path.join(HERE, "..", "git-annex-remote-shelf"), self.program)

    def path(self, key):
        return os.path.join(self.disk.root, *hashed(key), key)

    def arm(self, fault, operation, key):
        request = self.requests.get(operation, operation)
        how = self.ways.get(fault)
        if fault == "dead before":
            os.remove(self.program)
            self.away = True
            self.kill()
        elif fault == "dead during connect":
            self.tell("PREPARE:crash")
            self.kill()
        elif fault == "dies at 30 %":
            how = "part" if operation in CONTENT else "half"
        elif fault == "refuses":
            how = "unknown" if request == "CHECKPRESENT" else "fail"
        elif fault in DAMAGE and operation == "PUT":
            how = fault.replace(" ", "-")
        elif fault in DAMAGE:
            self.damage(key, fault)
        elif fault == "killed, restarted":
            self.kill()
        elif fault in ("disk full", "read-only"):
            self.on_disk(fault)
        if how:
            self.tell("%s:%s:%s" % (request, how, key))
        return None

    def tell(self, text):
        with open(os.path.join(self.disk.root, ".fault"), "w") as file:
            file.write(text + "\n")

    def kill(self):
        for pid in (read(os.path.join(self.disk.root, ".started")) or b"").split():
            if b"remote-shelf" in (read("/proc/%d/cmdline" % int(pid)) or b""):
                kill(int(pid))

    def mend(self):
        super().mend()
        if self.away:
            self.come()
            self.away = False
        try:
            os.remove(os.path.join(self.disk.root, ".fault"))
        except FileNotFoundError:
            pass


class Far(Kind):
    """Behind a program of its own, with peer.py between."""

    def setup(self):
        self.control = os.path.join(self.rig.base, "control")
        os.mkdir(self.control)
        inner = self.far()
        words = [sys.executable, os.path.join(HERE, "peer.py"), self.control] + inner
        self.store = "command:" + " ".join("'%s'" % word for word in words)

    def tell(self, name, text=""):
        with open(os.path.join(self.control, name), "w") as file:
            file.write(text)

    def kill(self):
        """Ends what was started so far: every peer.py of this node, and then, since none can start more, their programs."""
        peers = [pid for pid, (_, words) in processes().items() if {os.path.join(HERE, "peer.py"), self.control} <= set(words)]
        for pid in peers:
            kill(pid, signal.SIGSTOP)
        for pid in [pid for pid, (parent, _) in processes().items() if parent in peers] + peers:
            kill(pid)

    def arm(self, fault, operation, key):
        if fault in DAMAGE and operation != "PUT":
            self.damage(key, fault)
        elif fault in ("disk full", "read-only"):
            # Whoever works in the directory already would not notice, neither now nor when it is over.
            self.kill()
            self.on_disk(fault)
            self.disk.mends.insert(0, self.kill)
        elif fault in ("dead before", "dead during connect", "killed, restarted"):
            names = {"dead before": "dead", "dead during connect": "greeting"}
            if fault in names:
                self.tell(names[fault])
            self.kill()
        else:
            self.tell("fault", "%s %s %s" % (operation, key, fault))
        return None

    def mend(self):
        super().mend()
        for name in "fault", "dead", "greeting":
            try:
                os.remove(os.path.join(self.control, name))
            except FileNotFoundError:
                pass

    def end(self):
        self.kill()
        super().end()


class Shell(Far):
    path = Annex.path

    def far(self):
        self.uuid = annex_repo(self.disk.root)
        return ["git-annex-shell", "p2pstdio", self.disk.root, "{client}", "--uuid", "{uuid}"]


class Gateway(Far):
    def far(self):
        os.rmdir(self.disk.root)
        site = os.path.join(self.rig.base, "far")
        self.rig.annex_keep("init", site, "--node", "f=keep:" + self.disk.root)
        self.rig.annex_keep("repo", "create", "data", "--site", site)
        self.rig.annex_keep("user", "add", "far", "--site", site, "--role", "write")
        info = json.loads(self.rig.annex_keep("repo", "info", "data", "--site", site, "--json"))
        self.uuid = info["nodes"][0]["uuid"]
        self.settings = ('gateway = "%s"' % info["gateway"],)
        self.files = KeepFiles()
        words = "git-annex-shell p2pstdio /data {client} --uuid {uuid}"
        return ["annex-keep", "shell", "--site", site, "--user", "far", "-c", words]

    copy = Keep.copy
    damage = Keep.damage
