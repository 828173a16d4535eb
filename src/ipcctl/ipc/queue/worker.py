"""Run a command for each message of a queue, several at once: done on status 0, back in the queue otherwise.

    take on a lease ─► spawn COMMAND ─► ended: 0 ─────────────► done
                          │                    another status ─► failed: requeued, or a dead letter after the retries
                          ├─ its lease is over ─► TERM, grace, KILL ─► failed
    asked to end ─────────┴─► TERM, grace, KILL ─► given back, as if it had never been tried

When this process is killed the kernel takes its locks, and with them its leases: the messages wait again at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence

from ...errors import EXIT_FALSE, EXIT_OK
from ...process.procfs import require
from ...process.run import adopt_orphans, memory_file
from ...process.signals import FORWARDED, Arrived, Signals, send_on
from ...process.spawn import LONGEST_ARGUMENT, spawn
from ...process.terminate import (
    SCAN_EVERY_S,
    Descendants,
    end_descendants,
    kill,
    out_of_reach,
    refusal,
    signal_all,
)
from ...process.tree import ended_children, not_found
from ...process.wait_status import decode, has_children
from ...process.window import Window
from .blocking import wait_for_change
from .message import Message, Taken
from .queue import Queue

PLACE = "{}"  # in the command: where the message stands
MARGIN_S = 1.0  # a lease outlasts, by so much, what its worker needs to end a command that took too long


class Delivery:
    """A message with the command that runs for it. `late_at` is when it has had its time (time.monotonic)."""

    def __init__(self, pid: int, taken: Taken, late_at: float | None) -> None:
        self.pid = pid
        self.taken = taken
        self.late_at = late_at
        self.is_late = False

    @property
    def message(self) -> Message:
        """The message."""
        return self.taken.messages[0]


class Worker:
    """Works through a queue. As Run, it waits for every child of this process, which becomes a child subreaper.

    slots: so many commands at once. retries: after so many more failures a message is a dead letter. lease_s: so long
    may a command take. on_stdin: the message is its input and no argument. until_empty: end when no message is left;
    else only when the queue is closed, too. tell: is given a line for each dead letter.
    """

    def __init__(
        self,
        queue: Queue,
        argv: Sequence[str],
        slots: int = 1,
        retries: int = 3,
        lease_s: float | None = None,
        grace_s: float = 5.0,
        on_stdin: bool = False,
        until_empty: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.queue = queue
        self.argv = argv
        self.slots = slots
        self.retries = retries
        self.lease_s = lease_s
        self.grace_s = grace_s
        self.on_stdin = on_stdin
        self.until_empty = until_empty
        self.tell = tell
        self.dead_letters = 0
        self._jobs: dict[int, Delivery] = {}
        self._taken: list[Taken] = []  # of which no command runs yet

    def run(self) -> int:
        """Work until it is over; the status is 1 when a message became a dead letter.

        Raises CannotStart for a command that cannot be started, Removed, Interrupted when a signal asks us to end, and
        NoProc where a whole tree is to be ended after its lease and could not be found; whatever it raises, no command
        runs any more then, and what was taken waits again.
        """
        if self.lease_s is not None:
            require("what a command starts could not be found, to be ended with it")
        adopt_orphans()
        with Window(FORWARDED, self._hand_on, children=True) as self._window:
            try:
                while self._fill() or not self._is_over():
                    self._end_late()
                    wait_for_change(self.queue, self._wait, None)
                    self._settle(self._reap())
            except BaseException:
                self._end_all()
                raise
        return EXIT_FALSE if self.dead_letters else EXIT_OK

    def _fill(self) -> bool:
        """Start a command for each message there is, while there are slots; whether any runs."""
        free = self.slots - len(self._jobs)
        if free:
            until = None if self.lease_s is None else self.lease_s + self.grace_s + MARGIN_S
            taken = self.queue.take(free, until, attempt=True)
            pairs = zip(taken.messages, taken.leases, strict=True)
            self._taken += [Taken([message], [lease]) for message, lease in pairs]
        while self._taken:
            self._start(self._taken[0])
            self._taken.pop(0)
        return bool(self._jobs)

    def _is_over(self) -> bool:
        held, closed = self.queue.left()
        return not held and (closed or self.until_empty)

    def _wait(self, wakeup_fds: Sequence[int], until: float | None) -> None:
        late = (each.late_at for each in self._jobs.values())
        self._window.wait(wakeup_fds, min(filter(None, (until, *late)), default=None))

    def _hand_on(self, info: Arrived) -> None:
        """Hand a signal to the commands: one that asks nobody to end is theirs to act on."""
        for pid in self._jobs:
            if not self._has_it_too(info, pid):
                with contextlib.suppress(PermissionError):  # it runs a set-user-ID program
                    send_on(info, pid)

    def _has_it_too(self, info: Arrived, pid: int) -> bool:
        """Whether a child got that signal beside us; of a guard, which the terminal reaches always, its command's."""
        if self.lease_s is not None:
            return info.is_the_groups
        return self._window.signals.has_it_too(info, pid)

    def _start(self, taken: Taken) -> None:
        message = taken.messages[0]
        argv = [*self.argv] if self.on_stdin else [each.replace(PLACE, os.fsdecode(message.body)) for each in self.argv]
        if not self.on_stdin and (why := argument_problem(argv)):
            self._failed(taken, -1, why)
            return
        stdin = memory_file("message") if self.on_stdin else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self.on_stdin:
                write_all(stdin, message.body)
                os.lseek(stdin, 0, os.SEEK_SET)
            environment = {**os.environ, "IPCCTL_QUEUE": self.queue.name, "IPCCTL_MESSAGE_ID": str(message.id),
                           "IPCCTL_ATTEMPT": str(message.attempts)}  # fmt: skip
            pid = self._spawn(argv, {0: stdin}, environment)
        finally:
            os.close(stdin)
        self._jobs[pid] = Delivery(pid, taken, None if self.lease_s is None else time.monotonic() + self.lease_s)

    def _spawn(self, argv: Sequence[str], redirect: dict[int, int], environment: dict[str, str]) -> int:
        if self.lease_s is None:
            return spawn(argv, redirect=redirect, environment=environment)
        from ...process.guard import spawn_guarded

        return spawn_guarded(argv, redirect, environment)

    def _reap(self) -> list[tuple[Delivery, int]]:
        """Collect the children that have ended, adopted ones too: the jobs among them with their wait statuses."""
        return [(self._jobs.pop(pid), wait_status) for pid, wait_status, _ in ended_children() if pid in self._jobs]

    def _settle(self, ended: Sequence[tuple[Delivery, int]]) -> None:
        """Acknowledge the messages whose command succeeded, and count the failure of the others."""
        well = [job.taken for job, wait_status in ended if wait_status == 0]
        if well:
            self.queue.acknowledge_all(well)
        for job, wait_status in ended:
            if wait_status != 0:
                exit_code, name, _ = decode(wait_status)
                why = f"took longer than {self.lease_s:g} s" if job.is_late else name or f"exit status {exit_code}"
                self._failed(job.taken, self.retries, why)

    def _failed(self, taken: Taken, retries: int, why: str) -> None:
        if self.queue.failed(taken, retries, why):
            message = taken.messages[0]
            self.dead_letters += 1
            self.tell(f"message {message.id} is a dead letter after {message.attempts} attempts: {why}")

    def _end_late(self) -> None:
        """End the trees of those that have had their time: TERM, and after the grace period KILL until none is left.

        A tree is all that is below the command's guard, which ends when none is left.
        """
        for job in self._jobs.values():
            if job.late_at is None or job.late_at > time.monotonic():
                continue
            tree = Descendants(of=job.pid)
            if not job.is_late:
                from ...process.guard import keep_all

                job.is_late = True
                keep_all(job.pid)
                signal_all(tree, signal.SIGTERM, wake=True)
                job.late_at = time.monotonic() + self.grace_s
            else:
                kill(tree)
                job.late_at = time.monotonic() + SCAN_EVERY_S
            if left := out_of_reach(tree):
                self.tell(refusal(left))
                os.kill(job.pid, signal.SIGKILL)  # which leaves them to us

    def _end_all(self) -> None:
        """End every command; what was not done waits again."""
        ended: list[tuple[Delivery, int]] = []

        def reap() -> bool:
            ended.extend(self._reap())
            return has_children()

        unfinished = [*self._taken, *(each.taken for each in self._jobs.values())]
        with Signals() as signals:
            refused = end_descendants(signals, reap, self.grace_s, started=self._jobs.keys())
        if refused:
            self.tell(refusal(refused))
        if (left := not_found()) is not None:
            self.tell(left)
        well = [job.taken for job, wait_status in ended if wait_status == 0]
        if self.queue.store.is_there():
            if well:
                self.queue.acknowledge_all(well)
            for each in unfinished:
                if each not in well:
                    self.queue.requeue(each)


def argument_problem(argv: Sequence[str]) -> str | None:
    """Why these cannot be the arguments of a program, by what a message is."""
    for each in argv:
        if "\0" in each:
            return "it has a NUL byte, which no argument can have; use `on_stdin`"
        if len(os.fsencode(each)) >= LONGEST_ARGUMENT:  # with the NUL at its end
            return f"it is longer than an argument can be ({LONGEST_ARGUMENT - 1} bytes); use `on_stdin`"
    return None


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it."""
    with memoryview(data) as left:
        while left:
            left = left[os.write(descriptor, left) :]
