"""Everything that ipcctl draws on a terminal, and a terminal to draw it on.

A contract of views is parametrised over VIEWS, so that a new one is under it by one entry here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import NAMED, ZOMBIE, process
from support import DEADLINE_S, IPCCTL, ROOT, ipcctl

WIDTHS = (60, 80, 100, 132)
ODD = "日本🦊e\u0301"  # wide, and combining: 13 bytes, where a process's name may have 15
LONG = "a-long-argument-" * 12 + ODD  # and one more sign tells two of these apart


@dataclass(frozen=True)
class View:
    """A command line. `{pid}` is a process with an odd name and odd arguments, `{dir}` the test's own directory.

    `before` are the command lines of ipcctl that make what is looked at, and `after` those that end it.
    """

    name: str
    args: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()
    input: str = ""
    again: bool = True  # drawn from its report for every width; else run for every width

    @property
    def needs_process(self) -> bool:
        return "{pid}" in self.args


CONCEPTS = ("fork", "zombie", "orphan", "double-fork", "pool", "pipe", "queue", "shm", "sem")
BOTH = (LONG + "1", LONG + "2")
PUT = ("queue", "put", "a-queue-with-a-long-name", *BOTH)
SEMAPHORE = ("sem", "run", "a-semaphore-with-a-long-name", "--", "true")
SHARED = ("shm", "set", "a-value-with-a-long-name", "--ctype", "u", "日", "本")
DAEMON = ("double-fork", "--pidfile", "{dir}/pid", "--", "sleep", "1000")
STOP = ("double-fork", "stop", "--pidfile", "{dir}/pid", "-q")
ORPHANED = "(exec -a " + LONG + " sleep 0.3) & (exec -a " + LONG + "2 sleep 0.3) & exec sleep 0.1"
NOT_WAITED = f"import os, signal\n{ZOMBIE}\n{ZOMBIE}\nsignal.sigtimedwait([], 0.3)"
VIEWS = {
    each.name: each
    for each in (
        *(View(concept, (concept,)) for concept in CONCEPTS),
        View("ps states", ("ps", "states")),
        View("tour", ("tour", "sem")),
        View("fork -- COMMAND", ("fork", "-n", "2", "--capture", "--", "printf", "%s %s", ODD, LONG)),
        View("fork -- COMMAND, one", ("fork", "--", "true", *BOTH)),
        View("fork cost", ("fork", "cost", "--rss", "0")),
        View("zombie -- COMMAND", ("zombie", "--longer-than", "0", "--", sys.executable, "-c", NOT_WAITED, *BOTH)),
        View("orphan -- COMMAND", ("orphan", "--", "bash", "-c", ORPHANED)),
        View("double-fork -- COMMAND", DAEMON, after=(STOP,)),
        View("double-fork status", ("double-fork", "status", "--pidfile", "{dir}/pid"), (DAEMON,), (STOP,)),
        View("double-fork stop", ("double-fork", "stop", "--pidfile", "{dir}/pid"), (DAEMON,)),
        View("pool -- COMMAND", ("pool", "--keep-order", "--", "test", "{{}}", "=", ODD, ":::", ODD, *BOTH)),
        View("pool -c input", ("pool", "-c", "input,exit_code", "--", "false", "{{}}", ":::", *BOTH)),
        View("stages", ("pipe", f"echo {LONG}1 | wc -c", f"cat; : {LONG}2", f"cat > /dev/null; : {ODD}")),
        View("pipe duplex", ("pipe", "duplex", f"echo {ODD}; read -r x", f"read -r x; echo {LONG}")),
        View("pipe meter", ("pipe", "meter"), input=f"{ODD}\n"),
        View("pipe cost", ("pipe", "cost", "--sizes", "64")),
        View("ps", ("ps",), again=False),
        View("ps PID", ("ps", "{pid}")),
        View("ps -c", ("ps", "-c", "name,command", "{pid}", "{child}")),
        View("ps, every column", ("ps", "{pid}", "{child}", "-c", "{columns}")),
        View("ps --tree", ("ps", "--tree"), again=False),
        View("ps --tree PID", ("ps", "--tree", "{pid}"), again=False),
        View("ps --tree -c", ("ps", "--tree", "{pid}", "-c", "pid,name,depth")),
        View("ps --explain", ("ps", "--explain", "{pid}", "{child}")),
        View("ps --zombies", ("ps", "--zombies"), again=False),
        View("sem list", ("sem", "list"), (SEMAPHORE,), (("sem", "remove", SEMAPHORE[2]),)),
        View("sem stat", (*SEMAPHORE[:4], IPCCTL, "sem", "stat", SEMAPHORE[2]), (), (("sem", "remove", SEMAPHORE[2]),),
             again=False),
        View("shm list", ("shm", "list"), (SHARED, ("shm", "set", "another-name", "42"))),
        View("queue list", ("queue", "list"), (PUT, ("queue", "put", "another", "x"))),
        View("queue stat", ("queue", "stat", PUT[2]), (PUT,)),
    )
}


@contextlib.contextmanager
def odd_process() -> Iterator[dict[str, str]]:
    """A process with a child, both with the same odd name, and arguments that differ at their end alone."""
    below = "os.fork() or os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:-1], sys.argv[-1] + '2'])"
    once = f"{NAMED}\nif not sys.argv[-1].endswith('2'): child = {below}; told = b'%d ' % child"
    with process(once, ODD, LONG) as parent:
        assert parent.stdout is not None
        child = bytearray()
        while not child.endswith(b" "):
            child += parent.stdout.read(1)
        assert parent.stdout.read(1) == b"!", "the child did not get ready"
        columns = ipcctl("ps", "-c", "help", "--no-header", "-f", "tsv").stdout.splitlines()
        yield {"pid": str(parent.pid), "child": child.decode().strip(),
               "columns": ",".join(line.split("\t")[0] for line in columns)}  # fmt: skip


@contextlib.contextmanager
def set_up(view: View, directory: Path, env: dict[str, str]) -> Iterator[list[str]]:
    """What the view looks at; its arguments."""
    with odd_process() if view.needs_process else contextlib.nullcontext({}) as there:
        known = {"dir": str(directory), **there}
        for args in view.before:
            done = ipcctl(*(each.format(**known) for each in args), env=env)
            assert done.returncode == 0, done.stderr
        try:
            yield [each.format(**known) for each in view.args]
        finally:
            for args in view.after:
                assert ipcctl(*(each.format(**known) for each in args), env=env).returncode == 0


def resize(terminal: int, width: int, height: int = 40) -> None:
    """Give a terminal so many columns and lines."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def start(argv: Sequence[str], width: int, env: dict[str, str], input: str = "") -> tuple[int, int]:
    """Start a program on a terminal of its own; `input` is its standard input, from a pipe. Its PID, and the screen."""
    reading, writing = os.pipe()
    os.write(writing, input.encode())
    os.close(writing)
    pid, screen = pty.fork()
    if pid == 0:
        os.dup2(reading, 0)
        resize(1, width)
        os.execve(argv[0], list(argv), env | {"TERM": "xterm"})
    os.close(reading)
    return pid, screen


