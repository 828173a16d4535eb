"""Exit statuses, and the errors that carry one.

The statuses are the shell's and the wrappers' of coreutils (env(1), timeout(1)), the same for every subcommand.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

EXIT_OK = 0  # every check held, every job succeeded
EXIT_FALSE = 1  # the answer is no: a check failed, a job failed, a leak was found
EXIT_USAGE = 2
EXIT_TIMED_OUT = 124
EXIT_INTERNAL = 125  # ipcctl itself failed
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
EXIT_SIGNALLED = 128  # plus the signal's number

MEANINGS = (
    ("0", "all held, all succeeded"),
    ("1", "the answer is no: a check failed, a job failed, it would block, a leak was found"),
    ("2", "usage: a bad option, value or name"),
    ("124", "timed out"),
    ("125", "ipcctl itself failed"),
    ("126", "the command was found and cannot be executed"),
    ("127", "the command was not found"),
    ("128+N", "ended by signal N"),
)

# What stands behind an error of a resource that ran out, and the remedy.
LIMITS = {
    errno.EAGAIN: "the limit on processes is reached (ulimit -u, or pids.max of the cgroup); end some, or raise it",
    errno.ENOMEM: "there is not enough memory; end something, or ask for less",
    errno.EMFILE: "the limit on open files is reached (ulimit -n); raise it",
    errno.ENFILE: "the system's limit on open files is reached (fs.file-max); raise it",
}

# Of room for a file.
NO_ROOM = {
    errno.ENOSPC: "the file system is full; free some space",
    errno.EDQUOT: "the quota of the file system is used up; free some space",
    errno.EFBIG: "the limit on the size of files is reached (ulimit -f); raise it",
}


class IpcctlError(Exception):
    """An expected failure, shown as one line; carries the exit status.

    In the message a name in backticks is a parameter or a method of the Python API (`timeout_s`, `remove jobs`). The
    command line has options and verbs in their place: commands/wording.py turns the one into the other.
    """

    status = EXIT_INTERNAL


class BadInput(IpcctlError):
    """A value that was given is wrong; the message has the value, the limit and the remedy."""

    status = EXIT_USAGE


class CannotStart(IpcctlError):
    """A command could not be started; the status is 126 or 127, as the shell has it, or 125."""

    def __init__(self, message: str, status: int, errno: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.errno = errno


class OutputFailed(IpcctlError):
    """The report could not be written: a full disk, a closed descriptor."""


class ReaderGone(BaseException):
    """Whoever read the output has closed it (EPIPE). Not an error: it ends ipcctl quietly."""


class Interrupted(BaseException):
    """A signal asked ipcctl to end.

    A BaseException, as KeyboardInterrupt is, so that no `except Exception` on the way swallows it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def no_such(what: str, name: str, there: Iterable[str]) -> str:
    """Say that there is no such name, and which was meant or which there are."""
    import difflib

    names = list(there)
    near = difflib.get_close_matches(name, names, n=1)
    return f"no {what} {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}")
