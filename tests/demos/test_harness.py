"""The stage of the demonstrations: what a check comes to, and that nothing of it is left."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

# A demonstration of the checks that a test writes, in a process of its own: it becomes a subreaper and forks.
PREAMBLE = """
import json, os, signal, sys
from ipcctl.demos import deadline
from ipcctl.demos.harness import *
from ipcctl.demos.channels import *
from ipcctl.process.procfs import all_stats, children_of
from ipcctl.process.tree import descendants
demonstration = Demonstration("tried")

def descriptors():
    return sorted(name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}"))

def left():
    return [each.pid for each in descendants(os.getpid())]
"""
RUN = """
report = demonstration.run()
print(json.dumps({"checks": [vars(each) for each in report.checks], "events": [vars(each) for each in report.events],
                  "rows": report.rows, "ok": report.ok, "left": left()}))
"""


def python(code: str) -> Any:
    """Run such a program to its end."""
    return subprocess.run([sys.executable, "-c", PREAMBLE + code], capture_output=True, text=True, timeout=30)


def demonstrated(code: str) -> Any:
    """The report of the demonstration, with what was left after it."""
    done = python(code + RUN)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    report = json.loads(done.stdout)  # one report: a child that went on as a second parent would have added its own
    assert report["left"] == []
    return report


def found(code: str) -> tuple[str, str, str | None]:
    """Status, observed and reason of the one check."""
    (check,) = demonstrated(code)["checks"]
    return check["status"], check["observed"], check["reason"]


def test_evidence_holds_when_it_is_as_expected() -> None:
    report = demonstrated("""
@demonstration.check("tried.equal", "equal")
def equal(stage):
    return Evidence("Z", "Z")

@demonstration.check("tried.other", "other")
def other(stage):
    return Evidence("Z", "S", reason="it still sleeps")

@demonstration.check("tried.judged", "no equation")
def judged(stage):
    return Evidence("more than 1", "2", held=True)
""")
    assert [each["status"] for each in report["checks"]] == ["held", "failed", "held"]
    assert report["checks"][1]["reason"] == "it still sleeps"
    assert report["ok"] is False


def test_what_cannot_be_made_is_skipped_with_the_reason() -> None:
    report = demonstrated("""
@demonstration.check("tried.skip", "skip")
def skip(stage):
    raise Skip("no terminal")

@demonstration.check("tried.limit", "limit")
def limit(stage):
    raise BlockingIOError(11, "Resource temporarily unavailable")
""")
    assert [each["status"] for each in report["checks"]] == ["skipped", "skipped"]
    assert report["checks"][0]["reason"] == "no terminal"
    assert "ulimit -u" in report["checks"][1]["reason"]
    assert report["ok"] is True


def test_an_error_in_a_check_is_a_check_that_failed() -> None:
    assert found("""
@demonstration.check("tried.error", "error")
def error(stage):
    raise ValueError("unheard of")
""") == ("failed", "ValueError: unheard of", "the check itself failed")


def test_a_child_that_fails_before_it_tells_is_not_waited_for() -> None:
    status, observed, _ = found("""
@demonstration.check("tried.child", "child")
def child(stage):
    channel = stage.channel()
    if os.fork() == 0:
        with ending_child():
            raise ValueError("in the child")
    return Evidence("never", channel.recv())
""")
    assert (status, observed) == ("failed", "EOFError: Ran out of input")


def test_a_child_that_comes_out_of_its_part_goes_no_further() -> None:
    assert found("""
@demonstration.check("tried.child", "child")
def child(stage):
    pid = os.fork()
    if pid == 0:
        return Evidence("a second parent", "a second parent")
    stage.record_process(pid, "child")
    return Evidence("70", str(os.waitstatus_to_exitcode(stage.wait(pid))))
""")[:2] == ("held", "70")


LEAVES_MANY = """
@demonstration.check("tried.leaves", "leaves a spinning, a stopped, a dead and a detached process, and fails")
def leaves(stage):
    channel = stage.channel()
    for kind in ("spins", "stopped", "dead", "detached"):
        if os.fork() == 0:
            with ending_child():
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                if kind == "detached" and os.fork():
                    os._exit(0)
                os.setsid()
                channel.send(os.getpid())
                if kind == "stopped":
                    stop_here()
                while kind != "dead":
                    pass
    pids = [channel.recv() for _ in range(4)]
    program = stage.python("import signal; signal.pause()", "program")
    barrier = stage.barrier()
    {end}
