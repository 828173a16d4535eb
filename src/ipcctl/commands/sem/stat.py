"""`ipcctl sem stat`: its figures, and who holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ...errors import EXIT_OK
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ...report.sink import say
from ..command import Command
from ..names import ObjectName
from . import FIGURES, semaphores

if TYPE_CHECKING:
    from ...ipc.sem.semaphore import Semaphore

COLUMNS = (
    Column("pid", "integer", "a holder, found by the mark in its environment"),
    Column("command", "list", "its arguments"),
    Column("since", "time", "when it took its slot"),
    Column("held_s", "real", "how long it has held it"),
)


@click.command(cls=Command)
@click.argument("name", type=ObjectName(semaphores))
@output_options(COLUMNS)
def command(output: Output, name: str) -> int:
    """Show the capacity, what is free, how many wait, and the holders.

    The kernel counts the holders and keeps no list of them. They are found by a mark in their environment (IPCCTL_SEM):
    one that has wiped its environment, or is in another PID namespace, is counted and not listed (`unmarked`).
    """
    output.open()
    output.write(report_on(semaphores().get_or_remake(name)))
    return EXIT_OK


def report_on(found: Semaphore) -> Report:
    """The figures and the holders of one."""
    from ...ipc.sem.holders import holders_of
    from ...process.procfs import NoProc

    state = found.state()
    try:
        rows = sorted(holders_of(found.id), key=lambda row: float(row["since"]))
    except NoProc as error:  # how many there are the kernel tells all the same
        rows = []
        say(f"ipcctl sem: who holds {found.name!r} cannot be told: {error}")
    figures = {each.name: getattr(state, each.name) for each in FIGURES}
    summary = {"name": found.name, **figures, "unmarked": max(state.held - len(rows), 0)}
    title = f"holders of {found.name}, by the marks in their environments"
    return Report("sem", COLUMNS, summary=summary, rows=rows, title=title)
