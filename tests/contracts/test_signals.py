"""The contract of every catchable signal: it reaches the command, and never ends ipcctl and leaves the command.

What is not handed on, the manual of each says: CHLD, and what the terminal sends (test_job_control.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from supervisors import SUPERVISORS, running
from support import runs, state_of, wait_until

HUP, INT, QUIT, TERM, CONT = signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCONT
STOPPING = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
CATCHABLE = set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
ENDS_ONE, ENDS_START, ENDS_MANY = {INT, TERM}, {INT, QUIT, TERM}, {HUP, INT, QUIT, TERM}
RECORDER = str(Path(__file__).with_name("recorder.py"))
SI_QUEUE, VALUE = -1, 4711

pytestmark = pytest.mark.usefixtures("adopting")  # where sh does not become the pipeline's second stage, that is left


def ending(name: str) -> set[int]:
    """The signals that end a supervisor with its command."""
    if SUPERVISORS[name].many:
        return set(ENDS_MANY)
    return set(ENDS_START if name == "double-fork" else ENDS_ONE)


class Recorded:
    """A supervisor in a process group of its own, with a recorder as its command."""

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self.process = process
        self.path = path
        wait_until(lambda: self.path.exists() and "up" in self.path.read_text(), "the recorder's start")

    @property
    def lines(self) -> list[tuple[int, ...]]:
        """Number, si_code, si_pid and value of each signal."""
        return [tuple(map(int, line.split())) for line in self.path.read_text().splitlines()[1:]]

    @property
    def numbers(self) -> list[int]:
        """The signals that the command got."""
        return [each[0] for each in self.lines]

    def send(self, *numbers: int) -> None:
        """Send signals to ipcctl, and wait until the command has them all."""
        before = self.numbers
        for each in numbers:
            os.kill(self.process.pid, each)
        wanted = sorted([*before, *numbers])
        wait_until(lambda: sorted(self.numbers) == wanted or self.process.poll() is not None, f"{wanted}")
        assert sorted(self.numbers) == wanted
        assert self.process.poll() is None


@contextlib.contextmanager
def recorded(
    name: str, directory: Path, *options: str, until: Sequence[int] = (), ignored: Sequence[int] = ()
) -> Iterator[Recorded]:
    """A recorder under a supervisor, which exits at `until`; at its start those signals were `ignored`."""

    def prepare() -> None:
        os.setpgid(0, 0)  # its parent is of the same session: the group is not orphaned, and can be stopped
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)

    path = directory / "record"
    command = [sys.executable, "-I", "-S", RECORDER, str(path), *(str(int(each)) for each in until)]
    if name in ("pipe", "duplex"):  # a line for sh -c: it is to become the command
        command = ["exec", *command]
    with running(name, command, directory, *options, preexec_fn=prepare) as process:
        yield Recorded(process, path)
        process.communicate()


def end(found: Recorded) -> None:
    """End the supervisor, with the recorder, which ends at USR2."""
    found.process.send_signal(signal.SIGUSR2)
    found.process.wait()


@pytest.mark.parametrize("name", SUPERVISORS)
def test_every_signal_reaches_the_command(name: str, tmp_path: Path) -> None:
    """All but those that end, a HUP too, though there is no grace; and a queued one with its sender and value."""
    at_once = CATCHABLE - ending(name) - set(STOPPING) - {CONT, signal.SIGUSR2}
    with recorded(name, tmp_path, "--grace", "0", until=[signal.SIGUSR2]) as found:
        found.send(*at_once, CONT)
        assert {each[1] for each in found.lines} == {0}  # SI_USER
        ctypes.CDLL(None).sigqueue(found.process.pid, signal.SIGRTMIN + 5, ctypes.c_void_p(VALUE))
        wait_until(lambda: len(found.lines) == len(at_once) + 2, "the queued one")
        assert found.lines[-1] == (signal.SIGRTMIN + 5, SI_QUEUE, os.getpid(), VALUE)
        for each in STOPPING:
            found.process.send_signal(each)
            wait_until(lambda: state_of(found.process.pid) == "T", "that ipcctl stops")
            wait_until(lambda each=each: found.numbers[-1] == each, "that the command has it")
            found.send(CONT)
        end(found)


@pytest.mark.parametrize(("name", "number"), [(name, each) for name in SUPERVISORS for each in sorted(ending(name))])
def test_what_ends_it_ends_the_command_first(name: str, number: int, tmp_path: Path) -> None:
    with recorded(name, tmp_path, until=[INT, TERM, QUIT, HUP]) as found:
        found.process.send_signal(number)
        found.process.wait()
    one = not SUPERVISORS[name].many and name != "double-fork"
    assert found.process.returncode == (9 if one else 128 + number)
    assert set(found.numbers) <= {number, TERM} and found.numbers


@pytest.mark.parametrize("name", SUPERVISORS)
def test_what_was_ignored_at_its_start_is_the_commands_to_act_on(name: str, tmp_path: Path) -> None:
    """nohup, the background of a script: nothing of that ends ipcctl; and the command may have another mind of it."""
    ignored = [HUP, INT, QUIT, TERM, signal.SIGUSR1, signal.SIGALRM]
    with recorded(name, tmp_path, "--grace", "0", until=[signal.SIGUSR2], ignored=ignored) as found:
        found.send(*ignored)
        end(found)


@pytest.mark.parametrize("name", sorted(set(SUPERVISORS) - {"double-fork"}))  # whose daemon has all at their defaults
def test_what_was_ignored_at_its_start_is_ignored_at_the_commands(name: str, tmp_path: Path) -> None:
    line = f"grep SigIgn /proc/self/status > {tmp_path}/seen"
    with running(name, ["sh", "-c", line], tmp_path, preexec_fn=lambda: signal.signal(HUP, signal.SIG_IGN)) as process:
        process.communicate()
    assert int((tmp_path / "seen").read_text().split()[1], 16) & 0x7FFFFFFF == 1 << HUP - 1


@pytest.mark.parametrize("name", sorted(set(SUPERVISORS) - {"double-fork"}))
def test_an_alarm_set_before_it_began_is_the_commands(name: str, tmp_path: Path) -> None:
    """The kernel sends it, as it sends the terminal's signals; but to this process alone (alarm(2))."""
    for seconds in (1, 4, 16):  # until ipcctl looked after the command by then
        directory = tmp_path / str(seconds)
        directory.mkdir()
        command = [sys.executable, "-I", "-S", RECORDER, str(directory / "record"), str(int(signal.SIGALRM))]
        if name in ("pipe", "duplex"):
            command = ["exec", *command]

        def prepare(seconds: int = seconds) -> None:
            signal.alarm(seconds)

        with running(name, command, directory, preexec_fn=prepare) as process:
            process.communicate()
        if process.returncode != -signal.SIGALRM:
            assert str(int(signal.SIGALRM)) in (directory / "record").read_text().split()
            return
    pytest.fail("the alarm came before it had begun")


def test_a_fault_of_our_own_ends_us_though_it_is_blocked() -> None:
    code = "import ctypes; from ipcctl.process.signals import Signals\nwith Signals(): ctypes.string_at(0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == -signal.SIGSEGV


def test_the_recorder_can_miss_one(tmp_path: Path) -> None:
    """What is sent to nobody is not recorded: the tests above can fail."""
    with recorded("fork", tmp_path, until=[TERM]) as found:
        found.process.send_signal(signal.SIGCHLD)
        found.send(signal.SIGUSR1)
        assert found.numbers == [signal.SIGUSR1]
        found.process.send_signal(TERM)
    assert not runs(found.process.pid)