"""


def test_what_a_check_leaves_behind_is_gone_before_the_next() -> None:
    report = demonstrated(
        LEAVES_MANY.format(end='raise ValueError("and fails")')
        + """
@demonstration.check("tried.next", "finds nothing")
def finds_nothing(stage):
    return Evidence("[]", str(left()))
"""
    )
    assert [each["status"] for each in report["checks"]] == ["failed", "held"]


def test_what_a_check_opens_is_closed_after_it() -> None:
    assert python(
        "before = descriptors()\n"
        + LEAVES_MANY.format(end='raise ValueError("and fails")')
        + "demonstration.run()\nprint(descriptors() == before, left())"
    ).stdout.split("\n") == ["True []", ""]


def test_a_signal_in_a_check_ends_all_and_puts_everything_back() -> None:
    done = python(
        "before = descriptors()\n"
        + LEAVES_MANY.format(end="os.kill(os.getpid(), signal.SIGTERM)")
        + """
try:
    demonstration.run()
except Interrupted as asked:
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)]
    print(asked.number, handlers == [signal.SIG_DFL] * 3, signal.getitimer(signal.ITIMER_REAL)[0], left())
    print(descriptors() == before)
"""
    )
    assert (done.stdout, done.stderr) == ("15 True 0.0 []\nTrue\n", "")


def test_a_signal_is_heard_though_it_came_in_a_finalizer() -> None:
    done = python("""
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

@demonstration.check("tried.finalizer", "what is raised in a finalizer, Python drops")
def finalizer(stage):
    Finalized()
    while True:
        stage.more_time()

@demonstration.check("tried.late", "never made")
def late(stage):
    print("made")

try:
    demonstration.run()
except Interrupted as asked:
    print(asked.number)
""")
    assert (done.stdout, done.stderr) == ("15\n", "")


def test_a_signal_that_a_check_did_not_hear_ends_the_demonstration() -> None:
    done = python("""
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

@demonstration.check("tried.finalizer", "the last check, over before it is interrupted again")
def finalizer(stage):
    Finalized()
    return Evidence("", "")

try:
    demonstration.run()
except Interrupted as asked:
    print(asked.number)
""")
    assert (done.stdout, done.stderr) == ("15\n", "")


def test_a_check_that_takes_too_long_fails() -> None:
    status, _, reason = found("""
deadline.LIMIT_S = 0.1

@demonstration.check("tried.long", "long")
def long(stage):
    while True:
        signal.pause()
""")
    assert (status, reason) == ("failed", "not done after 0.1 s")


def test_a_check_that_makes_progress_has_its_time_anew() -> None:
    assert (
        found("""
@demonstration.check("tried.progress", "progress")
def progress(stage):
    before = deadline.LIMIT_S / 4  # as if so much were left
    signal.setitimer(signal.ITIMER_REAL, before)
    stage.more_time()
    return Evidence("more", "more" if signal.getitimer(signal.ITIMER_REAL)[0] > before else "no more")
""")[0]
        == "held"
    )


def test_a_state_that_does_not_come_is_given_up() -> None:
    status, _, reason = found("""
deadline.LIMIT_S = 0.1

@demonstration.check("tried.state", "state")
def state(stage):
    return Evidence("T", wait_for_state(os.getpid(), "T"))
""")
    assert (status, reason) == ("failed", "not done after 0.1 s")


def test_children_from_before_are_spared() -> None:
    done = python("""
sleeper = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
from ipcctl.process.set_apart import set_apart
set_apart()

@demonstration.check("tried.sweep", "sweep")
def sweeps(stage):
    if os.fork() == 0:
        with ending_child():
            signal.pause()
    return Evidence("", "")

