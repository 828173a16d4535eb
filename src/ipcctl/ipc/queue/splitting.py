"""A stream cut into messages, as they come."""

from __future__ import annotations

from collections.abc import Iterator

from ...waiting import read_some
from .blocking import Wait
from .message import LONGEST, too_long


class Splitter:
    """Cuts a stream into messages at a separator. What stands after the last one is a message if it is not empty."""

    def __init__(self, separator: bytes) -> None:
        self.separator = separator
        self._begun: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that end in this part. Raises BadInput for one that is too long."""
        *ended, begun = data.split(self.separator)
        if ended:
            ended[0] = b"".join([*self._begun, ended[0]])
            self._begun, self._size = [], 0
        self._begun.append(begun)
        self._size += len(begun)
        if self._size > LONGEST:
            raise too_long(self._size)
        return ended

    def end(self) -> list[bytes]:
        """The last message, if there is one."""
        last = b"".join(self._begun)
        return [last] if last else []


def stream(descriptor: int, separator: bytes | None, wait: Wait) -> Iterator[list[bytes]]:
    """The messages in a stream, as they come: a list for each part read. `separator` None: the whole is one.

    Raises BadInput, OSError.
    """
    splitter = Splitter(separator or b"")
    whole: list[bytes] = []
    size = 0
    while True:
        wait([descriptor], None)
        data = read_some(descriptor, 1 << 20)
        if not data:
            break
        if separator:
            yield splitter.feed(data)
            continue
        whole.append(data)
        size += len(data)
        if size > LONGEST:
            raise too_long(size)
    yield splitter.end() if separator else [b"".join(whole)]
