"""A bucket of an S3 server, and the proxy in front of it."""

import http.client
import os
import re
import subprocess
import urllib.parse

from files import KeepFiles
from wire import Wire

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(HERE, "../../.peers/moto/bin/python")

# Who asks past the gateway. The server does not look at signatures.
ANYBODY = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/s3/aws4_request"}

# What a method is a part of.
OPERATIONS = {"PUT": ["PUT"], "POST": ["PUT"], "GET": ["GET"], "HEAD": ["CHECKPRESENT", "LOCKCONTENT"], "DELETE": ["REMOVE"]}

# The answers of servers that can not, or may not; each with the operations that are answered so.
ANSWERS = {
    "refuses": (b"503 Slow Down", b"SlowDown", ("PUT", "GET", "CHECKPRESENT", "LOCKCONTENT", "REMOVE")),
    "disk full": (b"507 Insufficient Storage", b"XMinioStorageFull", ("PUT",)),
    "read-only": (b"403 Forbidden", b"AccessDenied", ("PUT", "REMOVE")),
}


class Bucket:
    """The server, see bucket_server.py, and its bucket, asked past the proxy."""

    NAME = "bucket"

    def __init__(self):
        words = [PYTHON, os.path.join(HERE, "bucket_server.py"), self.NAME]
        self.server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = 0
        self.serve()

    def tell(self, text):
        self.server.stdin.write(text + "\n")
        self.server.stdin.flush()
        return self.server.stdout.readline().strip()

    def serve(self):
        """A new server, on the same port if there was one."""
        self.port = int(self.tell(str(self.port)))

    def kill(self):
        self.tell("stop")

    def stop(self):
        self.server.stdin.close()
        self.server.wait()

    def ask(self, method, name, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, "/%s/%s" % (self.NAME, name), body, ANYBODY)
        answer = connection.getresponse()
        got = answer.read()
        connection.close()
        return answer.status, got

    def get(self, name):
        """The bytes of an object; None if there is none."""
        status, got = self.ask("GET", name)
        if status == 404:
            return None
        if status != 200:
            raise OSError("the bucket answers %d: %s" % (status, got[:300]))
        return got

    def put(self, name, data):
        status, got = self.ask("PUT", name, data)
        if status != 200:
            raise OSError("the bucket answers %d: %s" % (status, got[:300]))

    def names(self, prefix, more=""):
        """The names of all objects that begin so; with a delimiter in `more`, of those without one in the rest of their name."""
        found, last = [], ""
        while True:
            status, got = self.ask("GET", "?list-type=2&prefix=%s&start-after=%s%s" % (prefix, last, more))
            if status != 200:
                raise OSError("the bucket answers %d: %s" % (status, got[:300]))
            found += re.findall("<Key>([^<]*)</Key>", got.decode())
            if b"<IsTruncated>true" not in got or not found:
                return found
            last = found[-1]


class KeepObjects(KeepFiles):
    """A Keep store in a bucket; its root is what the names of its objects begin with."""

    def __init__(self, bucket):
        super().__init__()
        self.bucket = bucket

    def listed(self, root):
        return self.bucket.names(root, "&delimiter=/")

    def place(self, root, block):
        return root + block

    def read(self, path):
        return self.bucket.get(path) if path else None


def asked(head):
    """The operations that a request may be a part of, and the path it is about."""
    method, target, _ = head.decode().split(" ", 2)
    return OPERATIONS[method], urllib.parse.unquote(target.partition("?")[0])


class S3Wire(Wire):
    """Knows requests for objects: their names end with the key's."""

    length = re.compile(rb"(?i)(\r\ncontent-length: *)(\d+)")

    def how(self, head):
        operations, path = asked(head)
        if self.fault and self.fault[0] in operations and path.endswith("/" + self.fault[1]):
            return self.fault[0], self.fault[2]
        return operations[0], None

    def refusal(self, operation, how):
        status, code, answered = ANSWERS.get(how, (b"", b"", ()))
        if operation not in answered:
            return None
        return status, b"application/xml", b"<Error><Code>%s</Code><Message>So it is.</Message></Error>" % code

    def pass_on(self, source, head, sink, total, how):
        if how not in ("too short", "too long"):
            return super().pass_on(source, head, sink, total, how)
        data = b"".join(data for _, data in source.body(head))
        sink.sendall(data[:-1] if how == "too short" else data + b"x")


class KeepS3Wire(S3Wire):
    """Blocks are not called as keys are: whatever is asked while a fault lasts belongs to it."""

    def how(self, head):
        operations, path = asked(head)
        # What the server can do is found out once, whatever the case.
        if not self.fault or "annex-keep-probe" in path:
            return operations[0], None
        wanted, _, how = self.fault
        if how in ("disk full", "read-only"):
            return operations[0], how
        # Content passes in requests of its own kind. All else takes several, of which some are slow.
        several = wanted not in ("PUT", "GET") and how != "slow"
        return wanted, how if several or wanted in operations else None
