"""Make the man pages from the commands themselves: options, columns, checks, exit statuses.

    python tools/make_man.py man            write them into man/
    python tools/make_man.py --check man    exit 1 when one there is stale, missing, or of a command that is gone
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from readme import blocks

from ipcctl import __version__
from ipcctl.cli import ALL, cli
from ipcctl.commands.concept import Concept
from ipcctl.commands.help import FORMATS
from ipcctl.commands.page import usages
from ipcctl.demos import CONCEPTS
from ipcctl.demos.harness import Demonstration
from ipcctl.errors import MEANINGS
from ipcctl.report.model import Column
from ipcctl.report.options import OutputOption

ROOT = Path(__file__).parent.parent
FORMATS_NOTE = (
    "Machine formats carry raw values in base units, with the unit at the end of the field's name; times are ISO 8601 "
    "with the zone; what is unknown is null, or an empty field. Text that is not UTF-8 keeps its bytes (in JSON as "
    "\\udcXX); tsv writes backslash, tab and newline as \\\\, \\t, \\n. A script should name the columns that it reads."
)
ENVIRONMENT = (
    ("IPCCTL_FORMAT", "the format, where --format is not given"),
    ("IPCCTL_DIR", "where named things (sem, shm, queue) are; else $XDG_RUNTIME_DIR/ipcctl, else /tmp/ipcctl-UID"),
    ("NO_COLOR", "when set to anything, no colours on a terminal"),
    ("IPCCTL_TRACEBACK", "when set to anything, an error ends with the place where it arose"),
)

# What troff would take for its own, or print as another sign than the one that a shell knows.
ESCAPES = str.maketrans(
    {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", "…": "\\&..."}
)


def roff(text: str) -> str:
    """Text as troff prints it: backslashes, hyphens, and lines that begin like a request."""
    return re.sub(r"^\.", r"\\&.", text.translate(ESCAPES), flags=re.MULTILINE)


def items(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of terms with what they mean."""
    return "\n".join(f".TP\n\\fB{roff(term)}\\fP\n{roff(meaning)}" for term, meaning in pairs)


def section(title: str, *bodies: str) -> str:
    """A section, or nothing where it has no body."""
    body = "\n".join(filter(None, bodies))
    return f".SH {title}\n{body}\n" if body else ""


def column_help(column: Column) -> str:
    """A column's meaning, with its type and unit."""
    kind = f"{column.kind}, {column.unit}" if column.unit else column.kind
    return f"({kind}) {column.help}" + ("" if column.shown else "; only when asked for")


def columns(command: click.Command) -> str:
    """The column tables of a command."""
    tables: Mapping[str, Sequence[Column]] = getattr(command, "tables", {})
    parts = []
    for title, table in tables.items():
        if len(tables) > 1:
            parts.append(f".SS Of {roff(title)}")
        parts.append(items([(each.name, column_help(each)) for each in table]))
    return "\n".join(parts)


def checks(name: str) -> str:
    """The checks of a concept's demonstration."""
    if name not in CONCEPTS:
        return ""
    module = __import__(f"ipcctl.demos.{name.replace('-', '_')}", fromlist=["demonstration"])
    demonstration: Demonstration = module.demonstration
    return items([(id, statement) for id, statement, _ in demonstration.checks])


def formats(command: click.Command) -> str:
    """The formats of a command that reports, and of all together."""
    reports = command is cli or getattr(command, "tables", {})
    return f"{items(FORMATS)}\n.PP\n{roff(FORMATS_NOTE)}" if reports else ""


def description(command: click.Command) -> str:
    """The help's paragraphs, and those of the manual, each filled by troff; \\b paragraphs as they stand."""
    texts = (command.help or "", getattr(command, "manual", ""))
    paragraphs = [each for text in texts if text for each in inspect.cleandoc(text).strip().split("\n\n")]
    return "\n.PP\n".join(
        f".nf\n{roff(each.removeprefix(chr(8)).strip(chr(10)))}\n.fi" if each.startswith("\b") else roff(each)
        for each in paragraphs
    )


def option_items(context: click.Context) -> str:
    """The options with their help; of a concept by what it does, those of its report last."""
    command = context.command
    if not isinstance(command, Concept) or len(command.both) == 1:
        return listed(context, command.get_params(context))
    show, use = command.both
    reports = [each for each in command.get_params(context) if isinstance(each, OutputOption) or "--help" in each.opts]
    parts = (("Of the concept", show.params), ("With COMMAND", use.params))
    found = [f".SS {title}\n{listed(context, own(params))}" for title, params in parts]
    return "\n".join([*found, f".SS Of the report\n{listed(context, reports)}"])


