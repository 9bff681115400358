"""A bucket of an S3 server, and the proxy in front of it."""

import http.client
import os
import re
import subprocess
import urllib.parse

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


class S3Wire(Wire):
    """Knows requests for objects: their names end with the key's."""

    length = re.compile(rb"(?i)(\r\ncontent-length: *)(\d+)")

    def how(self, head):
        method, target, _ = head.decode().split(" ", 2)
        path = urllib.parse.unquote(target.partition("?")[0])
        operations = OPERATIONS[method]
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
