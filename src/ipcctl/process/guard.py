"""Run a command below a process of its own, so that all that it starts is known to be its, and can be ended with it.

    supervisor ──fork──► guard ──posix_spawn(3)──► command ──► its tree, double-forked and setsid'd as well
        ▲                  │ adopts what loses its parent, and reaps it
        └── ends as ───────┘ the command did, and then; once told to keep all, when nothing of the tree is left

The guard is a child subreaper, which nothing can leave that descends from it. It blocks every signal, and hands on to
the command those that the supervisor hands on; the terminal's came to the command as well. When it ends, or is killed
with the supervisor (PR_SET_PDEATHSIG), what is left of the tree goes on.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ..errors import CannotStart
from .fds import open_descriptors
from .prctl import PR_SET_PDEATHSIG, prctl
from .run import adopt_orphans
from .signals import CATCHABLE, SI_QUEUE, Arrived, Signals, blocked, change_mask, libc, send_on
from .spawn import spawn
from .tree import ended_children
from .wait_status import has_children, shell_status

KEEP_ALL = signal.SIGUSR1  # queued by the supervisor itself; one that it hands on is by kill(2), or has another sender


def keep_all(guard: int) -> None:
    """Ask a guard to stay until nothing of the tree is left (sigqueue(3))."""
    libc().sigqueue(guard, int(KEEP_ALL), None)


def spawn_guarded(argv: Sequence[str], redirect: Mapping[int, int], environment: Mapping[str, str]) -> int:
    """Start `argv` below a guard, and return the guard's PID; it ends with the wait status of the command.

    The command starts with no signal blocked. `redirect` gives the command's descriptors by ours. Raises CannotStart,
    OSError.
    """
    failure, writing = os.pipe()
    supervisor = os.getpid()
    try:
        with blocked(CATCHABLE):
            pid = os.fork()
            if pid == 0:
                be_guard(supervisor, argv, redirect, environment, writing)
    finally:
        os.close(writing)
    with open(failure, "rb") as file:
        told = file.read().decode("utf-8", "surrogateescape")
    if told:
        os.waitpid(pid, 0)
        status, code, message = told.split("\n", 2)
        raise CannotStart(message, int(status), int(code) or None)
    return pid


def be_guard(
    supervisor: int, argv: Sequence[str], redirect: Mapping[int, int], environment: Mapping[str, str], failure: int
) -> NoReturn:
    """Be a guard, to the end of this process. `failure` is the pipe to tell on why the command cannot be started."""
    wait_status = 1 << 8
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == supervisor:  # else that ended before
            adopt_orphans()
            close_others({failure, *redirect.values()})
            try:
                command = spawn(argv, redirect=redirect, environment=environment)
            except CannotStart as error:
                os.write(failure, f"{error.status}\n{error.errno or 0}\n{error}".encode("utf-8", "surrogateescape"))
                os._exit(1)
            for each in (failure, *redirect.values()):
                os.close(each)
            wait_status = Guard(command, supervisor).see_end()
        end_like(wait_status)
    finally:
        os._exit(1)


class GoBetween:
    """A process between its parent and its child: it hands on what signals it gets, and ends as the child does.

    Every signal must be blocked. It reaps whatever else is its child, or falls to it.
    """

    def __init__(self, child: int) -> None:
        self.child = child
        self.signals = Signals(CATCHABLE)
        self.wait_status: int | None = None  # of the child, once it has ended

    def see_end(self) -> int:
        """Wait until the child has ended, and this process need not stay; return the child's wait status."""
        info: Arrived | None = None
        with self.signals:
            while True:
                while info is not None or (info := self.signals.take()) is not None:
                    self.hear(info)
                    info = None
                for pid, status, _ in ended_children():
                    if pid == self.child:
                        self.wait_status = status
                if self.wait_status is not None and not self.stays():
                    return self.wait_status
                info = self.signals.wait()

    def hear(self, info: Arrived) -> None:
        """Hand a signal on, unless the child has it too, or has ended."""
        if info.si_signo != signal.SIGCHLD and self.wait_status is None:
            with contextlib.suppress(PermissionError):  # it runs a set-user-ID program
                if not self.signals.has_it_too(info, self.child):
                    send_on(info, self.child)  # a child that was not waited for: the PID is nobody else's
            self.signals.note(info)

    def stays(self) -> bool:
        """Return whether this process is still needed when the child has ended."""
        return False


class Guard(GoBetween):
    """A guard, once its command runs; it stays with what is left of the command's tree where that is asked for."""

    def __init__(self, command: int, supervisor: int) -> None:
        super().__init__(command)
        self.supervisor = supervisor
        self.all_of_it = False

    def hear(self, info: Arrived) -> None:
        """Hand a signal on, but for the supervisor's request to stay."""
        if info.si_signo == KEEP_ALL and info.si_code == SI_QUEUE and info.si_pid == self.supervisor:
            self.all_of_it = True
        else:
            super().hear(info)

    def stays(self) -> bool:
        """Return whether all of the tree is asked for, and something of it is left."""
        return self.all_of_it and has_children()


def end_like(wait_status: int) -> NoReturn:
    """End with the status that the child had."""
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core is enough
        with contextlib.suppress(OSError, ValueError):  # KILL, 32 and 33 cannot be set, and need not be
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        change_mask(signal.SIG_UNBLOCK, {number})
    os._exit(shell_status(wait_status))  # also as PID 1, which its own signals do not end


def close_others(kept: set[int]) -> None:
    """Close what is the supervisor's own, which is close-on-exec, but for those; what a command inherits stays.

    Among it are open files with locks: who holds on to one would hold the lock, when the supervisor is gone.
    """
    for each in open_descriptors():
        with contextlib.suppress(OSError):  # the one that listed them is closed by now
            if each not in kept and not os.get_inheritable(each):
                os.close(each)