def own(parameters: Sequence[click.Parameter]) -> list[click.Parameter]:
    """Those that are not of the report."""
    return [each for each in parameters if not isinstance(each, OutputOption)]


def listed(context: click.Context, parameters: Sequence[click.Parameter]) -> str:
    """Options with their help."""
    records = [each.get_help_record(context) for each in parameters if isinstance(each, click.Option)]
    return items([record for record in records if record])


def examples(title: str) -> str:
    """The recipes that the README has under the command's name, each run by the tests as it stands."""
    return "\n".join(
        f".PP\n{roff(block.intro)}\n.PP\n.nf\n.RS 4\n{roff(block.body.rstrip())}\n.RE\n.fi"
        for block in blocks("bash")
        if block.heading == title
    )


class Page:
    """A man page, whose date is the version's and not the day's: the same source gives the same page."""

    def __init__(self, context: click.Context, summary: str) -> None:
        self.command = context.command_path
        self.context = context
        self.short_help = roff(summary)
        self.version = f"ipcctl {__version__}"
        self.date = released()

    def __str__(self) -> str:
        """The whole page."""
        title = self.command.replace(" ", "-")
        command = self.context.command
        return "".join(
            [
                f'.TH "{title.upper()}" "1" "{self.date}" "{self.version}" "ipcctl manual"\n',
                section("NAME", f"{roff(title)} \\- {self.short_help}"),
                section("SYNOPSIS", self._synopsis()),
                section("DESCRIPTION", description(command)),
                section("VERBS" if self.context.parent else "SUBCOMMANDS", self._subcommands()),
                section("OPTIONS", option_items(self.context)),
                section("COLUMNS", columns(command)),
                section("CHECKS", checks(self.command.removeprefix("ipcctl "))),
                *(section(title, body) for title, body in getattr(command, "sections", {}).items()),
                section("FORMATS", formats(command)),
                section("EXIT STATUS", items(MEANINGS)),
                section("ENVIRONMENT", items(ENVIRONMENT)),
                section("EXAMPLES", examples(self.command)),
                section("SEE ALSO", self._see_also()),
            ]
        )

    def _synopsis(self) -> str:
        command = self.context.command
        pieces = " ".join(command.collect_usage_pieces(self.context))
        found = usages(command, self.context) if isinstance(command, Concept) else [pieces]
        return "\n.br\n".join(f".B {roff(self.command)}\n{roff(each)}" for each in found)

    def _subcommands(self) -> str:
        below = getattr(self.context.command, "list_commands", None)
        if below is None:
            return ""
        if self.context.command is cli:
            return items(list(ALL.items()))
        return items(list(getattr(self.context.command, "verbs", {}).items()))

    def _see_also(self) -> str:
        path = self.command.replace(" ", "-")
        below = getattr(self.context.command, "list_commands", lambda context: [])(self.context)
        above = path.rpartition("-")[0] if self.context.parent and self.context.parent.parent else "ipcctl"
        others = [*([above] if self.context.parent else []), *(f"{path}-{name}" for name in below)]
        return ",\n".join(f".BR {roff(name)} (1)" for name in others).replace(",\n", " ,\n")


def released() -> str:
    """The date of the newest version in the change log."""
    found = re.search(r"^## .*(\d{4}-\d\d-\d\d)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found, "CHANGELOG.md has no dated version"
    return found[1]


def pages() -> Iterator[tuple[str, str]]:
    """Every page: its file's name and its text."""
    context = click.Context(cli, info_name="ipcctl", **cli.context_settings)
    yield "ipcctl.1", str(Page(context, "processes and inter-process communication, shown and put to work"))
    for name, summary in ALL.items():
        command = cli.get_command(context, name)
        assert command is not None
        yield from pages_of(context_of(command, name, context), summary)


def context_of(command: click.Command, name: str, parent: click.Context) -> click.Context:
    """The context in which the command is called: its settings decide what its help says."""
    return click.Context(command, info_name=name, parent=parent, **command.context_settings)


def pages_of(context: click.Context, summary: str) -> Iterator[tuple[str, str]]:
    """A command's page, and those of the commands below it."""
    yield context.command_path.replace(" ", "-") + ".1", str(Page(context, summary))
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            below = context.command.get_command(context, name)
            assert below is not None
            yield from pages_of(context_of(below, name, context), below.get_short_help_str(200))


def main(args: list[str]) -> int:
    """Write the pages into a directory, or compare them with it."""
    check = "--check" in args
    directory = Path(args[-1])
    wanted = dict(pages())
    if not check:
        directory.mkdir(exist_ok=True)
        for name, text in wanted.items():
            (directory / name).write_text(text)
        return 0
    there = {path.name: path.read_text() for path in directory.glob("*.1")}
    stale = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    for name in stale:
        print(f"{directory / name} is stale; run make man", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
