#!/usr/bin/env python3
"""A real S3 server, moto, that can be killed and is there again at once; run by moto's own Python.

Each line of its input is a port, or 0 for a free one: the server that runs is killed by SIGKILL, and a new one, with an empty
bucket, listens there. "stop" instead of a port only kills. Prints the port when it listens. Ends with its input.
"""

import os
import signal
import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import Client

CREDENTIALS = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/s3/aws4_request"}


class Quiet(MotoRequestHandler):
    def log(self, *_words):
        pass


def serve(app, port):
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
    print(server.port, flush=True)
    server.serve_forever()


def main():
    app = DomainDispatcherApplication(create_backend_app)
    # All of it is loaded now, so that a child of this process is a server without delay.
    made = Client(app).put("/" + sys.argv[1], headers=CREDENTIALS)
    if made.status_code != 200:
        sys.exit(made.text)
    child = 0
    for line in sys.stdin:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            child = 0
        if line != "stop\n":
            child = os.fork()
            if not child:
                serve(app, int(line))
        else:
            print("stopped", flush=True)
    if child:
        os.kill(child, signal.SIGKILL)


main()
