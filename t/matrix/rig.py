"""A gateway for one kind of node: the node x of that kind, asked first, and the Keep node a, which is always well."""

import json
import os
import signal
import subprocess
import time
import uuid

from files import KeepFiles, hashed, read
from kinds import Annex, Directory, External, Gateway, Keep, Shell
from servers import S3, Http, KeepS3

DEADLINE = 2

CLASSES = {
    "keep": Keep,
    "annex": Annex,
    "directory": Directory,
    "external": External,
    "ssh": Shell,
    "http": Http,
    "gateway": Gateway,
    "s3": S3,
    "keep+s3": KeepS3,
}


class Rig:
    def __init__(self, base, kind):
        self.base = base
        self.bin = os.path.join(base, "bin")
        os.makedirs(self.bin)
        os.environ["PATH"] = self.bin + ":" + os.environ["PATH"]
        self.site = os.path.join(base, "site")
        self.healthy = os.path.join(base, "a")
        self.annex_keep("init", self.site, "--node", "a=keep:" + self.healthy)
        self.kind = CLASSES[kind](self)
        self.configure()
        self.annex_keep("repo", "create", "data", "--site", self.site)
        self.files = KeepFiles()
        info = json.loads(self.annex_keep("repo", "info", "data", "--site", self.site, "--json"))
        self.uuids = {node["name"]: node["uuid"] for node in info["nodes"]}
        self.uuids["cluster"] = info["cluster"]
        self.names = {self.uuids[name]: name for name in ("a", "x")}
        self.repo = info["dir"]
        self.start()
        self.let_in()

    def annex_keep(self, *words, text=None):
        done = subprocess.run(("annex-keep",) + words, input=text, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit("annex-keep %s: %s" % (" ".join(words), done.stderr))
        return done.stdout

    def configure(self):
        path = os.path.join(self.site, "annex-keep.toml")
        with open(path) as file:
            text = file.read().replace("answer_seconds = 60", "answer_seconds = %d" % DEADLINE)
        text = text.replace('spool_reserve = "1 GB"', "spool_reserve = 0")
        lines = ["", "[nodes.x]", 'id = "%s"' % uuid.uuid4(), "store = %s" % json.dumps(self.kind.store), "cost = 10", 'repo = "data"']
        if hasattr(self.kind, "uuid"):
            lines.append('uuid = "%s"' % self.kind.uuid)
        if self.kind.store.startswith("keep"):
            lines.remove('repo = "data"')
            self.annex_keep("init", os.path.join(self.base, "maker"), "--node", "x=" + self.kind.store)
        with open(path, "w") as file:
            file.write(text + "\n".join(lines + list(self.kind.settings)) + "\n")

    def start(self, again=False):
        """Starts the daemon, on free ports; `again` on the same ones."""
        out = os.path.join(self.base, "daemon.out")
        ports = (self.ssh_port, self.http_port) if again else (0, 0)
        words = ["annex-keep", "serve", self.site, "--ssh", "127.0.0.1:%d" % ports[0], "--http", "127.0.0.1:%d" % ports[1]]
        with open(out, "w") as said, open(os.path.join(self.base, "daemon.log"), "a") as log:
            self.daemon = subprocess.Popen(words, stdout=said, stderr=log)
        for _ in range(1500):
            lines = open(out).read().splitlines()
            if "ready" in lines:
                break
            time.sleep(0.02)
        else:
            raise SystemExit("the daemon did not start")
        for line in lines:
            words = line.split()
            if line.startswith("listening http"):
                self.http_port = int(words[2].rstrip("/").rsplit(":", 1)[1])
            if line.startswith("listening ssh"):
                self.ssh_port = int(words[2].rsplit(":", 1)[1])

    def let_in(self):
        key = os.path.join(self.base, "alice")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
        words = ("user", "add", "alice", "--site", self.site, "--role", "write", "--key", key + ".pub", "--password-stdin")
        self.annex_keep(*words, text="secret\n")
        options = {"HostName": "127.0.0.1", "Port": self.ssh_port, "User": "alice", "IdentityFile": key, "IdentitiesOnly": "yes",
                   "IdentityAgent": "none", "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null", "LogLevel": "ERROR"}
        with open(os.path.join(self.base, "ssh_config"), "w") as file:
            file.write("Host gateway\n" + "".join("    %s %s\n" % option for option in options.items()))

    def ssh_command(self, target):
        words = "git-annex-shell 'p2pstdio' '/data' '11111111-2222-3333-4444-555555555555' --uuid " + self.uuids[target]
        return ["ssh", "-F", os.path.join(self.base, "ssh_config"), "gateway", words]

    def copy(self, node, key):
        """What stands under a key on a node, read past the gateway."""
        return self.kind.copy(key) if node == "x" else self.files.content(self.healthy, key)

    def logged(self, key):
        """The nodes that have the key by the location log, as it is in git-annex's journal or branch."""
        text = read(os.path.join(self.repo, "annex/journal", "%s_%s_%s.log" % (*hashed(key), key)))
        if text is None:
            path = "git-annex:%s/%s/%s.log" % (*hashed(key), key)
            text = subprocess.run(["git", "-C", self.repo, "show", path], capture_output=True).stdout
        state = {}
        for line in sorted(text.decode().splitlines(), key=lambda line: float(line.split()[0].rstrip("s"))):
            _, present, where = line.split()
            state[where] = present == "1"
        return sorted(self.names.get(where, where) for where, present in state.items() if present)

    def end(self):
        self.kind.mend()
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait()
        self.kind.end()
