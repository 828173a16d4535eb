"""`ipcctl orphan`: the concept shown, or a command run with every process accounted for that outlives its parent."""

from ..command import OF_ONE
from ..concept import Concept

command = Concept(
    __name__,
    """See what becomes of a process whose parent ends before it.

    Alone, it makes orphans for real and checks every statement of the concept against what the kernel shows.

    With COMMAND, it runs COMMAND as an init does: it adopts and reaps the orphans among COMMAND's descendants, and
    hands signals on to COMMAND's process group. It reports each process that outlived its parent, with the chain of
    parents as it was, on stderr or to -o FILE. The exit status is COMMAND's. It may be PID 1 of a container. When
    ipcctl itself is killed by SIGKILL, what it ran goes on.
    """,
    use="run",
    manual=OF_ONE,
)
