"""Waits of any length, that a signal ends at once, whatever they wait for.

    poll_until     descriptors, until a deadline      a signal wakes it through a pipe: none is lost that comes between
                                                      the interpreter's last look for signals and poll(2)
    interruptible  any other call that others may     a timer interrupts it again and again; each time handlers run, and
                   hold up: a lock, a write           `checks` look for blocked signals that ask to end

The interpreter runs a signal's handler between two instructions of Python. One that comes after that, and before the
system call has begun, would be acted on only when the call returns: never, where others keep it waiting.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from .errors import Interrupted

if TYPE_CHECKING:
    import select

NEVER = float("inf")
LONGEST_S = 24 * 86400.0  # poll(2) and epoll_wait(2) take an int of milliseconds: 24.8 days
TICK_S = 0.1
SI_KERNEL = 0x80  # siginfo_t's si_code for the timer's signal, not kill(2)'s
PATIENCE_S = 0.5  # with who holds us up once we were asked to end: the report may be of interest yet


def seconds_until(deadline: float | None) -> float | None:
    """Return the seconds to wait until `deadline` (time.monotonic), for poll(2) and its like; None: no end.

    Never below 0, and at most 24 days: whoever waits for longer takes the wait up again.
    """
    if deadline is None or deadline == NEVER:
        return None
    return min(max(deadline - time.monotonic(), 0.0), LONGEST_S)


def milliseconds_until(deadline: float | None) -> float | None:
    """Return `seconds_until`, in milliseconds."""
    seconds = seconds_until(deadline)
    return None if seconds is None else seconds * 1000


def is_over(deadline: float | None) -> bool:
    """Return whether the deadline (time.monotonic) has passed; None never has."""
    return deadline is not None and time.monotonic() >= deadline


def poll_until(poller: select.poll, deadline: float | None = None) -> list[tuple[int, int]]:
    """Return what poll(2) finds, [] once `deadline` (time.monotonic) has passed. Handlers of signals run meanwhile."""
    with wakeup_pipe() as wakeup_fd:
        if wakeup_fd is not None:
            poller.register(wakeup_fd, 1)  # POLLIN
        try:
            while True:
                found = [each for each in poller.poll(milliseconds_until(deadline)) if each[0] != wakeup_fd]
                if found or is_over(deadline):
                    return found
                if wakeup_fd is not None:
                    drain(wakeup_fd)
        finally:
            if wakeup_fd is not None:
                poller.unregister(wakeup_fd)


def poll_for(descriptors: Iterable[int], deadline: float | None = None) -> list[int]:
    """Return those that can be read, or are at their end; [] once `deadline` (time.monotonic) has passed."""
    import select

    poller = select.poll()
    for each in descriptors:
        poller.register(each, select.POLLIN)
    return [descriptor for descriptor, _ in poll_until(poller, deadline)]


@contextlib.contextmanager
def wakeup_pipe() -> Iterator[int | None]:
    """Give a descriptor that can be read once a signal has come that Python handles (signal.set_wakeup_fd).

    None where somebody has one already, which is then to be waited for; and outside of the main thread, where no
    handler runs.
    """
    import signal

    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = None
    try:
        with contextlib.suppress(ValueError):
            before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if before not in (None, -1):
            signal.set_wakeup_fd(before, warn_on_full_buffer=False)
        yield reading if before == -1 else None
    finally:
        if before == -1:
            signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)


def drain(descriptor: int) -> None:
    """Read what a non-blocking pipe has."""
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            pass


# --- calls that others may hold up

Check = Callable[[], None]  # raises Interrupted where a signal has asked to end

checks: list[Check] = []  # of those who keep signals blocked, or have handlers note them


class Ticking:
    """The state of the timer."""

    is_on = False
    begun = 0.0  # time.monotonic
    count = 0  # of the timer's signals since
    owed = False  # a SIGALRM came that was not the timer's
    asked: int | None = None  # the signal by which we were asked to end


def asked(number: int | None) -> None:
    """Note that a signal has asked us to end: from now on nobody who holds us up is waited for for long."""
    if number is not None:
        Ticking.asked = number


def interrupt(number: int) -> NoReturn:
    """Raise Interrupted, and note that we were asked to end."""
    asked(number)
    raise Interrupted(number)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let signals end a system call of the block that others hold up: handlers and `checks` run every 100 ms.

    The timer is setitimer(2)'s. A SIGALRM that somebody else sends meanwhile is sent again afterwards. The terminal may
    stop us for using it in the background, as it does any program: with its signals blocked, a read would fail (EIO),
    and a write be done in spite of `stty tostop`.
    """
    import signal

    if Ticking.is_on:
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    let_through = {signal.SIGALRM, *mask & {signal.SIGTTIN, signal.SIGTTOU}}
    try:
        handler = signal.signal(signal.SIGALRM, tick)
    except ValueError:  # not the main thread: no handler runs here
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM} - mask)
        yield
        return
    Ticking.owed = signal.SIGALRM in mask and signal.sigtimedwait({signal.SIGALRM}, 0) is not None
    Ticking.is_on, Ticking.begun, Ticking.count = True, time.monotonic(), 0
    left_s, interval_s = signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, let_through)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, let_through)
        Ticking.is_on = False
        took_s = time.monotonic() - Ticking.begun
        signal.setitimer(signal.ITIMER_REAL, 0)
        last = signal.sigtimedwait({signal.SIGALRM}, 0)
        Ticking.owed = Ticking.owed or (last is not None and last.si_code != SI_KERNEL)
        signal.setitimer(signal.ITIMER_REAL, max(left_s - took_s, 1e-6) if left_s else 0.0, interval_s)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM} - mask)
        if Ticking.owed:
            signal.raise_signal(signal.SIGALRM)


