"""`ipcctl sem`: every statement holds on this kernel, and is found not to when what it speaks of is broken."""

from __future__ import annotations

from typing import Any

import pytest
from mutants import run_alone, run_broken
from support import ROOT, ipcctl, one_line, report_of

IDS = [
    "sem.initial-value",
    "sem.acquire-decrements",
    "sem.release-increments",
    "sem.blocks-at-zero",
    "sem.at-most-n",
    "sem.all-finish",
]
SOURCE = (ROOT / "src/ipcctl/demos/sem.py").read_text("utf-8")

# What the statement of each check speaks of, broken in one place: (id, the code, what stands there instead).
MUTATIONS = [
    ("initial-value", '.Semaphore(value)', '.Semaphore(value + 1)'),
    ("acquire-decrements", "        semaphore.acquire()\n        values", "        values"),
    ("release-increments", "                semaphore.release()\n", "                pass\n"),
    ("blocks-at-zero", "            semaphore.acquire()\n            channel.send(time",
     "            channel.send(time"),
    ("blocks-at-zero", "    semaphore = semaphore_of(0)\n    pid = os.fork()\n    if pid == 0:\n"
     "        with ending_child():\n            channel.send(sem",
     "    semaphore = semaphore_of(1)\n    pid = os.fork()\n"
     "    if pid == 0:\n        with ending_child():\n            channel.send(sem"),
    ("at-most-n", "        self.semaphore.acquire()\n", ""),
    ("at-most-n", "Turns(stage, semaphore_of(slots), tasks)", "Turns(stage, semaphore_of(slots - 1), tasks)"),
    ("at-most-n", "Turns(stage, semaphore_of(slots), tasks)", "Turns(stage, semaphore_of(slots + 1), tasks)"),
    ("all-finish", "                with semaphore:\n                    channel.send(number)",
     "                semaphore.acquire()\n                channel.send(number)"),
    ("all-finish", "                    channel.send(number)\n", "                    channel.send(0)\n"),
]  # fmt: skip


@pytest.fixture(scope="module")
def report() -> Any:
    """One run, with everything in it."""
    done = ipcctl("sem", "-n", "2", "--tasks", "5", "-f", "json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)


def test_every_check_is_there_and_holds(report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in IDS]


def test_rows_are_the_tasks(report: Any) -> None:
    rows = report["rows"]
    assert [row["task"] for row in rows] == [1, 2, 3, 4, 5]
    assert max(row["inside"] for row in rows) == 2
    for row in rows:
        assert 0 <= row["value_seen"] < 2
        assert row["waited_s"] >= 0
        assert row["left_ms"] >= row["entered_ms"] > 0
    first_left = min(row["left_ms"] for row in rows)
    assert sum(row["entered_ms"] >= first_left for row in rows) == 3


def test_events_draw_who_was_inside_when(report: Any) -> None:
    events = [each["event"] for each in report["events"]]
    assert events.count("enter") == events.count("leave") == 5


@pytest.mark.parametrize(("check", "old", "new"), MUTATIONS)
def test_a_check_fails_when_what_it_speaks_of_is_broken(check: str, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1, "the code to break is not there exactly once"
    found = run_broken(f"sem.{check}", SOURCE.replace(old, new))
    assert found.startswith("failed "), found


def test_every_check_has_a_mutation() -> None:
    assert {f"sem.{check}" for check, _, _ in MUTATIONS} == set(IDS)


@pytest.mark.parametrize("check", IDS)
def test_a_check_stands_alone(check: str) -> None:
    assert run_alone(check, SOURCE).startswith("held "), check


def test_without_semaphores_it_is_skipped_with_the_reason() -> None:
    made = "        return multiprocessing.get_context"
    broken = SOURCE.replace(made, f"        raise OSError(38, 'not implemented')\n{made}")
    assert run_alone("sem.at-most-n", broken).startswith("skipped ")


def test_one_slot_and_as_many_slots_as_tasks() -> None:
    for options in (["-n", "1", "--tasks", "2"], ["-n", "4", "--tasks", "4"]):
        assert ipcctl("sem", "-q", *options).returncode == 0
    done = ipcctl("sem", "-n", "5", "--tasks", "4")
    assert (done.returncode, "at least the number of -n" in one_line(done.stderr)) == (2, True)
