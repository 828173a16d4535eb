"""What the subcommands have in common: run the demonstration, or the user's command, report, and give the status."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import EXIT_FALSE, EXIT_OK
from ..report.model import Report
from ..report.output import Output

if TYPE_CHECKING:
    from ..process.run import Run
    from ..process.subreaper import Subreaper


def show(output: Output, concept: str, **options: Any) -> int:
    """Run a concept's demonstration, and write the report; 1 where a check failed."""
    from ..demos import demonstrate

    output.open()
    report = demonstrate(concept, **options)
    output.write(report)
    return EXIT_OK if report.ok else EXIT_FALSE


def run_and_report(output: Output, concept: str, job: Run, report: Callable[[], Report]) -> None:
    """Run the job and write the report made of it.

    What could not be started is told in one line, once, whatever the report shows; so is what may not be signalled, and
    was left running. `output` is opened already: where the report cannot go the command does not run.
    """
    try:
        records = job.run()
    finally:
        if job.out_of_reach:
            from ..process.terminate import refusal

            output.say(f"ipcctl {concept}: {refusal(job.out_of_reach.values())}")
    failures = {each.start_error: None for each in records if each.start_error}
    if job.not_found:
        output.say(f"ipcctl {concept}: {job.not_found}")
    for message in failures:
        output.say(f"ipcctl {concept}: {message}")
    if output.on_stderr and output.format == "table" and len(failures) == 1 and not any(each.pid for each in records):
        return
    output.write(report())


def outcome_of(job: Subreaper, status: int) -> dict[str, Any]:
    """What the summary of a command that was run as below an init begins with; `status` is what ipcctl ends with."""
    record = job.records[0]
    return {
        "status": status,
        "exit_code": record.exit_code,
        "signal": record.signal,
        "wall_s": job.wall_s,
        "descendants": job.descendants,
        "unseen": job.unseen,
    }
