"""What `ipcctl pipe` does with bytes of the user's: a pipeline of stages, and the meter in somebody else's."""

from __future__ import annotations

from typing import Any

from ...errors import EXIT_OK, BadInput, IpcctlError
from ...ipc.pipe.meter import METER_COLUMNS, Meter
from ...ipc.pipe.pipeline import STAGE_COLUMNS, Pipeline
from ...report.model import Report
from ...report.output import Output
from ..running import run_and_report

MOST_STAGES = 1000


def run_stages(
    output: Output, stages: tuple[str, ...], progress: bool | None, timeout: float | None, grace: float, strict: bool
) -> int:
    """Run the pipeline."""
    for i, each in enumerate(stages, 1):
        if not each.strip():
            raise BadInput(f"stage {i} of {len(stages)} is empty: {each!r}; give a command, or leave it out")
    if len(stages) > MOST_STAGES:
        raise BadInput(f"{len(stages)} stages are too many; the most is {MOST_STAGES}")
    from ...report.live import Live, wanted

    output.open(beside_command=True)
    job = Pipeline(stages, timeout, grace, strict)
    live = Live()
    if wanted(progress):
        from ...ipc.pipe.progress import Progress

        job.progress = Progress(live.show)
    try:
        run_and_report(output, "pipe", job, lambda: report_of_stages(job, live))
    finally:
        live.clear()
    return job.status


def report_of_stages(job: Pipeline, live: Any) -> Report:
    """The report on a pipeline; what was drawn while it ran makes room for it."""
    live.clear()
    return Report("pipe", STAGE_COLUMNS, job.status == EXIT_OK, summary(job), job.rows(), events=job.events)


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


def run_meter(
    output: Output, stages: tuple[str, ...], progress: bool | None, size: int | None, limit: int | None,
    name: str | None, interval: float,
) -> int:  # fmt: skip
    """Pass stdin on to stdout."""
    if stages:
        raise BadInput(f"--meter passes standard input on, and runs no command; leave {stages[0]!r} out")
    if output.path == "-":
        raise BadInput("the report of --meter cannot go to standard output, which the bytes go to; give -o a file")
    if limit == 0:
        raise BadInput("a rate of 0 lets nothing pass; give --limit more, such as 1M")
    from ...ipc.pipe.progress import MeterLine
    from ...report.live import Live, wanted

    output.open(beside_command=True)
    meter, live = Meter(size, limit, name), Live()
    failure = None
    try:
        meter.run(MeterLine(live.show, interval) if wanted(progress) else None)
    except IpcctlError as error:
        failure = error
    finally:
        live.clear()
    output.write(Report("pipe", METER_COLUMNS, failure is None and meter.status == EXIT_OK, meter.row(), [meter.row()],
                        title=name or "meter"))  # fmt: skip
    if failure is not None:
        raise failure
    return meter.status
