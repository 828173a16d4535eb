"""`ipcctl double-fork status`: whether the daemon of a pidfile runs."""

from __future__ import annotations

import click

from ...errors import EXIT_FALSE, EXIT_OK
from ...report.options import output_options
from ...report.output import Output
from ..command import Command
from .daemon import DAEMON_COLUMNS, row_of_holder, write


@click.command(cls=Command)
@click.option("--pidfile", metavar="FILE", required=True, help="The daemon's pidfile.")
@output_options(DAEMON_COLUMNS)
def command(output: Output, pidfile: str) -> int:
    """Say whether the daemon of a pidfile runs: status 0, or 1 if not.

    The daemon is found by the lock on that file: another process that was given its PID is never taken for it.
    """
    from ...process.daemon.pidfile import holder_of

    output.open()
    holder = holder_of(pidfile)
    write(output, row_of_holder(holder, pidfile))
    return EXIT_FALSE if holder is None else EXIT_OK
