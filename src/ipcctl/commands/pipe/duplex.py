"""`ipcctl pipe duplex 'A' 'B'`: two commands of the user's that talk to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...errors import EXIT_OK, BadInput
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds
from ..columns import RUN_COLUMNS
from ..command import OF_MANY, Command
from ..running import run_and_report
from ..wording import tell

if TYPE_CHECKING:
    from ...ipc.pipe.duplex import Duplex

IN_TABLE = ("pid", "wall_s", "user_s", "system_s", "max_rss_kib", "start_error")
COLUMNS = (
    Column("side", "text", "A or B"),
    Column("command", "text", "the command, as it was given to sh -c"),
    Column("status", "integer", "its exit status as a shell has it"),
    *(each.but(each.name != "argv", each.name in IN_TABLE) for each in RUN_COLUMNS),
    Column("sent_bytes", "integer", "what it wrote to its standard output"),
    Column("received_bytes", "integer", "what it was given on its standard input, but for what it left there"),
    Column("waited", "text", "at the last stall: what it waited for"),
)
MANUAL = """
When one closes its output the other sees the end of file, while its own output still reaches the first. One that
SIGPIPE ended did not fail, where the other succeeded and --strict is not given.

The transcript has a line of JSON for each piece that was said: time and t_ms, direction (A>B), said_bytes, text, or
base64 where it is not UTF-8, and closed, true where a side will say no more. A file that takes no more ends the
transcript, not the conversation; the status is then 125, where it would be 0.

A stall is told when no byte has moved for --stall and each side waits: reads an empty input, writes into what is full,
or polls, with none of its processes at work or asleep for a time (/proc/PID/wchan). It ends nothing; --timeout does.
"""


@click.command(cls=Command, starts_processes=True, manual=MANUAL + OF_MANY)
@click.option("--transcript", type=click.Path(), metavar="FILE", help="Write what each side said to FILE; - is stdout.")
@click.option("--stall", type=Seconds(positive=True),
              help="Say who waits for what, when both have so long.  [default: never]")
@click.option("--timeout", type=Seconds(positive=True), help="End the commands after so long; status 124.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--strict", is_flag=True, help="SIGPIPE is a failure, also where the reader succeeded.")
@output_options(COLUMNS)
@click.argument("commands", nargs=-1, metavar="'A' 'B'")
def command(
    output: Output, commands: tuple[str, ...], transcript: str | None, stall: float | None, timeout: float | None,
    grace: float, strict: bool,
) -> int:  # fmt: skip
    """Run two commands, each by sh -c, that talk to each other.

    What A writes to its standard output B reads from its standard input, and the other way round. It ends when both
    have ended; the report goes to stderr, or to -o FILE. The exit status is that of the last that failed.
    """
    if len(commands) != 2:
        raise BadInput(f"a conversation needs two commands, 'A' and 'B', and {len(commands)} were given")
    if not all(each.strip() for each in commands):
        raise BadInput("one of the commands is empty; name two, 'A' and 'B'")
    output.open(beside_command=True)
    if transcript == "-" and output.path == "-":
        raise BadInput("the transcript and the report cannot both go to standard output; give one of them a file")
    written = None
    if transcript is not None:
        from ...ipc.pipe.transcript import Transcript

        written = Transcript(transcript)
    from ...ipc.pipe.duplex import Duplex

    job = Duplex(commands, written, stall, timeout, grace, strict, tell)
    run_and_report(output, "pipe", job, lambda: Report(
        "pipe", COLUMNS, job.status == EXIT_OK, summary(job), job.rows(), events=job.events,
        title="two commands that talked to each other"))  # fmt: skip
    if written is not None:
        written.close()
    return job.status


def summary(job: Duplex) -> dict[str, Any]:
    """The figures of both together."""
    rows = job.rows()
    return {
        "status": job.status,
        "wall_s": job.wall_s,
        **{f"{row['side'].lower()}_{name}": row[name] for row in rows for name in ("status", "sent_bytes")},
        "timed_out": any(row["timed_out"] for row in rows),
        "stalls": job.stalls,
        "transcript_error": job.transcript.failed if job.transcript else None,
    }
