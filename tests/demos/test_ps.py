"""`ipcctl ps states`: each check holds on this kernel, by evidence, and fails when the thing it shows is broken."""

from __future__ import annotations

import json
import os

from support import as_nobody, ipcctl, report_of

from ipcctl.demos.ps import most_at_once, walk_up
from ipcctl.process.procfs import Stat, stat_of

LETTERS = ["D", "S", "T", "R", "Z", "+", "<", "N", "l", "s"]


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
