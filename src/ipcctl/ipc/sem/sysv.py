"""System V semaphores as the kernel has them: semget(2), semop(2), semctl(2).

Called through ctypes: what a named semaphore needs is several operations that take effect together or not at all, and
the extensions for Python know one at a time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from collections.abc import Sequence

from ...errors import IpcctlError

LARGEST = 32767  # SEMVMX: a semaphore's value is a short
MOST_OF_A_SET = 65536  # SEMMSL, and more
IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_RMID = 0o1000, 0o2000, 0o4000, 0
SEM_UNDO = 0x1000
GETALL, GETNCNT, SETALL = 13, 14, 17

Operation = tuple[int, int, int]  # which of the set, by how much, flags: a struct sembuf

_libc = ctypes.CDLL(None, use_errno=True)


class Gone(Exception):
    """The set was removed."""


class WouldBlock(Exception):
    """The operations cannot be done now, or could not within their time."""


NOT_HERE = {
    errno.ENOSYS: "this kernel or sandbox has no System V semaphores (ENOSYS); enable CONFIG_SYSVIPC, or let the"
    " sandbox allow semget, semop and semctl; without them, flock(1) admits one at a time",
    errno.EPERM: "a sandbox forbids System V semaphores (EPERM); let it allow semget, semop and semctl",
    errno.ENOSPC: "the limit on semaphores is reached (sysctl kernel.sem); remove some (ipcs -s, ipcrm), or raise it",
    errno.ENOMEM: "there is not enough memory for it; end something",
}


def failed(call: str, code: int) -> IpcctlError:
    """The error of a call in words, with the remedy."""
    return IpcctlError(NOT_HERE.get(code) or f"{call}: {os.strerror(code)}")


def checked(call: str, result: int) -> int:
    """The result of a call. Raises Gone, WouldBlock, InterruptedError, IpcctlError."""
    if result != -1:
        return result
    code = ctypes.get_errno()
    if code in (errno.EIDRM, errno.EINVAL, errno.ENOENT):
        raise Gone
    if code == errno.EAGAIN:
        raise WouldBlock
    if code == errno.EINTR:
        raise InterruptedError
    raise failed(call, code)


def create(key: int, values: Sequence[int]) -> int:
    """Make a set with these values, for this user alone; returns its ID. Raises FileExistsError if the key is taken."""
    id: int = _libc.semget(key, len(values), IPC_CREAT | IPC_EXCL | 0o600)
    if id == -1:
        if (code := ctypes.get_errno()) == errno.EEXIST:
            raise FileExistsError
        raise failed("semget", code)
    checked("semctl", _libc.semctl(id, 0, SETALL, (ctypes.c_ushort * len(values))(*values)))
    return id


def find(key: int, size: int) -> int:
    """The ID of the set of that key. Raises Gone when there is none of that size."""
    id = _libc.semget(key, size, 0)
    if id == -1 and ctypes.get_errno() == errno.EACCES:  # a stranger's, by chance
        raise Gone
    return checked("semget", id)


def values(id: int, size: int) -> list[int]:
    """The values of the first so many of a set at one moment. Raises Gone."""
    found = (ctypes.c_ushort * MOST_OF_A_SET)()  # the kernel writes all there are: another's set may have more
    checked("semctl", _libc.semctl(id, 0, GETALL, found))
    return found[:size]


def waiting(id: int, which: int) -> int:
    """How many wait until that one of the set is larger. Raises Gone."""
    return checked("semctl", _libc.semctl(id, which, GETNCNT))


def remove(id: int) -> None:
    """Remove the set: whoever waits for it is told. Raises Gone."""
    checked("semctl", _libc.semctl(id, 0, IPC_RMID))


def operate(id: int, operations: Sequence[Operation], deadline: float | None = None) -> None:
    """Do the operations, in order, at once; wait until they can all be done, or until `deadline` (time.monotonic).

    Raises Gone, WouldBlock. A signal that is handled, or a continuation after a stop, puts it at the end of the line.
    """
    raw = b"".join(struct.pack("=Hhh", *each) for each in operations)
    while True:
        left = None
        if deadline is not None:
            seconds, fraction = divmod(max(deadline - time.monotonic(), 0), 1)
            left = struct.pack("@ll", int(seconds), int(fraction * 1e9))
        try:
            checked("semop", _libc.semtimedop(id, raw, ctypes.c_size_t(len(operations)), left))
            return
        except InterruptedError:
            continue
