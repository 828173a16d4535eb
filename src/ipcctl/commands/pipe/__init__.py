"""`ipcctl pipe`: the concept shown, a pipeline, a conversation, a meter, or what each kind of pipe costs."""

from ..command import OF_MANY
from ..concept import Concept

command = Concept(
    __name__,
    """See how a pipe carries messages from one process to another.

    Alone, it sends messages for real through each kind of pipe, and checks every statement of the concept against
    what the kernel shows.

    With COMMANDs, each run by sh -c, it runs them as a pipeline, as the shell does, and reports how each stage ended,
    what it did, and which one held the others up, on stderr or to -o FILE. Standard input is the first one's, standard
    output the last one's. The exit status is that of the last stage that failed, as with the shell's pipefail.
    """,
    use="run",
    verbs={
        "duplex": "Run two commands that talk to each other: what A writes B reads, and back.",
        "meter": "Pass standard input on to standard output, and say how much and how fast.",
        "cost": "Measure what each kind of pipe costs, by the size of a message.",
    },
    manual="""
    A stage that SIGPIPE ended did not fail where its reader was done, and that reader did not fail: --strict counts
    it. Between two stages are two pipes, and a relay that moves what is in the one to the other, without copying it.
    What the stages leave running is left, as by a shell, and a process that serves the pipes goes on for as long as it
    uses them.

    A stage is starved while its input is empty and it wants more, blocked while its output is full, and busy for the
    rest of its time: computing, asleep, or waiting for a disk or a processor. This is looked at some 100 times a
    second, by what is in the pipes and, where /proc/PID/syscall may be read, by the system call that the stage's
    first process waits in. The bottleneck is the stage that was busy longest, if it was so for two thirds of the
    time that the pipeline took, and no other for more than two thirds of what it was; else there is no clear one.
    So there is none where all wait for ipcctl's own standard input or output.
    """
    + OF_MANY,
)
