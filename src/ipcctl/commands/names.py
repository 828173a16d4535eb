"""What the verbs of `sem`, `shm` and `queue` share: names of objects, and the verbs `list` and `remove`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import EXIT_OK, BadInput, IpcctlError
from ..ipc.registry import Registry, checked_name
from ..report.model import Column, Report
from ..report.options import output_options
from ..report.output import Output
from ..report.sink import say
from .command import Command

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

NAME_COLUMN = Column("name", "text", "its name")
COMMON_COLUMNS = (
    Column("owner", "text", "the user whose it is"),
    Column("created", "time", "when it was made"),
    Column("last_used", "time", "when it was last used"),
    Column("problem", "text", "what is wrong with it; `remove` works"),
)


class ObjectName(click.ParamType):  # type: ignore[type-arg]
    """The name of an object of one kind; those that there are complete it."""

    name = "name"

    def __init__(self, objects: Callable[[], Registry]) -> None:
        self.objects = objects

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name; a usage error for what is none."""
        try:
            return checked_name(value)
        except BadInput as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names there are that are not on the line yet; none where they cannot be looked at."""
        from click.shell_completion import CompletionItem

        given = ctx.params.get(param.name or "") or ()
        try:
            names = self.objects().names()
        except (IpcctlError, OSError):
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete) and name not in given]


class CommandAfterDashes(Command):
    """A subcommand with names and options, and after `--` a command of the user's, which is its argument `argv`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click has it for what stands before the `--`; what stands after it is the command."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        at = args.index("--") if "--" in args else len(args)
        command = tuple(args[at + 1 :])
        rest = super().parse_args(ctx, args[:at])
        if ctx.params["argv"]:
            raise click.UsageError(f"what is {ctx.params['argv'][0]!r}? Put the command after --", ctx)
        if not command:
            raise click.UsageError("no command; give it after --, as in: -- make test", ctx)
        ctx.params["argv"] = command
        return rest


def list_command(kind: str, objects: Callable[[], Registry], figures: Sequence[Column]) -> Command:
    """The verb `list` of a concept; `figures` are the columns of its kind, between the name and the owner."""
    columns = (NAME_COLUMN, *figures, *COMMON_COLUMNS)

    @click.command(cls=Command)
    @output_options(columns)
    def command(output: Output) -> int:
        """Show those that there are, and what is wrong where something is."""
        from .wording import in_words_of

        output.open()
        rows = list(objects().rows())
        for row in rows:
            if "problem" in row:
                row["problem"] = in_words_of(click.get_current_context(), row["problem"])
        output.write(Report(kind, columns, summary={"objects": len(rows)}, rows=rows, title=f"{kind} list"))
        return EXIT_OK

    return command


def remove_command(kind: str, objects: Callable[[], Registry]) -> Command:
    """The verb `remove` of a concept."""

    @click.command(cls=Command)
    @click.option("--all", "everything", is_flag=True, help="Remove every one there is.")
    @click.argument("names", nargs=-1, type=ObjectName(objects), metavar="NAME...")
    def command(names: tuple[str, ...], everything: bool) -> int:
        """Remove them. Those that wait for one of them end with an error.

        Each is tried; the status is 1 where one was not there.
        """
        if bool(names) == everything:
            raise click.UsageError("name those to remove, or give --all" + (", not both" if names else ""))
        return remove_each(objects(), names or tuple(objects().names()), f"ipcctl {kind}")

    return command


def remove_each(objects: Registry, names: Sequence[str], prefix: str) -> int:
    """Remove what can be removed, and say what cannot; the status is that of the last that could not."""
    status = EXIT_OK
    for name in dict.fromkeys(names):
        try:
            objects.remove(name)
        except IpcctlError as error:
            say(f"{prefix}: {error}")
            status = error.status
    return status
