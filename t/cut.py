#!/usr/bin/env python3
"""Passes TCP connections on to PORT of loopback, and cuts one of them off.

    cut.py PORT BYTES TOTALS

Prints its own port. The first connection over which BYTES have passed in one direction is cut off in both; all others
pass. After each direction of a connection TOTALS is written anew: bytes towards PORT, bytes back, connections cut.
"""

import os
import socket
import sys
import threading

target, limit, totals = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
lock = threading.Lock()
passed = [0, 0]
cuts = 0


def tell():
    with lock:
        with open(totals + ".new", "w") as out:
            out.write("%d %d %d\n" % (passed[0], passed[1], cuts))
        os.rename(totals + ".new", totals)


def cut(*ends):
    for end in ends:
        try:
            # No orderly end: what is in the buffers is lost, as with a line that breaks. Only the close tells the peer:
            # one that is shut down but stays open lets it send until the window is full, and then wait for ever.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        end.close()


def forward(source, sink, direction):
    global cuts
    here = 0
    try:
        while data := source.recv(1 << 16):
            here += len(data)
            with lock:
                passed[direction] += len(data)
                now = here >= limit and cuts == 0
                cuts += now
            if now:
                cut(source, sink)
                break
            sink.sendall(data)
        else:
            sink.shutdown(socket.SHUT_WR)
    except OSError:
        cut(source, sink)
    tell()


listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
tell()
while True:
    client, _ = listener.accept()
    try:
        server = socket.create_connection(("127.0.0.1", target))
    except OSError:
        client.close()
        continue
    for pair in (client, server, 0), (server, client, 1):
        threading.Thread(target=forward, args=pair, daemon=True).start()
