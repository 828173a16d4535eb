"""The output options that every subcommand has: one decorator, one object."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from .model import CHECK_COLUMNS, EVENT_COLUMNS, FORMATS, SECTIONS, Column
from .output import HELP, Output

Tables = Mapping[str, Sequence[Column]]
Pick = Callable[[dict[str, Any]], str]
Function = TypeVar("Function", bound=Callable[..., Any])


def output_options(tables: Tables, pick: Pick, source: str | None = None) -> Callable[[Function], Function]:
    """Give a command the output options, and hand it an `Output` as its first argument.

    `tables` has the command's column tables by what it does, and `pick` says, from the options given, which of them is
    meant; `source` is the name of its demonstration's module, printed by --source. Where the options alone are the
    whole work (--columns help, --source), the command is not called.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(*args: Any, **given: Any) -> Any:
            output = Output(
                tables[pick(given)],
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
        for option in reversed(options(tables, source is not None)):
            call = option(call)
        return call  # type: ignore[return-value]

    return decorate


def options(tables: Tables, has_source: bool) -> list[Callable[[Any], Any]]:
    """The options themselves, in the order in which the help shows them."""
    found = [
        click.option("-f", "--format", type=click.Choice(FORMATS), default="table", show_default=True,
                     envvar="IPCCTL_FORMAT", show_envvar=True, help="How to write the report."),
        click.option("-c", "--columns", metavar="NAME,…", shell_complete=completing(tables),
                     help="Choose and order the columns; `help` lists them."),
        click.option("--section", type=click.Choice(SECTIONS), help="Write this section of the report alone."),
        click.option("--no-header", is_flag=True, help="No header line and no titles."),
        click.option("-q", "--quiet", is_flag=True, help="No report: the exit status says it."),
        click.option("-o", "--output", "output_path", metavar="FILE", type=click.Path(),
                     help="Write the report to FILE; - is standard output."),
    ]  # fmt: skip
    if has_source:
        found.append(click.option("--source", is_flag=True, help="Print the demonstration's own code."))
    return found


def completing(tables: Tables) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Complete the last name of a comma-separated list of columns, for the section that is asked for."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        others = {"checks": CHECK_COLUMNS, "events": EVENT_COLUMNS}
        section = context.params.get("section") or ""
        table = others.get(section) or [each for columns in tables.values() for each in columns]
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
