"""`ipcctl double-fork`: the concept shown, or a daemon started, asked after, and stopped."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any

import click

from ..errors import EXIT_FALSE, EXIT_OK, IpcctlError, OutputFailed
from ..report.model import Column, Report
from ..report.options import output_options
from ..report.output import Output
from .arguments import Seconds, Wrapper, needs
from .running import show

if TYPE_CHECKING:
    from ..process.daemon.launch import Launch
    from ..process.daemon.pidfile import Holder

DAEMON = (
    Column("state", "text", "running, ended (the exit status says more), not running, stopped"),
    Column("pid", "integer", "the daemon"),
    Column("ppid", "integer", "its parent: the adopter that it fell to"),
    Column("adopter", "text", "the adopter's name"),
    Column("pgid", "integer", "its process group"),
    Column("sid", "integer", "its session; its leader is gone, so the daemon cannot acquire a terminal"),
    Column("uid", "integer", "the user that it runs as"),
    Column("started", "time", "when it was started"),
    Column("elapsed_s", "real", "how long it has been running"),
    Column("argv", "list", "the command, as the kernel has it; where that has ended, as it was given"),
    Column("pidfile", "text", "the pidfile, from the root"),
    Column("stdout", "text", "where its standard output goes"),
    Column("stderr", "text", "where its standard error goes"),
    Column("took_s", "real", "from the first fork until it was known to have started, or from the stop until its end"),
    Column("message", "text", "with --ready: the last that it said of itself (STATUS=)"),
    Column("exit_code", "integer", "what it gave to exit, where it had ended by the time of the report"),
    Column("signal", "text", "the signal that ended it; with --stop, the last one that it took"),
    Column("processes", "integer", "with --stop: how many of its session were ended"),
)
STARTING = ("log", "stdout", "stderr", "chdir", "umask", "user", "alive_for", "ready")


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


class Jobs(click.ParamType):  # type: ignore[type-arg]
    """How long the two jobs of the demonstration take."""

    name = "seconds,seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Two times in seconds; a usage error for anything else."""
        if isinstance(value, tuple):
            return value
        given = str(value).split(",")
        if len(given) != 2:
            self.fail(f"{value!r} is not two times; give the parent's job and the grandchild's, as 3,4", param, ctx)
        first, second = (Seconds(positive=True).convert(each, param, ctx) for each in given)
        return first, second


def mode_of(given: dict[str, Any]) -> str:
    """Which of its things the options ask for."""
    return "a daemon" if given["argv"] or given["status"] or given["stop"] else "the concept"


def tables() -> dict[str, tuple[Column, ...]]:
    """The column tables by what double-fork does."""
    from ..demos.columns import GENERATION_COLUMNS

    return {"the concept": GENERATION_COLUMNS, "a daemon": DAEMON}


@click.command(cls=Wrapper)
@click.option("--jobs", type=Jobs(), default="0.06,0.08", show_default=True,
              help="Shown: how long the parent's job takes, and the grandchild's.")
@click.option("--log", metavar="FILE", help="Append COMMAND's stdout and stderr to FILE.  [default: /dev/null]")
@click.option("--stdout", metavar="FILE", help="Append its stdout to FILE.")
@click.option("--stderr", metavar="FILE", help="Append its stderr to FILE.")
@click.option("--chdir", metavar="DIR", default="/", show_default=True, help="Its working directory.")
@click.option("--umask", type=Umask(), help="Its file mode creation mask.  [default: as it is here]")
@click.option("--user", metavar="USER[:GROUP]", help="As root: run it as that user, with the user's groups.")
@click.option("--pidfile", metavar="FILE", help="Write its PID there, locked while it lives: it runs but once.")
@click.option("--alive-for", type=Seconds(positive=True), help="It must still run after so long; else status 1.")
@click.option("--ready", is_flag=True, help="Wait until it says READY=1 on NOTIFY_SOCKET (sd_notify(3)).")
@click.option("--timeout", type=Seconds(positive=True), default=30.0, show_default=True,
              help="With --ready: end it when it is not ready by then; status 124.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--status", is_flag=True, help="Whether the daemon of --pidfile runs: status 0, or 1 if not.")
