"""`ipcctl orphan`: every statement holds on this kernel, and is found not to when what it speaks of is broken.

Orphans fall to the nearest subreaper above: here that is `ipcctl orphan -- …`, which waits for them as an init does.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import replace
from typing import Any

import pytest
from mutants import subject_of
from mutations.orphan import IDS, INIT
from support import end_children, ipcctl, one_line, report_of, runs, started, state_of, wait_until


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
    found = replace(subject_of("orphan"), wrapper=()).run_broken("adopter-reaps", waits, looks)
    assert found.startswith("failed under an init: record Z "), found
    end_children()


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
