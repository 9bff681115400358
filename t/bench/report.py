"""Makes tables, pictures and verdicts of what t/bench/run measured.

Arguments: the file of results, and docs/performance.md, whose text between the markers is replaced; the pictures go to
the folder of that name beside it. Prints the tables of goals. Without the second argument it only prints.
"""

import json
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from charts import bars, lines, shown

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
SIDES = {"ours": "annex-keep", "theirs": "git-annex"}
OPERATIONS = ("put", "checkpresent", "get", "remove")
# How much more a key may cost where it should cost the same: figures of a busy machine differ by that much.
FLAT = 1.5
RATE, SPEED = "per_second", "megabytes_per_second"


class Results:
    def __init__(self, text):
        self.by_row = defaultdict(list)
        self.seconds = defaultdict(list)
        self.reasons = {}
        for entry in map(json.loads, text):
            where = entry["row"], entry["side"]
            if "result" in entry:
                self.by_row[where].append(entry["result"])
                self.seconds[where].append(entry.get("seconds"))
            else:
                self.reasons[where] = entry["missing"]

    def value(self, row, side, *path):
        """The median over all rounds of what stands at a path; None if it was not measured."""
        found = [value for value in (at(result, path) for result in self.by_row.get((row, side), [])) if value is not None]
        return statistics.median(found) if found else None

    def rounds(self, *wheres):
        """How often all of these rows and sides were measured."""
        return min(len(self.by_row.get(where, [])) for where in wheres)

    def missing(self, *wheres):
        """Why there is no verdict."""
        reasons = [f"{SIDES.get(side, row)}: {self.reasons[row, side]}" for row, side in wheres if (row, side) in self.reasons and not self.rounds((row, side))]
        return "not measured" + (f" ({'; '.join(reasons)})".replace("|", "/").replace("\n", " ") if reasons else "")

    def steps(self, row):
        """The sizes of a row that grows, such as 1000 of `keys1000`, that were measured or should have been."""
        known = {where for where in [*self.by_row, *self.reasons] if where[1] == "ours"}
        return sorted(int(name[len(row) :]) for name, _ in known if re.fullmatch(row + r"\d+", name))


def at(result, path):
    for step in path:
        if step in (*OPERATIONS, "connect", "lock") and "results" in result:
            found = [part for part in result["results"] if part["operation"] == step]
            if not found or found[0]["failed"]:
                return None
            result = found[0]
        elif step not in result:
            return None
        else:
            result = result[step]
    return result


