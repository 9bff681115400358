#!/usr/bin/env python3
"""Runs every case of the table and prints the results as a page; see docs/faults.md, which is that page.

    run.py DIR PAGE [KIND]...

Works in DIR. Exits 1 if anything told was not the truth, or if PAGE is another; with ANNEX_KEEP_TEST_WRITE=1, PAGE is written.
"""

import concurrent.futures
import json
import os
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

from cases import Case, Untrue  # noqa: E402
from doors import Broken, Http, Ssh  # noqa: E402
from kinds import Nothing  # noqa: E402
from page import cell_text, cells_of, differences, page  # noqa: E402
from rig import Rig  # noqa: E402
from table import FAULTS, KINDS, OPERATIONS  # noqa: E402


# Faults that take as long as deadlines do.
WAITING = ("hangs", "slow")


def one(rig, doors, fault, operation, salt=""):
    """The answers of a case through both doors, for the cluster and for the node alone."""
    answers = {}
    for target in "cluster", "x":
        for door in doors:
            seed = "%s %s %s %s %s" % (fault, operation, target, door.name, salt)
            case = Case(rig, door, target, fault, operation, seed)
            try:
                answers[target, door.name] = case.run(doors[0])
            except Nothing:
                return None
            except (Untrue, Broken, AssertionError, OSError, KeyError, TypeError, ValueError) as error:
                yield_text = "%s over %s to %s, %s: %s" % (operation, door.name, target, fault, error)
                if not isinstance(error, Untrue):
                    yield_text += "\n" + traceback.format_exc()
                raise Untrue("%s (key %s)" % (yield_text, case.key)) from error
    cell = []
    for target in "cluster", "x":
        ssh, http = answers[target, "ssh"], answers[target, "http"]
        cell.append(ssh if ssh == http else "%s over ssh, %s over HTTP" % (ssh, http))
    return cell


def kind(name, base, faults, wanted):
    """The cases of one kind and some faults; prints JSON: the cells, and what was not the truth."""
    rig = Rig(base, name)
    doors = [Ssh(rig), Http(rig)]
    cells, untrue = {}, []
    known = cells_of(wanted, name)
    try:
        for fault in FAULTS:
            if fault.name not in faults:
                continue
            for operation in OPERATIONS:
                try:
                    cell = one(rig, doors, fault.name, operation)
                    for salt in "again", "once more":
                        if cell_text(cell) == known.get((fault.name, operation), cell_text(cell)):
                            break
                        # A machine that is busy with something else may have let a deadline pass.
                        cell = one(rig, doors, fault.name, operation, salt)
                    if cell is None and not rig.kind.disk.real:
                        # Not on this machine: nothing can be mounted.
                        continue
                    cells["%s/%s" % (fault.name, operation)] = cell
                except Untrue as error:
                    untrue.append("%s: %s" % (name, error))
                    doors = [Ssh(rig), Http(rig)]
    finally:
        rig.end()
    print(json.dumps({"cells": cells, "untrue": untrue}))


def main():
    base, wanted, *names = sys.argv[1:]
    if base == "--kind":
        return kind(names[0], names[1], names[2:], wanted)
    started = time.monotonic()

    def start(part):
        name, faults = part
        place = os.path.join(base, "%s-%s" % (name, "waits" if faults[0] in WAITING else "works"))
        words = [sys.executable, __file__, "--kind", wanted, name, place, *faults]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
        return name, json.loads(done.stdout) if done.returncode == 0 else None

    # Waiting costs time and nothing else: apart from the rest, it costs no time either.
    only = os.environ.get("ANNEX_KEEP_TEST_FAULT", "")
    known = [fault.name for fault in FAULTS if only in fault.name]
    groups = [[name for name in known if (name in WAITING) == waits] for waits in (True, False)]
    parts = [(name, group) for group in groups if group for name in names or KINDS]
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        outcomes = list(pool.map(start, parts))
    results = {}
    untrue = ["%s: the test itself failed" % name for name, outcome in outcomes if outcome is None]
    for name, outcome in outcomes:
        if outcome:
            results.setdefault(name, {}).update(outcome["cells"])
            untrue += outcome["untrue"]
    count = sum(4 for cells in results.values() for cell in cells.values() if cell)
    print("%d cases in %d s" % (count, time.monotonic() - started), file=sys.stderr)
    if os.environ.get("ANNEX_KEEP_TEST_WRITE"):
        text = page(results, wanted)
        with open(wanted, "w") as file:
            file.write(text)
    untrue += differences(results, wanted)
    print("\n".join(untrue))
    return 1 if untrue else 0


if __name__ == "__main__":
    sys.exit(main())
