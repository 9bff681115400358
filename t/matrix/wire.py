"""Stands between a gateway and a real HTTP server, as a TCP proxy that knows requests, and misbehaves."""

import re
import socket
import struct
import threading
import time
import urllib.parse

from buffered import Buffered

# Five of them are longer than the deadline. What waits in the buffers of the sender passes after its last byte was sent.
PAUSE = 0.45
OPERATIONS = {"put": "PUT", "checkpresent": "CHECKPRESENT", "lockcontent": "LOCKCONTENT", "remove": "REMOVE", "remove-before": "REMOVE"}


def reset(*ends):
    for end in ends:
        try:
            # No orderly end, as of a machine that is gone.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        end.close()


class Closed(Exception):
    pass


class Reader(Buffered):
    def __init__(self, end):
        self.end = end

    def fill(self):
        got = self.end.recv(1 << 16)
        if not got:
            raise Closed
        self.buffer += got

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head

    def body(self, head):
        """Yields (frame, data): what belongs to the transfer coding, and what is content."""
        lower = head.lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", lower)
        if b"transfer-encoding: chunked" in lower:
            while True:
                while b"\r\n" not in self.buffer:
                    self.fill()
                line, self.buffer = self.buffer.split(b"\r\n", 1)
                size = int(line, 16)
                yield line + b"\r\n", b""
                for part in self.exactly(size):
                    yield b"", part
                yield b"".join(self.exactly(2)), b""
                if not size:
                    return
        elif length:
            for part in self.exactly(int(length.group(1))):
                yield b"", part


class Wire:
    """The proxy, on a port of its own, for P2P over HTTP. `fault` is (operation, key, how), or None."""

    # Where a head tells the length of the content.
    length = re.compile(rb"(?i)(\r\nx-git-annex-data-length: *)(\d+)")

    def __init__(self, target):
        self.target = target
        self.fault = None
        self.greeting = False
        self.port = 0
        self.connections = set()
        self.listen()

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        # Little waits here unread.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def stop_listening(self):
        """From here on, connections are refused."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self.greeting:
                reset(client)
                continue
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def mend(self):
        self.fault, self.greeting = None, False
        if self.listener is None:
            self.listen()

    def kill(self):
        """All connections break."""
        for pair in list(self.connections):
            reset(*pair)

    def serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            return reset(client)
        for end in client, server:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections.add((client, server))
        asked, said = Reader(client), Reader(server)
        try:
            while True:
                self.exchange(asked, said)
        except (Closed, OSError):
            reset(client, server)
        finally:
            self.connections.discard((client, server))

    def how(self, head):
        path, _, query = head.split(b" ", 2)[1].decode().partition("?")
        words = path.split("/")
        key = urllib.parse.parse_qs(query).get("key", [""])[0]
        operation = OPERATIONS.get(words[-1])
        if words[-2] == "key":
            operation, key = "GET", urllib.parse.unquote(words[-1])
        if self.fault and (operation, key) == self.fault[:2]:
            return operation, self.fault[2]
        return operation, None

    def refusal(self, operation, how):
        """Status, type and text of an answer of our own; None where the server is to answer."""
        if how != "refuses":
            return None
        if operation == "LOCKCONTENT":
            return b"200 OK", b"application/json;charset=utf-8", b'{"locked":false}'
        return b"500 Internal Server Error", b"text/plain", b"the disk is on fire"

    def total(self, head):
        """The length of the content, and 0 where there is none."""
        found = self.length.search(head)
        return int(found.group(2)) if found else 0

    def exchange(self, asked, said):
        head = asked.head()
        operation, how = self.how(head)
        if how == "hangs":
            while True:
                asked.fill()
        if refusal := self.refusal(operation, how):
            for _ in asked.body(head):
                pass
            status, kind, text = refusal
            # Nothing of a text follows the head that was asked for alone.
            shown = b"" if head.startswith(b"HEAD ") else text
            asked.end.sendall(b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (status, kind, len(text), shown))
            return
        total = self.total(head)
        other = {"too short": -1, "too long": 1}.get(how, 0) if operation == "PUT" else 0
        sent = self.length.sub(lambda found: b"%s%d" % (found.group(1), total + other), head)
        said.end.sendall(sent + b"\r\n\r\n")
        self.pass_on(asked, head, said.end, total, how if operation == "PUT" else None)
        answer = said.head()
        while re.match(rb"HTTP/1.1 1\d\d", answer):
            asked.end.sendall(answer + b"\r\n\r\n")
            answer = said.head()
        # A head that was asked for alone may tell a length, and nothing follows.
        content = b"" if head.startswith(b"HEAD ") else answer
        if how == "dies after the last byte" and operation != "GET":
            for _ in said.body(content):
                pass
            raise Closed
        if how == "dies at 30 %" and operation not in ("GET", "PUT"):
            asked.end.sendall(answer[: len(answer) // 2])
            time.sleep(0.1)
            raise Closed
        if how == "slow":
            time.sleep(PAUSE)
        asked.end.sendall(answer + b"\r\n\r\n")
        self.pass_on(said, content, asked.end, self.total(content), how if operation == "GET" else None)

    def pass_on(self, source, head, sink, total, how):
        passed = 0
        for frame, data in source.body(head):
            if how == "wrong bytes" and data and not passed:
                data = bytes([data[0] ^ 1]) + data[1:]
            passed += len(data)
            if how == "dies at 30 %" and passed >= total * 3 // 10:
                sink.sendall(data[: len(data) - passed + total * 3 // 10])
                time.sleep(0.1)
                raise Closed
            if how == "dies after the last byte" and head.startswith(b"HTTP/") and passed == total and frame:
                # The content is through; the end of the transfer is not.
                time.sleep(0.1)
                raise Closed
            if how == "slow":
                quarter = total // 4 + 1
                for _ in range((passed - len(data)) // quarter, passed // quarter):
                    time.sleep(PAUSE)
            sink.sendall(frame + data)
