"""Makes tables, pictures and verdicts of what t/bench/run measured.

Arguments: the file of results, and docs/performance.md, whose text between the markers is replaced; the pictures go to
the folder of that name beside it. Prints the table of goals. Without the second argument it only prints.
"""

import json
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
COLOURS = {"annex-keep": "#2f6f4f", "git-annex": "#b5651d"}


class Results:
    def __init__(self, lines):
        self.by_row = defaultdict(list)
        for line in lines:
            entry = json.loads(line)
            self.by_row[entry["row"], entry["side"]].append(entry["result"])

    def value(self, row, side, *path):
        """The median over all rounds of what stands at a path; None if it was not measured."""
        found = [value for value in (at(result, path) for result in self.by_row[row, side]) if value is not None]
        return statistics.median(found) if found else None


def at(result, path):
    for step in path:
        if step in ("put", "get", "remove", "checkpresent", "connect", "lock") and "results" in result:
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
    """Yields: what, unit, ours, theirs, the goal as a ratio, and whether less is better."""

    def both(what, unit, row, *path, goal, less=False):
        return what, unit, results.value(row, "ours", *path), results.value(row, "theirs", *path), goal, less

    rate, speed, delay = "per_second", "megabytes_per_second", ("latency_ms", "p50")
    yield both("start to first answer, over stdio", "ms", "connect", "connect", *delay, goal=4, less=True)
    yield both("checkpresent, 1 connection", "/s", "small1", "checkpresent", rate, goal=20)
    yield both("put 4 KiB, 1 connection, ours durable", "/s", "small1", "put", rate, goal=6)
    yield both("put 4 KiB, 8 connections, ours durable", "/s", "small8", "put", rate, goal=20)
    yield both("get 4 KiB, 1 connection", "/s", "small1", "get", rate, goal=12)
    yield both("remove 4 KiB, 1 connection", "/s", "small1", "remove", rate, goal=12)
    yield both("lock and unlock, one node, ours durable", "/s", "lock", "lock", rate, goal=1)
    yield both("put 1 MiB, 1 connection", "MB/s", "mib1", "put", speed, goal=10)
    yield both("put 1 GiB, 1 connection", "MB/s", "gib1", "put", speed, goal=5)
    md5 = results.value("machine", "both", "md5")
    yield "… against MD5 of one core", "MB/s", results.value("gib1", "ours", "put", speed), md5, 0.7, False
    yield both("get 1 GiB, verified before its last byte leaves", "MB/s", "gib1", "get", speed, goal=1.2)
    for operation in ("put", "get", "remove"):
        yield both(f"{operation} 4 KiB, HTTP, 4 connections", "/s", "http4", operation, rate, goal=10)
    yield both("memory, 4 puts of 256 MiB at once", "MiB", "memory", "mib", goal=5, less=True)
    yield both("processes, the same", "", "memory", "processes", goal=5, less=True)
    yield both("put 256 MiB on 6 nodes", "MB/s", "fanout6", "put", speed, goal=6)
    for way, (copy, get, drop) in {"ssh": (2, 1.3, 2), "http": (4, 1.5, 2)}.items():
        for operation, goal in (("copy", copy), ("get", get), ("drop", drop)):
            yield both(f"stock client, 16 KiB, {way}: {operation}", "files/s", way, "J1", operation, goal=goal)
        for operation in ("copy", "get", "drop"):
            ours = results.value(way, "ours", "J4", operation), results.value(way, "ours", "J1", operation)
            yield f"… {operation} with -J4 against one job of ours", "files/s", *ours, 1, False
    for operation, unit in (("copy", "files/s"), ("get", "files/s"), ("drop", "files/s"), ("put_large", "MB/s"), ("get_large", "MB/s")):
        yield both(f"special remote against directory: {operation}", unit, "special", operation, goal=1)
    for side, name in (("ours", "annex-keep"), ("theirs", "git-annex")):
        beside, alone = results.value("stalled", side, "beside", "per_second"), results.value("stalled", side, "alone", "per_second")
        yield f"{name}: puts beside stalled uploads, against alone", "/s", beside, alone, 0.8 if side == "ours" else None, False


