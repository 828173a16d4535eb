"""A command whose help is a screen, and which says what of its options goes together.

What is said at length is its `manual`, which stands in its manual page alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from ..report.model import Column

# What the manual page says of signals, of each that looks after one command, or after many.
HANDED_ON = """
    Every signal that can be caught is handed on, but for CHLD, and what the terminal has sent to COMMAND as well; a
    queued one with its sender and value, any other as from ipcctl. So it is with one that was ignored when ipcctl
    started, as COMMAND does in turn. After TSTP, TTIN and TTOU ipcctl stops, too.

    Children that ipcctl has from before it started (sh -c 'server & exec ipcctl …') are none of COMMAND's. ipcctl then
    goes on in a child process, COMMAND's parent; the one that was called hands on signals, stops and ends with it.
"""
OF_ONE = f"""{HANDED_ON}
    After a TERM or INT that is not the terminal's, COMMAND has the grace period before it is killed with all that it
    started. Any other signal, a HUP too, is COMMAND's to act on.
"""
OF_MANY = f"""{HANDED_ON.replace("COMMAND", "a command")}
    TERM, INT, QUIT and HUP end the commands, and ipcctl with 128+N; unless it was ignored when ipcctl started (nohup).
"""


class Command(click.Command):
    """A verb, or one of the things that a concept does without one.

    `exclusive` has sets of parameters of which one may be given; `requires` says which option one goes with, as it is
    written: "--ready", or "--left wait" where its value matters as well. `starts_processes`: it does, and waits for its
    children; those that this process had before (`sh -c 'server & exec ipcctl …'`) are to be none of them.
    """

    def __init__(
        self,
        *args: Any,
        manual: str = "",
        exclusive: Sequence[Sequence[str]] = (),
        requires: Mapping[str, str] | None = None,
        starts_processes: bool = False,
        **given: Any,
    ) -> None:
        super().__init__(*args, **given)
        self.manual = manual
        self.exclusive = exclusive
        self.requires = requires or {}
        self.starts_processes = starts_processes

    @property
    def tables(self) -> Mapping[str, Sequence[Column]]:
        """The column tables of its report, by what they are of."""
        return getattr(self.callback, "tables", {})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click has it. Raises UsageError for parameters that do not go together."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            self._check(ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """As click has it, with no child of this process that it did not start."""
        if self.starts_processes:
            from ..process.wait_status import has_children

            if has_children():
                from ..process.set_apart import set_apart

                set_apart()
        return super().invoke(ctx)

    def _check(self, ctx: click.Context) -> None:
        for names in self.exclusive:
            given = [self._label(name) for name in names if is_given(ctx, name)]
            if len(given) > 1:
                raise click.UsageError(f"{given[0]} and {given[1]} exclude each other; leave one out", ctx)
        for name, other in self.requires.items():
            if is_given(ctx, name) and not self._has(ctx, other):
                option = self._label(name)
                raise click.UsageError(f"{option} goes with {other}; give that as well, or leave {option} out", ctx)

    def _has(self, ctx: click.Context, written: str) -> bool:
        option, _, value = written.partition(" ")
        name = next(str(each.name) for each in self.params if option in each.opts)
        return ctx.params[name] == value if value else is_given(ctx, name)

    def _label(self, name: str) -> str:
        return label(next(each for each in self.params if each.name == name))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its own options a line each, and those of the report in two."""
        from . import page

        page.write_options(ctx, formatter, "Options", self.params)
        page.write_report_options(formatter, self.params)


def is_given(ctx: click.Context, name: str) -> bool:
    """Whether a parameter stands on the command line."""
    return ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE


def label(parameter: click.Parameter) -> str:
    """What a parameter is called in a message: the option in full, or the argument's place in the usage."""
    if isinstance(parameter, click.Option):
        return parameter.opts[-1]
    return (parameter.metavar or str(parameter.name)).strip("[].")
