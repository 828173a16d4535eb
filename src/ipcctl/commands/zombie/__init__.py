"""`ipcctl zombie`: the concept shown, or a command run to find out which of its processes do not wait for theirs."""

from ..command import OF_ONE
from ..concept import Concept

command = Concept(
    __name__,
    """See what becomes of a process that exits and is not waited for.

    Alone, it makes zombies for real, avoids them in each of the ways there are, and checks every statement of the
    concept against what the kernel shows.

    With COMMAND, it runs COMMAND, watches all that descends from it, and reports each process that was a zombie for
    longer than --longer-than, with the parent that did not wait, on stderr or to -o FILE. The exit status is
    COMMAND's. When ipcctl itself is killed by SIGKILL, what it ran goes on.
    """,
    use="run",
    manual=OF_ONE,
)
