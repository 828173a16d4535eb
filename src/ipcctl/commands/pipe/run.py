"""`ipcctl pipe 'COMMAND'...`: a pipeline as the shell runs it, and what each of its stages did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...errors import EXIT_OK, BadInput
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds
from ..columns import RUN_COLUMNS
from ..command import Command
from ..running import run_and_report

if TYPE_CHECKING:
    from ...ipc.pipe.pipeline import Pipeline

MOST_STAGES = 1000
IN_TABLE = ("pid", "wall_s")
COLUMNS = (
    Column("stage", "integer", "its place in the pipeline, from 1"),
    Column("command", "text", "the stage, as it was given to sh -c"),
    *(each.but(each.name != "argv", each.name in IN_TABLE) for each in RUN_COLUMNS),
    Column("received_bytes", "integer", "what it took from its input; of ipcctl's own stdin, known only of a file"),
    Column("sent_bytes", "integer", "what it wrote to its output; to ipcctl's own stdout, known only of a file"),
    Column("rate_bytes_per_s", "real", "what it received, or where that is unknown what it sent, by wall_s"),
    Column("starved_s", "real", "time in which its input was empty and it wanted more"),
    Column("blocked_s", "real", "time in which its output was full and it could not go on"),
    Column("busy_s", "real", "the rest of its time"),
    Column("status", "integer", "its exit status as a shell has it (PIPESTATUS)"),
    Column("failed", "boolean", "whether it counts as a failure: see --strict", in_table=False),
    Column("bottleneck", "boolean", "whether it held the others up; unknown where there is no clear one"),
)


@click.command(cls=Command, starts_processes=True)
@click.option("--timeout", type=Seconds(positive=True), help="End the commands after so long; status 124.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--strict", is_flag=True, help="SIGPIPE is a failure, also where the reader succeeded.")
@click.option("--progress/--no-progress", default=None, help="Show how it goes.  [default: on a terminal]")
@output_options(COLUMNS)
@click.argument("stages", nargs=-1, required=True, metavar="'COMMAND'...")
def command(
    output: Output, stages: tuple[str, ...], timeout: float | None, grace: float, strict: bool, progress: bool | None
) -> int:  # fmt: skip
    """Run the pipeline, and report how each stage ended and what it did."""
    check(stages)
    from ...ipc.pipe.pipeline import Pipeline
    from ...report.live import Live, wanted

    output.open(beside_command=True)
    job = Pipeline(stages, timeout, grace, strict)
    live = Live()
    if wanted(progress):
        from .progress import Progress

        job.progress = Progress(live.show)
    try:
        run_and_report(output, "pipe", job, lambda: report_of_stages(job, live))
    finally:
        live.clear()
    return job.status


def check(stages: tuple[str, ...]) -> None:
    """Raise BadInput for stages that cannot be run."""
    for i, each in enumerate(stages, 1):
        if not each.strip():
            raise BadInput(f"stage {i} of {len(stages)} is empty: {each!r}; give a command, or leave it out")
    if len(stages) > MOST_STAGES:
        raise BadInput(f"{len(stages)} stages are too many; the most is {MOST_STAGES}")


def report_of_stages(job: Pipeline, live: Any) -> Report:
    """The report on a pipeline; what was drawn while it ran makes room for it."""
    live.clear()
    return Report("pipe", COLUMNS, job.status == EXIT_OK, summary(job), job.rows(), events=job.events)


def summary(job: Pipeline) -> dict[str, Any]:
    """The figures of all stages together."""
    rows = job.rows()
    slowest = None if job.bottleneck is None else rows[job.bottleneck]
    return {
        "status": job.status,
        "pipestatus": " ".join(str(row["status"]) for row in rows),
        "stages": len(rows),
        "failed": sum(row["failed"] for row in rows),
        "bottleneck": slowest and slowest["stage"],
        "bottleneck_command": slowest and slowest["command"],
        "wall_s": job.wall_s,
        "user_s": round(sum(row["user_s"] or 0 for row in rows), 6),
        "system_s": round(sum(row["system_s"] or 0 for row in rows), 6),
        "timed_out": any(row["timed_out"] for row in rows),
    }
