"""Kinds of nodes behind a real server, with a proxy of ours between; see kinds.py."""

import os
import signal
import socket
import subprocess
import time

from bucket import Bucket, KeepObjects, KeepS3Wire, S3Wire
from disk import change
from files import read
from kinds import DAMAGE, Annex, Kind, Nothing, annex_repo
from wire import Wire


class Served(Kind):
    """Behind a server, with a proxy of ours between: its `wire`."""

    def arm(self, fault, operation, key):
        wire = self.wire
        if fault in DAMAGE and operation != "PUT":
            self.damage(key, fault)
        elif fault in ("dead before", "dead during connect"):
            if fault == "dead before":
                wire.stop_listening()
            wire.greeting = True
            wire.kill()
        elif fault == "killed, restarted":
            self.restart(key)
        else:
            wire.fault = (operation, key, fault)
        return None

    def mend(self):
        super().mend()
        self.wire.mend()

    def end(self):
        self.stop()
        super().end()


class Http(Served):
    """A real `git annex p2phttp`."""

    path = Annex.path

    def setup(self):
        self.uuid = annex_repo(self.disk.root)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.server = None
        self.serve()
        self.wire = Wire(self.port)
        self.store = "annex+http://127.0.0.1:%d/git-annex/" % self.wire.port

    def serve(self):
        words = ["git-annex", "p2phttp", "--jobs", "8", "--wideopen", "--bind", "127.0.0.1", "--port", str(self.port)]
        with open(os.path.join(self.rig.base, "p2phttp.log"), "ab") as log:
            self.server = subprocess.Popen(words, cwd=self.disk.root, stdout=log, stderr=log, start_new_session=True)
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if self.server.poll() is not None:
                    return
                time.sleep(0.05)
        raise SystemExit("git annex p2phttp did not start")

    def stop(self):
        try:
            os.killpg(self.server.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.server.wait()

    def restart(self, _key):
        self.stop()
        self.wire.kill()
        self.serve()

    def arm(self, fault, operation, key):
        if fault == "read-only":
            # `git annex p2phttp` does not always start there, and one that runs already does not notice.
            raise Nothing
        return self.on_disk(fault) if fault == "disk full" else super().arm(fault, operation, key)


class S3(Served):
    """A bucket of a real S3 server, moto. What its disk may suffer is what the server says of it."""

    scheme, settled, proxy = "s3", "", S3Wire

    def setup(self):
        self.uuid = "2f6f0b7c-5d1e-4a3b-9c8d-101112131415"
        self.begin()

    def begin(self):
        self.bucket = Bucket()
        self.wire = self.proxy(self.bucket.port)
        credentials = os.path.join(self.rig.base, "s3creds")
        with open(credentials, "w") as file:
            file.write("AKIAEXAMPLE\nhunter2hunter2\n")
        self.settings = ('secrets = { s3creds = "file:%s" }' % credentials,)
        endpoint = "http://127.0.0.1:%d" % self.wire.port
        self.store = "%s://%s/keys?endpoint=%s%s" % (self.scheme, Bucket.NAME, endpoint, self.settled)

    def name(self, key):
        """The object with the key's content, or its first."""
        return "keys/" + key

    def copy(self, key):
        return self.bucket.get(self.name(key))

    def damage(self, key, how):
        path = os.path.join(self.disk.root, "damaged")
        with open(path, "wb") as file:
            file.write(self.bucket.get(self.name(key)))
        change(path, how)
        self.bucket.put(self.name(key), read(path))
        os.remove(path)

    def kept(self, key):
        """The objects that are of a key."""
        return [self.name(key)]

    def restart(self, key):
        """The server keeps in memory what others keep on disks: it gets that back."""
        kept = {name: self.bucket.get(name) for name in self.kept(key)}
        self.bucket.kill()
        self.wire.kill()
        self.bucket.serve()
        for name, data in kept.items():
            if data is not None:
                self.bucket.put(name, data)

    def stop(self):
        self.bucket.stop()


class KeepS3(S3):
    """A Keep store in such a bucket."""

    scheme, proxy = "keep+s3", KeepS3Wire

    def setup(self):
        os.environ.update(AWS_ACCESS_KEY_ID="AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY="hunter2hunter2")
        self.settled = "&index=" + os.path.join(self.rig.base, "index")
        self.begin()
        self.objects = KeepObjects(self.bucket)

    def copy(self, key):
        return self.objects.content("keys/", key)

    def name(self, key):
        return self.objects.blocks("keys/", key)[0]

    def kept(self, key):
        blocks = self.objects.files("keys/", key) or []
        recent = [name.replace("keys/", "keys/recent/") for name in blocks]
        return blocks + recent + self.bucket.names("keys/.annex-keep/", "&delimiter=/")
