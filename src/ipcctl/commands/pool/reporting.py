"""Run a plan and write the report on it: rows as jobs end where the format has a row a line, else all at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from ...pool.job import named
from ...pool.scheduler import Plan, Pool
from ...pool.statistics import Statistics
from ...report.model import Report, Row
from ...report.output import Output
from ...report.sink import STDERR, STDOUT, Sink, stderr

if TYPE_CHECKING:
    from ...pool.joblog import JobLog
    from ...report.progress import Progress

LINES = ("jsonl", "csv", "tsv")
MOST_FAILED = 1000  # of the failed jobs that the table shows


class Reporting:
    """One run. `progress`: whether to show it; None where stderr is a terminal and nothing else is written there."""

    def __init__(self, output: Output, plan: Plan, log: JobLog | None, progress: bool | None) -> None:
        self.output = output
        if progress is None:
            progress = stderr().is_terminal and not output.quiet and plan.mode != "ungroup"
        events = output.section == "events" or output.format in ("json", "timeline", "trace", "markdown", "html")
        self.statistics = Statistics(self._tell, log, bar() if progress else None, events and not output.quiet)
        names = {STDOUT: "standard output", STDERR: "standard error"}
        sinks = {target: Sink(target, name, "the output of the jobs") for target, name in names.items()}
        self.pool = Pool(plan, sinks, self.statistics)

    def run(self) -> int:
        """Run the jobs, report, and return the exit status."""
        with contextlib.closing(self._rows()) as rows:
            report = Report("pool", self.output.columns, rows=rows, title="failed jobs")
            if not self._streams:
                report.rows = self._kept(rows)
                self._conclude(report)
            if self.pool.fatal is None or self.statistics.jobs or not self._told_in_text:
                self.output.write(report, live=True)
        if self.pool.fatal is not None and self.pool.wakeup.asked is None:
            self.output.say(f"ipcctl pool: {self.pool.fatal}")
        if self.pool.out_of_reach:
            from ...process.terminate import refusal

            self.output.say(f"ipcctl pool: {refusal({each.pid: each for each in self.pool.out_of_reach}.values())}")
        if self.pool.not_found is not None:
            self.output.say(f"ipcctl pool: {self.pool.not_found}")
        return self.statistics.status(self.pool)

    @property
    def _streams(self) -> bool:
        return self.output.format in LINES and self.output.section in (None, "rows") and not self.output.quiet

    def _rows(self) -> Generator[Row, None, None]:
        with contextlib.closing(self.pool.run()) as records:
            for record in records:
                yield record.row()
        self.statistics.before_output()

    def _kept(self, rows: Iterable[Row]) -> list[Row]:
        """Those that the format shows. The others are forgotten, so that their number does not matter."""
        output = self.output
        if output.quiet or output.section not in (None, "rows") or output.format in ("shell", "timeline", "trace"):
            return [row for row in rows if False]
        if output.format != "table" or output.section == "rows" or output.asked is not None:
            return list(rows)
        kept: list[Row] = []
        kept += (shortened(row) for row in rows if row["status"] != 0 and len(kept) < MOST_FAILED)
        return kept

    def _conclude(self, report: Report) -> None:
        report.summary = self.statistics.summary(self.pool)
        report.ok = report.summary["status"] == 0
        report.events = sorted(self.statistics.events, key=lambda event: event.t_ms)
        if self.statistics.failed > MOST_FAILED and self.output.format == "table":
            report.title = f"failed jobs, the first {MOST_FAILED} of {self.statistics.failed}"

    def _tell(self, message: str, not_started: bool) -> None:
        """Say it, unless stderr has a report in it for a machine, which has the failed jobs that ran itself."""
        if self._told_in_text or not_started:
            self.output.say(f"ipcctl pool: {message}")

    @property
    def _told_in_text(self) -> bool:
        output = self.output
        return not output.on_stderr or output.quiet or output.format in ("table", "shell", "timeline")


def bar() -> Progress:
    """A bar on the terminal."""
    from ...report.progress import Progress

    return Progress()


def shortened(row: Row) -> Row:
    """A row with an input that a person can read."""
    return {**row, "input": named(row["input"])}
