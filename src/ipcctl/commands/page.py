"""A page of help: a screen. Its options have a line each, but for those of the report, which all pages have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from ..report.options import OutputOption

if TYPE_CHECKING:
    from .concept import Concept

REPORT = (
    "-f table|json|jsonl|csv|tsv|shell|markdown|html|timeline|trace",
    "-c COLUMN,…  --section rows|checks|events|summary  --no-header  -q  -o FILE",
)


def usages(concept: Concept, ctx: click.Context) -> list[str]:
    """What may stand after the name of a concept, for each depth."""
    found = [" ".join(each.collect_usage_pieces(ctx)) for each in concept.both]
    return [*found, "VERB ..."] if concept.verbs else found


def write_usage(concept: Concept, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """A line for each depth."""
    for i, usage in enumerate(usages(concept, ctx)):
        formatter.write_usage(ctx.command_path, usage, prefix=" " * 7 if i else "Usage: ")


def write_depths(concept: Concept, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The options of each depth, the verbs, and the options of the report."""
    titles = ("Options",) if len(concept.both) == 1 else ("To show it", "With COMMAND")
    for title, command in zip(titles, concept.both, strict=True):
        write_options(ctx, formatter, title, command.params)
    if concept.verbs:
        with formatter.section("Verbs"):
            formatter.write_dl(list(concept.verbs.items()))
    write_report_options(formatter, concept.show.params)


def write_options(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, parameters: Iterable[click.Parameter]
) -> None:
    """A section of options, but for those of the report."""
    own = [each for each in parameters if isinstance(each, click.Option) and not isinstance(each, OutputOption)]
    records = [record for each in own if (record := each.get_help_record(ctx))]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


def write_report_options(formatter: click.HelpFormatter, parameters: Iterable[click.Parameter]) -> None:
    """The section of the options that every report has, where there are any."""
    if any(isinstance(each, OutputOption) for each in parameters):
        with formatter.section("Report (ipcctl help output)"):
            for line in REPORT:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
