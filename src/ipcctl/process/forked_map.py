"""Work shared with a forked helper: it makes every second batch, and the results come in the order of the batches.

    this process   batch 0 │ take 1 │ batch 2 │ take 3 │ …
    helper         batch 1 │ batch 3 │ …          ─► pipe: the length of a batch's results, and they, marshalled

The pipe bounds how far the helper gets ahead. Where it cannot be had, or ends early, this process does its batches too.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import signal
import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

PIPE_BYTES = 1 << 20  # the most that an unprivileged process may have, by default (pipe(7))
LENGTH = struct.Struct("=Q")

Work = Callable[[Any], Iterable[Any]]


def forked_map(batches: Sequence[Any], work: Work) -> Generator[Any, None, None]:
    """What `work` makes of each batch, one result after the other; the results must be what marshal takes.

    The helper is gone when the iterator ends, or is closed.
    """
    helper = Helper()
    try:
        helper.start(batches[1::2], work)
        for i, batch in enumerate(batches):
            results = helper.take() if i % 2 else None
            yield from work(batch) if results is None else results
    finally:
        helper.end()


class Helper:
    """A forked child that does its batches one after the other."""

    def __init__(self) -> None:
        self.pid = 0
        self.stream: BinaryIO | None = None

    def start(self, batches: Sequence[Any], work: Work) -> None:
        """Fork it; at a limit on processes there is none."""
        with uninterrupted() as mask:  # or there would be a child that nobody knows of
            reading, writing = os.pipe()
            try:
                self.pid = os.fork()
            except OSError:
                os.close(reading)
            else:
                if self.pid == 0:
                    os.close(reading)
                    serve(batches, work, writing, mask)
                self.stream = open(reading, "rb")  # noqa: SIM115 - closed in end()
            os.close(writing)

    def take(self) -> list[Any] | None:
        """The results of its next batch; None when it has ended."""
        if self.stream is None:
            return None
        head = self.stream.read(LENGTH.size)
        raw = self.stream.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""
        try:
            results: list[Any] = marshal.loads(raw)  # from our own child, over a pipe that only we two hold
        except (EOFError, ValueError, TypeError):  # cut off in the middle
            self.end()
            return None
        return results

    def end(self) -> None:
        """End it, whatever it does, and reap it."""
        if self.stream is None:
            return
        with uninterrupted():
            self.stream.close()
            self.stream = None
            os.kill(self.pid, signal.SIGKILL)  # a child of ours that was not waited for: the PID is nobody else's
            with contextlib.suppress(ChildProcessError):  # SIGCHLD is ignored
                os.waitpid(self.pid, 0)


@contextlib.contextmanager
def uninterrupted() -> Iterator[set[int]]:
    """A Ctrl-C in the block takes effect after it. Gives the signal mask that there was before."""
    before = set(signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]))
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(batches: Sequence[Any], work: Work, writing: int, mask: set[int]) -> None:
    """The helper's part. It never returns: what goes wrong in it ends it, and its batches are done without it."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        with contextlib.suppress(OSError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)  # type: ignore[attr-defined,unused-ignore]
        with open(writing, "wb") as stream:
            for batch in batches:
                raw = marshal.dumps(list(work(batch)))
                stream.write(LENGTH.pack(len(raw)) + raw)
                stream.flush()
    finally:
        os._exit(0)
