"""A process between a supervisor and its commands, by which all that a command started is known: it descends from it.

    supervisor ──request──► agent ──posix_spawn(3)──► command ──► its tree, double-forked and setsid'd as well
        ▲                     │ adopts what loses its parent, reaps it          │
        └── started, ended, ──┘ ◄───────────────────────────────────────────────┘
            emptied

An agent is a child subreaper (PR_SET_CHILD_SUBREAPER(2const)) that runs one command after the other. Nobody can leave
a subreaper, and what descends from an agent while its command runs is that command's and no other's. When a command has
ended and its agent still has children, the supervisor either lets go of the agent, which ends, so that they fall to the
supervisor; or ends them all, and the agent says when the last is gone.

An agent blocks every signal, those of the terminal too. It ends with its supervisor: by PR_SET_PDEATHSIG, or when the
pipe of its requests comes to its end; what it ran goes on then, as it does under a supervisor without agents.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import resource
import signal
import struct
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, NoReturn

from ..errors import CannotStart
from .guard import close_others
from .prctl import PR_SET_NAME, PR_SET_PDEATHSIG, prctl
from .procfs import Stat, children_of
from .run import adopt_orphans, floor_kib
from .signals import CATCHABLE, blocked
from .spawn import Actions, start
from .tree import all_below, reap_ended

NAME = b"ipcctl-agent"  # at most 15 bytes
STARTED, ENDED, EMPTIED, NOT_STARTED = range(4)
LENGTH = struct.Struct("=Q")  # of a request; 0 asks for word when there are no children any more
REPORT = struct.Struct("=iiii?qd2d14q")  # shorter than PIPE_BUF: written whole, whoever else writes
NO_USAGE = (0,) * 16


class Report(NamedTuple):
    """What an agent tells. `at` is by time.monotonic."""

    kind: int
    agent: int  # its PID
    pid: int  # of the command
    code: int  # ENDED: the wait status; NOT_STARTED: the errno, 0 for what no kernel refused
    left: bool  # ENDED: whether the agent has children now
    floor_kib: int  # a ru_maxrss up to this says nothing of the command
    at: float
    usage: resource.struct_rusage


class Agent:
    """One agent, as its supervisor has it. It runs one command at a time."""

    def __init__(self, pid: int, requests: int) -> None:
        self.pid = pid
        self._requests = requests

    def run(self, argv: list[str], changes: dict[bytes, bytes] | None = None) -> None:
        """Have a command started, its environment changed so. It is told where the agent is gone, by its end alone."""
        request = marshal.dumps((argv, changes))
        self._ask(LENGTH.pack(len(request)) + request)

    def tell_when_empty(self) -> None:
        """Have it tell when it has no children any more; its command must have ended."""
        self._ask(LENGTH.pack(0))

    def _ask(self, request: bytes) -> None:
        with contextlib.suppress(BrokenPipeError), memoryview(request) as left:  # it was killed: its end tells
            while left:
                left = left[os.write(self._requests, left) :]

    def release(self) -> None:
        """Let it end, once its command has; what is left of that falls to the supervisor, which must be a subreaper."""
        os.close(self._requests)

    def has_child(self, pid: int) -> bool:
        """Whether a process is a child of it, which it has not waited for; one that /proc hides, too."""
        return pid in children_of(self.pid)

    def found(self) -> list[Stat]:
        """All that descend from it, zombies too."""
        return all_below(self.pid)

    def has(self, found: Stat, parents: Collection[int]) -> bool:
        """Whether a process that was just started is one of them; `parents` are some that are known."""
        return found.ppid == self.pid or found.ppid in parents


class Agents:
    """Makes agents, and hears from them: `reading` can be read when there is a report.

    `mask` is the signal mask that commands start with, `environment` what they have in theirs. Raises OSError.
    """

    def __init__(self, mask: Iterable[int], environment: Mapping[bytes, bytes]) -> None:
        self._mask = frozenset(mask)
        self._environment = environment
        self.reading, self._writing = os.pipe()
        os.set_blocking(self.reading, False)

    def make(self, actions: Actions) -> Agent:
        """Make an agent whose commands get descriptors by `actions` (posix_spawn(3)). Raises OSError."""
        requests, writing = os.pipe()
        try:
            with blocked(CATCHABLE):
                supervisor, pid = os.getpid(), os.fork()
                if pid == 0:
                    self._become_agent(supervisor, requests, actions)
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(requests)
        return Agent(pid, writing)

    def _become_agent(self, supervisor: int, requests: int, actions: Actions) -> NoReturn:
        """Be an agent, to the end of this process."""
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == supervisor:  # else that ended before
                prctl(PR_SET_NAME, NAME)
                adopt_orphans()
                close_others({requests, self._writing, *(ours for _, ours, _ in actions)})
                Server(requests, self._writing).serve(actions, self._mask, self._environment)
        finally:
            os._exit(0)

    def reports(self) -> Iterator[Report]:
        """The reports so far."""
        with contextlib.suppress(BlockingIOError):
            while raw := os.read(self.reading, 256 * REPORT.size):
                for kind, agent, pid, code, left, floor, at, *usage in REPORT.iter_unpack(raw):
                    yield Report(kind, agent, pid, code, left, floor, at, resource.struct_rusage(usage))

    def close(self) -> None:
        """Hear no more of them."""
        os.close(self.reading)
        os.close(self._writing)


class Server:
    """An agent's own part."""

    def __init__(self, requests: int, reports: int) -> None:
        self._requests = requests
        self._reports = reports
        self._floor_kib = floor_kib()

    def serve(self, actions: Actions, mask: frozenset[int], environment: Mapping[bytes, bytes]) -> None:
        """Do what is asked for, until nobody is there to ask."""
        while (request := self._next_request()) is not None:
            if not request:
                wait_for_all()
                self._report(EMPTIED)
                continue
            argv, changes = marshal.loads(request)  # from our own parent, over a pipe that only we two hold
            try:
                pid = start(argv, actions, mask, {**environment, **changes} if changes else environment)
            except CannotStart as error:
                self._report(NOT_STARTED, code=error.errno or 0)
                continue
            self._report(STARTED, pid)
            self._see_end(pid)

    def _see_end(self, command: int) -> None:
        pid = 0
        while pid != command:  # else it was one that had fallen to us
            pid, wait_status, usage = os.wait4(-1, 0)
        if usage.ru_maxrss > self._floor_kib:  # perhaps we have grown
            self._floor_kib = max(self._floor_kib, floor_kib())
        self._report(ENDED, command, wait_status, reap_ended(), usage)

    def _report(
        self, kind: int, pid: int = 0, code: int = 0, left: bool = False, usage: Sequence[float] = NO_USAGE
    ) -> None:
        now = time.monotonic()
        os.write(self._reports, REPORT.pack(kind, os.getpid(), pid, code, left, self._floor_kib, now, *usage))

    def _next_request(self) -> bytes | None:
        """The next request; None at the end."""
        head = os.read(self._requests, LENGTH.size)
        if len(head) < LENGTH.size:  # shorter than PIPE_BUF: it is there whole, or not at all
            return None
        (length,) = LENGTH.unpack(head)
        found = b""
        while len(found) < length:
            if not (more := os.read(self._requests, length - len(found))):
                return None
            found += more
        return found


def wait_for_all() -> None:
    """Return when there is no child any more."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