def goals(results):
    """Yields the cells of each goal."""

    def against(what, unit, ours, theirs, goal, *wheres, less=False):
        """A goal that is a ratio; `less`: less is better."""
        over, under = (theirs, ours) if less else (ours, theirs)
        ratio = over / under if over is not None and under else None
        verdict = results.missing(*wheres) if ratio is None else judged(None if goal is None else ratio >= goal)
        rounds = results.rounds(*wheres)
        return what, f"{shown(ours)} {unit}", f"{shown(theirs)} {unit}", times(ratio), "" if goal is None else f"{goal} ×", verdict, rounds

    def both(what, unit, row, *path, goal, less=False):
        ours, theirs = (results.value(row, side, *path) for side in SIDES)
        return against(what, unit, ours, theirs, goal, *((row, side) for side in SIDES), less=less)

    yield both("start to first answer, over stdio", "ms", "connect", "connect", "latency_ms", "p50", goal=4, less=True)
    yield both("checkpresent, 1 connection", "/s", "small1", "checkpresent", RATE, goal=20)
    yield both("put 4 KiB, 1 connection, ours durable", "/s", "small1", "put", RATE, goal=6)
    yield both("put 4 KiB, 8 connections, ours durable", "/s", "small8", "put", RATE, goal=20)
    yield both("get 4 KiB, 1 connection", "/s", "small1", "get", RATE, goal=12)
    yield both("remove 4 KiB, 1 connection", "/s", "small1", "remove", RATE, goal=12)
    yield both("lock and unlock, one node, ours durable", "/s", "lock", "lock", RATE, goal=1)
    yield both("put 1 MiB, 1 connection", "MB/s", "mib1", "put", SPEED, goal=10)
    yield both("put 1 GiB, 1 connection", "MB/s", "gib1", "put", SPEED, goal=5)
    md5 = results.value("machine", "both", "md5")
    yield against("… against MD5 of one core", "MB/s", results.value("gib1", "ours", "put", SPEED), md5, 0.7, ("gib1", "ours"), ("machine", "both"))
    yield both("get 1 GiB, verified before its last byte leaves", "MB/s", "gib1", "get", SPEED, goal=1.2)
    for operation in ("put", "get", "remove"):
        yield both(f"{operation} 4 KiB, HTTP, 4 connections", "/s", "http4", operation, RATE, goal=10)
    yield both("memory, 4 puts of 256 MiB at once", "MiB", "memory", "mib", goal=5, less=True)
    what, ours, theirs, ratio, _, _, rounds = both("processes, the same", "", "memory", "processes", goal=None, less=True)
    processes = results.value("memory", "ours", "processes")
    yield what, ours, theirs, ratio, "1", results.missing(("memory", "ours")) if processes is None else judged(processes == 1), rounds
    yield both("put 256 MiB on 6 nodes", "MB/s", "fanout6", "put", SPEED, goal=6)
    for way, (copy, get, drop) in {"ssh": (2, 1.3, 2), "http": (4, 1.5, 2)}.items():
        for operation, goal in (("copy", copy), ("get", get), ("drop", drop)):
            yield both(f"stock client, 16 KiB, {way}: {operation}", "files/s", way, "J1", operation, goal=goal)
        for operation in ("copy", "get", "drop"):
            four, one = (results.value(way, "ours", jobs, operation) for jobs in ("J4", "J1"))
            yield against(f"… {operation} with -J4 against one job of ours", "files/s", four, one, 1, (way, "ours"))
    for operation, unit in (("copy", "files/s"), ("get", "files/s"), ("drop", "files/s"), ("put_large", "MB/s"), ("get_large", "MB/s")):
        yield both(f"special remote against directory: {operation}", unit, "special", operation, goal=1)
    for side, name in SIDES.items():
        beside, alone = (results.value("stalled", side, which, RATE) for which in ("beside", "alone"))
        count = shown(results.value("stalled", side, "count"))
        goal = 0.8 if side == "ours" else None
        yield against(f"{name}: puts beside {count} stalled uploads, against alone", "/s", beside, alone, goal, ("stalled", side))


