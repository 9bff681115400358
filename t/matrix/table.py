"""The table: kinds of nodes, operations and faults, and how a fault is brought about on each kind.

A new kind is a class in kinds.py or servers.py, its name in rig.py, and a line in KINDS; a new fault a line in FAULTS and what
the kinds do about it.
"""

from collections import namedtuple

OPERATIONS = ["PUT", "GET", "CHECKPRESENT", "LOCKCONTENT", "REMOVE"]

# The name of a kind, and what stands in the configuration.
KINDS = {
    "keep": "`keep:PATH`",
    "annex": "`annex:PATH`, a git-annex repository on the gateway's machine",
    "directory": "`directory:PATH`",
    "external": "`external:TYPE`, the program of `t/git-annex-remote-shelf`",
    "ssh": "`ssh://` and `command:`, a real `git-annex-shell` at the other end of the pipe",
    "http": "`annex+http://`, a real `git annex p2phttp`",
    "gateway": "another gateway of ours, by its own P2P protocol",
    "s3": "`s3://`, a bucket of a real S3 server, moto; of a full disk it answers 507 to what stores, of a read-only one 403 to what changes anything",
    "keep+s3": "`keep+s3://`, a Keep store in such a bucket",
}

# local: how it is brought about where the content is on a disk of the gateway's; far: between the gateway and a program or
# server. None: there is no such thing there.
Fault = namedtuple("Fault", "name local far")

FAULTS = [
    Fault("dead before", "its disk is not mounted", "nothing listens, or the program ends at once"),
    Fault("dead during connect", None, "it ends before it has greeted"),
    Fault("dies at 30 %", "its disk goes away when 30 % of the content have passed", "it ends then, or within the answer"),
    Fault("dies after the last byte", "its disk goes away then, before the client vouches for the content", "it does what was asked, and ends before the answer"),
    Fault("hangs", "its disk hangs: nothing is written any more (`fsfreeze`)", "it takes the request and says nothing"),
    Fault("refuses", "nothing there may be changed (`chattr +i`)", "it answers with an error"),
    Fault("disk full", "not a byte is free", "not a byte is free on the disk behind it"),
    Fault("read-only", "its disk is mounted read-only", "the disk behind it is mounted read-only"),
    Fault("wrong bytes", "a byte of its copy is another", "a byte of its copy, or of what it is sent, is another"),
    Fault("too short", "the end of its copy is cut off", "the end of its copy, or of what it is sent, is cut off"),
    Fault("too long", "its copy has a byte more", "its copy, or what it is sent, has a byte more"),
    Fault("slow", None, "each part comes just before the deadline, and all of it long after"),
    Fault("killed, restarted", "its disk is unmounted and mounted again", "its processes are killed between two requests, by SIGKILL"),
]
