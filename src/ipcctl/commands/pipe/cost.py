"""`ipcctl pipe cost`: what each kind of pipe costs, by the size of a message."""

from __future__ import annotations

import click

from ...errors import EXIT_OK, BadInput
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Sizes
from ..command import Command

COLUMNS = (
    Column("method", "text", "what carries the message"),
    Column("message_bytes", "integer", "the size of a message"),
    Column("throughput_bytes_per_s", "real", "one way, message after message: the median of the tries"),
    Column("round_trip_s", "real", "there and back again, one at a time: the median of the tries"),
    Column("fastest_round_trip_s", "real", "the fastest of the tries"),
    Column("messages", "integer", "how many were sent one way, in all tries"),
    Column("round_trips", "integer", "how many round trips were made"),
)


@click.command(cls=Command, starts_processes=True)
@click.option("--sizes", type=Sizes(), metavar="SIZE,…", help="The messages.  [default: 64,4K,64K,1M]")
@output_options(COLUMNS)
def command(output: Output, sizes: list[int] | None) -> int:
    """Measure throughput and round-trip time of each kind of pipe, by the size of a message."""
    from ...ipc.pipe.cost import LARGEST, rows_of_costs

    for size in sizes or ():
        if not 1 <= size <= LARGEST:
            raise BadInput(f"a message of {size} bytes cannot be measured; give --sizes from 1 to {LARGEST >> 20}M")
    output.open()
    output.write(Report("pipe", COLUMNS, rows=rows_of_costs(sizes), title="the cost of sending bytes"), live=True)
    return EXIT_OK
