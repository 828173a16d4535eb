"""The output options that every subcommand has: one decorator, one object."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from .model import CHECK_COLUMNS, EVENT_COLUMNS, FORMATS, SECTIONS, Column
from .output import HELP, Output

Columns = Sequence[Column]
Function = TypeVar("Function", bound=Callable[..., Any])


class OutputOption(click.Option):
    """An option that says how and where a report is written."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the option's name, and the variable that may have given its value: click has that since 8.2."""
        hint = super().get_error_hint(ctx)
        return hint if not self.envvar or f"{self.envvar}" in hint else f"{hint} (env var: '{self.envvar}')"


def output_options(
    columns: Columns | Mapping[str, Columns],
    source: str | None = None,
    view: Callable[[dict[str, Any]], Columns] | None = None,
) -> Callable[[Function], Function]:
    """Give a command the output options, and hand it an `Output` as its first argument.

    `columns` is the command's column table, or its tables by what they are of where its options choose among them:
    then `view` returns the one that is meant, from the options given. `source` is the name of its demonstration's
    module, printed by --source. Where the options alone are the whole work (--columns help, --source), the command is
    not called.
    """

    tables = columns if isinstance(columns, Mapping) else {"": columns}
    every = [column for table in tables.values() for column in table]

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(*args: Any, **given: Any) -> Any:
            output = Output(
                view(given) if view else every,
                given.pop("format"),
                given.pop("section"),
                given.pop("columns"),
                not given.pop("no_header"),
                given.pop("quiet"),
                given.pop("output_path"),
            )
            if given.pop("source", False):
                return print_source(output, source or "")
            if output.wants_columns_help:
                return output.explain_columns()
            output.check()
            return function(output, *args, **given)

        call.tables = tables  # type: ignore[attr-defined]  # the man pages are made from it
        parameters = [*options(every), *([source_option()] if source else [])]
        call.__click_params__ = [*getattr(call, "__click_params__", ()), *reversed(parameters)]  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return decorate


def options(columns: Columns) -> list[click.Option]:
    """The options themselves, in the order in which the help shows them."""
    return [
        OutputOption(["-f", "--format"], type=click.Choice(FORMATS), default="table", show_default=True,
                     envvar="IPCCTL_FORMAT", show_envvar=True, help="How to write the report."),
        columns_option(columns),
        OutputOption(["--section"], type=click.Choice(SECTIONS), help="Write this section of the report alone."),
        OutputOption(["--no-header"], is_flag=True, help="No header line and no titles."),
        OutputOption(["-q", "--quiet"], is_flag=True, help="No report: the exit status says it."),
        OutputOption(["-o", "--output", "output_path"], metavar="FILE", type=click.Path(),
                     help="Write the report to FILE; - is standard output."),
    ]  # fmt: skip


def columns_option(columns: Columns) -> click.Option:
    """The option that chooses among these columns."""
    return OutputOption(["-c", "--columns"], metavar="NAME,…", shell_complete=completing(columns),
                        help="Choose and order the columns; `help` lists them.")  # fmt: skip


def source_option() -> click.Option:
    """The option of a demonstration."""
    return click.Option(["--source"], is_flag=True, help="Print the demonstration's own code.")


def completing(columns: Columns) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Complete the last name of a comma-separated list of columns, for the section that is asked for."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        others = {"checks": CHECK_COLUMNS, "events": EVENT_COLUMNS}
        table = others.get(context.params.get("section") or "") or columns
        before, comma, last = incomplete.rpartition(",")
        names = list(dict.fromkeys(each.name for each in table)) + ([] if comma else [HELP])
        return [before + comma + name for name in names if name.startswith(last)]

    return complete


def print_source(output: Output, name: str) -> None:
    """Write a demonstration's own code to where the report would go."""
    from importlib.resources import files

    text = files("ipcctl.demos").joinpath(f"{name}.py").read_text("utf-8")
    output.sink.write(text)
    output.sink.flush()
