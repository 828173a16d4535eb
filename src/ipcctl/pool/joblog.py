"""The job log: a line of JSON a job, written whole when the job has ended; what a later run goes on from.

    {"ipcctl": "pool", "command": {"words": ["gzip", "{}"], …}}
    {"seq": 1, "arguments": ["a"], "status": 0, …}

A line is one write(2) to a file opened with O_APPEND: whoever kills us leaves whole lines. A machine that loses its
power may leave a torn last one, which is cut off when the log is taken up again.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..errors import BadInput, OutputFailed
from ..times import iso8601
from .job import Job, JobResult

FIELDS = (
    "seq", "slot", "input", "arguments", "attempts", "status", "argv", "pid", "started", "wall_s", "user_s", "system_s",
    "cpu_percent", "max_rss_kib", "max_rss_below_kib", "minor_faults", "major_faults", "voluntary_switches",
    "involuntary_switches", "exit_code", "signal", "core_dumped", "timed_out", "start_error",
)  # fmt: skip
Arguments = tuple[str, ...]

# Every byte survives: what is not UTF-8 was decoded with surrogateescape, and ASCII JSON escapes it as \udcXX.
to_json = json.JSONEncoder(ensure_ascii=True, allow_nan=False, check_circular=False).encode


class JobLog:
    """A log opened for one command; `entries` are those that it had. Raises BadInput where it is not to be used.

    `resumed`: take up what is there; else it begins anew. Only a job log is ever overwritten.
    """

    def __init__(self, path: str, command: dict[str, Any], resumed: bool) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        self._torn = False  # the last line is: none may follow it
        self._file = self._opened()
        try:
            found, whole = self._read()
            if found and resumed:
                self._compare(found["command"], command)
            os.ftruncate(self._file, whole if found and resumed else 0)
            if not found or not resumed:
                self.entries = []
                self._append({"ipcctl": "pool", "command": command})
        except BaseException:
            os.close(self._file)
            raise

    def done(self) -> Counter[Arguments]:
        """How often a job of these arguments succeeded."""
        return Counter(tuple(each["arguments"]) for each in self.entries if each["status"] == 0)

    def failed(self) -> list[Job]:
        """The jobs that did not succeed, nor were successful when they were run again."""
        left: dict[tuple[int, Arguments], Job] = {}
        for each in self.entries:
            arguments = tuple(each["arguments"])
            key = (each["seq"], arguments)
            if each["status"] != 0:
                left[key] = Job(list(arguments), each["seq"])
            elif left.pop(key, None) is None:
                other = next((key for key in left if key[1] == arguments), None)
                left.pop(other, None)  # type: ignore[arg-type]
        return list(left.values())

    def write(self, job: Job, record: JobResult) -> None:
        """Add a job. Raises OutputFailed."""
        known = {**record.row(), "arguments": job.arguments}
        fields = {name: known.get(name) for name in FIELDS}
        if record.started is not None:
            fields["started"] = iso8601(record.started)
        self._append(fields)

    def close(self) -> None:
        """Let go of the file, and of the lock on it."""
        os.close(self._file)

    def _append(self, value: dict[str, Any]) -> None:
        line = b"" if self._torn else (to_json(value) + "\n").encode()
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            self._torn = True
            raise OutputFailed(f"cannot write the job log {self.path!r}: {error.strerror}; free some space") from None

    def _opened(self) -> int:
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise BadInput(f"cannot write the job log {self.path!r}: {why}; name a file that you may write") from None
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise BadInput(f"cannot write the job log {self.path!r}: it is no regular file; name one")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise BadInput(f"the job log {self.path!r} is being written by another run; wait for it, or name another "
                           "file") from None  # fmt: skip
        return file

    def _read(self) -> tuple[dict[str, Any] | None, int]:
        """The header, None where the file is empty, and how many bytes of the file are whole lines."""
        header, whole = None, 0
        for number, line in enumerate(self._lines(), 1):
            try:
                value = json.loads(line)
                if number == 1:
                    header = value if value["ipcctl"] == "pool" and value["command"] else None
                else:
                    self.entries.append({name: value[name] for name in ("seq", "arguments", "status")})
            except (ValueError, KeyError, TypeError):
                header = None
            if header is None:
                raise BadInput(f"{self.path!r} is no job log (line {number}); name another file, or remove it")
            whole += len(line)
        return header, whole

    def _lines(self) -> Iterator[bytes]:
        """The whole lines; a torn last one is left out, but not where it is all there is: that is another file."""
        with open(self._file, "rb", closefd=False) as stream:
            stream.seek(0)
            for number, line in enumerate(stream):
                if line.endswith(b"\n") or not (number or line.startswith(b'{"ipcctl"')):
                    yield line

    def _compare(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        for name, value in now.items():
            if before.get(name) != value:
                was = f"{name} {before.get(name)!r}, and not {value!r}"
                raise BadInput(f"the job log {self.path!r} is of another command: {was}; name another file")
