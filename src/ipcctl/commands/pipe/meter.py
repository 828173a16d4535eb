"""`ipcctl pipe meter`: bytes passed on in somebody else's pipeline, counted, and held to a rate."""

from __future__ import annotations

import click

from ...errors import EXIT_OK, BadInput, IpcctlError
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds, Size
from ..command import Command

COLUMNS = (
    Column("name", "text", "as it was given"),
    Column("passed_bytes", "integer", "what was passed on"),
    Column("size_bytes", "integer", "what was expected: --size, or what was left of a regular file on stdin"),
    Column("wall_s", "real", "from the start to the end"),
    Column("average_bytes_per_s", "real", "passed_bytes by wall_s"),
    Column("user_s", "real", "processor time in its own code"),
    Column("system_s", "real", "processor time in the kernel on its behalf"),
    Column("ended", "text", "input ended, reader gone, or the signal that ended it"),
)
MANUAL = """
Bytes are moved by splice(2); where that is refused (a file opened for append, a terminal) they are read and written.
--limit makes up for a pause of a tenth of a second at most.
"""


@click.command(cls=Command, manual=MANUAL)
@click.option("--size", type=Size(), help="How much will come.  [default: what a file on stdin has]")
@click.option("--limit", type=Size(), metavar="RATE", help="Hold to so many bytes a second.")
@click.option("--name", metavar="NAME", help="What its line begins with.")
@click.option("--interval", type=Seconds(positive=True), default=0.5, show_default=True,
              help="Time between two looks.")
@click.option("--progress/--no-progress", default=None, help="Show how it goes.  [default: on a terminal]")
@output_options(COLUMNS)
def command(
    output: Output, size: int | None, limit: int | None, name: str | None, interval: float, progress: bool | None
) -> int:  # fmt: skip
    """Pass standard input on to standard output, and say how many bytes and how fast.

    It stands in the middle of a pipeline of the shell's and changes nothing of what passes; it shows on a terminal how
    it goes, and ends with a report on stderr. The status is 0, or that of a filter: 141 when its reader was gone before
    the end.
    """
    if output.path == "-":
        raise BadInput("the report cannot go to standard output, which the bytes go to; give -o a file")
    if limit == 0:
        raise BadInput("a rate of 0 lets nothing pass; give --limit more, such as 1M")
    from ...ipc.pipe.meter import Meter
    from ...report.live import Live, wanted
    from .progress import MeterLine

    output.open(beside_command=True)
    meter, live = Meter(size, limit, name), Live()
    failure = None
    try:
        meter.run(MeterLine(live.show, interval) if wanted(progress) else None)
    except IpcctlError as error:
        failure = error
    finally:
        live.clear()
    output.write(Report("pipe", COLUMNS, failure is None and meter.status == EXIT_OK, meter.row(), [meter.row()],
                        title=name or "meter"))  # fmt: skip
    if failure is not None:
        raise failure
    return meter.status
