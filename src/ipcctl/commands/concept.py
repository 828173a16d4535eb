"""The command line of a concept: alone it shows, with a command of the user's it uses, and a verb does all else.

    ipcctl fork [OPTIONS]                          show
    ipcctl fork [OPTIONS] [--] COMMAND [ARG]...    use
    ipcctl fork VERB ...                           a verb; `--` stands before a command that is called like one

Each of them is a module of the concept's package, imported when it is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import no_such
from .command import Command, label

if TYPE_CHECKING:
    from ..report.model import Column


CONCEPT = "ipcctl.concept"  # where click's contexts keep that of the concept


class Line:  # no NamedTuple: making one costs half a millisecond, at every start
    """What a command line begins with: options, perhaps `--`, and the words from the first on."""

    def __init__(self, options: Sequence[click.Parameter], dashes: bool, words: Sequence[str]) -> None:
        self.options = options
        self.dashes = dashes
        self.words = words


class Concept(click.Group):
    """A concept, made of the modules of its package.

    `show` and `use` are the modules of what it does without a verb; where both are the same one, as for `ps`, words
    that are no verb are its arguments. `verbs` has a line of help for each.
    """

    def __init__(
        self,
        package: str,
        help: str,
        show: str = "show",
        use: str | None = None,
        verbs: Mapping[str, str] | None = None,
        manual: str = "",
    ) -> None:
        super().__init__(package.rpartition(".")[2].replace("_", "-"), help=help)
        self.package = package
        self.verbs = verbs or {}
        self.manual = manual
        self._names = (show, use)

    @property
    def show(self) -> Command:
        """What it does alone."""
        command: Command = self._load(self._names[0])
        return command

    @property
    def use(self) -> Command | None:
        """What it does with words that are no verb."""
        return self._load(self._names[1]) if self._names[1] else None

    def _load(self, module: str) -> Any:
        return importlib.import_module(f".{module}", self.package).command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of the table."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb of that name, imported now."""
        if name not in self.verbs:
            return None
        command: click.Command = self._load(name)
        command.short_help = self.verbs[name]
        return command

    @property
    def both(self) -> list[Command]:
        """What it does without a verb."""
        found = [self.show, self.use]
        return list(dict.fromkeys(each for each in found if each))

    @property
    def tables(self) -> Mapping[str, Sequence[Column]]:
        """The column tables of what it does without a verb."""
        if len(self.both) == 1:
            return self.show.tables
        return {title: each.tables[""] for title, each in zip(("the concept", "COMMAND"), self.both, strict=True)}

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The options of all that it does without a verb, while it is not known which is meant; and --help."""
        if ctx.command is not self:  # click wants the arguments before a verb, for the verb's whole name
            return []
        return [*self._options(self.both), *super().get_params(ctx)]

    def _options(self, commands: Sequence[click.Command]) -> list[click.Parameter]:
        found: dict[str | None, click.Parameter] = {}
        for each in (option for command in commands for option in command.params if isinstance(option, click.Option)):
            found.setdefault(each.name, each)
        if len(commands) > 1:
            from ..report.options import columns_option

            found["columns"] = columns_option([column for table in self.tables.values() for column in table])
        return list(found.values())

    # --- what is called

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command that the arguments call; this one's own while a line is being completed."""
        ctx = self.context_class(self, info_name=info_name, parent=parent, **extra)
        ctx.meta[CONCEPT] = ctx
        with ctx.scope(cleanup=False):
            line = self._begin(ctx, args)
            if line.words and not line.dashes and line.words[0] in self.verbs:
                verb, *rest = line.words
                remedy = ", or -- before a command that is called so" if self._names[1] else ""
                self._refuse(ctx, line.options, f"stands before the verb {verb!r}; put it after{remedy}")
                command = self.get_command(ctx, verb)
                assert command is not None
                return command.make_context(verb, rest, parent=ctx, **extra)
            if ctx.resilient_parsing and not (line.words or line.dashes):
                self.parse_args(ctx, list(args))
                return ctx
            called = self._called(ctx, line)
        return called.make_context(info_name, args, parent=parent, **extra)

    def _begin(self, ctx: click.Context, args: Sequence[str]) -> Line:
        """The options up to the first word; only what is needed to tell is imported."""
        if not args or args[0] == "-" or not args[0].startswith("-"):
            return Line((), False, args)
        if args[0] == "--":
            return Line((), True, args[1:])
        use = self.use
        if use is not None and not ctx.resilient_parsing:
            line = self._parsed(ctx, args, use.params, leave_unknown=True)
            if line.dashes or not line.words or line.words[0] == "-" or not line.words[0].startswith("-"):
                return line
        return self._parsed(ctx, args, self.get_params(ctx))

    def _parsed(
        self, ctx: click.Context, args: Sequence[str], known: Sequence[click.Parameter], leave_unknown: bool = False
    ) -> Line:
        options = [each for each in known if isinstance(each, click.Option)]
        parser = click.Command(None, params=list(options)).make_parser(ctx)
        parser.allow_interspersed_args, parser.ignore_unknown_options = False, leave_unknown
        _, words, given = parser.parse_args(list(args))
        if any("--help" in each.opts for each in given) and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return Line(given, len(words) < len(args) and args[-len(words) - 1] == "--", words)

    def _called(self, ctx: click.Context, line: Line) -> click.Command:
        """What it does without a verb: show, or use where there are words for it."""
        use = self.use if line.options or line.words or line.dashes else None
        if use is None:
            if line.words or line.dashes:
                raise click.UsageError(no_such("subcommand", line.words[0] if line.words else "--", self.verbs), ctx)
            return self.show
        if line.words or line.dashes:
            if not line.words and use is not self.show and not ctx.resilient_parsing:
                remedy = "name one, or leave the -- out to see the concept"
                raise click.UsageError(f"no command after --; {remedy}", ctx)
            self._refuse(ctx, without(line.options, use),
                         f"goes with `{ctx.command_path}` alone, to see the concept; leave it out beside a command")
            return use
        uses = without(line.options, self.show)
        if uses and is_required(use):
            self._refuse(ctx, uses, f"goes with {words_of(use)}; name one, or leave it out to see the concept")
        return use if uses else self.show

    def _refuse(self, ctx: click.Context, options: Sequence[click.Parameter], why: str) -> None:
        if options and not ctx.resilient_parsing:
            raise click.UsageError(f"{label(options[0])} {why}", ctx)

    # --- what its help says

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A line for each depth."""
        from . import page

        page.write_usage(self, ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options of each depth, the verbs, and the options of the report."""
        from . import page

        page.write_depths(self, ctx, formatter)


def without(options: Sequence[click.Parameter], command: click.Command) -> list[click.Parameter]:
    """Those of the options that a command does not have."""
    there = {each.name for each in command.params}
    return [each for each in options if each.name not in there]


def is_required(command: click.Command) -> bool:
    """Whether the command cannot do without words."""
    return any(isinstance(each, click.Argument) and each.required for each in command.params)


def words_of(command: click.Command) -> str:
    """What a command's words are, as its usage has the first of them."""
    metavar = next(each.metavar or "" for each in command.params if isinstance(each, click.Argument))
    return metavar.partition(" [")[0].rstrip(".")
