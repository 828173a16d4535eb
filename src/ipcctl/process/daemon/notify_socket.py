"""The daemon says when it is ready: the receiving end of sd_notify(3).

    daemon ──"READY=1\\nSTATUS=listening on 8080"──► NOTIFY_SOCKET, a datagram socket of ours

The socket is in the abstract namespace (unix(7)): it leaves no file behind, and a daemon that runs as another user can
reach it. Others can too; so the kernel tells who sent each message (SCM_CREDENTIALS), and only the daemon's session
counts.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct

MOST_BYTES = 65536
MOST_DESCRIPTORS = 16
CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class NotifySocket:
    """What a daemon of user `uid` has said so far: whether it is `ready`, and its last `message` (STATUS=)."""

    def __init__(self, uid: int) -> None:
        self.uid = uid
        self.ready = False
        self.message: str | None = None
        name = f"ipcctl-{secrets.token_hex(8)}"
        self.address = f"@{name}"  # the form of NOTIFY_SOCKET for an abstract name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(f"\0{name}")

    def fileno(self) -> int:
        """The descriptor, to wait for."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def receive(self, session: int) -> None:
        """Take in all that has come from that session."""
        space = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(MOST_DESCRIPTORS * 4)
        while True:
            try:
                raw, ancillary, _, _ = self._socket.recvmsg(MOST_BYTES, space)
            except BlockingIOError:
                return
            if self._is_from(sender(ancillary), session):
                self._take_in(raw.decode("utf-8", "surrogateescape"))

    def _is_from(self, who: tuple[int, int], session: int) -> bool:
        """Whether the sender is of the session. One that has ended cannot be asked: then its user must be the same."""
        pid, uid = who
        try:
            return os.getsid(pid) == session if pid else uid == self.uid
        except ProcessLookupError:
            return uid == self.uid

    def _take_in(self, text: str) -> None:
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if name == "STATUS":
                self.message = value
            elif line == "READY=1":
                self.ready = True


def sender(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int]:
    """PID and user ID of who sent a message (unix(7)); descriptors that came with it are closed.

    `systemd-notify` sends one with BARRIER=1, and goes on when it was closed.
    """
    who = (0, -1)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, _ = CREDENTIALS.unpack(data[: CREDENTIALS.size])
            who = (pid, uid)
        elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            for (descriptor,) in struct.iter_unpack("i", data[: len(data) // 4 * 4]):
                os.close(descriptor)
    return who
