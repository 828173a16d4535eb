"""Where the bytes of a report go: a descriptor or a file, every failed write accounted for."""

from __future__ import annotations

import errno
import os
import sys

from ..errors import BadInput, OutputFailed, ReaderGone

STDOUT, STDERR = 1, 2
BUFFER = 1 << 16


class Sink:
    """A buffered writer to one descriptor.

    The interpreter's own stdout is not used: its flush at exit would turn a full disk into a message that nobody
    can act on, and a status that says all went well.
    """

    def __init__(self, descriptor: int, name: str, what: str = "the report") -> None:
        self.descriptor = descriptor
        self.name = name
        self.what = what
        self._buffer = bytearray()

    @classmethod
    def to_file(cls, path: str) -> Sink:
        """Open `path` for writing, emptied. Raises BadInput when it cannot be opened."""
        from ..waiting import open_file

        try:
            return cls(open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), path)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise BadInput(f"cannot write to {path!r}: {why}; give -o a file in a directory you may write to") from None

    @property
    def is_terminal(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self.descriptor)

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where it is none: then nothing is ever cut."""
        try:
            return os.get_terminal_size(self.descriptor).columns or None
        except OSError:
            return None

    def write(self, text: str) -> None:
        """Add text; bytes that came in by surrogateescape go out as they were."""
        self.write_bytes(text.encode("utf-8", "surrogateescape"))

    def write_bytes(self, data: bytes) -> None:
        """Add bytes as they are."""
        self._buffer += data
        if len(self._buffer) >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered. Raises ReaderGone on EPIPE, OutputFailed on any other error (write(2)).

        Raises Interrupted where others hold it up, and a signal asks to end.
        """
        from ..waiting import write_all  # not at the start: `ipcctl --version` writes nothing here

        try:
            data = bytes(self._buffer)
            self._buffer.clear()
            write_all(self.descriptor, data)
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "free some space" if full else "give it an open file or terminal, or use -o FILE"
            raise OutputFailed(f"cannot write {self.what} to {self.name}: {error.strerror}; {remedy}") from None


def stdout() -> Sink:
    """The standard output."""
    return Sink(STDOUT, "standard output")


def stderr() -> Sink:
    """The standard error."""
    return Sink(STDERR, "standard error")


def say(line: str) -> None:
    """Print one line on stderr, for a person; where stderr cannot be written there is nobody left to tell."""
    from ..waiting import write_all
    from .terminal import visible_line  # not at the start: most runs say nothing here

    try:
        write_all(STDERR, (visible_line(line) + "\n").encode("utf-8", "surrogateescape"))
    except OSError:
        pass


def guard_standard_descriptors() -> None:
    """Fill those of 0, 1 and 2 that are closed, so that no pipe of ours lands there and is taken for the output.

    What fills them refuses: reading from it or writing to it gives EBADF, as it did when it was closed. It is
    close-on-exec, so that a command started from here finds them closed, as it would without ipcctl.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (STDOUT, os.O_RDONLY), (STDERR, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode | os.O_CLOEXEC)
            if descriptor == STDOUT and sys.stdout is None:
                sys.stdout = open(STDOUT, "w", closefd=False)  # noqa: SIM115 - it is the process's, for good
