"""What `ipcctl pipe --duplex` does: two commands of the user's that talk to each other."""

from __future__ import annotations

from typing import Any

from ...errors import EXIT_OK, BadInput
from ...ipc.pipe.duplex import DUPLEX_COLUMNS, Duplex
from ...report.model import Report
from ...report.output import Output
from ..running import run_and_report
from ..wording import tell


def run_duplex(
    output: Output, commands: tuple[str, ...], transcript: str | None, stall: float | None, timeout: float | None,
    grace: float, strict: bool,
) -> int:  # fmt: skip
    """Run the two."""
    if len(commands) != 2:
        raise BadInput(f"--duplex needs two commands, 'A' and 'B', and {len(commands)} were given")
    if not all(each.strip() for each in commands):
        raise BadInput("--duplex was given an empty command; name two, 'A' and 'B'")
    output.open(beside_command=True)
    if transcript == "-" and output.path == "-":
        raise BadInput("the transcript and the report cannot both go to standard output; give one of them a file")
    written = None
    if transcript is not None:
        from ...ipc.pipe.transcript import Transcript

        written = Transcript(transcript)
    job = Duplex(commands, written, stall, timeout, grace, strict, tell)
    run_and_report(output, "pipe", job, lambda: Report(
        "pipe", DUPLEX_COLUMNS, job.status == EXIT_OK, summary(job), job.rows(), events=job.events,
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
