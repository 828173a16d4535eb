"""The output of jobs: collected from a slot's pipes, kept apart, and passed on.

    job ──pipe──► OutputStream ──► bytes, or past 1 MiB a file ─► OutputForwarder ─► our stdout, stderr, or the record

A pipe, and not a file, is what a job has without us: it may open /dev/stdout anew, and where nobody reads it waits. The
pipes are a slot's, and stay from job to job; only where a job left somebody behind who may write later, the next job
gets new ones.
"""

from __future__ import annotations

import fcntl
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ..errors import OutputFailed

if TYPE_CHECKING:
    from .job import Job

CHUNK = 1 << 16
PASSED = 1 << 18  # at a time, from a file
IN_MEMORY = 1 << 20  # bytes of one stream of one job; more goes to a file
LARGE_PIPE = 1 << 20  # the most that an unprivileged process may have, by default (pipe(7))
MOST_HELD = 64 << 20  # bytes of output that wait for the job before them
MOST_FILES = 64  # and files with it
LONGEST_LINE = 1 << 20  # of what is passed on line by line: a longer one is passed on in parts


class Writer(Protocol):
    """What output is passed on to: a buffered writer to one of our descriptors, as report.sink.Sink is."""

    def write_bytes(self, data: bytes) -> None:
        """Add bytes. Raises OutputFailed, ReaderGone."""

    def flush(self) -> None:
        """Write what is buffered. Raises OutputFailed, ReaderGone."""


class OutputStream:
    """What jobs write to one descriptor of one slot. `target` is the descriptor of ours that it is passed on to."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.held: list[bytes] = []
        self.size = 0
        self.file: BinaryIO | None = None
        self.line_buffered = False
        self.tag = b""
        self._enlarged = False

    def read(self) -> bool:
        """Take what there is. Returns whether the other end is closed."""
        while True:
            try:
                data = os.read(self.reading, CHUNK)
            except BlockingIOError:
                return False
            if not data:
                return True
            self._keep(data)
            if len(data) < CHUNK:  # a pipe gives all it has
                return False
            self._enlarge()

    def _enlarge(self) -> None:
        if not self._enlarged:
            self._enlarged = True
            try:
                fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, LARGE_PIPE)  # type: ignore[attr-defined,unused-ignore]
            except OSError:  # this user has too many pipe pages already
                pass

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.file is None:
            self.held.append(data)
            if self.size > IN_MEMORY and not self.line_buffered:
                self._spill()
            return
        write_to(self.file, data)

    def _spill(self) -> None:
        import tempfile

        try:
            self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it outlives this call
        except OSError as error:
            raise cannot_keep(error) from None
        for each in self.held:
            write_to(self.file, each)
        self.held = []

    def take(self) -> Held:
        """All that was kept, which is then nobody's here."""
        found = Held(self.held, self.size, self.file)
        self.held, self.size, self.file = [], 0, None
        return found

    def lines(self, all_of_it: bool = False) -> bytes:
        """The whole lines so far; `all_of_it`: and what has no end."""
        text = b"".join(self.held)
        end = len(text) if all_of_it or len(text) > LONGEST_LINE else text.rfind(b"\n") + 1
        rest = text[end:]
        self.held, self.size = [rest] if rest else [], len(rest)
        return text[:end]

    def close(self) -> None:
        """Let go of both ends."""
        os.close(self.reading)
        if self.writing >= 0:
            os.close(self.writing)

    def leave(self) -> None:
        """Let go of the writing end: whoever else holds it is not ours any more, and its end can be seen."""
        os.close(self.writing)
        self.writing = -1
        self.line_buffered = True


