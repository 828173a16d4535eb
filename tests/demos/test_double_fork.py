"""`ipcctl double-fork`: its rows and events, its options, its end; what holds of every concept is a contract."""

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
from mutations.double_fork import IDS
from support import IPCCTL, children, clean_environment, ipcctl, one_line, report_of, started, wait_until


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
