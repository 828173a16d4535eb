"""`ipcctl double-fork -- COMMAND`: a daemon started, and known to have started."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click

from ...errors import EXIT_OK, Interrupted, OutputFailed
from ...report.model import Column
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds
from ..command import Command
from .daemon import DAEMON_COLUMNS, facts_of, rooted, say_refusal, write

if TYPE_CHECKING:
    from ...process.daemon.launch import Launch
    from ...process.window import Window

COLUMNS = (
    *DAEMON_COLUMNS,
    Column("stdout", "text", "where its standard output goes"),
    Column("stderr", "text", "where its standard error goes"),
    Column("took_s", "real", "from the first fork until it was known to have started"),
    Column("message", "text", "with --ready: the last that it said of itself (STATUS=)"),
    Column("exit_code", "integer", "what it gave to exit, where it had ended by the time of the report"),
    Column("signal", "text", "the signal that ended it, where it had ended by the time of the report"),
)


class Umask(click.ParamType):  # type: ignore[type-arg]
    """A file mode creation mask, in octal."""

    name = "octal"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The mask; a usage error for what is none."""
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"[0-7]{1,4}", value, re.ASCII) or int(value, 8) > 0o777:
            self.fail(f"{value!r} is no umask; give up to three octal digits, as 022", param, ctx)
        return int(value, 8)


@click.command(cls=Command, starts_processes=True, requires={"timeout": "--ready"},
               context_settings={"allow_interspersed_args": False})
@click.option("--log", metavar="FILE", help="Append its stdout and stderr to FILE.  [default: /dev/null]")
@click.option("--stdout", metavar="FILE", help="Append its stdout to FILE.")
@click.option("--stderr", metavar="FILE", help="Append its stderr to FILE.")
@click.option("--chdir", metavar="DIR", default="/", show_default=True, help="Its working directory.")
@click.option("--umask", type=Umask(), help="Its file mode creation mask.  [default: as here]")
@click.option("--user", metavar="USER[:GROUP]", help="As root: run it as USER, with USER's groups.")
@click.option("--pidfile", metavar="FILE", help="Its PID, locked while it lives: it runs but once.")
@click.option("--alive-for", type=Seconds(positive=True), help="It must run for so long; else status 1.")
@click.option("--ready", is_flag=True, help="Wait until it says READY=1 (sd_notify(3)).")
@click.option("--timeout", type=Seconds(positive=True), default=30.0, show_default=True,
              help="With --ready: end it then; status 124.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@output_options(COLUMNS)
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def command(
    output: Output, argv: tuple[str, ...], log: str | None, stdout: str | None, stderr: str | None, **how: Any
) -> int:  # fmt: skip
    """Start COMMAND as a daemon, and report what the kernel says of it."""
    from ...process.daemon.child import DaemonSpec
    from ...process.daemon.launch import ENDS_START, NULL, Launch, account_of, open_streams
    from ...process.signals import FORWARDED
    from ...process.window import Window

    output.open()
    both = NULL if log is None else log
    out, err = both if stdout is None else stdout, both if stderr is None else stderr
    account = account_of(how["user"]) if how["user"] is not None else None
    said = None if err == NULL else err
    spec = DaemonSpec(argv, open_streams(out, err), how["chdir"], how["umask"], account, how["pidfile"], log=said)
    launch = Launch(spec, how["grace"])
    # Until the report is written: before that a signal ends the daemon, too.
    with Window(FORWARDED, launch.hand_on, ENDS_START) as window:
        try:
            message = begin(launch, window, how["ready"], how["timeout"], how["alive_for"])
        except BaseException:
            say_refusal(output, launch.out_of_reach)
            raise
        report(output, launch, {"message": message, "stdout": rooted(out), "stderr": rooted(err)}, window)
    return EXIT_OK


def report(output: Output, launch: Launch, more: dict[str, Any], window: Window) -> None:
    """Write the report; where it cannot be written, or a signal asks to end meanwhile, the daemon is ended."""
    try:
        write(output, {**row_of_launch(launch), **more})
        window.check()
    except (OutputFailed, Interrupted) as error:
        launch.undo()
        say_refusal(output, launch.out_of_reach)
        if isinstance(error, OutputFailed):
            error.args = (f"{error}; the daemon was ended",)
        raise


def begin(launch: Launch, window: Window, ready: bool, timeout: float, alive_for: float | None) -> str | None:
    """Start it, with the socket on which it says that it is ready where that is waited for; what it said."""
    if not ready:
        launch.start(window, alive_for_s=alive_for)
        return None
    from ...process.daemon.notify_socket import NotifySocket

    account = launch.spec.account
    socket = NotifySocket(os.geteuid() if account is None else account.uid)
    launch.spec.environment = {**os.environ, "NOTIFY_SOCKET": socket.address}
    try:
        launch.start(window, socket, timeout, alive_for)
    finally:
        socket.close()
    return socket.message


def row_of_launch(launch: Launch) -> dict[str, Any]:
    """The daemon that was started, as the kernel has it now that its adopter is its parent."""
    from ...process.wait_status import decode

    now = launch.adopted
    row = facts_of(now or launch.record, now is not None)
    row["state"] = "ended" if now is None or now.has_ended else "running"
    row["argv"] = row.get("argv") or list(launch.spec.argv)
    row |= {"pid": launch.pid, "took_s": launch.took_s, "pidfile": rooted(launch.spec.pidfile)}
    if launch.wait_status is not None:
        row["exit_code"], row["signal"], _ = decode(launch.wait_status)
    return row
