"""`ipcctl pool`: every statement holds on this kernel, and is found not to when what it speaks of is broken."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from mutants import run_broken
from support import ROOT, ipcctl, one_line, report_of, started, wait_until

IDS = ["pool.default-size", "pool.apply-async-returns-at-once", "pool.get-gives-the-result", "pool.workers-are-reused",
       "pool.runs-in-parallel", "pool.order", "pool.close-refuses", "pool.join-waits",
       "pool.exception-reaches-get"]  # fmt: skip
SOURCE = (ROOT / "src/ipcctl/demos/pool.py").read_text("utf-8")

# What the statement of each check speaks of, broken in one place: (id, the code, what stands there instead).
MUTATIONS = [
    ("default-size", "fork.Pool(workers, ", "fork.Pool((os.cpu_count() or 1) + 1, "),
    ("apply-async-returns-at-once", "self.pool.apply_async(task, args, kwds)", "self.pool.apply(task, args, kwds)"),
    ("get-gives-the-result", "number * number", "number + number"),
    ("get-gives-the-result", "return os.getpid(), started", "return os.getppid(), started"),
    ("workers-are-reused", "(signal.SIG_SETMASK, before)) as", "(signal.SIG_SETMASK, before), 1) as"),
    ("runs-in-parallel", "with a_pool(stage, workers) as tasks:\n        for number in range(1, 2 * workers + 1)",
     "with a_pool(stage, workers + 1) as tasks:\n        for number in range(1, 2 * workers + 1)"),
    ("runs-in-parallel", "barrier=barrier.reading)\n        most", "barrier=None)\n        most"),
    ("order", "values = [tasks.get(0), second_value]", "values = [second_value, tasks.get(0)]"),
    ("order", "tasks.submit(3, barrier=barrier.reading)", "tasks.submit(3)\n        first.wait()"),
    ("close-refuses", "        tasks.pool.close()\n        refused", "        refused"),
    ("join-waits", "        tasks.pool.close()\n        tasks.pool.join()\n", "        tasks.pool.close()\n"),
    ("join-waits", "refused = raised_by(tasks.pool.join)", "refused = raised_by(int)"),
    ("exception-reaches-get", "raise LookupError(text)", "return None"),
    ("exception-reaches-get", "raise LookupError(text)", "raise KeyError(text)"),
]  # fmt: skip


@pytest.fixture(scope="module")
def report() -> Any:
    """One run, with everything in it."""
    done = ipcctl("pool", "-f", "json", "-j", "3", "--tasks", "7", "--seconds", "5ms")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)


def test_every_check_is_there_and_holds(report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in IDS]


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


@pytest.mark.parametrize(("id", "code", "instead"), MUTATIONS, ids=[f"{i} {m[0]}" for i, m in enumerate(MUTATIONS)])
def test_a_check_fails_when_what_it_speaks_of_is_broken(id: str, code: str, instead: str) -> None:
    assert SOURCE.count(code) == 1, code
    seen = run_broken(f"pool.{id}", SOURCE.replace(code, instead), workers=2)
    assert seen.startswith("failed"), seen