@click.option("--stop", is_flag=True, help="End the daemon of --pidfile and its session; returns when they are gone.")
@output_options(tables(), mode_of, source="double_fork")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARG]...]")
def command(
    output: Output, argv: tuple[str, ...], jobs: tuple[float, float], status: bool, stop: bool, **how: Any
) -> int:
    """See the double fork: a grandchild that nobody needs to wait for.

    Alone, it forks twice for real and checks every statement of the concept against what the kernel shows.

    With COMMAND, it starts COMMAND as a daemon: in a session of its own, without a terminal, its input empty, no
    descriptor of ours open, signals at their defaults, the environment kept. It returns when COMMAND was executed (or
    is ready, or has lived for so long) and reports its PID on stdout. Status 126 or 127 says that COMMAND could not
    be executed. After any status but 0 nothing of it is left, unless nobody was there to read the report (141) or
    ipcctl was itself ended by SIGKILL: then the daemon runs on.

    With --pidfile, a second start says that it runs already (status 1). --status and --stop find the daemon by the
    lock on that file, never another process that was given its PID. To stop what does not run is no error.
    """
    check_combination(argv, status, stop, how["pidfile"])
    if argv:
        return start(output, argv, **how)
    if not (status or stop):
        return show(output, "double-fork", jobs=jobs)
    output.open()
    return stopped(output, how["pidfile"], how["grace"]) if stop else asked_after(output, how["pidfile"])


def check_combination(argv: tuple[str, ...], status: bool, stop: bool, pidfile: str | None) -> None:
    """Raise a usage error for options that do not go together."""
    if status and stop:
        raise click.UsageError("--status and --stop are two things; give one")
    if status or stop:
        option = "--stop" if stop else "--status"
        if argv:
            raise click.UsageError(f"{option} starts nothing; leave {argv[0]!r} out")
        if pidfile is None:
            raise click.UsageError(f"{option} goes with --pidfile FILE, the daemon's; name it")
    needs("the concept alone", not (argv or status or stop), "jobs")
    needs("-- COMMAND", bool(argv), *STARTING)
    needs("-- COMMAND or --stop", bool(argv) or stop, "grace")
    needs("-- COMMAND, --status or --stop", bool(argv) or status or stop, "pidfile")
    needs("--ready", click.get_current_context().params["ready"], "timeout")


def start(output: Output, argv: tuple[str, ...], log: str | None, stdout: str | None, stderr: str | None,
          **how: Any) -> int:  # fmt: skip
    """Start the daemon, and report what the kernel says of it."""
    from ..process.daemon.child import DaemonSpec
    from ..process.daemon.launch import NULL, Launch, account_of, open_streams

    output.open()
    both = NULL if log is None else log
    out, err = both if stdout is None else stdout, both if stderr is None else stderr
    account = account_of(how["user"]) if how["user"] is not None else None
    said = None if err == NULL else err
    spec = DaemonSpec(argv, open_streams(out, err), how["chdir"], how["umask"], account, how["pidfile"], log=said)
    launch = Launch(spec, how["grace"])
    message = begin(launch, how["ready"], how["timeout"], how["alive_for"])
    row = {**row_of_launch(launch), "message": message, "stdout": rooted(out), "stderr": rooted(err)}
    try:
        write(output, row)
    except OutputFailed as error:
        launch.undo()
        raise OutputFailed(f"{error}; the daemon was ended") from None
    return EXIT_OK


