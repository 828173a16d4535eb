"""Where the arguments of jobs come from: a descriptor, read as far as jobs need it, or a list."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import BadInput
from ..waiting import open_file, read_some

CHUNK = 1 << 16


class Source:
    """Arguments one by one, each bytes. `descriptor` is one to wait for before `fill`, None where there is none."""

    descriptor: int | None = None
    ended = True  # whether no more is to be read; what was read may still be to be taken
    total: int | None = None  # how many there are in all, once that is known

    def take(self) -> bytes | None:
        """The next argument; None when none is there now."""
        raise NotImplementedError

    def fill(self) -> None:
        """Read more, once."""


class Listed(Source):
    """Arguments that are there from the start."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.left = [os.fsencode(each) for each in reversed(arguments)]
        self.total = len(arguments)

    def take(self) -> bytes | None:
        """The next."""
        return self.left.pop() if self.left else None


class LineReader(Source):
    """The lines of a file, a pipe or a terminal; with `separator` NUL, what stands between the NULs.

    The end of the last may lack its separator. Never more is held than a chunk, and the line that it breaks off in.
    """

    def __init__(self, descriptor: int, name: str, separator: bytes = b"\n") -> None:
        self.descriptor = descriptor
        self.name = name
        self.separator = separator
        self.ended = False
        self._whole: list[bytes] = []  # the next to be taken is the last
        self._begun: list[bytes] = []  # pieces of the line that has not ended yet
        self._count = 0

    def take(self) -> bytes | None:
        """The next line, without its end."""
        return self._whole.pop() if self._whole else None

    def fill(self) -> None:
        """Read what there is, at most a chunk; waits where there is nothing. Raises BadInput for what is no text."""
        assert self.descriptor is not None
        try:
            chunk = read_some(self.descriptor, CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            remedy = "give `arg_file` a file, or :::"
            raise BadInput(f"cannot read arguments from {self.name}: {error.strerror}; {remedy}") from None
        lines = chunk.split(self.separator)
        if not chunk:
            self.ended = True
            lines = [b"", b""] if any(self._begun) else [b""]
        if len(lines) > 1:
            lines[0] = b"".join(self._begun) + lines[0]
            self._begun.clear()
        last = lines.pop()
        if last:
            self._begun.append(last)
        self._count += len(lines)
        lines.reverse()
        self._whole = lines + self._whole
        if self.ended:
            self.total = self._count


def opened(path: str | None, separator: bytes) -> LineReader:
    """The arguments in a file, or of standard input. Raises BadInput."""
    if path is None or path == "-":
        return LineReader(0, "standard input", separator)
    try:
        return LineReader(open_file(path, os.O_RDONLY), path, separator)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"cannot read arguments from {path!r}: {why}; give `arg_file` one that is there") from None
