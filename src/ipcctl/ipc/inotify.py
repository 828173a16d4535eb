"""Wait for what is done to one open file: inotify(7), which the standard library has not."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os

from ..errors import IpcctlError
from ..waiting import poll_for

IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE = 0x2, 0x4, 0x8
CHANGES = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE  # IN_ATTRIB: a name of it was taken away, too
ENOUGH = 1 << 12
REMEDIES = {
    errno.EMFILE: "the limit on inotify instances or open files is reached (fs.inotify.max_user_instances); raise it",
    errno.ENOSPC: "the limit on inotify watches is reached (fs.inotify.max_user_watches); raise it",
    errno.ENOSYS: "this kernel or sandbox has no inotify; look again and again instead",
}


class Inotify:
    """Tells of changes to an open file, from now on. Raises IpcctlError.

    Without a /proc it is the file that has the name now: look whether that is the open one once more, after this.
    """

    def __init__(self, descriptor: int, path: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.descriptor < 0:
            raise cannot_watch()
        for name in (b"/proc/self/fd/%d" % descriptor, os.fsencode(path)):
            if libc.inotify_add_watch(self.descriptor, name, CHANGES) >= 0:
                return
            if ctypes.get_errno() == errno.ENOENT:  # there is no /proc, or the name was taken away
                continue
            error = cannot_watch()
            os.close(self.descriptor)
            raise error

    def __enter__(self) -> Inotify:
        return self

    def __exit__(self, *what_happened: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear nothing any more."""
        os.close(self.descriptor)

    def forget(self) -> None:
        """Take what was heard so far, without waiting; a look at the file must come after this."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.descriptor, ENOUGH):
                pass

    def wait(self, deadline: float | None = None) -> bool:
        """Sleep until there was a change; False when `deadline` (time.monotonic) has passed before."""
        if not poll_for([self.descriptor], deadline):
            return False
        os.read(self.descriptor, ENOUGH)  # what more there is makes the next wait return at once
        return True


def cannot_watch() -> IpcctlError:
    """Why it cannot be waited for."""
    number = ctypes.get_errno()
    return IpcctlError(f"cannot wait for a change: {REMEDIES.get(number, os.strerror(number))}")
