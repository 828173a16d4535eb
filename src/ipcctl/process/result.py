"""How one run of a command went: the wait status and the cost, decoded in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import EXIT_INTERNAL, EXIT_OK, EXIT_TIMED_OUT
from .wait_status import decode, shell_status

if TYPE_CHECKING:
    from resource import struct_rusage


class RunResult:
    """One run of one command. Times in seconds; memory in KiB; what is not known is None.

    `status` is the exit status a shell would report: 128 + N when signal N ended it, 126 or 127 when it did not start.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = list(argv)
        self.pid: int | None = None
        self.started: float | None = None  # seconds since the epoch
        self.wall_s: float | None = None
        self.user_s: float | None = None
        self.system_s: float | None = None
        self.cpu_percent: float | None = None
        self.max_rss_kib: int | None = None
        self.max_rss_below_kib: int | None = None
        self.minor_faults: int | None = None
        self.major_faults: int | None = None
        self.voluntary_switches: int | None = None
        self.involuntary_switches: int | None = None
        self.exit_code: int | None = None
        self.signal: str | None = None
        self.core_dumped: bool | None = None
        self.timed_out = False
        self.start_error: str | None = None
        self.stdout: str | None = None
        self.stderr: str | None = None
        self.status = EXIT_INTERNAL

    def ended(self, wait_status: int, usage: struct_rusage, wall_s: float, floor_kib: int) -> None:
        """Fill in what wait4(2) told.

        `floor_kib` is the spawning process's own peak memory: the kernel starts a child's ru_maxrss from it, so that
        a figure at or below it says nothing of the command.
        """
        self.exit_code, self.signal, self.core_dumped = decode(wait_status)
        self.status = EXIT_TIMED_OUT if self.timed_out else shell_status(wait_status)
        self.wall_s = round(wall_s, 6)
        self.user_s, self.system_s = round(usage.ru_utime, 6), round(usage.ru_stime, 6)
        self.cpu_percent = round(100 * (usage.ru_utime + usage.ru_stime) / wall_s, 1) if wall_s > 0 else None
        if usage.ru_maxrss > floor_kib:
            self.max_rss_kib = usage.ru_maxrss
        else:
            self.max_rss_below_kib = floor_kib
        self.minor_faults, self.major_faults = usage.ru_minflt, usage.ru_majflt
        self.voluntary_switches, self.involuntary_switches = usage.ru_nvcsw, usage.ru_nivcsw

    def left_running(self, wall_s: float) -> None:
        """It may not be signalled, and so could not be ended, nor was it waited for any longer."""
        self.wall_s = round(wall_s, 6)
        if self.timed_out:
            self.status = EXIT_TIMED_OUT

    def row(self) -> dict[str, Any]:
        """The record as a flat object."""
        return vars(self)

    @property
    def succeeded(self) -> bool:
        """Whether it ran and gave 0."""
        return self.status == EXIT_OK