def tick(number: int, frame: FrameType | None) -> None:
    """Handle the timer's signal: that there is a handler interrupts the call; see whether we are asked to end."""
    if not Ticking.is_on:
        return
    if (Ticking.count + 0.5) * TICK_S > time.monotonic() - Ticking.begun:  # too early for the timer's next
        Ticking.owed = True
        return
    Ticking.count += 1
    for check in tuple(checks):
        check()
    if Ticking.asked is not None and time.monotonic() - Ticking.begun >= PATIENCE_S:
        raise Interrupted(Ticking.asked)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it. Raises OSError; Interrupted where others hold it up, and a signal asks to end."""
    with memoryview(data) as left:
        while left:
            left = left[write_some(descriptor, left) :]


def write_some(descriptor: int, data: memoryview) -> int:
    """Write as write(2) does, and wait for room, also where O_NONBLOCK is set. Raises OSError; Interrupted."""
    try:
        return os.pwritev(descriptor, [data], -1, os.RWF_NOWAIT)
    except OSError:  # EAGAIN: there is no room; or there is no such write to this kind of file, or on this kernel
        pass
    with interruptible():
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            import select

            poller = select.poll()
            poller.register(descriptor, select.POLLOUT)
            poller.poll()
            return 0


def read_some(descriptor: int, most: int) -> bytes:
    """Read as read(2) does. Raises OSError; Interrupted where there is nothing yet, and a signal asks to end.

    That poll(2) found something is no promise: others who share the descriptor may have read it.
    """
    with interruptible():
        return os.read(descriptor, most)


def open_file(path: str, flags: int) -> int:
    """Open a file as open(2) does, made for all if need be, and wait for a FIFO's other end. Raises OSError."""
    try:
        is_fifo = stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        is_fifo = False
    with interruptible() if is_fifo else contextlib.nullcontext():
        return os.open(path, flags | os.O_CLOEXEC, 0o666)


def lock_file(descriptor: int, kind: int) -> None:
    """Lock as flock(2) does. Raises OSError; Interrupted where another keeps the lock, and a signal asks to end."""
    import fcntl

    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        with interruptible():
            fcntl.flock(descriptor, kind)


def draw(descriptor: int, text: str) -> bool:
    """Write what is soon drawn again, unless nothing can be written now, or nobody is left to look; return which."""
    import select

    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    with contextlib.suppress(OSError):
        if poller.poll(0):
            write_all(descriptor, text.encode("utf-8", "surrogateescape"))
            return True
    return False
