"""`ipcctl sem run`: a command run when a slot is free."""

from __future__ import annotations

import time

import click

from ...errors import EXIT_FALSE, EXIT_TIMED_OUT
from ...report.sink import say
from ..arguments import Seconds
from ..names import CommandAfterDashes, ObjectName
from . import LARGEST, behave_as_a_command, semaphores


@click.command(cls=CommandAfterDashes, exclusive=(("once", "timeout"),))
@click.argument("name", type=ObjectName(semaphores))
@click.option("-n", "--slots", type=click.IntRange(1, LARGEST), metavar="N",
              help="How many may run at once; the first user's counts.  [default: as it is, or 1]")
@click.option("--try", "once", is_flag=True, help="Do not wait: status 1 if no slot is free.")
@click.option("--timeout", type=Seconds(), help="Wait for so long at most; status 124.")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def command(name: str, slots: int | None, once: bool, timeout: float | None, argv: tuple[str, ...]) -> int:
    """Run COMMAND when fewer than N of these run.

    ipcctl takes a slot of the semaphore and becomes COMMAND (exec): no wrapper remains; the status, signals and
    terminal are COMMAND's own. The slot is held by that process, not by those that it starts or leaves behind. The
    kernel gives it back the moment that process ends, however it ends.

    Those that wait take no processor time, and have their turn as they came; one that is stopped and continued
    meanwhile joins the end of the line. Where the semaphore is removed meanwhile, the status is 125.
    """
    found = semaphores().get_or_make(name, slots)
    behave_as_a_command()
    if found.take(not once, None if timeout is None else time.monotonic() + timeout):
        from ...ipc.sem.holders import mark_holder
        from ...process.spawn import exec_command

        mark_holder(found.id)
        exec_command(argv)
    state = found.state()
    came_free = "is free" if once else f"came free within {timeout:g} s"
    say(f"ipcctl sem: no slot of {name!r} {came_free}: {state.held} of {state.capacity} are held")
    return EXIT_FALSE if once else EXIT_TIMED_OUT
