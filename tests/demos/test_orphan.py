"""`ipcctl orphan`: every statement holds on this kernel, and is found not to when what it speaks of is broken.

Orphans fall to the nearest subreaper above: here that is `ipcctl orphan -- …`, which waits for them as an init does.
"""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest
from mutants import run_alone, run_broken
from support import IPCCTL, ROOT, end_children, ipcctl, one_line, report_of, runs, started, state_of, wait_until

IDS = ["orphan.adopted", "orphan.runs-on", "orphan.adopter-reaps", "orphan.subreaper"]
SOURCE = (ROOT / "src/ipcctl/demos/orphan.py").read_text("utf-8")
INIT = ["orphan", "-q", "--", IPCCTL]

# What the statement of each check speaks of, broken in one place: (id, the code, what stands there instead).
MUTATIONS = [
    ("adopted", "self.channel.send(time.monotonic())", "self.channel.send(time.monotonic()) or self.barrier.wait()"),
    ("adopted", "self.channel.send((os.getpid(), os.getppid()))", "self.channel.send((os.getpid(), 1))"),
    (
        "adopted",
        "self.channel.send((time.monotonic(), os.getppid()))",
        "self.channel.send((time.monotonic(), os.getpid()))",
    ),
    ("runs-on", "self.channel.send(sum(range(1001)))", "pass"),
    ("runs-on", "self.channel.send(sum(range(1001)))", "self.channel.send(sum(range(1000)))"),
    (
        "adopter-reaps",
        "    orphan.finish()\n    state = orphan.reaped()\n    if",
        "    state = orphan.reaped()\n    if",
    ),
    ("subreaper", "    set_child_subreaper()\n    orphan", "    set_child_subreaper(False)\n    orphan"),
    ("subreaper", "with ending_child(7):\n            signal", "with ending_child(8):\n            signal"),
]


AN_ADOPTER_THAT_WAITS = [IPCCTL, "orphan", "-q", "--"]


@pytest.fixture(scope="module")
def report() -> Any:
    """One run, with everything in it."""
    done = ipcctl(*INIT, "orphan", "-f", "json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)


def test_every_check_is_there_and_holds(report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in IDS]


def test_rows_have_before_and_after_and_who_reaped(report: Any) -> None:
    orphans = [row for row in report["rows"] if row["role"] == "child"]
    parents = {row["pid"]: row for row in report["rows"] if row["role"] == "parent"}
    under_an_init = [row for row in orphans if row["parent_before_pid"] not in parents]  # where the adopter was slow
    orphans = [row for row in orphans if row not in under_an_init]
    assert [row["check"] for row in orphans] == IDS
    for row in orphans:
        assert row["parent_after_pid"] not in (row["parent_before_pid"], None)
        assert row["adopter"] == "ipcctl"
        assert row["adoption_ms"] > 0
    us = parents[orphans[2]["parent_before_pid"]]["reaped_by_pid"]
    reaper = (under_an_init or orphans[2:])[0]
    assert reaper["reaped_by_pid"] == reaper["parent_after_pid"] != us
    assert (orphans[3]["exit_code"], orphans[3]["reaped_by_pid"]) == (7, orphans[3]["parent_after_pid"])


def test_with_subreaper_ipcctl_itself_adopts() -> None:
    done = ipcctl("orphan", "--subreaper", "-f", "json")
    found = report_of(done)
    assert (done.returncode, {each["status"] for each in found["checks"]}) == (0, {"held"})
    (us,) = {row["reaped_by_pid"] for row in found["rows"] if row["role"] == "parent"}
    assert {row["parent_after_pid"] for row in found["rows"] if row["role"] == "child"} == {us}


def test_an_adopter_that_does_not_wait_is_named() -> None:
    """Here it is this process, which is a subreaper and waits for nobody."""
    found = report_of(ipcctl("orphan", "-f", "json"))
    checks = {each["id"]: each for each in found["checks"]}
    check = checks["orphan.adopter-reaps"]
    row = [each for each in found["rows"] if each["check"] == "orphan.adopter-reaps"][-1]
    assert (row["exit_code"], row["adopter"]) == (7, "ipcctl")
    assert row["parent_before_pid"] != row["parent_after_pid"] == row["reaped_by_pid"] != os.getpid()
    assert (check["status"], check["observed"]) == ("held", "under an init: record gone")
    assert f"the adopter here, {os.getpid()} (" in check["reason"]
    assert checks["orphan.adopted"]["status"] == "held"
    left = end_children()
    assert left
    assert all(" Z " in each for each in left)


def test_an_init_that_does_not_wait_fails_its_check() -> None:
    looks = "seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT); channel.send((seen.si_pid, 0))"
    waits = "channel.send(os.wait())"
    assert SOURCE.count(waits) == 1
    found = run_broken("orphan.adopter-reaps", SOURCE.replace(waits, looks))
    assert found.startswith("failed under an init: record Z "), found
    end_children()


def test_source_is_the_demonstration_itself() -> None:
    assert ipcctl("orphan", "--source").stdout == SOURCE


@pytest.mark.parametrize(("check", "old", "new"), MUTATIONS)
def test_a_check_fails_when_what_it_speaks_of_is_broken(check: str, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1, "the code to break is not there exactly once"
    found = run_broken(f"orphan.{check}", SOURCE.replace(old, new), AN_ADOPTER_THAT_WAITS)
    assert found.startswith("failed "), found


def test_every_check_has_a_mutation() -> None:
    assert {f"orphan.{check}" for check, _, _ in MUTATIONS} == set(IDS)


@pytest.mark.parametrize("check", IDS)
def test_a_check_stands_alone(check: str) -> None:
    assert run_alone(check, SOURCE, AN_ADOPTER_THAT_WAITS).startswith("held "), check


EXIT_OK = r"ipcctl orphan: process (\d+) was left by (\d+), and adopted by (\d+) \((.*)\); held for .*\n"


def test_hold_keeps_the_orphan_for_others_to_see() -> None:
    with started(*INIT, "orphan", "--hold", "300ms", "-q") as process:
        assert process.stderr is not None
        channel = process.stderr.readline()
        match = re.fullmatch(EXIT_OK, channel)
        assert match, channel
        orphan, parent, adopter = map(int, match.groups()[:3])
        assert (runs(orphan), state_of(parent), runs(adopter)) == (True, "", True)
        assert process.communicate()[1] == ""
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_hold_and_leaves_nothing(number: signal.Signals) -> None:
    """The orphan is out of reach of its maker; it ends by itself when that is gone."""
    with started("orphan", "--hold", "1h") as process:
        assert process.stderr is not None
        match = re.fullmatch(EXIT_OK, process.stderr.readline())
        assert match
        process.send_signal(number)
        assert process.communicate() == ("", "")
    assert process.returncode == 128 + number
    wait_until(lambda: not runs(int(match[1])))
    os.waitpid(int(match[1]), 0)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--left", "kill"], "--left goes with -- COMMAND"),
        (["--grace", "1"], "--grace goes with -- COMMAND"),
        (["--subreaper", "--", "true"], "--subreaper goes with `ipcctl orphan` alone"),
        (["--left", "burn", "--", "true"], "'report', 'wait', 'kill'"),
        (["--timeout", "1", "--", "true"], "--timeout goes with --left wait"),
        (["--left", "wait", "--timeout", "0", "--", "true"], "too short"),
        (["--", ], "no command after --"),
    ],
)
def test_bad_input_is_one_clear_line(args: list[str], told: str) -> None:
    done = ipcctl("orphan", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in one_line(done.stderr)