def growth(results):
    """Yields the cells of what should not grow."""

    def grown(what, unit, row, cost, goal):
        """From the first step to the last; `cost` says what a step costs."""
        steps = results.steps(row)
        wheres = [(f"{row}{step}", "ours") for step in (steps[:1] + steps[-1:])]
        if not wheres:
            return what, "–", "–", "–", goal and f"at most {goal} ×", "not measured", 0
        least, most = (cost(name) for name, _ in wheres)
        ratio = most / least if most is not None and least else None
        verdict = results.missing(*wheres) if ratio is None else judged(None if goal is None else ratio <= goal)
        return what, f"{shown(least)} {unit}", f"{shown(most)} {unit}", times(ratio), goal and f"at most {goal} ×", verdict, results.rounds(*wheres)

    def bounded(what, value, bound, *wheres):
        verdict = results.missing(*wheres) if value is None else judged(value <= bound)
        return what, "", f"{shown(value)} MiB", "", f"at most {bound} MiB", verdict, results.rounds(*wheres) if wheres else 0

    steps = results.steps("keys")
    among = f"{steps[0]:,} to {steps[-1]:,} keys" if steps else "many keys"
    for operation in OPERATIONS:
        yield grown(f"{operation} 4 KiB among {among}, each", "ms", "keys", lambda row: each(results, row, operation), FLAT)
    yield grown(f"a fetch after uploads waits for the branch, {among}", "ms", "keys", lambda row: results.value(row, "ours", "commit"), FLAT)
    yield grown(f"the daemon starts, {among}", "ms", "keys", lambda row: results.value(row, "ours", "ready"), None)
    yield grown("… and answers for the first time", "ms", "keys", lambda row: results.value(row, "ours", "first"), None)
    sizes = results.steps("transfer")
    wheres = [(f"transfer{mib}", "ours") for mib in sizes]
    upto = f"1 MiB to {size(sizes[-1])}" if sizes else "any size"
    for operation in ("put", "get"):
        yield grown(f"{operation}, {upto}, each GB", "s", "transfer", lambda row: inverse(results.value(row, "ours", operation, SPEED)), FLAT)
    yield bounded(f"memory that one transfer adds, {upto}", max(filter(None, (added(results, mib) for mib in sizes)), default=None), 128, *wheres)
    count = shown(results.value("connections", "ours", "count"))
    for what, kind in ((f"{count} connections over HTTP, kept alive", "http"), (f"and {count} conversations over stdio beside them, a tenth hold locks", "stdio")):
        yield bounded(f"memory of the daemon, {what}", results.value("connections", "ours", kind), 200, ("connections", "ours"))


def each(results, row, operation):
    return inverse(results.value(row, "ours", operation, RATE))


def inverse(rate):
    return 1000 / rate if rate else None


def added(results, mib):
    idle, most = (results.value(f"transfer{mib}", "ours", which) for which in ("idle", "most"))
    return None if idle is None or most is None else most - idle


def size(mib):
    return f"{mib // 1024} GiB" if mib >= 1024 else f"{mib} MiB"


def times(ratio):
    return "–" if ratio is None else f"{ratio:.1f} ×"


def judged(reached):
    return {None: "", True: "reached", False: "**falls short**"}[reached]


def table(head, rows):
    """A table; words are set left, figures right."""
    rules = " | ".join("---" if place == 0 or name == "verdict" else "---:" for place, name in enumerate(head))
    return [f"| {' | '.join(head)} |", f"| {rules} |", *(f"| {' | '.join(map(str, row))} |".replace("None", "") for row in rows)]


def machine(results):
    names = {
        "sha256": "SHA-256, one core, MB/s", "md5": "MD5, one core, MB/s", "disk_write": "disk, a file of 512 MiB written and synced, MB/s",
        "disk_read_cached": "the same file read from memory, MB/s", "append_synced": "4 KiB appended and synced, a second",
        "file_synced": "a file of 4 KiB made, synced and renamed, a second", "tcp": "TCP over loopback, MB/s",
        "tcp_round_trips": "TCP over loopback, there and back, a second", "ssh": "a pipe through ssh to sshd on loopback, MB/s",
        "pipe_round_trips": "a line through another process and back by pipes, a second",
    }
    found = {name: results.value("machine", "both", name) for name in names}
    if not any(found.values()):
        return ["The limits of the machine were not measured."]
    made = table(["limit of the machine", ""], [(text, shown(found[name])) for name, text in names.items() if found[name] is not None])
    asked, pipe = results.value("small1", "ours", "checkpresent", RATE), found["pipe_round_trips"]
    if asked and pipe:
        made += ["", f"A request over stdio cannot be faster than a line through another process and back: checkpresent reaches {asked / pipe:.0%} of that."]
    return made


def effort(results):
    """What each row took: rounds, and seconds of one round."""

    def seconds(row, side):
        known = [value for value in results.seconds.get((row, side), []) if value is not None]
        return shown(statistics.median(known)) if known else results.reasons.get((row, side), "–").replace("|", "/").replace("\n", " ")

    rows = list(dict.fromkeys(row for row, _ in [*results.by_row, *results.reasons]))
    for row in rows:
        sides = [side for side in (*SIDES, "both") if (row, side) in results.by_row or (row, side) in results.reasons]
        yield row, results.rounds(*((row, side) for side in sides)), *(seconds(row, side) if side in sides else "" for side in ("ours" if "ours" in sides else "both", "theirs"))


