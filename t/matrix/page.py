"""The results as a page, and back: what stands on the page is what the next run must find."""

import os

from table import FAULTS, KINDS, OPERATIONS

HEAD = """# What clients are told when a node fails

Written by `t/matrix/run.py`, which runs every case below against the real program and compares (`t/750-matrix.bats`; with
`ANNEX_KEEP_TEST_WRITE=1` it writes this page). The table that all of it is made from is `t/matrix/table.py`.

A gateway has two nodes: `x`, of the kind of the table, which is asked first and to which the fault happens, and `a`, a Keep
store that is well. Each case is run through the built-in ssh server and through HTTP, first with the cluster as its target, then
with the node `x` alone. A cell has the two answers, **cluster / x alone**; both doors gave the same unless it says otherwise.

| operation | answers |
| --- | --- |
| PUT | on which nodes the content is stored, or no: then it is stored nowhere as far as the client knows |
| GET | all of the content, vouched for; breaks off: bytes came and were not vouched for; no: nothing came |
| CHECKPRESENT, LOCKCONTENT | yes, no or unknown: an error that names the node |
| REMOVE | from which nodes the content is gone, or no |

After each answer the nodes' files are read past the gateway, byte for byte: a node that is said to have the content has it, one
that is said not to have it has not, no part of a content is to be seen under a key, the other node is as it was, and the location
log in the git-annex branch says what the client was told. The conversation goes on (only content that broke off ends one over
ssh). When the fault is over, what was promised is still there, a lock that was granted holds, and nobody is given other bytes than
the key's.

Three things no gateway can know. A node that dies, or hangs, after it was asked and before it has answered may have done it: the
client hears that it is not known to have, and the location log does not count on it. A node that stores other bytes than it
was sent and says that it stored them is believed, until its copy is read: no wrong byte is vouched for then, and the copy is set
aside (the rows "wrong bytes", "too short" and "too long" of PUT). And a copy whose bytes have rotted is present until somebody
reads it; `annex-keep scrub` does.

Two things are not as they should be yet. A Keep store whose disk has not a byte left cannot remove either: its index needs room
for that (row "disk full" of `keep`); leave some free. And SQLite maps a part of that index into memory: a disk that fails just
this mapping, as one that was shut down after errors may, ends the whole daemon with SIGBUS. The row "refuses" of `keep` spares the
index therefore. Nothing is lost by it; let systemd start the daemon again, as `contrib/` does.

| fault | on a disk of the gateway's machine | at the other end of a program or connection |
| --- | --- | --- |
"""


def cell_text(cell):
    return "–" if cell is None else " / ".join(cell)


def rows(cells):
    """The rows of a kind's table, by fault."""
    for fault in FAULTS:
        texts = [cell_text(cells["%s/%s" % (fault.name, operation)]) for operation in OPERATIONS if "%s/%s" % (fault.name, operation) in cells]
        if len(texts) == len(OPERATIONS):
            yield fault.name, texts


def page(results, path):
    """The page, with what stands there already where nothing was run."""
    found = read_page(path)
    found.update({(name, fault): texts for name, cells in results.items() for fault, texts in rows(cells)})
    text = HEAD + "".join("| %s | %s | %s |\n" % (f.name, f.local or "–", f.far or "–") for f in FAULTS)
    for name, what in KINDS.items():
        text += "\n## %s\n\n%s.\n\n| fault | %s |\n|%s\n" % (name, what, " | ".join(OPERATIONS), " --- |" * (len(OPERATIONS) + 1))
        for fault in FAULTS:
            if (name, fault.name) in found:
                text += "| %s | %s |\n" % (fault.name, " | ".join(found[name, fault.name]))
    return text


def read_page(path):
    """The texts of the cells on a page, by kind and fault."""
    found, name = {}, None
    if os.path.exists(path):
        with open(path) as file:
            for line in file:
                if line.startswith("## "):
                    name = line[3:].strip()
                elif name and line.startswith("| "):
                    fault, *texts = [word.strip() for word in line.strip().strip("|").split(" | ")]
                    found[name, fault] = texts
    return found


def cells_of(path, name):
    """The texts of a kind's cells on a page, by fault and operation."""
    page_cells = read_page(path)
    return {(fault, operation): text for (kind, fault), texts in page_cells.items() if kind == name for operation, text in zip(OPERATIONS, texts)}


def differences(results, path):
    """What another page says otherwise, as texts."""
    found, texts = read_page(path), []
    for name, cells in results.items():
        for fault, now in rows(cells):
            if now != found.get((name, fault)):
                texts.append("%s, %s: the page says %s, the run %s" % (name, fault, found.get((name, fault)), now))
    return texts
