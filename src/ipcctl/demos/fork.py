"""Demonstrate fork: one call, two processes.  See fork(2), exit(3), wait(2).

    parent ──fork()──► returns the child's PID ──────────► waitpid() ──► goes on
                  └──► returns 0: the child, with its own copy of all memory ──► _exit(n)
"""

from __future__ import annotations

import os

from .stage import Demonstration, Evidence, Stage, ending_child, hear, tell

demonstration = Demonstration("fork")


@demonstration.check("fork.returns-twice", "the parent gets the child's PID, the child gets 0")
def returns_twice(stage: Stage) -> Evidence:
    """The child tells what fork gave it; what the parent got is a PID that wait knows."""
    reading, writing = os.pipe()
    returned = os.fork()
    if returned == 0:
        with ending_child():
            tell(writing, returned)
    stage.took_part(returned, "child")
    reaped, _ = os.waitpid(returned, 0)
    return Evidence(("child", 0, "parent", reaped), ("child", hear(reading), "parent", returned))
