"""Start jobs beside the loop, in threads: a start waits until the child has its program, and the loop need not.

    the loop ──job──► queue ─┬─► thread: posix_spawn(3) ─┬──► answers: job, PID ──► the loop, which was woken
       │                     └─► thread: posix_spawn(3) ─┘                            ▲
       └── wait4(2): a child that nobody told of yet ──► kept until its start's answer ┘

A thread blocks all signals: they are the loop's. A child has no Python of ours to run, so that it does not matter what
other threads held when it was made. A start that failed is for the loop to make again, by itself: it knows what to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ..process.posix_spawn import Files, Spawner
from ..process.signals import CATCHABLE, blocked
from .job import Job

if TYPE_CHECKING:
    from resource import struct_rusage

    Ended = tuple[int, struct_rusage, float]  # the wait status, what it used, and when it was waited for

MOST_THREADS = 2


class SpawnThreads:
    """Threads that start jobs; `wake` is called in them where an answer is waited for.

    Raises OSError, AttributeError or RuntimeError where that cannot be done here.
    """

    def __init__(self, mask: Iterable[int], environment: Mapping[bytes, bytes], wake: Callable[[], None]) -> None:
        self._spawner = Spawner(mask, environment)
        self._wake = wake
        self._wanted: SimpleQueue[Job | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Job, int | None]] = SimpleQueue()
        self._pending: dict[Job, int] = {}  # with the number of its start, in their order
        self._sent = 0
        self._early: dict[int, tuple[int, Ended]] = {}  # by PID, with the number of the last start before its end
        self._threads: list[threading.Thread] = []
        with blocked(CATCHABLE):
            try:
                for _ in range(MOST_THREADS):
                    thread = threading.Thread(target=self._serve)
                    thread.start()
                    self._threads.append(thread)
            except BaseException:
                self.close()
                raise

    @property
    def pending(self) -> Collection[Job]:
        """Those whose starts are not answered yet."""
        return self._pending.keys()

    def send(self, job: Job) -> None:
        """Have a job started."""
        self._sent += 1
        self._pending[job] = self._sent
        self._wanted.put(job)

    def answers(self, all_of_them: bool = False) -> Iterator[tuple[Job, int | None]]:
        """The answers so far: a job, and its PID or None where the start failed. `all_of_them`: waits for the rest."""
        while self._pending and (all_of_them or not self._answers.empty()):
            job, pid = self._answers.get()
            del self._pending[job]
            yield job, pid

    def keep(self, pid: int, ended: Ended) -> None:
        """A child has ended that may be one of those whose start is not answered yet."""
        self._early[pid] = self._sent, ended

    def kept(self, pid: int) -> Ended | None:
        """How a job ended whose start was just answered; None when it has not."""
        if not self._early:
            return None
        _, ended = self._early.pop(pid, (0, None))
        oldest = next(iter(self._pending.values()), self._sent + 1)
        self._early = {pid: each for pid, each in self._early.items() if each[0] >= oldest}
        return ended

    def close(self) -> None:
        """Let the threads end."""
        for _ in self._threads:
            self._wanted.put(None)
        for each in self._threads:
            each.join()

    def _serve(self) -> None:
        """A thread's work."""
        while (job := self._wanted.get()) is not None:
            pid = self._start(job)
            self._answers.put((job, pid))
            if pid is None or self._early or job.missed:  # else its end will wake the loop, and is soon enough
                self._wake()

    def _start(self, job: Job) -> int | None:
        slot, record = job.slot, job.record
        assert slot is not None and record is not None
        try:
            if slot.files is None:
                slot.files = Files(slot.actions)
            job.begins()
            return self._spawner.spawn(record.argv, slot.files)
        except Exception:
            return None
