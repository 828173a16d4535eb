"""`ipcctl shm`: shared memory shown, or values that shells share: set, get, add, cas, wait, list, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..concept import Concept

if TYPE_CHECKING:
    from ...ipc.registry import Registry


def objects() -> Registry:
    """Every shared value."""
    from ...ipc.shm.shared import SharedValues

    return SharedValues()


class Shm(Concept):
    """The concept; the man page has the layout of its files."""

    @property
    def sections(self) -> dict[str, str]:
        """The sections of its own in the man page: what the module that makes the files says of them."""
        from ...ipc.shm import memory

        text = str(memory.__doc__).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
        return {"LAYOUT": f".nf\n{text.strip()}\n.fi"}


command = Shm(
    __name__,
    """See memory that several processes share: the race for it, and the lock.

    Alone, it shows the concept with multiprocessing's Value and Array, and checks every statement of it.

    With a verb it works on values that shells share, by name: each operation is atomic, and a process that is killed at
    any instant leaves neither a lock nor half a value. They are there until removed, or until the reboot
    (or the last logout, where systemd-logind has RemoveIPC=yes).
    """,
    verbs={
        "set": "Let it hold a value, or an array of them.",
        "get": "Print its value, or its values, one a line.",
        "add": "Add a number to it, and print the sum.",
        "cas": "Compare and swap: set NEW if the value is OLD.",
        "wait": "Wait until the value meets CONDITION, and print it.",
        "list": "Show those that there are.",
        "remove": "Remove them; those that wait for one of them end with an error.",
        "path": "Print the file that other programs can map.",
    },
)
