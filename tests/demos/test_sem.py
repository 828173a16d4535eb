"""`ipcctl sem`: its rows and events, its options, its end; what holds of every concept is a contract."""

from __future__ import annotations

from typing import Any

from mutants import subject_of
from support import ipcctl, one_line


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


def test_without_semaphores_it_is_skipped_with_the_reason() -> None:
    made = "        return multiprocessing.get_context"
    sem = subject_of("sem")
    broken = sem.broken(made, f"        raise OSError(38, 'not implemented')\n{made}")
    assert sem.run_alone("at-most-n", broken).startswith("skipped ")


def test_one_slot_and_as_many_slots_as_tasks() -> None:
    for options in (["-n", "1", "--tasks", "2"], ["-n", "4", "--tasks", "4"]):
        assert ipcctl("sem", "-q", *options).returncode == 0
    done = ipcctl("sem", "-n", "5", "--tasks", "4")
    assert (done.returncode, "at least the number of -n" in one_line(done.stderr)) == (2, True)