def begin(launch: Launch, ready: bool, timeout: float, alive_for: float | None) -> str | None:
    """Start it, with the socket on which it says that it is ready where that is waited for; what it said."""
    if not ready:
        launch.start(alive_for_s=alive_for)
        return None
    from ..process.daemon.notify_socket import NotifySocket

    account = launch.spec.account
    socket = NotifySocket(os.geteuid() if account is None else account.uid)
    launch.spec.environment = {**os.environ, "NOTIFY_SOCKET": socket.address}
    try:
        launch.start(socket, timeout, alive_for)
    finally:
        socket.close()
    return socket.message


def row_of_launch(launch: Launch) -> dict[str, Any]:
    """The daemon that was started, as the kernel has it now that its adopter is its parent."""
    from ..process.wait_status import decode

    now = launch.adopted
    row = facts_of(now or launch.record, now is not None)
    row["state"] = "ended" if now is None or now.state in "ZX" else "running"
    row["argv"] = row.get("argv") or list(launch.spec.argv)
    row |= {"pid": launch.pid, "took_s": launch.took_s, "pidfile": rooted(launch.spec.pidfile)}
    if launch.wait_status is not None:
        row["exit_code"], row["signal"], _ = decode(launch.wait_status)
    return row


def facts_of(stat: Any, adopted: bool = True) -> dict[str, Any]:
    """What /proc says of a daemon; its parent only where that is the one it keeps when we are gone."""
    from ..process.procfs import argv_of, owner_of, started_at, stat_of

    if stat is None:
        return {}
    parent = stat_of(stat.ppid) if adopted and stat.ppid != os.getpid() else None
    return {
        "pid": stat.pid,
        "ppid": parent.pid if parent else None,
        "adopter": parent.name if parent else None,
        "pgid": stat.pgrp,
        "sid": stat.session,
        "uid": owner_of(stat.pid),
        "started": round(started_at(stat), 3),
        "elapsed_s": round(stat.age_s, 3),
        "argv": argv_of(stat.pid),
    }


def rooted(path: str | None) -> str | None:
    """The path from the root, so that it can be found from anywhere."""
    try:
        return None if path is None else os.path.abspath(path)
    except FileNotFoundError:  # the working directory was removed
        return path


def asked_after(output: Output, pidfile: str) -> int:
    """Whether the daemon runs."""
    from ..process.daemon.pidfile import holder_of

    holder = holder_of(pidfile)
    write(output, row_of_holder(holder, pidfile))
    return EXIT_FALSE if holder is None else EXIT_OK


def row_of_holder(holder: Holder | None, pidfile: str) -> dict[str, Any]:
    """The daemon of a pidfile."""
    row = {"state": "not running" if holder is None else "running", "pidfile": rooted(pidfile)}
    return row if holder is None else {**row, "pid": holder.pid or None, **facts_of(holder.stat)}


def stopped(output: Output, pidfile: str, grace: float) -> int:
    """End the daemon and its session."""
    from ..process.daemon.pidfile import holder_of, remove

    begun = time.monotonic()
    holder = holder_of(pidfile)
    row = row_of_holder(holder, pidfile)
    if holder is not None:
        from ..process.procfs import require
        from ..process.session import Session, end_session

        require(f"cannot stop the daemon of {pidfile!r}, PID {holder.pid or 'unknown'}: its session cannot be found")
        if holder.stat is None:
            who = f"PID {holder.pid}" if holder.pid else "it is in a PID namespace that is not seen from here"
            raise IpcctlError(f"cannot stop the daemon of {pidfile!r}: {who}; stop it as root, or from its namespace")
        row["processes"], row["signal"] = end_session(Session(holder.stat), grace)
        row |= {"state": "stopped", "took_s": round(time.monotonic() - begun, 6)}
    remove(pidfile)
    write(output, row)
    return EXIT_OK


def write(output: Output, row: dict[str, Any]) -> None:
    """Write the one row; the summary is the same, as a shell evaluates it."""
    summary = {each.name: row.get(each.name) for each in DAEMON if each.name not in ("argv", "started")}
    output.write(Report("double-fork", DAEMON, ok=row["state"] != "not running", summary=summary, rows=[row]))
