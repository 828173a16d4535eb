"""`ipcctl fork`: the concept shown, a command run and recorded, or the cost of starting a process measured."""

from ..command import OF_ONE
from ..concept import Concept

command = Concept(
    __name__,
    """See what fork does: one call, two processes.

    Alone, it forks for real and checks every statement of the concept against what the kernel shows.

    With COMMAND, it starts COMMAND, waits for it, and reports what it did and what it cost: time, memory, faults,
    switches, how it ended. COMMAND's input and output stay its own; the report goes to stderr, or to -o FILE. The
    exit status is COMMAND's. Signals sent to ipcctl reach COMMAND.
    """,
    use="run",
    manual=OF_ONE,
    verbs={"cost": "Measure what starting a process costs."},
)
