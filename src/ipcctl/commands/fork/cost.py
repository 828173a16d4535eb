"""`ipcctl fork cost`: what starting a process costs, by method and by the memory of its parent."""

from __future__ import annotations

import click

from ...errors import EXIT_OK
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Sizes
from ..command import Command

COLUMNS = (
    Column("method", "text", "how the process is started"),
    Column("parent_rss_kib", "integer", "memory resident in the parent while it starts it"),
    Column("median_s", "real", "median time from the start of a process that does nothing until it was waited for"),
    Column("fastest_s", "real", "the fastest of the tries"),
    Column("slowest_s", "real", "the slowest of the tries"),
    Column("tries", "integer", "how often it was tried"),
)


@click.command(cls=Command, starts_processes=True)
@click.option("--rss", type=Sizes(), metavar="SIZE,…", help="The parent's memory.  [default: 0,64M,256M]")
@output_options(COLUMNS)
def command(output: Output, rss: list[int] | None) -> int:
    """Measure what starting a process costs, by method and by the memory of its parent."""
    from ...process.cost import rows_of_costs

    output.open()
    output.write(Report("fork", COLUMNS, rows=rows_of_costs(rss), title="the cost of starting a process"), live=True)
    return EXIT_OK
