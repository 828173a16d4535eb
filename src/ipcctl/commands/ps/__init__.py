"""`ipcctl ps`: the system's processes listed, as a tree, or by the parent at fault; or each state made and shown."""

from ..concept import Concept

command = Concept(
    __name__,
    """List processes: states in words, trees, zombies and who neglects them.

    With PID, those alone; the status is 1 if one of them is not there. What the options say must all be true of what
    is listed. What may not be read is unknown (null in JSON).
    """,
    show="list",
    use="list",
    verbs={"states": "Make a process in each state, and check what the kernel shows for it."},
)
