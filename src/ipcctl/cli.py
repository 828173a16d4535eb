"""The command line: an explicit table of subcommands, imported when called, and errors made into exit statuses."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from . import __version__, errors
from .report.sink import guard_standard_descriptors, say

# One line each: what it shows, and what it is used for. A subcommand NAME is commands/NAME.py.
COMMANDS = {
    "fork": "See what fork does, or run a command and get a true record of it.",
    "zombie": "See zombies and each way to avoid them, or find out who does not wait for its children.",
    "orphan": "See adoption, or run a command and account for every process that outlives its parent.",
    "double-fork": "See the double fork, or start a daemon and know that it started.",
    "pool": "See a pool of workers at its tasks, or run jobs in parallel with a record for each.",
    "pipe": "See both kinds of pipe, or run a pipeline and find out who held it up.",
    "queue": "See a queue, or let scripts pass messages, delivered at least once; run a command for each.",
    "shm": "See shared memory, the race and the lock, or share values between scripts, each operation atomic.",
    "sem": "See a semaphore, or let at most so many commands run at once, whatever shells they come from.",
    "ps": "List processes: states in words, trees, zombies and who neglects them.",
    "tour": "Run every concept's checks, in one table.",
}
OTHERS = {
    "help": "Print the help of ipcctl, of a subcommand, or of a verb.",
}
ALL = COMMANDS | OTHERS


class Context(click.Context):
    """The context of any command: an error that leaves it is worded as its command line is."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (errors.IpcctlError, click.UsageError)):
            from .commands.wording import in_words_of

            if isinstance(error, click.UsageError):
                error.message = in_words_of(self, error.message)  # type: ignore[misc]
            else:
                error.args = (in_words_of(self, str(error)), *error.args[1:])
        super().__exit__(kind, error, trace)


click.Command.context_class = Context


class Subcommands(click.Group):
    """A group that imports a subcommand's module when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(ALL)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The subcommand of that name, imported now."""
        if name not in ALL:
            return None
        module = importlib.import_module(f".commands.{name.replace('-', '_')}", __package__)
        command: click.Command = module.command
        command.short_help = ALL[name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click has it, with the nearest name suggested where there is none."""
        if args[0] not in ALL and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(errors.no_such("subcommand", args[0], ALL), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """As click has it, but for Ctrl-C: click would print an empty line for it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise errors.Interrupted(2) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table itself: no subcommand is imported to show its line."""
        with formatter.section("Subcommands"):
            formatter.write_dl(list(ALL.items()))


@click.command(
    cls=Subcommands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="ipcctl", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """See what the kernel does with processes and inter-process communication, and put it to work.

    Each subcommand is one concept. Alone it shows the concept on this kernel and checks every statement of it; with a
    command of yours after --, it does the work on that; a verb after its name does all else. With -f json (csv, shell,
    …) a script reads it.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), color=context.color)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line given; return the exit status."""
    guard_standard_descriptors()
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        status = cli.main(args, prog_name="ipcctl", standalone_mode=False)
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()  # help and version are click's to print: whether they arrived is known only now
        return status if isinstance(status, int) else errors.EXIT_OK
    except BaseException as error:
        return report_error(error, args)


def report_error(error: BaseException, args: Sequence[str]) -> int:
    """Say in one line what went wrong, and return the exit status that it has."""
    if isinstance(error, SystemExit) and "_IPCCTL_COMPLETE" in os.environ:
        return int(error.code or 0)  # click's completion, asked for by a shell, exits by itself
    if isinstance(error, (errors.ReaderGone, BrokenPipeError, SystemExit)):  # click exits by itself on EPIPE
        discard_stdout()
        return errors.EXIT_SIGNALLED + 13  # the status of a program that SIGPIPE ended, as `ps | head -1` has it
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return errors.EXIT_SIGNALLED + 2
    if isinstance(error, errors.Interrupted):
        return errors.EXIT_SIGNALLED + error.number
    if not isinstance(error, Exception) or os.environ.get("IPCCTL_TRACEBACK"):
        raise error
    message, status = describe(error)
    name = next((each for each in args if not each.startswith("-")), "")
    command = f"ipcctl {name}" if name in ALL else "ipcctl"
    more = f" (see '{command_with_help(error, command)} --help')" if isinstance(error, click.UsageError) else ""
    say(f"{command}: {message}{more}")
    discard_stdout()
    return status


def command_with_help(error: click.UsageError, command: str) -> str:
    """The command whose help says more: of `ipcctl sem run` and the like, where it is one of those."""
    return error.ctx.command_path if error.ctx and error.ctx.command_path.startswith(command) else command


def describe(error: Exception) -> tuple[str, int]:
    """The error's message on one line, and the exit status."""
    if isinstance(error, errors.IpcctlError):
        return str(error), error.status
    if isinstance(error, click.ClickException):
        return " ".join(error.format_message().split()).rstrip("."), errors.EXIT_USAGE
    if isinstance(error, OSError):
        what = errors.LIMITS.get(error.errno or 0) or error.strerror or str(error)
        return what + (f": {error.filename!r}" if error.filename else ""), errors.EXIT_INTERNAL
    if isinstance(error, MemoryError):
        return errors.LIMITS[errno.ENOMEM], errors.EXIT_INTERNAL
    where = "set IPCCTL_TRACEBACK=1 to see where"
    return f"internal error: {type(error).__name__}: {error} (a bug; {where})", errors.EXIT_INTERNAL


def discard_stdout() -> None:
    """Let nothing that stdout still holds be written: at exit the interpreter would fail on it once more."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
    except OSError:  # no descriptor left: closing serves as well
        os.close(1)
    else:
        os.dup2(null, 1)
        os.close(null)
