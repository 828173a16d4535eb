"""posix_spawn(3) as C has it: while it waits for the child to have its program, other threads of Python go on.

os.posix_spawnp holds the interpreter's lock all that time, which is most of what a short job takes. And where a program
was found on PATH is remembered, as shells do: each place that has none costs a failed execve(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable, Mapping, Sequence

from .signals import sigset
from .spawn import RESTORED_SIGNALS, Actions, found

SETSIGDEF, SETSIGMASK = 0x04, 0x08  # flags in <spawn.h>, the same in glibc and musl
ROOM = 1024  # bytes, more than any libc's posix_spawnattr_t or posix_spawn_file_actions_t

_quick = ctypes.PyDLL(None)  # for calls that are over before the lock could be handed on


class Files:
    """The descriptors that a program starts with, prepared once for many starts. `actions`: POSIX_SPAWN_DUP2 alone."""

    def __init__(self, actions: Actions) -> None:
        self.data = ctypes.create_string_buffer(ROOM)
        check(_quick.posix_spawn_file_actions_init(self.data))
        self._destroy = _quick.posix_spawn_file_actions_destroy
        for _, ours, its in actions:
            check(_quick.posix_spawn_file_actions_adddup2(self.data, ours, its))

    def __del__(self) -> None:
        if hasattr(self, "_destroy"):
            self._destroy(self.data)


class Spawner:
    """Starts programs with one signal mask and one environment.

    Raises OSError, and AttributeError where the libc has no such calls.
    """

    def __init__(self, mask: Iterable[int], environment: Mapping[bytes, bytes]) -> None:
        self._spawn = ctypes.CDLL(None).posix_spawn
        self._program = ("", b"")  # the last one, and where it was found
        self._environment = strings([name + b"=" + value for name, value in environment.items()])
        self._attributes = ctypes.create_string_buffer(ROOM)
        check(_quick.posix_spawnattr_init(self._attributes))
        check(_quick.posix_spawnattr_setsigmask(self._attributes, sigset(mask)))
        check(_quick.posix_spawnattr_setsigdefault(self._attributes, sigset(RESTORED_SIGNALS)))
        check(_quick.posix_spawnattr_setflags(self._attributes, ctypes.c_short(SETSIGDEF | SETSIGMASK)))

    def spawn(self, argv: Sequence[str], files: Files) -> int:
        """Start a program, found on PATH, and return its PID.

        Raises OSError, and ValueError for a NUL byte inside an argument.
        """
        words = [os.fsencode(each) for each in argv]
        if any(b"\0" in each for each in words):
            raise ValueError("embedded null byte")
        pid = ctypes.c_int()
        program, as_c_has_it = self._where(argv[0]), strings(words)
        check(self._spawn(ctypes.byref(pid), program, files.data, self._attributes, as_c_has_it, self._environment))
        return pid.value

    def _where(self, name: str) -> bytes:
        """The file to execute. Raises FileNotFoundError."""
        known, path = self._program  # read and set at once: other threads do too
        if name != known:
            path = os.fsencode(found(name) or "")
            self._program = name, path
        if not path:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return path


def strings(words: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    """An array of strings that a null pointer ends."""
    return (ctypes.c_char_p * (len(words) + 1))(*words)


def check(code: int) -> None:
    """Raise the OSError that a call's answer stands for, unless it is 0."""
    if code:
        raise OSError(code, os.strerror(code))
