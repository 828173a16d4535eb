"""`ipcctl fork`: every statement holds on this kernel, and is found not to when what it speaks of is broken."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mutants import run_alone, run_broken
from support import (
    IPCCTL,
    ROOT,
    children,
    clean_environment,
    end_children,
    ipcctl,
    one_line,
    report_of,
    runs,
    started,
    wait_until,
)

IDS = [
    "fork.returns-twice",
    "fork.failure-is-oserror",
    "fork.continues-after-fork",
    "fork.order-not-fixed",
    "fork.inherits-memory",
    "fork.memory-is-separate",
    "fork.copy-on-write",
    "fork.identity",
    "fork.process-record",
    "fork.states",
    "fork.os-exit-skips-cleanup",
    "fork.sys-exit-text",
    "fork.systemexit-can-be-caught",
    "fork.Process-attributes",
    "fork.Process-join-timeout",
    "fork.Process-own-memory",
    "fork.Process-daemon",
]
SOURCE = (ROOT / "src/ipcctl/demos/fork.py").read_text("utf-8")
TRIALS = 7

# What the statement of each check speaks of, broken in one place: (id, the code, what stands there instead).
MUTATIONS = [
    ("returns-twice", "channel.send(returned)", "channel.send(os.getpid())"),
    ("returns-twice", "returned = os.fork()", "returned = os.fork() and 1"),
    ("failure-is-oserror", "(0, 0))", "resource.getrlimit(resource.RLIMIT_NPROC))"),
    ("failure-is-oserror", "os._exit(errno_of_fork())", "errno_of_fork() and os.kill(os.getpid(), signal.SIGKILL)"),
    (
        "continues-after-fork",
        '    channel.send(("after", os.getpid()))\n    if pid == 0:\n        os._exit(0)\n',
        '    if pid == 0:\n        os._exit(0)\n    channel.send(("after", os.getpid()))\n',
    ),
    (
        "continues-after-fork",
        '    channel.send(("before", os.getpid()))\n    pid = os.fork()\n',
        '    pid = os.fork()\n    channel.send(("before", os.getpid()))\n',
    ),
    ("order-not-fixed", 'b"parent " if pid else b"child "', 'b"parent "'),
    (
        "order-not-fixed",
        'os._exit(0)\n    stage.record_process(pid, "child of a trial")',
        'os._exit(1)\n    stage.record_process(pid, "child of a trial")',
    ),
    (
        "inherits-memory",
        "    made = secrets.token_hex(8)\n    pid = os.fork()\n",
        "    pid = os.fork()\n    made = secrets.token_hex(8)\n",
    ),
    ("memory-is-separate", "            a = 10000\n", "            pass\n"),
    (
        "memory-is-separate",
        "    a = 1\n    pid = os.fork()\n",
        "    a = 1\n    a = 10000\n    pid = os.fork()\n",
    ),
    ("copy-on-write", "mmap.MAP_PRIVATE | ", "mmap.MAP_SHARED | "),
    ("copy-on-write", "write_each_page(memory, written_kib)", "write_each_page(memory, inherited_kib)"),
    (
        "identity",
        "channel.send((os.getpid(), os.getppid()))",
        "os.fork() and (os.wait(), os._exit(0))\n            channel.send((os.getpid(), os.getppid()))",
    ),
    ("process-record", "write_each_page(memory, filled_kib)", "pass"),
    (
        "process-record",
        "    earliest = time.clock_gettime(time.CLOCK_BOOTTIME)\n    pid = os.fork()\n",
        "    pid = os.fork()\n    signal.sigtimedwait([], 0.1)\n"
        "    earliest = time.clock_gettime(time.CLOCK_BOOTTIME)\n",
    ),
    ("states", "    os.kill(pid, signal.SIGSTOP)\n    wait_until_stopped(pid)\n", ""),
    ("states", "    while not end_of_spin.is_open():\n        pass\n", "    end_of_spin.wait()\n"),
    ("states", "    empty.wait()\n", "    while not empty.is_open():\n        pass\n"),
    ("states", "    wait_until_zombie(pid)\n    see", "    stage.wait(pid)\n    see"),
    ("os-exit-skips-cleanup", "    {leave}(7)", "    sys.exit(7)"),
    ("os-exit-skips-cleanup", "    {leave}(7)", "    os._exit(7)"),
    ("os-exit-skips-cleanup", 'end=" ")', 'end=" ", flush=True)'),
    ("os-exit-skips-cleanup", "    {leave}(7)", "    {leave}(8)"),
    ("sys-exit-text", "import sys; {call}", "import sys; sys.stderr = sys.stdout; {call}"),
    ("sys-exit-text", "import sys; {call}", "import os; os._exit(0); {call}"),
    ("systemexit-can-be-caught", "except SystemExit as", "except ValueError as"),
    ("systemexit-can-be-caught", '"and went on")', '"and went on")\n    raise'),
    ("Process-attributes", "sys.exit(a + b)", "sys.exit(a)"),
    ("Process-attributes", "sys.exit(a + b)", "os.kill(os.getpid(), signal.SIGTERM)"),
    ("Process-attributes", '    barrier.wait()\n    sys.exit', "    sys.exit"),
    ("Process-join-timeout", "process.join(timeout)", "barrier.open() or process.join()"),
    (
        "Process-own-memory",
        "process = Process(target=count_up, args=(channel,))",
        "count_up(channel)\n    process = Process(target=int)",
    ),
    ("Process-own-memory", "    counter += 1\n", ""),
    ("Process-daemon", "signal.pause, daemon=True", "signal.pause"),
    ("Process-daemon", "other = Process(target=work)", "other = Process(target=work, daemon=True)"),
]  # fmt: skip


@pytest.fixture(scope="module")
def report() -> Any:
    """One run, with everything in it."""
    done = ipcctl("fork", "-f", "json", "--trials", str(TRIALS))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)


def test_every_check_is_there_and_holds(report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in IDS]
    assert report["ok"] is True
    assert report["summary"] | {"wall_s": None} == {"held": 17, "failed": 0, "skipped": 0, "wall_s": None}


def test_the_json_has_the_keys_of_every_report(report: Any) -> None:
    assert list(report) == ["concept", "ok", "summary", "rows", "checks", "events"]


def test_evidence_is_text_for_people(report: Any) -> None:
    for each in report["checks"]:
        assert each["expected"], each
        assert each["observed"], each
        assert not re.search(r"^[([{<]|<.* at 0x", each["expected"] + each["observed"]), each


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


def test_source_is_the_demonstration_itself() -> None:
    assert ipcctl("fork", "--source").stdout == SOURCE


@pytest.mark.parametrize(("check", "old", "new"), MUTATIONS)
def test_a_check_fails_when_what_it_speaks_of_is_broken(check: str, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1, "the code to break is not there exactly once"
    found = run_broken(f"fork.{check}", SOURCE.replace(old, new), trials=3)
    assert found.startswith("failed "), found


def test_every_check_has_a_mutation() -> None:
    assert {f"fork.{check}" for check, _, _ in MUTATIONS} == set(IDS)


@pytest.mark.parametrize("check", IDS)
def test_a_check_stands_alone(check: str) -> None:
    assert run_alone(check, SOURCE, trials=3).startswith("held "), check


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
