"""What wait(2) and waitid(2) say of children, decoded in one place."""

from __future__ import annotations

import os

from ..errors import EXIT_SIGNALLED
from .signals import signal_name


def has_children() -> bool:
    """Return whether this process has any child, a zombie too, without a look at /proc (waitid(2))."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def decode(wait_status: int) -> tuple[int | None, str | None, bool]:
    """The exit code, the signal's name and whether a core was dumped, from a wait status (wait(2))."""
    if os.WIFSIGNALED(wait_status):
        return None, signal_name(os.WTERMSIG(wait_status)), os.WCOREDUMP(wait_status)
    return os.WEXITSTATUS(wait_status), None, False


def wait_status_of(seen: os.waitid_result) -> int:
    """What waitid(2) told of a child that ended, as the wait status that waitpid(2) gives."""
    if seen.si_code == os.CLD_EXITED:
        return seen.si_status << 8
    return seen.si_status | (0x80 if seen.si_code == os.CLD_DUMPED else 0)


def shell_status(wait_status: int) -> int:
    """The exit status that a shell reports for a wait status: the code, or 128 + the signal's number."""
    if os.WIFSIGNALED(wait_status):
        return EXIT_SIGNALLED + os.WTERMSIG(wait_status)
    return os.WEXITSTATUS(wait_status)
