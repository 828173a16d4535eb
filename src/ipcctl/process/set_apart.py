"""Be set apart from children that this process had before it began: `sh -c 'server & exec ipcctl …'`.

    caller ──► this process ─┬──► its earlier children, and what they start
                 │   ▲       │
       signals ──┘   └─ ends └──► a child, which goes on as this program, and becomes the child subreaper

To a child subreaper falls what its earlier children leave behind, and nothing tells that from what a command leaves. To
the child falls only what it starts itself. The caller knows the original's PID: so that hands on what signals it gets,
stops when the child stops, and ends as the child does; its earlier children are reaped when they end, as nobody else
could, and not touched otherwise. Killed, it takes the child along (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import NoReturn

from ..errors import EXIT_INTERNAL
from .guard import GoBetween, end_like
from .prctl import PR_SET_PDEATHSIG, prctl
from .signals import CATCHABLE, SI_USER, SIG, Arrived, change_mask, repeats, stop_by, stopped_by
from .tree import reap_ended

PAIRED_WITHIN_S = 2.0  # the two of a signal to both: much sooner, unless the machine is very busy


def set_apart() -> None:
    """Go on in a child, where this process has children: only what is started from now on can fall to that.

    To be called before there are threads, locks or buffered output: the child would have none of these, or a copy.
    Children that have ended are reaped. Raises OSError.
    """
    if not reap_ended():
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # it may be ignored; with that the kernel would keep no wait status
    original = os.getpid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        wait_for_leave(original, reading)
        repeats.append(Pairs(original))
        return
    try:
        os.close(reading)
        change_mask(signal.SIG_BLOCK, CATCHABLE)  # one that came before has its effect on both: the child has not begun
        os.write(writing, b"\n")
    finally:
        os.close(writing)
    stand_between(child)


def wait_for_leave(original: int, reading: int) -> None:
    """In the child: return once the original hands signals on; where it ends before that, end."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    told = os.read(reading, 1)
    os.close(reading)
    if not told or os.getppid() != original:
        os._exit(EXIT_INTERNAL)


def stand_between(child: int) -> NoReturn:
    """In the original: hand signals on, and end as the child does."""
    try:
        end_like(Original(child).see_end())
    except BaseException:  # an error of our own; in the same way the child ends what it has started
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    finally:
        os._exit(EXIT_INTERNAL)


class Original(GoBetween):
    """The process whose PID the caller knows."""

    def hear(self, info: Arrived) -> None:
        """Hand a signal on, and stop as the child has stopped, so that a shell's job control sees it."""
        super().hear(info)
        if info.si_signo == SIG.SIGCHLD and self.wait_status is None:
            with contextlib.suppress(ChildProcessError):  # it has ended
                if (number := stopped_by(self.child)) is not None:
                    self.signals.group_stopped = True
                    stop_by(number)


class Pairs:
    """Tells, in the child, a signal that came before by the other way: it was sent to both (kill(2) to their group).

    The original cannot tell it from one for itself alone, and hands it on. A second TERM would cut a grace period
    short.
    """

    def __init__(self, original: int) -> None:
        self.original = original
        self._single: list[tuple[int, bool, float]] = []  # number, whether it was handed on, when (time.monotonic)

    def __call__(self, info: Arrived) -> bool:
        """Return whether this one is the second of two."""
        if info.si_code != SI_USER or info.si_signo in (SIG.SIGCHLD, SIG.SIGCONT):
            return False
        now, handed_on = time.monotonic(), info.si_pid == self.original
        self._single = [each for each in self._single if now - each[2] < PAIRED_WITHIN_S]
        for each in self._single:
            if each[:2] == (info.si_signo, not handed_on):
                self._single.remove(each)
                return True
        self._single.append((info.si_signo, handed_on, now))
        return False
