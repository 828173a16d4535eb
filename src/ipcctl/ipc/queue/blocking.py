"""Putting and getting with waiting: for room, and for messages.

    look ─► nothing ─► watch ─► look once more ─► nothing ─► wait in poll(2) until somebody notifies ─► look …

What happens between a look and the wait is heard by the watch, so no change is ever missed; who waits sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ...errors import EXIT_FALSE, EXIT_TIMED_OUT, IpcctlError
from ...waiting import is_over, poll_for
from .message import Taken
from .queue import Queue

BATCH = 10_000  # messages taken at once
Wait = Callable[[Sequence[int], "float | None"], object]  # for descriptors, until a moment (time.monotonic)


class NoRoom(IpcctlError):
    """The queue is full, and it was not to be waited for."""

    status = EXIT_FALSE


class WaitTimedOut(IpcctlError):
    """Timed out waiting for room or for a message."""

    status = EXIT_TIMED_OUT


def wait_for_change(queue: Queue, wait: Wait, deadline: float | None) -> bool:
    """Wait until the queue may be another than at the last look; False when `deadline` has come."""
    if queue.watch():
        queue.clear_wakeups()
        return True  # what happened before this was not heard: look once more
    if is_over(deadline):
        return False
    if is_over(queue.next_end):
        queue.next_end = None  # whoever looks learns of the next; whoever is busy is not to be woken by it again
        return True
    wait([queue.wakeup_fd], min(filter(None, (deadline, queue.next_end)), default=None))
    queue.clear_wakeups()
    return True


class Producer:
    """Puts messages into a queue, and waits for room where it has a bound. `count` is how many are in.

    timeout_s: wait so long each time there is no room; 0 does not wait.
    """

    def __init__(self, queue: Queue, bound: int | None, timeout_s: float | None, wait: Wait = poll_for) -> None:
        self.queue = queue
        self.bound = bound
        self.timeout_s = timeout_s
        self.wait = wait
        self.count = 0

    def put(self, bodies: Sequence[bytes]) -> None:
        """Put them all. Raises NoRoom, WaitTimedOut, Closed; `count` tells how many are in."""
        while bodies:
            put = self.queue.put(bodies, self.bound)
            self.count += put
            bodies = bodies[put:]
            if bodies:
                self._wait_for_room()

    def _wait_for_room(self) -> None:
        if self.timeout_s == 0:
            raise NoRoom(f"queue {self.queue.name!r} is full")
        deadline = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        while not self.queue.has_room():
            if not wait_for_change(self.queue, self.wait, deadline):
                raise WaitTimedOut(f"queue {self.queue.name!r} was full for {self.timeout_s:g} s")


class Consumer:
    """Takes messages from a queue, and waits for them. `count` is how many were taken.

    most: so many, None for any number. timeout_s: wait so long each time there is none; 0 does not wait.
    """

    def __init__(self, queue: Queue, most: int | None, timeout_s: float | None) -> None:
        self.queue = queue
        self.most = most
        self.timeout_s = timeout_s
        self.count = 0

    def batches(self) -> Iterator[Taken]:
        """Yield what was taken, to be acknowledged one by one, until no more is to come. Raises WaitTimedOut."""
        while self.most is None or self.count < self.most:
            taken = self.queue.take(BATCH if self.most is None else min(self.most - self.count, BATCH))
            if taken.messages:
                self.count += len(taken.messages)
                yield taken
            elif self.timeout_s == 0 or not self._wait():
                break

    def _wait(self) -> bool:
        """Wait until something waits; False when nothing will come any more."""
        deadline = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        while not self.queue.is_over():
            if not wait_for_change(self.queue, poll_for, deadline):
                raise WaitTimedOut(f"no message came into queue {self.queue.name!r} for {self.timeout_s:g} s")
            if self.queue.has_waiting():
                return True
        return False