demonstration.run()
print(left(), state_of(sleeper) in "RSD")
os.kill(sleeper, signal.SIGKILL)
""")
    assert (done.stdout, done.stderr) == ("[] True\n", "")


def test_rows_and_events_tell_who_ran_when_and_how_it_ended() -> None:
    report = demonstrated("""
@demonstration.check("tried.rows", "rows")
def rows(stage):
    pids = []
    for part in (lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL)):
        pid = os.fork()
        if pid == 0:
            with ending_child():
                part()
        stage.record_process(pid, "child")
        stage.event(pid, "seen", "by its parent")
        pids.append(pid)
    return Evidence("[768, 9]", str([stage.wait(pid) for pid in pids]))
""")
    assert [each["status"] for each in report["checks"]] == ["held"]
    parent, *rows = report["rows"]
    assert [(each["exit_code"], each["signal"]) for each in rows] == [(3, None), (None, "SIGKILL")]
    assert all(each["ppid"] == parent["pid"] and each["check"] == "tried.rows" for each in rows)
    events = [(each["event"], each["detail"]) for each in report["events"] if each["pid"] == rows[1]["pid"]]
    assert events == [("start", "tried.rows"), ("seen", "by its parent"), ("end", "SIGKILL")]


def test_the_newest_process_of_a_pid_is_the_one_meant() -> None:
    done = python("""
stage = Stage({}, Reserve())
stage.record_process(os.getpid(), "first")
stage.record_process(os.getpid(), "second")
stage.ended(os.getpid(), 0)
print([row["exit_code"] for row in stage.rows], stage.events[-1].role)
""")
    assert done.stdout == "[None, None, 0] second\n", done.stderr


def test_a_wait_status_is_known_before_the_wait() -> None:
    assert (
        found("""
@demonstration.check("tried.status", "status")
def status(stage):
    looked_at, waited_for = [], []
    for part in (lambda: os._exit(255), lambda: os.kill(os.getpid(), signal.SIGTERM), os.abort):
        pid = os.fork()
        if pid == 0:
            with ending_child():
                part()
        looked_at.append(wait_until_zombie(pid))
        waited_for.append(os.waitpid(pid, 0)[1])
    return Evidence(waited_for, looked_at)
""")[0]
        == "held"
    )


def test_a_process_that_another_start_waited_for_has_its_status() -> None:
    status, observed, reason = found("""
@demonstration.check("tried.join", "join")
def join(stage):
    import multiprocessing
    context = multiprocessing.get_context("fork")
    parts = (lambda: os._exit(7), lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: None)
    processes = []
    for part in parts:  # each start collects the one before
        processes.append(context.Process(target=part))
        processes[-1].start()
        wait_until_zombie(processes[-1].pid)
    return Evidence([7 << 8, int(signal.SIGKILL), 0], [stage.join(each) for each in processes])
""")
    assert status == "held", (observed, reason)


def test_a_child_that_ends_where_it_was_to_stop_is_noticed() -> None:
    status, observed, _ = found("""
@demonstration.check("tried.stop", "stop")
def stop(stage):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    wait_until_stopped(pid)
    return Evidence("", "")
""")
    assert status == "failed"
    assert "ended before" in observed


def test_a_gate_lets_one_through_at_a_time_and_all_when_its_keeper_is_gone() -> None:
    assert (
        found("""
@demonstration.check("tried.gate", "gate")
def barrier(stage):
    with Barrier() as barrier:
        pids = []
        for _ in range(3):
            pids.append(os.fork())
            if pids[-1] == 0:
                with ending_child():
                    barrier.wait()
        for pid in pids:
            wait_for_state(pid, "S")
        barrier.open()
        first, _ = os.wait()
        others = [state_of(pid) for pid in pids if pid != first]
    after = sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2))
    return Evidence("['S', 'S'] [0, 0]", f"{others} {after}")
""")[0]
        == "held"
    )


def test_a_line_brings_every_value_in_order() -> None:
    assert (
        found("""
@demonstration.check("tried.line", "line")
def line(stage):
    channel = stage.channel()
    if os.fork() == 0:
        with ending_child():
            for value in (1, "two", (3, None)):
                channel.send(value)
    return Evidence([1, "two", (3, None)], channel.recv_all())
""")[0]
        == "held"
    )
