"""The contract of every option that is a duration: from nothing to a hundred years it is kept, or refused in one line.

poll(2), setitimer(2) and their like hold less. Whoever waits for long sleeps, and what it waits for is heard.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from queues import wait_until_asleep
from supervisors import environment
from support import DEADLINE_S, ipcctl, one_line, started, state_of, wait_until

from ipcctl.cli import cli
from ipcctl.commands.arguments import Seconds
from ipcctl.commands.concept import Concept

VALUES = {"0": 0.0, "1ms": 0.001, "24.9d": 24.9 * 86400, "30d": 30 * 86400.0, "36500d": 36500 * 86400.0}
SHORT_S = 1.0
PACE_S = 0.1  # of our own processor time, in which whoever sleeps uses next to none

Process = subprocess.Popen[str]


def durations(command: click.Command = cli, name: str = "") -> Iterator[tuple[str, click.Option]]:
    """Every option of the type Seconds, with the command that has it."""
    depths = command.both if isinstance(command, Concept) else [command]
    for option in (each for depth in depths for each in depth.params):
        if isinstance(option, click.Option) and isinstance(option.type, Seconds):
            yield f"{name} {option.opts[-1]}".strip(), option
    if isinstance(command, click.Group):
        context = click.Context(command)
        for verb in command.list_commands(context):
            below = command.get_command(context, verb)
            assert below is not None
            yield from durations(below, f"{name} {verb}".strip())


FOUND = dict(durations())


# --- what is run for each of them


class Ends:
    """A command line that ends by itself, whatever the duration (@) is; `prepare` comes before it.

    holder: a command that takes the semaphore s before, and has it meanwhile.
    """

    def __init__(self, *argv: str, statuses: tuple[int, ...] = (0,), prepare: str = "", holder: str = "") -> None:
        self.argv = argv
        self.statuses = statuses
        self.prepare = prepare.split()
        self.holder = holder.split()

    def check(self, value: str, directory: Path) -> None:
        """Run it, with the duration."""
        argv = [each.replace("@", value) for each in self.argv]
        how = {"env": environment(directory), "cwd": directory}
        if self.prepare:
            assert ipcctl(*self.prepare, **how).returncode == 0
        with self.held(how) as holder:
            self.run(argv, VALUES[value] < SHORT_S, holder, how)

    @contextlib.contextmanager
    def held(self, how: Any) -> Iterator[Process | None]:
        """The holder, while it holds."""
        if not self.holder:
            yield None
            return
        with started(*self.holder, **how) as holder:
            wait_until(lambda: Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n", "that the holder holds")
            yield holder
            holder.kill()
        assert ipcctl("sem", "remove", "s", **how).returncode == 0

    def run(self, argv: list[str], is_short: bool, holder: Process | None, how: Any) -> None:
        """Run it to its end."""
        done = ipcctl(*argv, **how)
        assert done.returncode in self.statuses, done.stderr
        assert "Traceback" not in done.stderr
        assert "internal error" not in done.stderr


class Waits(Ends):
    """One that waits for so long, unless `event` comes: a signal, the arguments of another run, or the holder's end.

    after_short: its statuses where it has waited for a short time; none: it ends by the event alone.
    """

    def __init__(self, *argv: str, event: str | int, status: int, after_short: tuple[int, ...] = (),
                 asleep: Callable[[Process], None] | None = None, **how: str) -> None:  # fmt: skip
        super().__init__(*argv, statuses=after_short, **how)  # type: ignore[arg-type]
        self.event = event
        self.status = status
        self.asleep = asleep or until_asleep

    def run(self, argv: list[str], is_short: bool, holder: Process | None, how: Any) -> None:
        """Run it; where the duration is long, see that it sleeps, and let the event come."""
        if is_short and self.statuses:
            super().run(argv, is_short, holder, how)
            return
        with started(*argv, **how) as process:
            if not is_short:
                self.asleep(process)
            used_s = used_while_we_work(process.pid)
            if isinstance(self.event, int):
                process.send_signal(self.event)
            elif self.event:
                assert ipcctl(*self.event.split(), **how).returncode == 0
            elif holder:
                holder.kill()
            _, err = process.communicate(timeout=DEADLINE_S)
        ended_early = -self.event if is_short and isinstance(self.event, int) else self.status  # by its start
        assert process.returncode in (self.status, ended_early), err
        assert "Traceback" not in err
        assert is_short or used_s < PACE_S / 2, "it does not sleep"


def until_asleep(process: Process) -> None:
    """Return once it sleeps in a wait with an end, or of its own (proc(5), wchan)."""

    def asleep() -> bool:
        where = Path(f"/proc/{process.pid}/wchan").read_text()
        return state_of(process.pid) == "S" and any(each in where for each in ("poll", "sigtimed", "sem", "futex"))

    wait_until(lambda: asleep() and process.poll() is None, "its sleep")


def until_said(process: Process) -> None:
    """Return once it has said something on its standard error."""
    assert process.stderr is not None
    assert process.stderr.readline()
    until_asleep(process)


def used_while_we_work(pid: int) -> float:
    """Return what a process uses of a processor, in seconds, while this one uses PACE_S."""
    clock = ~pid << 3 | 2  # clock_getcpuclockid(3)
    before, end = time.clock_gettime(clock), time.process_time() + PACE_S
    while time.process_time() < end:
        pass
    return time.clock_gettime(clock) - before


SLEEP = "exec sleep 60"
LEAVES = ("sh", "-c", "sleep 0.3 >&- 2>&- & :")
TERM = int(signal.SIGTERM)

CASES: dict[str, Ends] = {
    "fork --timeout": Ends("fork", "-q", "--timeout", "@", "--", "true", statuses=(0, 124)),
    "fork --grace": Ends("fork", "-q", "--timeout", "50ms", "--grace", "@", "--", "sh", "-c", SLEEP, statuses=(124,)),
    "zombie --hold": Waits("zombie", "--hold", "@", event=TERM, after_short=(0,), status=143, asleep=until_said),
    "zombie --longer-than": Ends("zombie", "-q", "--longer-than", "@", "--", "true"),
    "zombie --grace": Waits("zombie", "-q", "--grace", "@", "--", "sh", "-c", SLEEP, event=TERM, status=143),
    "orphan --hold": Waits("orphan", "--hold", "@", event=TERM, after_short=(0,), status=143, asleep=until_said),
    "orphan --timeout": Ends("orphan", "-q", "--left", "wait", "--timeout", "@", "--", *LEAVES, statuses=(0, 124)),
    "orphan --grace": Ends("orphan", "-q", "--left", "kill", "--grace", "@", "--", *LEAVES),
    "double-fork --alive-for": Ends("double-fork", "-q", "--alive-for", "@", "--", "sleep", "0.2", statuses=(0, 1)),
    "double-fork --timeout": Ends("double-fork", "-q", "--ready", "--timeout", "@", "--", "true", statuses=(1, 124)),
    "double-fork --grace": Ends("double-fork", "-q", "--ready", "--timeout", "50ms", "--grace", "@", "--", "sleep",
                                "60", statuses=(124,)),
    "double-fork stop --grace": Ends("double-fork", "stop", "--grace", "@", "--pidfile", "p",
                                     prepare="double-fork -q --pidfile p -- sleep 60"),
    "pool --seconds": Waits("pool", "--seconds", "@", event=TERM, after_short=(0,), status=143),
    "pool --timeout": Ends("pool", "-q", "--timeout", "@", "--", "true", ":::", "a", statuses=(0, 124)),
    "pool --grace": Ends("pool", "-q", "--timeout", "50ms", "--grace", "@", "--", "sleep", ":::", "60",
                         statuses=(124,)),
    "pool --delay": Waits("pool", "-q", "--retries", "1", "--delay", "@", "--", "false", ":::", "a", event=TERM,
                          after_short=(1,), status=143),
    "pipe --timeout": Ends("pipe", "-q", "--timeout", "@", "true", "true", statuses=(0, 124)),
    "pipe --grace": Ends("pipe", "-q", "--timeout", "50ms", "--grace", "@", SLEEP, "cat", statuses=(124,)),
    "pipe duplex --timeout": Ends("pipe", "duplex", "-q", "--timeout", "@", "true", "true", statuses=(0, 124)),
    "pipe duplex --grace": Ends("pipe", "duplex", "-q", "--timeout", "50ms", "--grace", "@", SLEEP, "cat",
                                statuses=(124,)),
    "pipe duplex --stall": Ends("pipe", "duplex", "-q", "--timeout", "200ms", "--stall", "@", "cat", "cat",
                                statuses=(124,)),
    "pipe meter --interval": Ends("pipe", "meter", "-q", "--progress", "--interval", "@"),
    "ps --watch": Waits("ps", "-q", "--watch", "@", event=TERM, status=143),
    "queue put --timeout": Waits("queue", "put", "q", "b", "--timeout", "@", event="queue get q", after_short=(124,),
                                 status=0, prepare="queue put q a --max 1", asleep=wait_until_asleep),
    "queue get --timeout": Waits("queue", "get", "q", "--timeout", "@", event="queue put q a", after_short=(124,),
                                 status=0, asleep=wait_until_asleep),
    "queue work --lease": Ends("queue", "work", "q", "--lease", "@", "--until-empty", "--retries", "0", "--", "true",
                               "{}", statuses=(0, 1), prepare="queue put q a"),
    "queue work --grace": Ends("queue", "work", "q", "--lease", "50ms", "--grace", "@", "--until-empty", "--retries",
                               "0", "--stdin", "--", "sleep", "60", statuses=(1,), prepare="queue put q a"),
    "shm wait --timeout": Waits("shm", "wait", "v", "--until", "==1", "--timeout", "@", event="shm set v 1",
                                after_short=(124,), status=0, prepare="shm set v 0", asleep=wait_until_asleep),
    "sem run --timeout": Waits("sem", "run", "s", "--timeout", "@", "--", "true", event="sem resize s 2",
                               after_short=(124,), status=0, holder="sem run s -- sleep 60"),
    "sem wait --timeout": Waits("sem", "wait", "s", "--timeout", "@", event="", after_short=(124,), status=0,
                                holder="sem run s -- sleep 60"),
}  # fmt: skip


def test_every_option_of_a_duration_is_here() -> None:
    """One that is new needs a line above."""
    assert CASES.keys() == FOUND.keys()


def is_refused(name: str, value: str) -> bool:
    """Whether the option says of itself that it does not take this one."""
    kind: Any = FOUND[name].type
    return bool(kind.positive) and VALUES[value] == 0


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", FOUND)
def test_a_duration_is_kept_however_short_or_long(name: str, value: str, tmp_path: Path, adopting: None) -> None:
    case = CASES[name]
    if not is_refused(name, value):
        case.check(value, tmp_path)
        return
    done = ipcctl(*(each.replace("@", value) for each in case.argv), env=environment(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert "is too short; give more than 0" in one_line(done.stderr)