class Held:
    """What one job wrote to one descriptor."""

    def __init__(self, pieces: list[bytes], size: int, file: BinaryIO | None) -> None:
        self.pieces = pieces
        self.size = size
        self.file = file

    def text(self) -> str:
        """All of it, for the record."""
        data = b"".join(self.pieces)
        if self.file is not None:
            self.file.seek(0)
            data = self.file.read(self.size)
        self.close()
        return data.decode("utf-8", "surrogateescape")

    def pass_on(self, sink: Writer, tag: bytes) -> None:
        """Write it, each line with the tag before it, and let go of it."""
        tagged = Tagged(tag) if tag else None
        for each in self.pieces if self.file is None else self._read():
            sink.write_bytes(tagged.lines(each) if tagged else each)
        self.close()

    def _read(self) -> Iterable[bytes]:
        assert self.file is not None
        self.file.seek(0)
        return iter(lambda: self.file.read(PASSED), b"")  # type: ignore[union-attr]

    def close(self) -> None:
        """Let go of the file, where there is one."""
        if self.file is not None:
            self.file.close()


class Tagged:
    """Puts a tag before each line of a text that comes in pieces."""

    def __init__(self, tag: bytes) -> None:
        self.tag = tag
        self.at_start = True

    def lines(self, data: bytes) -> bytes:
        """The piece with its tags."""
        if not data:
            return data
        head = self.tag if self.at_start else b""
        self.at_start = data.endswith(b"\n")
        body = data[:-1] if self.at_start else data
        return head + body.replace(b"\n", b"\n" + self.tag) + (b"\n" if self.at_start else b"")


def write_to(file: BinaryIO, data: bytes) -> None:
    """Write all of it to a raw file. Raises OutputFailed for a full disk."""
    try:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise cannot_keep(error) from None


def cannot_keep(error: OSError) -> OutputFailed:
    """The error in words."""
    import tempfile

    return OutputFailed(
        f"cannot keep a job's output in {tempfile.gettempdir()!r}: {error.strerror}; free some space, or set TMPDIR"
    )


class OutputForwarder:
    """Passes output on to sinks, by the descriptor that it was written to.

    `mode` is "group", "line-buffer" (line by line), "capture" (kept in the records) or "ungroup" (never seen here).
    `before_output` is called before something is written, which may wait for a reader.
    """

    def __init__(
        self, sinks: Mapping[int, Writer], mode: str, in_order: bool, tagged: bool,
        before_output: Callable[[], None],
    ) -> None:
        self.sinks = sinks
        self.mode = mode
        self.in_order = in_order
        self.tagged = tagged
        self.before_output = before_output
        self.muted = False
        self._waiting: deque[Job] = deque()  # in the order of the input
        self._ended: set[Job] = set()
        self._bytes = self._files = 0

    @property
    def backed_up(self) -> bool:
        """Whether so much output waits for the job before it that no further job is to be started."""
        return self._bytes > MOST_HELD or self._files > MOST_FILES

    def submitted(self, job: Job) -> None:
        """A job is about to be run for the first time."""
        if self.in_order:
            self._waiting.append(job)

    def tag(self, job: Job) -> bytes:
        """What stands before each line of a job's output."""
        return os.fsencode(job.input) + b"\t" if self.tagged else b""

    def on_output(self, stream: OutputStream, at_end: bool = False) -> None:
        """Pass on what a stream has of whole lines; at its end, all of it."""
        text = stream.lines(at_end)
        if not text or self.muted or self.mode == "capture":
            return
        self.before_output()
        sink = self.sinks[stream.target]
        sink.write_bytes(Tagged(stream.tag).lines(text) if stream.tag else text)
        sink.flush()

    def attempt_ended(self, job: Job, streams: list[OutputStream]) -> None:
        """Take what an attempt wrote; what the one before it wrote, is not asked for any more."""
        if self.mode == "line-buffer":
            for each in streams:
                self.on_output(each, at_end=True)
            return
        for _, old in job.output:
            old.close()
        keep_all = self.mode == "capture"
        job.output = [(each.target, each.take()) for each in streams if each.size or keep_all]

    def ended(self, job: Job) -> None:
        """A job has ended for good."""
        if self.mode == "capture":
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

    def cancelled(self, job: Job) -> None:
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
            self.before_output()
            each.pass_on(self.sinks[target], self.tag(job))
            self.sinks[target].flush()
        job.output = ()
