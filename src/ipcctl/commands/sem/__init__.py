"""`ipcctl sem`: the concept shown, or a counting semaphore that shells share by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...report.model import Column
from ...report.sink import say
from ..concept import Concept

if TYPE_CHECKING:
    from ...ipc.sem.semaphores import Semaphores

LARGEST = 32767
FIGURES = (
    Column("capacity", "integer", "how many may hold it at once"),
    Column("free", "integer", "how many more may hold it now"),
    Column("held", "integer", "how many hold it"),
    Column("waiting", "integer", "how many wait for it"),
)


def semaphores() -> Semaphores:
    """Those of this user; what had to be made anew is said."""
    from ...ipc.sem.semaphores import Semaphores

    return Semaphores(lambda line: say(f"ipcctl sem: {line}"))


def behave_as_a_command() -> None:
    """Let Ctrl-C end this process as it ends COMMAND: while it waits there is nothing to clean up."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


command = Concept(
    __name__,
    """See a semaphore: so many at a time, the others wait.

    Alone, it makes semaphores for real and checks every statement of the concept.

    By name, shells share one: `ipcctl sem run NAME -n 3 -- COMMAND` runs COMMAND when fewer than 3 of these run, on
    this machine and by this user, whatever shells they come from. The kernel gives a slot back when its holder ends,
    by kill -9 as well. First come, first served.
    """,
    verbs={
        "run": "Run a command when a slot is free, and hold it so long.",
        "wait": "Wait until nobody holds it.",
        "stat": "Show capacity, free, waiting, and the holders.",
        "resize": "Change how many may hold it at once.",
        "list": "Show those that there are.",
        "remove": "Remove them; those that wait for one of them end with an error.",
    },
    manual="""
    A name lives in $IPCCTL_DIR, or $XDG_RUNTIME_DIR/ipcctl, or /tmp/ipcctl-UID, from its first use until it is removed,
    or until the reboot: shells that differ in these variables do not share it. With systemd's RemoveIPC, a user's last
    logout removes it too.
    """,
)
