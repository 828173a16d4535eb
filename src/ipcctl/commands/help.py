"""`ipcctl help`: the help of ipcctl, of a subcommand, or of a verb; and of the options that every report has."""

from __future__ import annotations

import click

from ..errors import BadInput, no_such
from ..report.options import options
from .command import Command

OUTPUT = "output"  # the help on the options of every report
FORMATS = (
    ("table", "for reading: values rounded, fitted to the terminal, cut nowhere else"),
    ("json", "one object, the whole report: concept, ok, summary, rows, checks, events"),
    ("jsonl, csv, tsv", "the rows, one a line, as they come"),
    ("shell", "the summary as CONCEPT_FIELD='value', safe to eval"),
    ("markdown, html", "tables of raw values"),
    ("timeline", "who ran when, drawn in the terminal"),
    ("trace", "Chrome trace events, for Perfetto"),
)


def completed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete a subcommand, or a verb of the one named."""
    words = context.params.get("words") or ()
    try:
        found = find(context, words)
    except BadInput:
        return []
    return [name for name in names_below(found) if name.startswith(incomplete)]


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[SUBCOMMAND [VERB]]", shell_complete=completed)
@click.pass_context
def command(context: click.Context, words: tuple[str, ...]) -> None:
    """Print the help of ipcctl, of a subcommand, or of a verb of one.

    `ipcctl help output` says what the options mean that every report has.
    """
    if words == (OUTPUT,):
        click.echo(help_on_output(context))
    else:
        click.echo(find(context, words).get_help(), color=context.color)


def find(context: click.Context, words: tuple[str, ...]) -> click.Context:
    """Return the context of the command that the words name. Raises BadInput."""
    assert context.parent
    found = context.parent
    for word in words:
        names = names_below(found)
        if not names:
            raise BadInput(f"{found.command_path!r} has no verbs; leave {word!r} out")
        below = found.command.get_command(found, word) if isinstance(found.command, click.Group) else None
        if below is None:
            raise BadInput(no_such("verb" if found.parent else "subcommand", word, names))
        found = click.Context(below, info_name=word, parent=found)
    return found


def names_below(context: click.Context) -> list[str]:
    """Return the subcommands of ipcctl, or the verbs of a concept."""
    group = context.command
    return group.list_commands(context) if isinstance(group, click.Group) else []


def help_on_output(context: click.Context) -> str:
    """Return the help on the options that every report has."""
    formatter = context.make_formatter()
    formatter.write_text("Where a report goes, and how it is written: to stdout; while a command of yours runs, whose "
                         "output stays its own, to stderr.")  # fmt: skip
    with formatter.section("Options"):
        formatter.write_dl([record for each in options(()) if (record := each.get_help_record(context))])
    with formatter.section("Formats"):
        formatter.write_dl(FORMATS)
    return formatter.getvalue().rstrip("\n")
