"""Connections that stand open: COUNT over HTTP, each after one request; then, at a line on standard input, COUNT conversations
by `annex-keep shell` in which one question was asked; every tenth holds a lock. They stay until standard input ends.

Arguments: USER:PASSWORD@HOST:PORT, the site, the cluster's UUID, a node's, a key that is there, COUNT. Prints "http", then
"stdio".
"""

import base64
import resource
import socket
import subprocess
import sys

address, site, cluster, node, key, count = sys.argv[1:]
who, _, place = address.rpartition("@")
host, port = place.rsplit(":", 1)
count = int(count)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
basic = base64.b64encode(who.encode()).decode()
kept = []


def expect(answer, wanted):
    if not answer.startswith(wanted):
        sys.exit(f"the server said {answer!r}")


for _ in range(count):
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(
        f"POST /git-annex/{cluster}/v4/checkpresent?key={key}&clientuuid={cluster} HTTP/1.1\r\nHost: {place}\r\n"
        f"Authorization: Basic {basic}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    expect(connection.recv(65536), b"HTTP/1.1 200")
    kept.append(connection)
print("http", flush=True)
sys.stdin.readline()
for number in range(count):
    uuid, question, wanted = (node, "LOCKCONTENT", b"SUCCESS") if number % 10 == 0 else (cluster, "CHECKPRESENT", b"SUCCESS")
    command = f"git-annex-shell p2pstdio /data 11111111-2222-3333-4444-555555555555 --uuid {uuid}"
    shell = subprocess.Popen(
        ["annex-keep", "shell", "--site", site, "--user", "bench", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    shell.stdin.write(f"VERSION 4\n{question} {key}\n".encode())
    shell.stdin.flush()
    for line in (b"AUTH-SUCCESS", b"VERSION 4", wanted):
        expect(shell.stdout.readline(), line)
    kept.append(shell)
print("stdio", flush=True)
sys.stdin.read()
