"""The contract of job control: under a shell on a terminal, Ctrl-Z, fg, bg and Ctrl-C are as without ipcctl.

So it is where ipcctl was set apart from an earlier child, and two processes of it are there.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from supervisors import SUPERVISORS, WITH_CHILD, arguments, environment
from support import DEADLINE_S, IPCCTL, state_of, wait_until

TSTP, CONT, INT = signal.SIGTSTP, signal.SIGCONT, signal.SIGINT
# Those whose command is in the terminal's foreground with them: a daemon is not.
pytestmark = pytest.mark.usefixtures("adopting")  # what the shell ran falls to the test when the shell ends
ON_TERMINAL = sorted(set(SUPERVISORS) - {"double-fork"})
# Says its PID, and writes down each TSTP (after which it stops), CONT and INT that it gets.
COMMAND = """
import os, signal, sys
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(number, frame):
    os.write(out, b"%d\\n" % number)
    if number == signal.SIGTSTP:
        os.kill(os.getpid(), signal.SIGSTOP)
    if number == signal.SIGINT:
        os._exit(9)
for each in (signal.SIGTSTP, signal.SIGCONT, signal.SIGINT):
    signal.signal(each, note)
os.write(out, b"pid %d\\n" % os.getpid())
while True:
    signal.pause()
"""


each_way = pytest.mark.parametrize(
    ("name", "earlier"),
    [(name, False) for name in ON_TERMINAL] + [pytest.param(name, True, id=f"{name}-earlier") for name in ON_TERMINAL],
)


class Terminal:
    """An interactive bash on a pseudo-terminal, with job control."""

    def __init__(self, master: int, shell: subprocess.Popen[bytes]) -> None:
        self.master = master
        self.shell = shell
        self.seen = ""

    def type(self, text: str) -> None:
        """Type it."""
        os.write(self.master, text.encode())

    def expect(self, text: str) -> None:
        """Read until that is shown, and forget what was shown up to there."""
        end = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            ready = select.select([self.master], [], [], max(end - time.monotonic(), 0))[0]
            assert ready, f"{text!r} is not shown: {self.seen!r}"
            self.seen += os.read(self.master, 4096).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]


@contextlib.contextmanager
def terminal(directory: Path) -> Iterator[Terminal]:
    """Yield a shell on a terminal; it and all of its jobs are ended with the block."""
    master, slave = pty.openpty()

    def lead() -> None:
        os.setsid()
        os.close(os.open(os.ttyname(slave), os.O_RDWR))  # it becomes the controlling terminal

    env = environment(directory, PS1="ready> ", TERM="dumb", HISTFILE="/dev/null")
    command = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env, preexec_fn=lead) as shell:
        os.close(slave)
        try:
            found = Terminal(master, shell)
            found.expect("ready> ")
            yield found
        finally:
            shell.kill()
            shell.wait()
            os.close(master)


@contextlib.contextmanager
def leading_session(line: Sequence[str], directory: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a program as the leader of a session on a terminal of its own; yields the terminal's other end, too."""
    master, slave = pty.openpty()

    def lead() -> None:
        os.setsid()
        os.close(os.open(os.ttyname(slave), os.O_RDWR))

    with subprocess.Popen(
        line, stdin=slave, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(directory),
        preexec_fn=lead,
    ) as process:  # fmt: skip
        os.close(slave)
        try:
            yield master, process
        finally:
            process.kill()


class Job:
    """A supervisor that the shell runs, with the command that records; perhaps with an `earlier` child.

    `ipcctl` is the process that the shell knows, `between` the one that supervises: the same, but for an earlier child.
    """

    def __init__(self, on: Terminal, name: str, directory: Path, earlier: bool) -> None:
        self.on = on
        self.path = directory / "record"
        command: Sequence[str] = [sys.executable, "-I", "-S", "-c", COMMAND, str(self.path)]
        if name in ("pipe", "duplex"):
            command = ["exec", *command]
        line = [IPCCTL, *arguments(name, command, directory)]
        if earlier:
            line = ["sh", "-c", WITH_CHILD, str(directory / "earlier"), *line]
        on.type(f"{shlex.join(line)}\n")
        wait_until(lambda: self.lines, "the command's start")
        self.pid = int(self.lines[0].split()[1])
        chain = [parent_of(self.pid)]
        while parent_of(chain[-1]) != on.shell.pid:  # a process of ipcctl's is between
            chain.append(parent_of(chain[-1]))
        self.ipcctl, self.between = chain[-1], chain[-2 if earlier else -1]
        self.earlier = int((directory / "earlier").read_text()) if earlier else None

    @property
    def lines(self) -> list[str]:
        """What the command has written down."""
        text = self.path.read_text() if self.path.exists() else ""
        return text.splitlines() if text.endswith("\n") else []

    @property
    def got(self) -> list[int]:
        """The signals that it got, but for CONT."""
        return [int(each) for each in self.lines[1:] if int(each) != CONT]

    def stops(self) -> None:
        """Wait until the command and ipcctl are stopped, and the shell has the terminal again."""
        all_of_it = (self.pid, self.between, self.ipcctl)
        wait_until(lambda: {state_of(each) for each in all_of_it} == {"T"}, "that both stop")
        self.on.expect("ready> ")

    def goes_on(self, in_foreground: bool = False) -> None:
        """Wait until both run, ipcctl has taken the CONT, and the terminal is theirs where it is to be.

        What is typed before that goes to the shell; and a stop that comes before the CONT was taken is undone by it.
        """
        for each in (self.between, self.ipcctl):
            wait_until(lambda each=each: state_of(self.pid) in "SR" and has_nothing_pending(each), "that both go on")
        if in_foreground:
            wait_until(lambda: os.tcgetpgrp(self.on.master) == os.getpgid(self.ipcctl), "that the terminal is theirs")


    def ended(self) -> None:
        """Wait until the command has ended; an earlier child, which is ended now, has not."""
        wait_until(lambda: state_of(self.pid) == "", "the command's end")
        if self.earlier is not None:
            assert state_of(self.earlier) != ""
            os.kill(self.earlier, signal.SIGKILL)