def shown(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(results):
    lines = ["| what | annex-keep | git-annex | ratio | goal | verdict |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for what, unit, ours, theirs, goal, less in goals(results):
        if ours is None and theirs is None:
            continue
        over, under = (theirs, ours) if less else (ours, theirs)
        ratio = over / under if over is not None and under else None
        verdict = "not measured" if ratio is None else "" if goal is None else "reached" if ratio >= goal else "**falls short**"
        wanted = "" if goal is None else f"{goal} ×"
        ratio = "–" if ratio is None else f"{ratio:.1f} ×"
        lines.append(f"| {what} | {shown(ours)} {unit} | {shown(theirs)} {unit} | {ratio} | {wanted} | {verdict} |")
    return lines


def machine(results):
    names = {
        "sha256": "SHA-256, one core, MB/s", "md5": "MD5, one core, MB/s", "disk_write": "disk, a file of 512 MiB written and synced, MB/s",
        "disk_read_cached": "the same file read from memory, MB/s", "append_synced": "4 KiB appended and synced, a second",
        "file_synced": "a file of 4 KiB made, synced and renamed, a second", "tcp": "TCP over loopback, MB/s",
        "tcp_round_trips": "TCP over loopback, there and back, a second", "ssh": "a pipe through ssh to sshd on loopback, MB/s",
    }
    found = {name: results.value("machine", "both", name) for name in names}
    if not any(found.values()):
        return []
    lines = ["| limit of the machine | |", "| --- | ---: |"]
    return lines + [f"| {text} | {shown(found[name])} |" for name, text in names.items() if found[name] is not None]


def chart(title, unit, series, labels):
    """A picture of bars in pairs: one value a label for each name of the series."""
    width, height, left, bottom, top = 640, 300, 60, 40, 40
    values = [value for row in series.values() for value in row if value]
    most = max(values, default=1) * 1.1
    group = (width - left - 20) / len(labels)
    bar = group * 0.8 / len(series)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="18" font-size="14">{title}, {unit}</text>',
    ]
    for step in range(5):
        y = height - bottom - (height - bottom - top) * step / 4
        out.append(f'<line x1="{left}" x2="{width - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{shown(most * step / 4)}</text>')
    for place, (name, row) in enumerate(series.items()):
        colour = COLOURS.get(name, "#555")
        out.append(f'<rect x="{width - 130}" y="{8 + 16 * place}" width="10" height="10" fill="{colour}"/>')
        out.append(f'<text x="{width - 115}" y="{17 + 16 * place}">{name}</text>')
        for number, value in enumerate(row):
            if not value:
                continue
            tall = (height - bottom - top) * value / most
            x = left + group * number + group * 0.1 + bar * place
            out.append(f'<rect x="{x:.1f}" y="{height - bottom - tall:.1f}" width="{bar:.1f}" height="{tall:.1f}" fill="{colour}"/>')
    for number, label in enumerate(labels):
        out.append(f'<text x="{left + group * (number + 0.5):.1f}" y="{height - bottom + 18}" text-anchor="middle">{label}</text>')
    return "\n".join([*out, "</svg>", ""])


def pictures(results):
    def pair(rows, *path):
        return {
            name: [results.value(row, side, *path) for row in rows]
            for side, name in (("ours", "annex-keep"), ("theirs", "git-annex"))
        }

    nodes = [1, 2, 3, 6]
    yield "fanout", "One key of 256 MiB on so many nodes", "MB/s", pair([f"fanout{n}" for n in nodes], "put", "megabytes_per_second"), nodes
    for operation in ("put", "get", "checkpresent", "remove"):
        rows = [("small1", "stdio, 1"), ("small8", "stdio, 8"), ("http4", "HTTP, 4")]
        series = pair([row for row, _ in rows], operation, "per_second")
        yield f"small-{operation}", f"{operation}, 4 KiB, by connections", "keys a second", series, [label for _, label in rows]


def main():
    results = Results(Path(sys.argv[1]).read_text().splitlines())
    lines = table(results)
    print("\n".join(lines))
    if len(sys.argv) < 3:
        return
    page = Path(sys.argv[2])
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    about = results.by_row["machine", "both"]
    made = []
    for name, title, unit, series, labels in pictures(results):
        if any(value for row in series.values() for value in row):
            (folder / f"{name}.svg").write_text(chart(title, unit, series, labels))
            made.append(f"![{title}]({folder.name}/{name}.svg)")
    said = [f"{about[-1]['program']} and git-annex {about[-1]['annex'].split('-')[0]}, {about[-1]['cpu']}, {about[-1]['disk']}."] if about else []
    block = "\n".join([BEGIN, "", *said, "", *lines, "", *machine(results), "", *made, "", END])
    text = page.read_text()
    page.write_text(re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: block, text, flags=re.DOTALL))


main()
