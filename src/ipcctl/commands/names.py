"""What `sem`, `shm` and `queue` share: a concept with verbs for named objects, `list` and `remove` among them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import EXIT_OK, BadInput, IpcctlError
from ..ipc.registry import Registry, checked_name
from ..report.model import Column, Report
from ..report.options import output_options
from ..report.output import Output
from ..report.sink import say
from .wording import in_words_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

NAME_COLUMN = Column("name", "text", "its name")
COMMON_COLUMNS = (
    Column("owner", "text", "the user whose it is"),
    Column("created", "time", "when it was made"),
    Column("last_used", "time", "when it was last used"),
    Column("problem", "text", "what is wrong with it; `remove` works"),
)


class Concept(click.Group):
    """A concept with named objects: `ipcctl sem` alone shows it, `ipcctl sem run` works on one.

    Its own options are the show's. The function that it is made of is not called when a subcommand is.
    """

    def __init__(self, name: str | None, callback: Callable[..., Any], **given: Any) -> None:
        super().__init__(name, callback=alone(callback), invoke_without_command=True, **given)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added: click would sort them."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click has it, with those named that there are."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise click.UsageError(f"no subcommand {args[0]!r}; there are: {', '.join(self.commands)}", ctx)
        return super().resolve_command(ctx, args)


def alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called only where no subcommand is; options given before one are a usage error."""

    @functools.wraps(function)
    def call(**given: Any) -> Any:
        context = click.get_current_context()
        if context.invoked_subcommand is None:
            return function(**given)
        for each in context.command.params:
            if each.name and context.get_parameter_source(each.name) == ParameterSource.COMMANDLINE:
                where = f"put it after {context.invoked_subcommand!r}, if it has it"
                raise click.UsageError(f"{each.opts[-1]} is for the concept alone; {where}", context)
        return None

    return call


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


class CommandAfterDashes(click.Command):
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


def add_list_and_remove(group: Concept, objects: Callable[[], Registry], figures: Sequence[Column]) -> None:
    """Give a concept its `list` and `remove`; `figures` are the columns of its kind, between the name and the owner."""
    columns = (NAME_COLUMN, *figures, *COMMON_COLUMNS)
    kind = group.name

    @group.command("list", short_help="Show those that there are.")
    @output_options({"list": columns}, lambda given: "list")
    def list_objects(output: Output) -> int:
        """Show those that there are, and what is wrong where something is."""
        output.open()
        rows = list(objects().rows())
        for row in rows:
            if "problem" in row:
                row["problem"] = in_words_of(click.get_current_context(), row["problem"])
        output.write(Report(str(kind), columns, summary={"objects": len(rows)}, rows=rows, title=f"{kind} list"))
        return EXIT_OK

    @group.command("remove", short_help="Remove them; those that wait for one of them end with an error.")
    @click.option("--all", "everything", is_flag=True, help="Remove every one there is.")
    @click.argument("names", nargs=-1, type=ObjectName(objects), metavar="NAME...")
    def remove(names: tuple[str, ...], everything: bool) -> int:
        """Remove them. Those that wait for one of them end with an error.

        Each is tried; the status is 1 where one was not there.
        """
        if bool(names) == everything:
            raise click.UsageError("name those to remove, or give --all" + (", not both" if names else ""))
        return remove_each(objects(), names or tuple(objects().names()), f"ipcctl {kind}")


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
