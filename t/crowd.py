#!/usr/bin/env python3
"""A crowd of clients that do nothing, or hardly anything, until standard input ends. Prints `ready` when all are there.

    crowd.py HTTP_PORT SSH_HOST CLUSTER NODE KEY AUTH IDLE SLOW

IDLE clients have asked one thing and stay; SLOW ones have asked for KEY and take next to nothing of it. Half of each
come over HTTP, as AUTH (NAME:PASSWORD), half over `ssh SSH_HOST`.
"""

import base64
import socket
import subprocess
import sys
import threading
import time

http_port, host, cluster, node, key, auth, idle, slow = sys.argv[1:]
http_port, idle, slow = int(http_port), int(idle), int(slow)
basic = base64.b64encode(auth.encode()).decode()
kept = []
failed = []


def http(request, small=False):
    connection = socket.socket()
    if small:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", http_port))
    connection.sendall(
        ("%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %s\r\nContent-Length: 0\r\n\r\n" % (request, basic)).encode()
    )
    answer = connection.recv(200)
    if not answer.startswith(b"HTTP/1.1 200"):
        failed.append(answer)
    return connection


def ssh(lines, uuid):
    words = "git-annex-shell 'p2pstdio' '/data' '11111111-2222-3333-4444-555555555555' --uuid " + uuid
    process = subprocess.Popen(["ssh", "-oControlMaster=no", "-oControlPath=none", host, words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    answer = process.stdout.readline()
    if not answer.startswith(b"AUTH-SUCCESS"):
        failed.append(answer)
    process.stdin.write(lines.encode())
    process.stdin.flush()
    return process


def sip(connection):
    while True:
        time.sleep(1)
        try:
            if not connection.recv(100):
                return
        except OSError:
            return


def idle_http():
    kept.append(http("POST /git-annex/%s/v4/checkpresent?key=%s&clientuuid=%s" % (cluster, key, cluster)))


def slow_http():
    connection = http("GET /git-annex/%s/v4/key/%s?clientuuid=%s" % (node, key, cluster), small=True)
    threading.Thread(target=sip, args=(connection,), daemon=True).start()
    kept.append(connection)


def idle_ssh():
    kept.append(ssh("VERSION 4\n", cluster))


def slow_ssh():
    kept.append(ssh("VERSION 4\nGET 0 file %s\n" % key, node))


def start(work, count):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()


start(idle_http, idle // 2)
start(idle_ssh, idle - idle // 2)
start(slow_http, slow // 2)
start(slow_ssh, slow - slow // 2)
print("failed: %r" % failed[:3] if failed else "ready", flush=True)
sys.stdin.read()
for one in kept:
    if isinstance(one, subprocess.Popen):
        one.kill()
