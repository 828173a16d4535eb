"""How the output of jobs is passed on: whole, in the order of the input, line by line, or into the records."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from ..report.sink import Sink
from .job import Job
from .output import Stream, Tagged

MOST_HELD = 64 << 20  # bytes of output that wait for the job before them
MOST_FILES = 64  # and files with it

Writing = Callable[[], AbstractContextManager[object]]


class Passer:
    """Passes output on to sinks, by the descriptor that it was written to.

    `mode` is "whole", "lines" (line by line), "records" (kept in the records) or "straight" (never seen here).
    `writing` is entered while writing, which may wait for a reader.
    """

    def __init__(
        self, sinks: Mapping[int, Sink], mode: str, in_order: bool, tagged: bool, writing: Writing
    ) -> None:
        self.sinks = sinks
        self.mode = mode
        self.in_order = in_order
        self.tagged = tagged
        self.writing = writing
        self.muted = False
        self._waiting: deque[Job] = deque()  # in the order of the input
        self._ended: set[Job] = set()
        self._bytes = self._files = 0

    @property
    def backed_up(self) -> bool:
        """Whether so much output waits for the job before it that no further job is to be started."""
        return self._bytes > MOST_HELD or self._files > MOST_FILES

    def taken(self, job: Job) -> None:
        """A job is about to be run for the first time."""
        if self.in_order:
            self._waiting.append(job)

    def tag(self, job: Job) -> bytes:
        """What stands before each line of a job's output."""
        return os.fsencode(job.input) + b"\t" if self.tagged else b""

    def came(self, stream: Stream, at_end: bool = False) -> None:
        """Pass on what a stream has of whole lines; at its end, all of it."""
        text = stream.lines(at_end)
        if not text or self.muted or self.mode == "records":
            return
        with self.writing():
            sink = self.sinks[stream.target]
            sink.write_bytes(Tagged(stream.tag).lines(text) if stream.tag else text)
            sink.flush()

    def attempt_ended(self, job: Job, streams: list[Stream]) -> None:
        """Take what an attempt wrote; what the one before it wrote, is not asked for any more."""
        if self.mode == "lines":
            for each in streams:
                self.came(each, at_end=True)
            return
        for _, old in job.output:
            old.close()
        keep_all = self.mode == "records"
        job.output = [(each.target, each.take()) for each in streams if each.size or keep_all]

    def ended(self, job: Job) -> None:
        """A job has ended for good."""
        if self.mode == "records":
            assert job.record is not None
            texts = [held.text() for _, held in job.output]
            job.record.stdout, job.record.stderr = texts or (None, None)
        elif not self.in_order:
            self._pass_on(job)
        else:
            self._in_turn(job)

    def _in_turn(self, job: Job) -> None:
        self._ended.add(job)
        self._count(job, 1)
        self._pass_on_those_in_turn()

    def left_out(self, job: Job) -> None:
        """A job that was taken will not be run: nothing waits for it."""
        if self.in_order:
            self._waiting.remove(job)
            self._pass_on_those_in_turn()

    def _pass_on_those_in_turn(self) -> None:
        while self._waiting and self._waiting[0] in self._ended:
            first = self._waiting.popleft()
            self._ended.remove(first)
            self._count(first, -1)
            self._pass_on(first)

    def _count(self, job: Job, sign: int) -> None:
        for _, each in job.output:
            self._bytes += sign * (each.size if each.file is None else 0)
            self._files += sign * (each.file is not None)

    def _pass_on(self, job: Job) -> None:
        for target, each in job.output:
            if self.muted:
                each.close()
                continue
            with self.writing():
                each.pass_on(self.sinks[target], self.tag(job))
                self.sinks[target].flush()
        job.output = ()
