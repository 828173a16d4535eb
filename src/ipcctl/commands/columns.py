"""The columns that the reports of several commands share: how a run of a command of the user's went."""

from __future__ import annotations

from ..report.model import Column

RUN_COLUMNS = (
    Column("argv", "list", "the command as it was started"),
    Column("pid", "integer", "its process ID; unknown where it did not start"),
    Column("started", "time", "when it was started"),
    Column("wall_s", "real", "from its start until it was waited for"),
    Column("user_s", "real", "processor time in its own code, its waited-for children's included"),
    Column("system_s", "real", "processor time in the kernel on its behalf, its waited-for children's included"),
    Column("cpu_percent", "real", "processor time by wall time; over 100 on several processors"),
    Column("max_rss_kib", "integer", "the most memory resident at once in it or in one of its waited-for children"),
    Column("max_rss_below_kib", "integer", "set when max_rss_kib is unknown: all that is known is, less than this"),
    Column("minor_faults", "integer", "page faults that needed no reading from a device"),
    Column("major_faults", "integer", "page faults that did"),
    Column("voluntary_switches", "integer", "times it gave up the processor to wait"),
    Column("involuntary_switches", "integer", "times the processor was taken from it"),
    Column("exit_code", "integer", "what it gave to exit; unknown when a signal ended it"),
    Column("signal", "text", "the signal that ended it"),
    Column("core_dumped", "boolean", "whether the kernel wrote a core file"),
    Column("timed_out", "boolean", "whether it was ended because its time was up"),
    Column("start_error", "text", "why it could not be started"),
)
OUTPUT_COLUMNS = (
    Column("stdout", "text", "with --capture: what it wrote to its standard output"),
    Column("stderr", "text", "with --capture: what it wrote to its standard error"),
)