def parent_of(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()[1])


def has_nothing_pending(pid: int) -> bool:
    """Whether a process sleeps, and no signal is pending for it (proc(5), SigPnd and ShdPnd)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return found["State"][0] == "S" and not int(found["SigPnd"], 16) | int(found["ShdPnd"], 16)


@each_way
def test_ctrl_z_fg_bg_and_ctrl_c_are_as_without_ipcctl(name: str, earlier: bool, tmp_path: Path) -> None:
    """Each is got once: what the terminal sends to the whole process group is not sent again."""
    with terminal(tmp_path) as on:
        job = Job(on, name, tmp_path, earlier)
        for number, resume in enumerate(("fg", "bg; fg", "fg"), 1):
            on.type("\x1a")
            job.stops()
            assert job.got == [TSTP] * number
            on.type(f"{resume}\n")
            job.goes_on(in_foreground=True)
        on.type("\x03")
        on.expect("ready> ")
        on.type("echo status $?.\n")
        on.expect("status 130." if SUPERVISORS[name].many else "status 9.")
        assert job.got == [TSTP] * 3 + [INT]
        job.ended()


@each_way
def test_stopped_and_continued_by_its_pid_alone_the_command_is_too(name: str, earlier: bool, tmp_path: Path) -> None:
    with terminal(tmp_path) as on:
        job = Job(on, name, tmp_path, earlier)
        os.kill(job.ipcctl, TSTP)
        job.stops()
        os.kill(job.ipcctl, CONT)
        job.goes_on()
        wait_until(lambda: str(int(CONT)) in job.lines, "that the command is continued")
        assert job.got == [TSTP]
        os.kill(job.ipcctl, signal.SIGTERM)
        job.ended()


@each_way
def test_stopped_by_the_terminal_and_continued_by_its_pid_alone(name: str, earlier: bool, tmp_path: Path) -> None:
    with terminal(tmp_path) as on:
        job = Job(on, name, tmp_path, earlier)
        on.type("\x1a")
        job.stops()
        os.kill(job.ipcctl, CONT)
        job.goes_on()
        os.kill(job.ipcctl, signal.SIGTERM)
        job.ended()


@each_way
def test_the_hang_up_that_a_sessions_leader_gets_reaches_the_command(name: str, earlier: bool, tmp_path: Path) -> None:
    """The kernel tells the leader alone, a shell its jobs as well. Those that look after many end them by it."""
    text = """trap 'echo hup > "$0.hup"; exit 3' HUP TERM; echo $$ > "$0.up"; while :; do read x < "$0.fifo"; done"""
    path = tmp_path / "record"
    os.mkfifo(f"{path}.fifo")
    command = ["sh", "-c", text, str(path)]
    if name in ("pipe", "duplex"):
        command = ["exec", *command]
    line = [IPCCTL, *arguments(name, command, tmp_path)]
    if earlier:
        child_ignores_it = f"trap '' HUP; {WITH_CHILD.replace(';', '; trap - HUP;')}"
        line = ["sh", "-c", child_ignores_it, str(tmp_path / "earlier"), *line]
    with leading_session(line, tmp_path) as (master, process):
        wait_until(lambda: Path(f"{path}.up").exists() and Path(f"{path}.up").read_text().endswith("\n"), "its start")
        os.close(master)
        process.wait(DEADLINE_S)
    assert Path(f"{path}.hup").exists()
    if earlier:
        os.kill(int((tmp_path / "earlier").read_text()), signal.SIGKILL)
