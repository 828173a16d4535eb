"""The listing against ps, and against the ways to the same list in JSON; with thousands of processes."""

from __future__ import annotations

from collections.abc import Iterator

from harness import BIN, IPCCTL, PYTHON, Comparison, Contender, compare, in_turns, peak_rss_kib, python_peer, sleepers

JSON = "ps -f json"
PS = "ps aux"
PSUTIL = """
import json, os, psutil
fields = ["pid", "ppid", "username", "status", "nice", "num_threads", "memory_info", "cpu_percent", "memory_percent",
          "terminal", "create_time", "cpu_times", "name", "cmdline"]
rows = []
for process in psutil.process_iter(fields):
    try:
        rows.append(process.info | {"pgid": os.getpgid(process.pid), "sid": os.getsid(process.pid)})
    except ProcessLookupError:
        pass
print(json.dumps(rows))
"""


def comparisons() -> Iterator[Comparison]:
    """Three thousand processes, then ten thousand; what a row costs in memory, when rows stream."""
    few = peak_rss_kib([IPCCTL, "ps", "-f", "jsonl"])
    with sleepers(3_000):
        yield from of_three_thousand()
    with sleepers(10_000):
        times = in_turns({JSON: [IPCCTL, "ps", "-f", "json"], PS: ["ps", "aux"]}, rounds=10)
        yield compare(times, f"{JSON}", PS, at_most=1.0)
        many = peak_rss_kib([IPCCTL, "ps", "-f", "jsonl"])
    # The PIDs alone are listed beforehand: 10,000 of them take less than a megabyte. A list of rows would take 25.
    yield Comparison("ps -f jsonl at 10,000, peak memory", "the same at a few", [many / few], at_most=1.15)


def of_three_thousand() -> Iterator[Comparison]:
    """The list in JSON and as a table against ps, and against jc and psutil, where they can be had."""
    slow: dict[str, Contender] = {"psutil": [PYTHON, "-c", PSUTIL]}
    if python_peer("jc", "jc"):
        slow["jc ps aux"] = [str(BIN / "jc"), "ps", "aux"]
    quick = {JSON: [IPCCTL, "ps", "-f", "json"], "ps": [IPCCTL, "ps"], PS: ["ps", "aux"]}
    times = in_turns({**quick, **slow}, rounds=10)
    yield compare(times, JSON, PS, at_most=1.3)
    yield compare(times, "ps", PS, at_most=2.5)
    for name in slow:
        yield compare(times, JSON, name, at_least=3.0)
