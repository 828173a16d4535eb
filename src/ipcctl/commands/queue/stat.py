"""`ipcctl queue stat`: the figures of one."""

from __future__ import annotations

from typing import Any

import click

from ...errors import EXIT_OK
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..command import Command
from ..names import NAME_COLUMN, ObjectName
from . import notice, queues
from .columns import FIGURES

COLUMNS = (NAME_COLUMN, *FIGURES, Column("created", "time", "when it was made"))


@click.command(cls=Command)
@output_options(COLUMNS)
@click.argument("name", type=ObjectName(queues))
def command(output: Output, name: str) -> int:
    """Show a queue's figures, all of one moment."""
    output.open()
    with queues().open(name, notice) as queue:
        row: dict[str, Any] = {"name": name, **queue.stat()}
    output.write(Report("queue", COLUMNS, summary=row, rows=[row], title=f"queue {name}"))
    return EXIT_OK
