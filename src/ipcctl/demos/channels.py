"""How relatives meet in a demonstration, none of which is sleeping for a while.

    channel = stage.channel()    channel.send(value)  ──pipe──► channel.recv()
    barrier = stage.barrier()    barrier.open()       ──pipe──► barrier.wait()      (in state S until then)
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
from collections.abc import Iterator
from typing import Any, TypeVar

from . import deadline
from .deadline import TooLong

CHILD_FAILED = 70  # EX_SOFTWARE of sysexits(3): the exit status of a child whose part went wrong

PipeT = TypeVar("PipeT", bound="Pipe")


class Pipe:
    """pipe(2) between relatives, with a reading and a writing end.

    A process that reads lets go of its own writing end first: so it sees the end of file when the others have ended,
    and does not wait for itself.
    """

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self._open = {self.reading, self.writing}

    def __enter__(self: PipeT) -> PipeT:
        return self

    def __exit__(self, *what_happened: object) -> None:
        for each in tuple(self._open):
            self._close(each)

    def _close(self, end: int) -> None:
        if end in self._open:
            self._open.remove(end)
            os.close(end)


class Channel(Pipe):
    """A pipe on which any of the relatives sends values to one."""

    def send(self, value: object) -> None:
        """Send a value to whoever receives."""
        send(self.writing, value)

    def recv(self) -> Any:
        """Return the next value. Raises EOFError when nobody is left who could send one."""
        self._close(self.writing)
        return recv(self.reading)

    def recv_all(self) -> list[Any]:
        """Return every value, until nobody is left who could send one."""
        values = []
        with contextlib.suppress(EOFError):
            while True:
                values.append(self.recv())
        return values


class Barrier(Pipe):
    """An empty pipe: who reads it waits until another writes to it, or until nobody is left who could."""

    def open(self) -> None:
        """Let one process through."""
        os.write(self.writing, b"!")

    def wait(self) -> None:
        """Wait until it is opened, asleep: the process is in state S."""
        self._close(self.writing)
        os.read(self.reading, 1)

    def is_open(self) -> bool:
        """Whether wait() would return at once."""
        self._close(self.writing)
        return bool(select.select([self.reading], [], [], 0)[0])


@contextlib.contextmanager
def ending_child(status: int = 0) -> Iterator[None]:
    """The part of a forked child: it ends with os._exit here, whatever happens inside.

    Otherwise a child that raises would go on as a second parent: through its parent's finally blocks, and its report.
    """
    try:
        yield
    except BaseException:
        status = CHILD_FAILED  # seen by the parent in the wait status
    finally:
        os._exit(status)


def send(pipe: int, value: object) -> None:
    """From a child: send a value to whoever reads the pipe."""
    os.write(pipe, pickle.dumps(value))


def recv(pipe: int, timeout_s: float | None = None) -> Any:
    """Return the value that a child sent.

    Raises EOFError when it ended without sending, TooLong when it does neither.
    """
    if not select.select([pipe], [], [], deadline.LIMIT_S if timeout_s is None else timeout_s)[0]:
        raise TooLong
    with open(pipe, "rb", buffering=0, closefd=False) as stream:
        return pickle.load(stream)  # from our own child, over a pipe that only we two hold
