"""What two sides said to each other, written down as it is said: a line of JSON for each piece.

    {"time": "2026-11-24T08:20:00.123+00:00", "t_ms": 1.25, "direction": "A>B", "said_bytes": 6,
     "text": "hello\n", "base64": null, "closed": false}

A file that takes no more (a full disk) ends the transcript, not the conversation. Nothing here waits: whoever reads the
transcript from a pipe, and is slow, is waited for by whoever calls.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import BadInput
from ...times import iso8601
from ...waiting import open_file, write_some

AT_ONCE = 4096  # a pipe that can be written to has room for so much (pipe(7), PIPE_BUF)
ENOUGH = 1 << 20  # with so much waiting to be written, nothing more should be said


class Transcript:
    """A transcript on its way to a file, or to standard output for "-"."""

    def __init__(self, path: str) -> None:
        """Open it, emptied. Raises BadInput where it cannot be written."""
        self.path = path
        self.failed: str | None = None  # why it ended early
        self.on_failure: Callable[[str], None] = lambda line: None
        self._ended = False
        self.descriptor = 1 if path == "-" else opened(path)
        self._whole = stat.S_ISREG(os.fstat(self.descriptor).st_mode)
        self._waiting = bytearray()
        self._cut: dict[str, bytes] = {}

    def close(self) -> None:
        """Let go of the file."""
        if self.descriptor > 2:
            os.close(self.descriptor)
            self.descriptor = -1

    @property
    def waiting(self) -> bool:
        """Whether something is to be written: when the descriptor can be written to, call `write`."""
        return bool(self._waiting)

    @property
    def enough(self) -> bool:
        """Whether so much waits that nothing should be added."""
        return len(self._waiting) >= ENOUGH

    def note(self, direction: str, said: bytes, moment: float, t_ms: float) -> None:
        """Note what was said, or b"" where nothing more will be.

        A character of UTF-8 that is cut in two is kept until its rest comes.
        """
        data = self._cut.pop(direction, b"") + said
        end = whole_characters(data) if said else len(data)
        if end < len(data):
            self._cut[direction] = data[end:]
        at = {"time": iso8601(moment), "t_ms": t_ms, "direction": direction}
        if end:
            self._add({**at, "said_bytes": end, **content(data[:end]), "closed": False})
        if not said:
            self._add({**at, "said_bytes": 0, "text": None, "base64": None, "closed": True})

    def _add(self, line: Mapping[str, Any]) -> None:
        if not self._ended:
            self._waiting += json.dumps(line).encode() + b"\n"

    def write(self) -> None:
        """Write of what waits as much as the file takes without our waiting; what goes wrong is in `failed`."""
        try:
            while self._waiting:
                size = len(self._waiting) if self._whole else AT_ONCE
                del self._waiting[: write_some(self.descriptor, memoryview(self._waiting[:size]))]
                if not self._whole:
                    return
        except BlockingIOError:
            return
        except BrokenPipeError:  # whoever read it has read enough
            self._end()
        except OSError as error:
            self._end()
            self.failed = f"cannot write the transcript to {self.path!r}: {error.strerror}"
            self.on_failure(f"{self.failed}; it ends here, the conversation goes on")

    def _end(self) -> None:
        self._ended = True
        self._waiting.clear()


def opened(path: str) -> int:
    """The file, emptied. Raises BadInput."""
    try:
        return open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        remedy = "give `transcript` a file in a directory you may write to"
        raise BadInput(f"cannot write the transcript to {path!r}: {why}; {remedy}") from None


def content(data: bytes) -> Mapping[str, Any]:
    """The bytes as text where they are UTF-8, else in base64."""
    try:
        return {"text": data.decode(), "base64": None}
    except UnicodeDecodeError:
        return {"text": None, "base64": base64.b64encode(data).decode("ascii")}


def whole_characters(data: bytes) -> int:
    """How many of the bytes are text up to the last whole character; all of them where it is no text."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return error.start
    return len(data)
