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
from .signals import CATCHABLE, SI_QUEUE, Arrived, Signals, blocked, libc, send_on
from .spawn import spawn
from .tree import ended_children, has_children

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
            wait_status = see_end(command, supervisor)
        end_like(wait_status)
    finally:
        os._exit(1)


def see_end(command: int, supervisor: int) -> int:
    """Wait until the command has ended, or all of its tree where that is asked for; return its wait status."""
    wait_status, all_of_it = None, False
    info: Arrived | None = None
    with Signals(CATCHABLE) as signals:
        while True:
            while info is not None or (info := signals.take()) is not None:
                if info.si_signo == KEEP_ALL and info.si_code == SI_QUEUE and info.si_pid == supervisor:
                    all_of_it = True
                elif info.si_signo != signal.SIGCHLD and wait_status is None:
                    hand_on(signals, info, command)
                info = None
            for pid, status, _ in ended_children():
                if pid == command:
                    wait_status = status
            if wait_status is not None and not (all_of_it and has_children()):
                return wait_status
            info = signals.wait()


def hand_on(signals: Signals, info: Arrived, command: int) -> None:
    """Send a signal on to a command that was not waited for, where it does not have it; never stop ourselves."""
    if not signals.has_it_too(info, command):
        with contextlib.suppress(PermissionError):  # it runs a set-user-ID program
            send_on(info, command)
    signals.note(info)


def end_like(wait_status: int) -> NoReturn:
    """End with the status that the command had."""
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core is enough
        with contextlib.suppress(OSError):  # KILL cannot be set, and need not be
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os._exit(os.WEXITSTATUS(wait_status))


def close_others(kept: set[int]) -> None:
    """Close what is the supervisor's own, which is close-on-exec, but for those; what a command inherits stays.

    Among it are open files with locks: who holds on to one would hold the lock, when the supervisor is gone.
    """
    for each in open_descriptors():
        with contextlib.suppress(OSError):  # the one that listed them is closed by now
            if each not in kept and not os.get_inheritable(each):
                os.close(each)
