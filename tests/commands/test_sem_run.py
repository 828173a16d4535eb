"""`ipcctl sem run`: so many at once, in their order, in the command's own place, and nothing left however it ends."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from semaphores import HOLDING, Names, close_other_fds, ending
from support import IPCCTL, one_line, runs, state_of, wait_until


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    found = Names(tmp_path / "names")
    yield found
    found.close()


def test_the_command_takes_our_place(names: Names) -> None:
    script = 'echo "$$ $#" "$@"; cat; echo oops >&2; exit 7'
    process = names.start("run", "x", "--", "sh", "-c", script, "me", "-n", "--", "a b", "--try")
    out, err = process.communicate("input\n")
    assert out == f"{process.pid} 4 -n -- a b --try\ninput\n"
    assert (process.returncode, err) == (7, "oops\n")
    assert (names.state().capacity, names.state().held) == (1, 0)


def test_a_signal_is_the_commands_own(names: Names) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        holder = names.hold("x")
        assert Path(f"/proc/{holder.pid}/comm").read_text() == "sh\n"
        with ending(holder):
            holder.send_signal(number)
            assert holder.wait() == -number
        names.wait_for(held=0, free=1)


STATUS = ["grep", "-E", "^(SigIgn|SigBlk|SigCgt|ShdPnd):", "/proc/self/status"]


def spoil_signals() -> None:
    """What a child may be started with."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})


@pytest.mark.parametrize("prepare", [None, spoil_signals])
def test_signals_descriptors_and_environment_are_as_without_it(names: Names, prepare: object) -> None:
    def seen(*before: str) -> str:
        script = f"{' '.join(map(repr, STATUS))}; ls /proc/self/fd; env | grep -v IPCCTL; umask"
        command = [*before, "/bin/sh", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, env=names.env, preexec_fn=prepare)  # type: ignore[call-overload]
        return re.sub(r"\b_=.*", "", done.stdout)

    assert seen(IPCCTL, "sem", "run", "x", "--") == seen()


def test_what_cannot_be_executed_gives_the_slot_back(names: Names, tmp_path: Path) -> None:
    names.env["PATH"] = os.defpath
    (tmp_path / "plain").write_text("echo ran $1\n")
    for command, status, told in (
        (["no-such-command"], 127, "not found on PATH"),
        ([str(tmp_path / "nope")], 127, "not found"),
        ([""], 127, "the command is empty"),
        ([str(tmp_path / "plain")], 126, "permission denied"),
        ([str(tmp_path)], 126, "is a directory"),
    ):
        done = names.sem("run", "x", "--", *command)
        assert done.returncode == status
        assert told in one_line(done.stderr)
        assert done.stderr.startswith("ipcctl sem: cannot start ")
        assert names.state().free == 1
    (tmp_path / "plain").chmod(0o755)
    assert names.sem("run", "x", "--", str(tmp_path / "plain"), "it").stdout == "ran it\n"


def test_try_and_timeout(names: Names) -> None:
    holder = names.hold("x", "-n", "1")
    with ending(holder):
        done = names.sem("run", "x", "--try", "--", "echo", "ran")
        assert (done.returncode, done.stdout) == (1, "")
        assert one_line(done.stderr) == "ipcctl sem: no slot of 'x' is free: 1 of 1 are held"
        done = names.sem("run", "x", "--timeout", "20ms", "--", "echo", "ran")
        assert (done.returncode, done.stdout) == (124, "")
        assert "came free within 0.02 s: 1 of 1 are held" in one_line(done.stderr)
        assert names.state().waiting == 0
        waiter = names.start("run", "x", "--timeout", "1h", "--", "echo", "ran")
        with ending(waiter):
            names.wait_for(waiting=1)
            close_other_fds(holder)
            assert waiter.communicate() == ("ran\n", "")
    assert names.sem("run", "x", "--try", "--", "echo", "ran").stdout == "ran\n"


def test_first_come_first_served(names: Names, tmp_path: Path) -> None:
    """Those that wait are let in as they came; a newcomer that tries does not overtake them."""
    log = tmp_path / "log"
    holder = names.hold("x", "-n", "1")
    waiters: list[subprocess.Popen[str]] = []
    with ending(holder):
        for number in range(6):
            waiters.append(names.start("run", "x", "--", "sh", "-c", f"echo {number} >> {log}"))
            names.wait_for(waiting=number + 1)
        with ending(*waiters):
            assert names.sem("run", "x", "--try", "--", "true").returncode == 1
            close_other_fds(holder)
            assert [each.wait() for each in waiters] == [0] * 6
    assert log.read_text().split() == list("012345")