def pictures(results):
    """Yields each picture's name, title and text."""

    def pair(rows, *path):
        return {name: [results.value(row, side, *path) for row in rows] for side, name in SIDES.items()}

    def drawn(draw, name, title, unit, series, labels, **more):
        if any(value for row in series.values() for value in row):
            yield name, title, draw(title, unit, series, labels, **more)

    nodes = [1, 2, 3, 6]
    title = "One key of 256 MiB on so many nodes"
    yield from drawn(lines, "fanout", title, "MB/s", pair([f"fanout{n}" for n in nodes], "put", SPEED), nodes)
    for operation in OPERATIONS:
        rows = {"small1": "stdio, 1", "small8": "stdio, 8", "http4": "HTTP, 4"}
        series = pair(rows, operation, RATE)
        yield from drawn(bars, f"small-{operation}", f"{operation}, 4 KiB, by connections", "keys a second", series, list(rows.values()))
    counts = results.steps("keys")
    series = {operation: [each(results, f"keys{count}", operation) for count in counts] for operation in OPERATIONS}
    labels = [f"{count:,} keys" for count in counts]
    yield from drawn(lines, "keys", "Cost of a key of 4 KiB, by how many are there", "ms", series, labels, steep=True)
    series = {
        "the journal into the branch": [results.value(f"keys{count}", "ours", "commit") for count in counts],
        "start": [results.value(f"keys{count}", "ours", "ready") for count in counts],
        "first answer": [results.value(f"keys{count}", "ours", "first") for count in counts],
    }
    yield from drawn(lines, "keys-start", "The daemon, by how many keys are there", "ms", series, labels, steep=True)
    sizes = results.steps("transfer")
    labels = [size(mib) for mib in sizes]
    series = {operation: [results.value(f"transfer{mib}", "ours", operation, SPEED) for mib in sizes] for operation in ("put", "get")}
    yield from drawn(lines, "transfer-speed", "One key, by its size", "MB/s", series, labels)
    yield from drawn(lines, "transfer-memory", "Memory that one transfer adds", "MiB", {"the most": [added(results, mib) for mib in sizes]}, labels)
    series = {"memory": [results.value("connections", "ours", kind) for kind in ("idle", "http", "stdio")]}
    yield from drawn(bars, "connections", "Memory of the daemon, by open connections", "MiB", series, ["none", "HTTP", "HTTP and stdio"])


def main():
    results = Results(Path(sys.argv[1]).read_text().splitlines())
    reached = table(["what", "annex-keep", "git-annex", "ratio", "goal", "verdict", "rounds"], goals(results))
    grows = table(["what", "at the least", "at the most", "grows", "goal", "verdict", "rounds"], growth(results))
    print("\n".join([*reached, "", *grows]))
    if len(sys.argv) < 3:
        return
    page = Path(sys.argv[2])
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    made = []
    for name, title, picture in pictures(results):
        (folder / f"{name}.svg").write_text(picture)
        made.append(f"![{title}]({folder.name}/{name}.svg)")
    about = results.by_row.get(("machine", "both"))
    said = [f"{about[-1]['program']} and git-annex {about[-1]['annex'].split('-')[0]}, {about[-1]['cpu']}, {about[-1]['disk']}."] if about else []
    took = ["What each row took, in seconds for one round:", "", *table(["row", "rounds", "annex-keep", "git-annex"], effort(results))]
    parts = [BEGIN, "", *said, "", *reached, "", "How cost grows:", "", *grows, "", *machine(results), "", *made, "", *took, "", END]
    page.write_text(re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: "\n".join(parts), page.read_text(), flags=re.DOTALL))


main()
