"""`ipcctl double-fork stop`: the daemon of a pidfile ended, with all of its session."""

from __future__ import annotations

import time

import click

from ...errors import EXIT_OK, IpcctlError
from ...report.model import Column
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds
from ..command import Command
from .daemon import DAEMON_COLUMNS, row_of_holder, say_refusal, write

COLUMNS = (
    *DAEMON_COLUMNS,
    Column("took_s", "real", "from the first signal until its end"),
    Column("signal", "text", "the last signal that it took"),
    Column("processes", "integer", "how many of its session were ended"),
)


@click.command(cls=Command)
@click.option("--pidfile", metavar="FILE", required=True, help="The daemon's pidfile.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@output_options(COLUMNS)
def command(output: Output, pidfile: str, grace: float) -> int:
    """End the daemon of a pidfile, and its session; return when they are gone.

    The daemon is found by the lock on that file: another process that was given its PID is never taken for it. To stop
    what does not run is no error.
    """
    from ...process.daemon.pidfile import holder_of, remove

    output.open()
    begun = time.monotonic()
    holder = holder_of(pidfile)
    row = row_of_holder(holder, pidfile)
    if holder is not None:
        from ...process.procfs import require
        from ...process.session import Session, end_session

        require(f"cannot stop the daemon of {pidfile!r}, PID {holder.pid or 'unknown'}: its session cannot be found")
        if holder.stat is None:
            who = f"PID {holder.pid}" if holder.pid else "it is in a PID namespace that is not seen from here"
            raise IpcctlError(f"cannot stop the daemon of {pidfile!r}: {who}; stop it as root, or from its namespace")
        row["processes"], row["signal"], left = end_session(Session(holder.stat), grace)
        say_refusal(output, left)
        row |= {"state": "stopped", "took_s": round(time.monotonic() - begun, 6)}
    remove(pidfile)
    write(output, row)
    return EXIT_OK
