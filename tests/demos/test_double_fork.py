"""`ipcctl double-fork`: every statement holds on this kernel, and is found not to when what it speaks of is broken."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from mutants import run_alone, run_broken
from support import IPCCTL, ROOT, children, clean_environment, ipcctl, one_line, report_of, started, wait_until

IDS = [
    "double-fork.parent-waits-first-child-only",
    "double-fork.grandchild-is-orphan",
    "double-fork.both-jobs-run",
    "double-fork.no-zombie",
    "double-fork.detached",
]
SOURCE = (ROOT / "src/ipcctl/demos/double_fork.py").read_text("utf-8")

WAIT = "    reaped, wait_status = os.waitpid(first, 0)\n"
SECOND_FORK = "                    grandchild = os.fork()\n"
SETSID = "                    os.setsid()\n                    grandchild"
# What the statement of each check speaks of, broken in one place: (id, the code, what stands there instead).
UNTIL_PARENT_ENDED = "os.waitid(os.P_PID, family.parent, os.WEXITED | os.WNOWAIT)"
MUTATIONS = [
    ("parent-waits-first-child-only", WAIT, "    reaped, wait_status = first, 0\n"),
    ("parent-waits-first-child-only", SECOND_FORK, "                    grandchild = os.getpid()\n"),
    ("parent-waits-first-child-only", "looked_at.wait()", "os._exit(3)"),
    ("parent-waits-first-child-only", "looked_at.wait()", "looked_at.wait(); os.waitpid(grandchild, 0)"),
    ("grandchild-is-orphan", SECOND_FORK, "                    grandchild = os.getpid()\n"),
    ("grandchild-is-orphan", "with ending_child(STATUS):", "with ending_child():"),
    ("grandchild-is-orphan", "looked_at.wait()", "channel.send(0) or looked_at.wait(); os.waitpid(grandchild, 0)"),
    ("both-jobs-run", "grandchilds_s), nothing)", 'grandchilds_s), lambda: job("parent", parents_s))'),
    ("both-jobs-run", 'lambda: job("grandchild", grandchilds_s)', "nothing"),
    ("both-jobs-run", "done.send((who, start, time.monotonic()))", "done.send((who, start, start))"),
    ("no-zombie", WAIT, "    reaped, wait_status = first, 0\n"),
    ("no-zombie", "    stage.wait(family.grandchild)\n    zombies", "    zombies"),
    ("no-zombie", "    zombies = sum(", f"    stay.open()\n    {UNTIL_PARENT_ENDED}\n    zombies = sum("),
    ("detached", SETSID, "                    grandchild"),
    ("detached", SECOND_FORK, SECOND_FORK + "                    grandchild or os.setsid()\n"),
    ("detached", "        os.setsid()\n        os.open(parents", "        os.open(parents"),
    ("detached", "os.open(parents_terminal, os.O_RDWR)", "os.open(parents_terminal, os.O_RDWR | os.O_NOCTTY)"),
]


@pytest.fixture(scope="module")
def report() -> Any:
    """One run, with everything in it."""
    done = ipcctl("double-fork", "-f", "json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)


def test_every_check_is_there_and_holds(report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in IDS]
    assert report["ok"] is True


def test_evidence_is_text_for_people(report: Any) -> None:
    for each in report["checks"]:
        assert each["expected"], each
        assert each["observed"], each
        assert not re.search(r"^[([{<]|<.* at 0x", each["expected"] + each["observed"]), each


def test_the_generations_are_rows(report: Any) -> None:
    """Three a check: who is whose parent, and whose session is whose."""
    adopter, *others = report["rows"]
    assert len(others) == 3 * len(IDS)
    for parent, first, grandchild in zip(others[::3], others[1::3], others[2::3], strict=True):
        assert parent["ppid"] == adopter["pid"]
        assert first["ppid"] == parent["pid"]
        assert grandchild["ppid"] in (first["pid"], adopter["pid"])
        assert first["sid"] == grandchild["sid"] == first["pid"] != parent["sid"]
        assert (first["terminal"], grandchild["terminal"]) == (None, None)
        assert [each["exit_code"] for each in (parent, first, grandchild)] == [0, 0, 7]
        assert all(each["started_ms"] <= each["ended_ms"] for each in (parent, first, grandchild))
        assert all(each["did"] for each in (parent, first, grandchild))
    assert re.fullmatch(r"pts/\d+", others[-3]["terminal"])


def test_the_jobs_take_as_long_as_asked_and_overlap() -> None:
    done = ipcctl("double-fork", "-f", "json", "--jobs", "200ms,100ms")
    report = report_of(done)
    assert done.returncode == 0
    at = {(each["role"], each["event"]): each["t_ms"] for each in report["events"]}
    spans = {}
    for role, at_least in (("parent of the family", 200), ("grandchild", 100)):
        spans[role] = (at[role, "job begins"], at[role, "job ends"])
        assert spans[role][1] - spans[role][0] >= at_least
    assert max(begin for begin, _ in spans.values()) < min(end for _, end in spans.values())


def test_the_timeline_draws_both_jobs() -> None:
    channels = ipcctl("double-fork", "-f", "timeline").stdout.splitlines()
    for role in ("parent of the family", "grandchild"):
        told = [legend for head, legend in itertools.pairwise(channels) if head.strip().startswith(role)]
        assert sum("job begins" in each and "job ends" in each for each in told) == 1


def test_source_is_the_demonstration_itself() -> None:
    assert ipcctl("double-fork", "--source").stdout == SOURCE


@pytest.mark.parametrize(("check", "old", "new"), MUTATIONS)
def test_a_check_fails_when_what_it_speaks_of_is_broken(check: str, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1, "the code to break is not there exactly once"
    found = run_broken(f"double-fork.{check}", SOURCE.replace(old, new))
    assert found.startswith("failed "), found


def test_every_check_has_a_mutation() -> None:
    assert {f"double-fork.{check}" for check, _, _ in MUTATIONS} == set(IDS)


@pytest.mark.parametrize("check", IDS)
def test_a_check_stands_alone(check: str) -> None:
    assert run_alone(check, SOURCE).startswith("held "), check


def test_it_holds_on_a_terminal_too() -> None:
    """With a controlling terminal of its own, which the grandchild loses."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(IPCCTL, [IPCCTL, "double-fork", "-q"], clean_environment())
    try:
        _, wait_status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(wait_status) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_all_that_it_started(number: signal.Signals) -> None:
    with started("double-fork", "--jobs", "1000,1000") as process:
        wait_until(lambda: len(sessions_below(process.pid)) == 2, "the jobs under way")
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + number, "")
    assert err == "" or one_line(err)
    assert children() == []


def sessions_below(pid: int) -> set[bytes]:
    """The sessions of a process's children: two when the parent and its adopted grandchild are at their jobs."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b") ")[2].split()
            if int(fields[1]) == pid:
                found.add(fields[3])
    return found
