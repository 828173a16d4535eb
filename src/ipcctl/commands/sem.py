"""`ipcctl sem`: the concept shown, or a counting semaphore that shells share by its name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ..demos.columns import TURN_COLUMNS
from ..errors import EXIT_FALSE, EXIT_OK, EXIT_TIMED_OUT, BadInput
from ..report.model import Column, Report
from ..report.options import output_options
from ..report.output import Output
from ..report.sink import say
from .arguments import Seconds
from .names import CommandAfterDashes, Concept, ObjectName, add_list_and_remove
from .running import show

if TYPE_CHECKING:
    from ..ipc.sem.semaphore import Semaphore
    from ..ipc.sem.semaphores import Semaphores

LARGEST = 32767
FIGURES = (
    Column("capacity", "integer", "how many may hold it at once"),
    Column("free", "integer", "how many more may hold it now"),
    Column("held", "integer", "how many hold it"),
    Column("waiting", "integer", "how many wait for it"),
)
HOLDERS = (
    Column("pid", "integer", "a holder, found by the mark in its environment"),
    Column("command", "list", "its arguments"),
    Column("since", "time", "when it took its slot"),
    Column("held_s", "real", "how long it has held it"),
)
TABLES = {"the concept": TURN_COLUMNS}


def semaphores() -> Semaphores:
    """Those of this user; what had to be made anew is said."""
    from ..ipc.sem.semaphores import Semaphores

    return Semaphores(lambda line: say(f"ipcctl sem: {line}"))


NAME = click.argument("name", type=ObjectName(semaphores))


@click.group("sem", cls=Concept)
@click.option("-n", "--slots", type=click.IntRange(1, 100), default=3, show_default=True, metavar="N",
              help="Shown: how many may be inside at once.")
@click.option("--tasks", type=click.IntRange(1, 500), default=8, show_default=True, metavar="TASKS",
              help="Shown: how many tasks are started together.")
@output_options(TABLES, lambda given: "the concept", source="sem")
def command(output: Output, slots: int, tasks: int) -> int:
    """See a semaphore: so many at a time, the others wait.

    Alone, it makes semaphores for real and checks every statement of the concept.

    By name, shells share one: `ipcctl sem run NAME -n 3 -- COMMAND` runs COMMAND when fewer than 3 of these run, on
    this machine and by this user, whatever shells they come from. The kernel gives a slot back when its holder ends,
    by kill -9 as well. First come, first served.

    A name lives in $IPCCTL_DIR, or $XDG_RUNTIME_DIR/ipcctl, or /tmp/ipcctl-UID, from its first use until it is removed,
    or until the reboot: shells that differ in these variables do not share it. With systemd's RemoveIPC, a user's last
    logout removes it too.
    """
    if tasks < slots:
        raise BadInput(f"{tasks} tasks cannot be {slots} inside at once; give --tasks at least the number of -n")
    return show(output, "sem", slots=slots, tasks=tasks)


@command.command("run", cls=CommandAfterDashes, short_help="Run a command when a slot is free, and hold it so long.")
@NAME
@click.option("-n", "--slots", type=click.IntRange(1, LARGEST), metavar="N",
              help="How many may run at once; the first user's counts.  [default: as it is, or 1]")
@click.option("--try", "once", is_flag=True, help="Do not wait: status 1 if no slot is free.")
@click.option("--timeout", type=Seconds(), help="Wait for so long at most; status 124.")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def run(name: str, slots: int | None, once: bool, timeout: float | None, argv: tuple[str, ...]) -> int:
    """Run COMMAND when fewer than N of these run.

    ipcctl takes a slot of the semaphore and becomes COMMAND (exec): no wrapper remains; the status, signals and
    terminal are COMMAND's own. The slot is held by that process, not by those that it starts or leaves behind. The
    kernel gives it back the moment that process ends, however it ends.

    Those that wait take no processor time, and have their turn as they came; one that is stopped and continued
    meanwhile joins the end of the line. Where the semaphore is removed meanwhile, the status is 125.
    """
    if once and timeout is not None:
        raise click.UsageError("--try does not wait; leave out one of --try and --timeout")
    found = semaphores().get_or_make(name, slots)
    behave_as_a_command()
    if found.take(not once, None if timeout is None else time.monotonic() + timeout):
        from ..ipc.sem.holders import mark_holder
        from ..process.spawn import exec_command

        mark_holder(found.id)
        exec_command(argv)
    state = found.state()
    came_free = "is free" if once else f"came free within {timeout:g} s"
    say(f"ipcctl sem: no slot of {name!r} {came_free}: {state.held} of {state.capacity} are held")
    return EXIT_FALSE if once else EXIT_TIMED_OUT


def behave_as_a_command() -> None:
    """Let Ctrl-C end this process as it ends COMMAND: while it waits there is nothing to clean up."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@command.command("wait", short_help="Wait until nobody holds it.")
@NAME
@click.option("--timeout", type=Seconds(), help="Wait for so long at most; status 124.")
def wait(name: str, timeout: float | None) -> int:
    """Wait until nobody holds it, nor waits for it since before this.

    One that is not there is held by nobody.
    """
    from ..ipc.registry import NotThere

    try:
        found = semaphores().get_or_remake(name)
    except NotThere:
        return EXIT_OK
    behave_as_a_command()
    if found.wait_until_settled(None if timeout is None else time.monotonic() + timeout):
        return EXIT_OK
    say(f"ipcctl sem: {name!r} was still held after {timeout:g} s: {found.state().held} times")
    return EXIT_TIMED_OUT


@command.command("stat", short_help="Show capacity, free, waiting, and the holders.")
@NAME
@output_options({"stat": HOLDERS}, lambda given: "stat")
def stat(output: Output, name: str) -> int:
    """Show the capacity, what is free, how many wait, and the holders.

    The kernel counts the holders and keeps no list of them. They are found by a mark in their environment (IPCCTL_SEM):
    one that has wiped its environment, or is in another PID namespace, is counted and not listed (`unmarked`).
    """
    output.open()
    output.write(report_on(semaphores().get_or_remake(name)))
    return EXIT_OK


def report_on(found: Semaphore) -> Report:
    """The figures and the holders of one."""
    from ..ipc.sem.holders import holders_of
    from ..process.procfs import NoProc

    state = found.state()
    try:
        rows = sorted(holders_of(found.id), key=lambda row: float(row["since"]))
    except NoProc as error:  # how many there are the kernel tells all the same
        rows = []
        say(f"ipcctl sem: who holds {found.name!r} cannot be told: {error}")
    figures = {each.name: getattr(state, each.name) for each in FIGURES}
    summary = {"name": found.name, **figures, "unmarked": max(state.held - len(rows), 0)}
    title = f"holders of {found.name}, by the marks in their environments"
    return Report("sem", HOLDERS, summary=summary, rows=rows, title=title)


@command.command("resize", short_help="Change how many may hold it at once.")
@NAME
@click.argument("slots", type=click.IntRange(1, LARGEST), metavar="N")
def resize(name: str, slots: int) -> int:
    """Change how many may hold it at once.

    Holders keep their slots: where there are more than N, nobody enters until enough of them have ended.
    """
    semaphores().resize(name, slots)
    return EXIT_OK


add_list_and_remove(command, semaphores, FIGURES)