@contextlib.contextmanager
def watching(argv: Sequence[str], width: int, env: dict[str, str]) -> Iterator[int]:
    """The screen of a program that runs on; it is killed at the end of the block."""
    pid, screen = start(argv, width, env)
    try:
        assert select.select([screen], [], [], DEADLINE_S)[0], "it drew nothing"
        yield screen
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(screen)


def on_terminal(argv: Sequence[str], width: int, env: dict[str, str], input: str = "") -> str:
    """What a program writes on a terminal of that width, to its end."""
    pid, screen = start(argv, width, env, input)
    text = b""
    with os.fdopen(screen, "rb", buffering=0) as stream:
        while select.select([stream], [], [], DEADLINE_S)[0]:
            try:
                text += stream.read(65536)
            except OSError:  # EIO: the last one that held the terminal has ended
                break
    os.waitpid(pid, 0)
    return text.decode()


def lines_of(text: str) -> list[str]:
    """The lines that a terminal shows of it, those that were drawn over as well; colours and cursor moves left out."""
    return re.split(r"\r\n|\r|\n", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))


def drawn_again(args: Sequence[str], env: dict[str, str], input: str = "") -> str:
    """What ipcctl wrote on a terminal, drawn for all widths from the one run."""
    program = ROOT / "tests" / "contracts" / "drawn_again.py"
    widths = ",".join(map(str, WIDTHS))
    return on_terminal([sys.executable, str(program), widths, *args], WIDTHS[0], env, input)
