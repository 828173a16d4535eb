"""Which stage held the others up: pipelines made with a known slow one at each place, and with none."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support import IPCCTL, ipcctl, report_of, tried

FAST = "exec cat"
PLACES = ["first", "middle", "last"]


def python(code: str) -> str:
    """A stage that runs Python code, with os, sys, time imported."""
    return f"exec {shlex.join([sys.executable, '-S', '-E', '-c', f'import os, sys, time{chr(10)}{code}'])}"


def report(*stages: str, **how: Any) -> dict[str, Any]:
    """The report on a pipeline that reads nothing."""
    found: dict[str, Any] = report_of(ipcctl("pipe", "-f", "json", *stages, **how), "stderr")
    return found


def verdicts(found: dict[str, Any]) -> list[bool | None]:
    """Whether each stage held the others up."""
    return [row["bottleneck"] for row in found["rows"]]


def judged(run: Callable[[], dict[str, Any]], wanted: list[bool | None]) -> dict[str, Any]:
    """The report of a run with those verdicts, or of the last of five.

    A stage that waits for a processor counts as busy: where others take all there are, a run may mislead.
    """
    return tried(run, lambda found: verdicts(found) == wanted)


# Each does its work in few pieces that take long, lest on a busy machine the others, who wait for a processor each time
# that a piece comes, seem to have much to do: first it makes them, in the middle it hands them on, last it takes them.
PIECES = "for _ in range(4):\n "
COMPUTES = "t = time.process_time()\n while time.process_time() < t + 0.2: pass\n "
SLEEPS = "time.sleep(0.2)\n "
MOVES = {"first": "os.write(1, b'x' * 1000)", "middle": "os.write(1, os.read(0, 1000))", "last": "os.read(0, 1000)"}
LIMITED = f"exec {shlex.quote(IPCCTL)} pipe meter -q --limit 8"
ENOUGH = "exec head -c 7"  # of what is limited


def slow(kind: str, place: str) -> list[str]:
    """Three stages, the slow one at that place."""
    if kind == "limits its rate":
        return {
            "first": [f"yes | {LIMITED}", ENOUGH, FAST],
            "middle": ["exec yes", LIMITED, ENOUGH],
            "last": ["exec yes", FAST, f"{LIMITED} | {ENOUGH}"],
        }[place]
    work = python(PIECES + (COMPUTES if kind == "computes" else SLEEPS) + MOVES[place])
    return {"first": [work, FAST, FAST], "middle": ["exec yes", work, FAST], "last": ["exec yes", FAST, work]}[place]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["computes", "sleeps", "limits its rate"])
def test_the_slow_stage_is_found(kind: str, place: str) -> None:
    where = PLACES.index(place)
    wanted: list[bool | None] = [i == where for i in range(3)]
    found = judged(lambda: report(*slow(kind, place), stdout=subprocess.DEVNULL), wanted)
    assert verdicts(found) == wanted
    assert found["summary"]["bottleneck"] == where + 1
    assert all(row["blocked_s"] > 0.1 for row in found["rows"][:where])
    assert all(row["starved_s"] > 0.1 for row in found["rows"][where + 1 :])


def test_none_where_the_input_is_slow() -> None:
    """All wait for what comes from outside, a stage that sleeps now and then."""
    code = "import os, signal\nfor _ in range(4): signal.sigtimedwait([], 0.2); os.write(1, b'x')"
    feed = shlex.join([sys.executable, "-c", code])
    pipeline = shlex.join([IPCCTL, "pipe", "-f", "json", "exec cat", "exec cat"])
    command = ["fork", "-q", "--", "sh", "-c", f"{feed} | {pipeline}"]
    found = judged(lambda: report_of(ipcctl(*command), "stderr"), [None, None])
    assert verdicts(found) == [None, None]
    assert all(row["starved_s"] > 0.1 for row in found["rows"])


def test_none_where_the_output_is_slow() -> None:
    code = "import os, signal\nfor _ in range(4): signal.sigtimedwait([], 0.2); os.read(0, 1000)"
    take = shlex.join([sys.executable, "-c", code])
    pipeline = shlex.join([IPCCTL, "pipe", "-f", "json", "exec yes", "exec cat"])
    command = ["fork", "-q", "--", "sh", "-c", f"{pipeline} | {take}"]
    found = judged(lambda: report_of(ipcctl(*command), "stderr"), [None, None])
    assert verdicts(found) == [None, None]
    assert all(row["blocked_s"] > 0.1 for row in found["rows"])


def test_none_where_stages_swap_speed() -> None:
    """The first is slow for half of the time, the second for the other half."""
    first = python("time.sleep(0.4)\nos.write(1, b'x' * 5000)")
    second = python("while os.read(0, 1 << 20): pass\ntime.sleep(0.4)")
    found = judged(lambda: report(first, second), [None, None])
    assert verdicts(found) == [None, None]
    assert found["rows"][1]["starved_s"] > 0.1


def test_a_stage_that_sleeps_with_an_empty_input_is_not_starved() -> None:
    """It wants nothing yet, where the kernel tells what it waits in."""
    writer = python("os.write(1, b'x')\ntime.sleep(0.6)")
    reader = python("os.read(0, 1)\ntime.sleep(0.6)")
    rows = judged(lambda: report(writer, reader), [None, None])["rows"]
    try:
        with open("/proc/self/syscall") as file:
            file.read()
    except OSError:
        pytest.skip("/proc/PID/syscall cannot be read here")
    assert rows[1]["busy_s"] > rows[1]["starved_s"]
    assert [row["bottleneck"] for row in rows] == [None, None]
