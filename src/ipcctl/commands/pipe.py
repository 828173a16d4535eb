"""`ipcctl pipe`: the concept shown, what each kind of pipe costs, or two commands that talk to each other."""

from __future__ import annotations

from typing import Any

import click

from ..errors import HELD, NO, BadInput
from ..report.options import output_options
from ..report.output import Output
from ..report.report import Column, Report
from .arguments import Sizes, needs

COST = (
    Column("method", "text", "what carries the message"),
    Column("message_bytes", "integer", "the size of a message"),
    Column("throughput_bytes_per_s", "real", "one way, message after message: the median of the tries"),
    Column("round_trip_s", "real", "there and back again, one at a time: the median of the tries"),
    Column("fastest_round_trip_s", "real", "the fastest of the tries"),
    Column("messages", "integer", "how many were sent one way, in all tries"),
    Column("round_trips", "integer", "how many round trips were made"),
)

def meant(given: dict[str, Any]) -> str:
    """Which of the things that pipe does the options ask for."""
    return "--cost" if given["cost"] else "the concept"


def tables() -> dict[str, tuple[Column, ...]]:
    """The column tables by what pipe does."""
    from ..demos.messages import MESSAGE_COLUMNS

    return {"the concept": MESSAGE_COLUMNS, "--cost": COST}


@click.command()
@click.option("--cost", is_flag=True, help="Measure what each kind of pipe costs, by the size of a message.")
@click.option("--sizes", type=Sizes(), metavar="SIZE,…", help="With --cost: the messages.  [default: 64,4K,64K,1M]")
@output_options(tables(), meant, source="pipe")
@click.argument("stages", nargs=-1, metavar="['COMMAND']...")
def command(output: Output, stages: tuple[str, ...], cost: bool, sizes: list[int] | None) -> int:
    """See how a pipe carries messages from one process to another.

    Alone, it sends messages for real through each kind of pipe, and checks every statement of the concept against
    what the kernel shows.

    With --cost, it measures throughput and round-trip time of each kind of pipe.
    """
    needs("--cost", cost, "sizes")
    if cost:
        return measure(output, stages, sizes)
    return show(output)


def show(output: Output) -> int:
    """Run the demonstration."""
    from ..demos import demonstrate

    output.open()
    report = demonstrate("pipe")
    output.write(report)
    return HELD if report.ok else NO


def measure(output: Output, stages: tuple[str, ...], sizes: list[int] | None) -> int:
    """Measure the cost of each kind of pipe."""
    from ..ipc.cost import LARGEST, rows_of_costs

    if stages:
        raise BadInput(f"--cost measures pipes of its own; leave {stages[0]!r} out")
    for size in sizes or ():
        if not 1 <= size <= LARGEST:
            raise BadInput(f"a message of {size} bytes cannot be measured; give --sizes from 1 to {LARGEST >> 20}M")
    output.open()
    output.write(Report("pipe", COST, rows=rows_of_costs(sizes), title="the cost of sending bytes"), live=True)
    return HELD


command.tables = tables()  # type: ignore[attr-defined]
