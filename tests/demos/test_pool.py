"""`ipcctl pool`: its rows and events, its options, its end; what holds of every concept is a contract."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from support import ipcctl, one_line, report_of, started, wait_until


def test_rows_have_task_worker_and_times(report: Any) -> None:
    for row in report["rows"]:
        assert row["submitted_ms"] <= row["started_ms"] <= row["ended_ms"], row
        assert int(row["result"]) == row["task"] ** 2
    reused = [row for row in report["rows"] if row["check"] == "pool.workers-are-reused"]
    assert [row["task"] for row in reused] == list(range(1, 8))
    assert len({row["worker_pid"] for row in reused}) <= 3
    assert all(row["ended_ms"] - row["started_ms"] >= 5 for row in reused)
    parallel = {row["worker_pid"] for row in report["rows"] if row["check"] == "pool.runs-in-parallel"}
    assert len(parallel) == 3


def test_the_timeline_has_a_lane_a_worker() -> None:
    done = ipcctl("pool", "-f", "timeline", "-j2", "--tasks", "3", "--seconds", "0")
    for words in ("parent", "worker 1", "worker 2", "begin task 3", "done task 3"):
        assert words in done.stdout


def test_one_worker_cannot_change_the_order_and_too_many_are_too_many() -> None:
    done = ipcctl("pool", "-j", "1", "-f", "json", "--seconds", "0")
    skipped = [each for each in report_of(done)["checks"] if each["status"] != "held"]
    assert [(each["id"], each["status"]) for each in skipped] == [("pool.order", "skipped")]
    assert done.returncode == 0
    done = ipcctl("pool", "-j", "1000")
    assert (done.returncode, "give at most 64" in one_line(done.stderr)) == (2, True)


def test_ended_by_a_signal_it_leaves_nothing() -> None:
    with started("pool", "--tasks", "100", "--seconds", "10") as process:
        wait_until(lambda: len(list_of_children(process.pid)) >= 2)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (143, "", "")


def list_of_children(pid: int) -> list[str]:
    """The children of a process."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


