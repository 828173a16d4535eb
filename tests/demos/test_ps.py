"""`ipcctl ps states`: each check holds on this kernel, by evidence, and fails when the thing it shows is broken."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from mutants import run_alone, run_broken
from support import as_nobody, ipcctl, report_of

from ipcctl.demos import ps
from ipcctl.demos.ps import most_at_once, walk_up
from ipcctl.process.procfs import Stat, stat_of

SOURCE = Path(ps.__file__).read_text("utf-8")
IDS = ["ps.tree", "ps.states", "ps.parallel-concurrent"]
LETTERS = ["D", "S", "T", "R", "Z", "+", "<", "N", "l", "s"]


def test_every_check_holds() -> None:
    done = ipcctl("ps", "states", "-f", "json")
    report = report_of(done)
    assert [(check["id"], check["status"]) for check in report["checks"]] == [(each, "held") for each in IDS]
    assert (done.returncode, report["ok"], report["summary"]["held"]) == (0, True, 3)


def test_a_row_for_each_state_and_mark() -> None:
    rows = {row["made"]: row for row in report_of(ipcctl("ps", "states", "-f", "json"))["rows"]}
    assert list(rows) == LETTERS
    for letter, row in rows.items():
        assert row["how"], row
        assert (row["skipped"] is None) == (row["stat"] is not None) == (row["pid"] is not None)
        if row["stat"]:
            assert letter in row["stat"]
            assert row["meaning"].startswith(row["stat"][0] + " ")


def test_what_cannot_be_made_is_skipped_in_its_row_with_the_reason() -> None:
    report = report_of(as_nobody("ps", "states", "-f", "json"))
    (row,) = (row for row in report["rows"] if row["made"] == "<")
    assert row["stat"] is None
    assert "CAP_SYS_NICE" in row["skipped"]
    check = report["checks"][1]
    assert (check["status"], check["reason"]) == ("held", "could not be made here, see the rows: <")
    assert "<" not in check["observed"]


def test_on_one_processor_one_runs_at_a_time() -> None:
    one = sorted(os.sched_getaffinity(0))[:1]
    done = ipcctl("ps", "states", "-f", "json", preexec_fn=lambda: os.sched_setaffinity(0, one))
    check = report_of(done)["checks"][2]
    assert check["status"] == "held"
    assert check["expected"].startswith("at most 1 of 3 at once")
    assert check["observed"].startswith("1 at once")


def test_events_and_formats() -> None:
    report = report_of(ipcctl("ps", "states", "-f", "json"))
    seen = [event for event in report["events"] if event["event"] == "seen"]
    assert {event["role"] for event in seen} <= set(LETTERS)
    assert len({event["pid"] for event in report["events"] if event["role"] == "spinner"}) >= 3
    assert "spinner" in ipcctl("ps", "states", "-f", "timeline").stdout
    assert json.loads(ipcctl("ps", "states", "-f", "trace").stdout)["traceEvents"]


def test_the_source_is_printed() -> None:
    assert ipcctl("ps", "states", "--source").stdout == SOURCE


# ---- the thing broken: one line of the demonstration is another, and the check sees it

BROKEN = [
    ("ps.tree", "if len(line) == generations:\n", "if len(line) < 3: os._exit(0)\n            else:\n"),
    ("ps.tree", "setdefault(each, []).append(parent)", "setdefault(each, []).extend([parent, 1])"),
    ("ps.tree", "(parent := stats[path[-1]].ppid) in stats", "(parent := stats[path[-1]].pgrp) in stats"),
    ("ps.states", "        os.posix_spawn(", "        os.open(fifo, os.O_RDONLY)\n        os.posix_spawn("),
    ("ps.states", "        opening = (os.POS", "        signal.pause()\n        opening = (os.POS"),
    ("ps.states", "pid, signal.SIGSTOP)\n    os.waitid", "pid, signal.SIGCONT)\n    0 and os.waitid"),
    ("ps.states", "    return child(spin)", "    return sleeping(kept)"),
    ("ps.states", "    pid = child(lambda ready: ready())\n    wait_until_zombie(pid)", "    pid = child(idle)"),
    ("ps.states", "pid, terminal = os.forkpty()",
     "terminal, tty = os.openpty(); pid = os.fork() or os.dup2(tty, 1) - 1"),
    ("ps.states", "os.setpriority(os.PRIO_PROCESS, pid, -5)", "pass"),
    ("ps.states", "os.setpriority(os.PRIO_PROCESS, pid, lowered)", "pass"),
    ("ps.states", "threading.Thread(target=threading.Event().wait, daemon=True).start()", "pass"),
    ("ps.states", "        os.setsid()\n", "        os.setpgid(0, 0)\n"),
    ("ps.states", "    shown = marked_state(stat, locked=False)", "    shown = stat.state"),
    ("ps.parallel-concurrent", "        if after == before:", "        if True:"),
    ("ps.parallel-concurrent", "    while not flag[0]:", "    while signal.pause():"),
    ("ps.parallel-concurrent", "    while any(times_switched_out(pid)", "    while 0 and any(times_switched_out(pid)"),
    ("ps.parallel-concurrent", "for _ in range(2 * processors + 1)]", "for _ in range(processors)]"),
]
@pytest.mark.parametrize(("id", "line", "broken"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_thing_fails_its_check(id: str, line: str, broken: str) -> None:
    assert SOURCE.count(line) == 1, "the line to be broken is not there, or not alone"
    if "lowered" in line and os.getpriority(os.PRIO_PROCESS, 0) > 0:
        pytest.skip("all has a low priority here")
    found = run_broken(id, SOURCE.replace(line, broken))
    assert found.startswith("failed "), found


@pytest.mark.parametrize("id", IDS)
def test_a_copy_that_is_not_broken_holds(id: str) -> None:
    found = run_alone(id, SOURCE)
    assert found.startswith("held "), found


# ---- what the evidence is made with


def test_the_most_at_once() -> None:
    assert most_at_once([]) == 0
    assert most_at_once([[(0, 10)], [(10, 20)]]) == 1
    assert most_at_once([[(0, 10), (20, 30)], [(9, 21)], [(5, 6)]]) == 2
    assert most_at_once([[(0, 10)], [(1, 9)], [(2, 3)]]) == 3
    assert most_at_once([[(5, 5)], [(5, 5)]]) == 0


def test_a_walk_ends_though_the_records_go_round() -> None:
    me = stat_of(os.getpid())
    assert isinstance(me, Stat)
    stats = {1: me._replace(pid=1, ppid=2), 2: me._replace(pid=2, ppid=1), 3: me._replace(pid=3, ppid=3)}
    assert walk_up(1, stats) == [1, 2]
    assert walk_up(3, stats) == [3]
    assert walk_up(1, {1: me._replace(pid=1, ppid=0)}) == [1]
