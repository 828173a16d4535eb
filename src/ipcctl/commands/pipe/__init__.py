"""`ipcctl pipe`: the concept shown, what each kind of pipe costs, a pipeline, a conversation, or a meter."""

from __future__ import annotations

from typing import Any

import click

from ...errors import EXIT_OK, BadInput
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds, Size, Sizes, needs
from ..running import show

MODES = ("cost", "duplex", "meter")
COST = (
    Column("method", "text", "what carries the message"),
    Column("message_bytes", "integer", "the size of a message"),
    Column("throughput_bytes_per_s", "real", "one way, message after message: the median of the tries"),
    Column("round_trip_s", "real", "there and back again, one at a time: the median of the tries"),
    Column("fastest_round_trip_s", "real", "the fastest of the tries"),
    Column("messages", "integer", "how many were sent one way, in all tries"),
    Column("round_trips", "integer", "how many round trips were made"),
)


def mode_of(given: dict[str, Any]) -> str:
    """Which of the things that pipe does the options ask for."""
    chosen = next((name for name in MODES if given[name]), "")
    return f"--{chosen}" if chosen else "stages" if given["stages"] else "the concept"


def tables() -> dict[str, tuple[Column, ...]]:
    """The column tables by what pipe does."""
    from ...demos.columns import MESSAGE_COLUMNS
    from ...ipc.pipe.duplex import DUPLEX_COLUMNS
    from ...ipc.pipe.meter import METER_COLUMNS
    from ...ipc.pipe.pipeline import STAGE_COLUMNS

    return {"the concept": MESSAGE_COLUMNS, "stages": STAGE_COLUMNS, "--duplex": DUPLEX_COLUMNS,
            "--meter": METER_COLUMNS, "--cost": COST}  # fmt: skip


@click.command()
@click.option("--cost", is_flag=True, help="Measure what each kind of pipe costs, by the size of a message.")
@click.option("--sizes", type=Sizes(), metavar="SIZE,…", help="With --cost: the messages.  [default: 64,4K,64K,1M]")
@click.option("--duplex", is_flag=True,
              help="Run two commands that talk to each other: what A writes B reads, and back.")
@click.option("--transcript", type=click.Path(), metavar="FILE",
              help="With --duplex: write what each side said to FILE; - is standard output.")
@click.option("--stall", type=Seconds(positive=True),
              help="With --duplex: say who waits for what, when both have waited so long.  [default: never]")
@click.option("--timeout", type=Seconds(positive=True), help="End the commands after so long; status 124.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--strict", is_flag=True, help="SIGPIPE is a failure, even where the reader succeeded.")
@click.option("--progress/--no-progress", default=None,
              help="Of stages and --meter: show on stderr how it goes.  [default: on a terminal]")
@click.option("--meter", is_flag=True,
              help="Pass standard input on to standard output, and say how many bytes and how fast.")
@click.option("--size", type=Size(), help="With --meter: how much will come.  [default: what a file on stdin has]")
@click.option("--limit", type=Size(), metavar="RATE", help="With --meter: hold to so many bytes a second.")
@click.option("--name", metavar="NAME", help="With --meter: what its line begins with.")
@click.option("--interval", type=Seconds(positive=True), default=0.5, show_default=True,
              help="With --meter: time between two looks.")
