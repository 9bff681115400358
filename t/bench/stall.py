"""Connections that begin an upload over HTTP, send a part of it, and say no more until standard input ends.

Arguments: [USER:PASSWORD@]HOST:PORT, the UUID asked for, how many. Prints "stalled" when all stand.
"""

import base64
import resource
import socket
import sys

address, uuid, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
who, _, place = address.rpartition("@")
host, port = place.rsplit(":", 1)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))
authorization = f"Authorization: Basic {base64.b64encode(who.encode()).decode()}\r\n" if who else ""
connections = []
for number in range(count):
    connection = socket.create_connection((host, int(port)), timeout=20)
    key = f"SHA256-s1000000--{number:064x}"
    connection.sendall(
        f"POST /git-annex/{uuid}/v4/put?key={key}&clientuuid={uuid}&offset=0 HTTP/1.1\r\nHost: {place}\r\n{authorization}"
        "X-git-annex-data-length: 1000000\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n"
        "a part of it".encode()
    )
    connections.append(connection)
print("stalled", flush=True)
sys.stdin.read()
