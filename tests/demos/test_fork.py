"""`ipcctl fork`: its rows and events, its options, its end; what holds of every concept is a contract."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mutations.fork import IDS
from support import (
    IPCCTL,
    children,
    clean_environment,
    end_children,
    ipcctl,
    one_line,
    runs,
    started,
    wait_until,
)

TRIALS = 7


def test_every_process_is_accounted_for(report: Any) -> None:
    parent, *others = report["rows"]
    assert (parent["role"], parent["check"]) == ("parent", None)
    assert {each["check"] for each in others} == set(IDS)
    for each in others:
        ours = each["ppid"] == parent["pid"]
        assert ours == (each["exit_code"] is not None or each["signal"] is not None), each
        assert not ours or each["started_ms"] <= each["ended_ms"], each


def test_every_process_has_a_start_and_an_end_among_the_events(report: Any) -> None:
    parent = report["rows"][0]["pid"]
    for each in report["rows"][1:]:
        events = [event["event"] for event in report["events"] if event["pid"] == each["pid"]]
        assert events[0] == "start", each
        assert "end" in events, each
    assert [each["detail"] for each in report["events"] if each["pid"] == parent] == IDS


def test_the_states_are_events_in_their_order(report: Any) -> None:
    (child,) = (row["pid"] for row in report["rows"] if row["check"] == "fork.states")
    events = [each["event"] for each in report["events"] if each["pid"] == child]
    wanted = ["start", "before", "new", "running", "waiting", "stopped", "terminated", "end", "waited for"]
    assert events == wanted


def test_trials_are_counted_one_by_one(report: Any) -> None:
    check = next(each for each in report["checks"] if each["id"] == "fork.order-not-fixed")
    both, trials, parent, child = map(int, re.findall(r"\d+", check["observed"]))
    assert both == trials == parent + child == TRIALS
    assert sum(row["check"] == "fork.order-not-fixed" for row in report["rows"]) == TRIALS


def test_the_timeline_draws_every_process() -> None:
    done = ipcctl("fork", "-f", "timeline", "--trials", "2")
    for words in ("parent", "child of a trial", "ends before its Processes", "stopped T", "check fork.Process-daemon"):
        assert words in done.stdout


def test_the_trace_has_every_process_and_its_span() -> None:
    done = ipcctl("fork", "-f", "trace", "--trials", "2")
    events = json.loads(done.stdout)["traceEvents"]
    spans = {each["pid"]: each for each in events if each["ph"] == "X"}
    named = {each["pid"]: each["args"]["name"] for each in events if each["ph"] == "M"}
    assert spans.keys() == named.keys()
    assert list(named.values()).count("child of a trial") == 2
    assert max(spans.values(), key=lambda each: each["dur"])["name"] == "parent"


def test_buffering_and_warnings_asked_for_by_the_environment_change_nothing() -> None:
    done = ipcctl("fork", "-q", env=clean_environment(PYTHONUNBUFFERED="1", PYTHONWARNINGS="error"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_ignored_sigchld_is_put_right() -> None:
    shell = ["sh", "-c", f"trap '' CHLD; exec {IPCCTL} fork -q"]
    assert subprocess.run(shell, env=clean_environment(), capture_output=True, timeout=30).returncode == 0


def test_a_child_that_the_shell_had_before_is_left_alone() -> None:
    shell = ["sh", "-c", f"sleep 1000 & echo $!; exec {IPCCTL} fork -q"]
    with subprocess.Popen(shell, env=clean_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        sleeper = int(process.stdout.readline())
        assert process.wait(30) == 0
        assert runs(sleeper)
        os.kill(sleeper, signal.SIGKILL)  # it fell to us when its parent ended
        os.waitpid(sleeper, 0)


def catches_signals(pid: int) -> bool:
    """Whether the process handles what asks it to end (SigCgt of proc(5)): from then on it demonstrates."""
    caught = int(re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())[0], 16)
    return bool(caught & 1 << (signal.SIGHUP - 1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_all_that_it_started(number: signal.Signals) -> None:
    with started("fork", "--trials", "100000") as process:
        wait_until(lambda: catches_signals(process.pid), "handlers in place")
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + number, "")
    assert err == "" or one_line(err)
    assert children() == []


def test_a_ctrl_c_that_reaches_the_whole_group_leaves_no_traceback() -> None:
    with started("fork", "--trials", "100000", start_new_session=True) as process:
        wait_until(lambda: catches_signals(process.pid), "handlers in place")
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")
    assert end_children() == []