@output_options(tables(), mode_of, source="pipe")
@click.argument("stages", nargs=-1, metavar="['COMMAND']...")
def command(
    output: Output, stages: tuple[str, ...], cost: bool, sizes: list[int] | None, duplex: bool, meter: bool, **how: Any
) -> int:
    """See how a pipe carries messages from one process to another.

    Alone, it sends messages for real through each kind of pipe, and checks every statement of the concept against
    what the kernel shows.

    With STAGES, each run by sh -c, it runs them as a pipeline, as the shell does, and reports how each stage ended and
    what it did, on stderr or to -o FILE. Standard input is the first one's, standard output the last one's. The exit
    status is that of the last stage that failed, as with the shell's pipefail; but a stage that SIGPIPE ended did not
    fail where its reader was done, and that reader did not fail: --strict counts it. Between two stages are two pipes,
    and a relay that moves what is in the one to the other, without copying it. What the stages leave running is left,
    as by a shell, and a process that serves the pipes goes on for as long as it uses them.

    A stage is starved while its input is empty and it wants more, blocked while its output is full, and busy for the
    rest of its time: computing, asleep, or waiting for a disk or a processor. This is looked at some 100 times a
    second, by what is in the pipes and, where /proc/PID/syscall may be read, by the system call that the stage's
    first process waits in. The bottleneck is the stage that was busy longest, if it was so for two thirds of the
    time that the pipeline took, and no other for more than two thirds of what it was; else there is no clear one.
    So there is none where all wait for ipcctl's own standard input or output.

    With --duplex and two commands, A and B, each run by sh -c, what A writes to its standard output B reads from its
    standard input, and the other way round. When one closes its output the other sees the end of file, while its own
    output still reaches the first. It ends when both have ended; the report goes to stderr, or to -o FILE. The exit
    status is that of the last that failed; one that SIGPIPE ended did not fail, where the other succeeded and --strict
    is not given.

    The transcript has a line of JSON for each piece that was said: time and t_ms, direction (A>B), said_bytes, text,
    or base64 where it is not UTF-8, and closed, true where a side will say no more. A file that takes no more ends the
    transcript, not the conversation; the status is then 125, where it would be 0.

    A stall is told when no byte has moved for --stall and each side waits: reads an empty input, writes into what is
    full, or polls, with none of its processes at work or asleep for a time (/proc/PID/wchan). It ends nothing;
    --timeout does.

    With --meter, it passes standard input on to standard output, unchanged, in the middle of a pipeline of the
    shell's, shows on a terminal how many bytes and how fast, and ends with a report on stderr. Bytes are moved by
    splice(2); where that is refused (a file opened for append, a terminal) they are read and written. --limit makes
    up for a pause of a tenth of a second at most. The status is 0, or that of a filter: 141 when its reader was gone
    before the end.

    With --cost, it measures throughput and round-trip time of each kind of pipe.
    """
    needs("--cost", cost, "sizes")
    needs("--duplex", duplex, "transcript", "stall")
    needs("--meter", meter, "size", "limit", "name", "interval")
    needs("commands", bool(stages), "timeout", "grace", "strict")
    needs("stages or --meter", meter or (bool(stages) and not duplex), "progress")
    modes = [f"--{name}" for name, given in zip(MODES, (cost, duplex, meter), strict=True) if given]
    if len(modes) > 1:
        raise click.UsageError(f"{' and '.join(modes)} are {len(modes)} things; ask for one")
    if cost:
        return measure(output, stages, sizes)
    if duplex:
        return converse(output, stages, **how)
    if meter:
        return pass_on(output, stages, **how)
    if stages:
        return run(output, stages, **how)
    return show(output, "pipe")


def run(output: Output, stages: tuple[str, ...], **how: Any) -> int:
    """Run the stages."""
    from .pipeline import run_stages

    return run_stages(output, stages, how["progress"], how["timeout"], how["grace"], how["strict"])


def pass_on(output: Output, stages: tuple[str, ...], **how: Any) -> int:
    """Pass standard input on to standard output."""
    from .pipeline import run_meter

    return run_meter(output, stages, how["progress"], how["size"], how["limit"], how["name"], how["interval"])


def measure(output: Output, stages: tuple[str, ...], sizes: list[int] | None) -> int:
    """Measure the cost of each kind of pipe."""
    from ...ipc.pipe.cost import LARGEST, rows_of_costs

    if stages:
        raise BadInput(f"--cost measures pipes of its own; leave {stages[0]!r} out")
    for size in sizes or ():
        if not 1 <= size <= LARGEST:
            raise BadInput(f"a message of {size} bytes cannot be measured; give --sizes from 1 to {LARGEST >> 20}M")
    output.open()
    output.write(Report("pipe", COST, rows=rows_of_costs(sizes), title="the cost of sending bytes"), live=True)
    return EXIT_OK


def converse(output: Output, commands: tuple[str, ...], **how: Any) -> int:
    """Let two commands talk to each other."""
    from .conversation import run_duplex

    names = ("transcript", "stall", "timeout", "grace", "strict")
    return run_duplex(output, commands, *(how[name] for name in names))
