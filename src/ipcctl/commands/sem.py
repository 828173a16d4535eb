"""`ipcctl sem`: the concept shown, or a counting semaphore that shells share by its name."""

from __future__ import annotations

from typing import Any

import click

from ..report.options import output_options
from ..report.output import Output
from ..report.report import Column
from .names import Concept, add_list_and_remove

FIGURES = (Column("capacity", "integer", "how many may hold it at once"),)


def semaphores() -> Any:
    """Those of this user."""
    from ..ipc.semaphore import Semaphores

    return Semaphores()


@click.group("sem", cls=Concept)
@output_options({"the concept": FIGURES}, lambda given: "the concept")
def command(output: Output) -> int:
    """See a semaphore."""
    return 0


add_list_and_remove(command, semaphores, FIGURES)