def test_who_waits_is_asleep_and_may_be_stopped_and_continued(names: Names) -> None:
    holder = names.hold("x")
    waiter = names.start("run", "x", "--", "echo", "ran")
    with ending(holder, waiter):
        names.wait_for(waiting=1)
        wait_until(lambda: state_of(waiter.pid) == "S")
        waiter.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(waiter.pid) == "T")
        waiter.send_signal(signal.SIGCONT)
        names.wait_for(waiting=1)
        close_other_fds(holder)
        assert waiter.communicate() == ("ran\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_one_that_waits(names: Names, number: signal.Signals) -> None:
    holder = names.hold("x")
    waiter = names.start("run", "x", "--", "echo", "ran")
    with ending(holder, waiter):
        names.wait_for(waiting=1)
        waiter.send_signal(number)
        assert waiter.communicate() == ("", "")
        assert waiter.returncode == -number
        assert (names.state().waiting, names.state().held) == (0, 1)


def test_what_it_leaves_behind_holds_nothing(names: Names) -> None:
    done = names.sem("run", "x", "--", "sh", "-c", "sleep 1000 <&- >&- 2>&- & echo $!")
    left = int(done.stdout)
    try:
        assert runs(left)
        assert (names.state().held, names.state().free) == (0, 1)
        report = names.sem("stat", "x", "-f", "json").stdout
        assert '"rows": []' in report
    finally:
        os.kill(left, signal.SIGKILL)
        os.waitpid(left, 0)


CONTENDERS = """
import os, sys
from ipcctl.ipc.sem.semaphores import Semaphores
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
children = []
for each in range(int(sys.argv[2])):
    children.append(os.fork())
    if children[-1] == 0:
        Semaphores().get_or_make("x", 3).take()
        os.write(log, b"+")
        os.sched_yield()
        os.write(log, b"-")
        os._exit(0)
sys.exit(any(os.waitpid(each, 0)[1] for each in children))
"""


def most_inside(log: Path) -> tuple[int, int]:
    """The most that were inside at once, and how many came in, by what they wrote."""
    inside = most = 0
    for sign in (text := log.read_text()):
        inside += 1 if sign == "+" else -1 if sign == "-" else 0
        most = max(most, inside)
    return most, text.count("+")


def test_never_more_than_n_inside(names: Names, tmp_path: Path) -> None:
    """200 at once, that all may be the one to make it; and some of the real ones among them."""
    log = tmp_path / "log"
    forked = subprocess.Popen([sys.executable, "-c", CONTENDERS, str(log), "200"], env=names.env)
    script = f"printf + >> {log}; printf - >> {log}"
    real = [names.start("run", "x", "-n", "3", "--", "sh", "-c", script) for _ in range(10)]
    with ending(*real):
        assert [each.wait() for each in real] == [0] * 10
        assert forked.wait() == 0
    most, entered = most_inside(log)
    assert most <= 3
    assert entered == 210
    assert names.state().free == 3


# Children that take a slot and become sleep(1) are killed at random moments of that: some while they make the thing.
KILLED = """
import os, random, signal, sys
from ipcctl.ipc.sem.semaphores import Semaphores
chance, running = random.Random(7), []
for each in range(160):
    child = os.fork()
    if child == 0:
        Semaphores().get_or_make(f"x{each // 20}", 3).take()
        os.execvp("sleep", ["sleep", "1000"])
    running.append(child)
    signal.sigtimedwait([], chance.uniform(0, 0.004))
    while len(running) > (8 if each < 159 else 0):
        victim = running.pop(chance.randrange(len(running)))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
"""


def test_killed_at_random_moments_the_counts_agree(names: Names) -> None:
    """By kill -9, with nobody left to clean up: what they made is whole, and nobody holds it or waits for it."""
    assert subprocess.run([sys.executable, "-c", KILLED], env=names.env, check=False).returncode == 0
    semaphores = names.semaphores()
    for name in (f"x{each}" for each in range(8)):
        state = semaphores.get_or_make(name, 3).state()
        assert (state.capacity, state.held, state.free, state.waiting) == (3, 0, 3, 0), name
    assert len(semaphores.names()) == 8


def test_the_real_ones_killed_at_random_moments(names: Names) -> None:
    """While they start, wait and hold."""
    chance = random.Random(4)
    running: list[subprocess.Popen[str]] = []
    for _ in range(20):
        running.append(names.start("run", "x", "-n", "3", "--", "sleep", "1000"))
        signal.sigtimedwait([], chance.uniform(0, 0.06))
        while len(running) > 6:
            kill(running.pop(chance.randrange(len(running))))
    with ending(*running):
        names.wait_for(held=3, waiting=3)
        for each in running[:3]:
            kill(each)
        state = names.state()
        assert (state.capacity, state.held + state.free) == (3, 3)
    names.wait_for(held=0, free=3, waiting=0)


def kill(process: subprocess.Popen[str]) -> None:
    """End it by kill -9."""
    process.kill()
    process.communicate()


def test_a_resize_breaks_no_holder_and_no_kill_lifts_the_count(names: Names) -> None:
    holders = [names.hold("x", "-n", "3") for _ in range(3)]
    with ending(*holders):
        assert names.sem("resize", "x", "1").returncode == 0
        assert all(runs(each.pid) for each in holders)
        for held in (2, 1):
            holders[held].kill()
            names.wait_for(held=held)
            assert (names.state().capacity, names.state().free) == (1, 0)
        waiter = names.hold_later()
        with ending(waiter):
            names.wait_for(waiting=1)
            holders[0].kill()
            assert waiter.stdout and waiter.stdout.readline() == "in\n"
            assert (names.state().held, names.state().free) == (1, 0)
            others = [names.hold_later() for _ in range(2)]
            with ending(*others):
                names.wait_for(waiting=2)
                assert names.sem("resize", "x", "3").returncode == 0
                assert [each.stdout and each.stdout.readline() for each in others] == ["in\n"] * 2
                assert (names.state().held, names.state().free) == (3, 0)
    names.wait_for(held=0, free=3)


def test_another_number_is_an_error_that_names_both(names: Names) -> None:
    assert names.sem("run", "x", "-n", "2", "--", "true").returncode == 0
    done = names.sem("run", "x", "-n", "3", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (2, "")
    line = one_line(done.stderr)
    assert "has capacity 2, and --slots 3 was given" in line
    assert line.endswith("`ipcctl sem resize x 3`")
    assert names.sem("resize", "x", "3").returncode == 0
    assert names.sem("run", "x", "-n", "3", "--", "true").returncode == 0


def test_removed_while_others_wait(names: Names) -> None:
    holder = names.hold("x")
    waiters = [names.start("run", "x", "--", "echo", "ran"), names.start("wait", "x")]
    with ending(holder, *waiters):
        names.wait_for(waiting=1)
        wait_until(lambda: names.line() == 2)
        assert names.sem("remove", "x").returncode == 0
        for each in waiters:
            out, err = each.communicate()
            assert (each.returncode, out) == (125, "")
            assert one_line(err).startswith("ipcctl sem: 'x' was removed")
        assert runs(holder.pid)
        assert close_other_fds(holder) == 1  # as `read` at the end of its input
    assert names.semaphores().names() == []


def test_wait(names: Names) -> None:
    assert names.sem("wait", "x").returncode == 0
    holder = names.hold("x")
    with ending(holder):
        done = names.sem("wait", "x", "--timeout", "10ms")
        assert done.returncode == 124
        assert "still held after 0.01 s: 1 times" in one_line(done.stderr)
        second = names.start("run", "x", "--", *HOLDING)
        names.wait_for(waiting=1)
        waiting = names.start("wait", "x")
        with ending(second, waiting):
            wait_until(lambda: names.line() == 2)
            close_other_fds(holder)
            assert second.stdout and second.stdout.readline() == "in\n"
            assert waiting.poll() is None
            close_other_fds(second)
            assert waiting.wait() == 0


def test_it_imports_what_it_needs_alone(names: Names) -> None:
    code = "import sys; from ipcctl.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "sem", "run", "x", "--", "no-such-command"]
    done = subprocess.run(command, capture_output=True, text=True, env=names.env, check=False)
    loaded = set(done.stderr.split())
    assert "ipcctl.ipc.sem.semaphores" in loaded
    assert not loaded & {"multiprocessing", "sqlite3", "mmap", "tabulate", "psutil", "json", "pwd"}
