"""`ipcctl ps`: the system's processes listed, as a tree, or by the parent at fault."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import click

from ...errors import EXIT_FALSE, EXIT_INTERNAL, EXIT_OK, BadInput
from ...process.listing import Lister
from ...process.procfs import STATES, hides_others, require
from ...process.selection import Selection
from ...report.model import Column, Report, Row
from ...report.options import output_options
from ...report.output import Output
from ...report.sink import say
from ..arguments import Seconds
from ..command import Command
from .arguments import MOST_PIDS, Pattern, Pid, States, User
from .columns import COLUMNS, DRAWING, TABLES, ZOMBIES, view

FORMATS_OF_WATCH = ("table", "json", "jsonl", "csv", "tsv")
FIGURES = {"running": "R", "sleeping": "S", "uninterruptible": "D", "stopped": "Tt", "zombies": "Z", "idle": "I"}
EXCLUSIVE = (
    ("tree", "zombies"), ("tree", "limit"), ("tree", "explain"), ("zombies", "explain"), ("zombies", "states_wanted"),
)  # fmt: skip


@click.command(cls=Command, exclusive=EXCLUSIVE)
@click.option("--user", type=User(), metavar="USER", help="Those of this effective user, a name or a number.")
@click.option("--state", "states_wanted", type=States(), metavar="LETTER,…", help="Those in one of these states: Z,D.")
@click.option("--name", type=Pattern(), metavar="PATTERN",
              help="Those whose name this regular expression is found in.")
@click.option("--threads-over", type=click.IntRange(0, MOST_PIDS), metavar="N", help="Those with more than N threads.")
@click.option("--children-of", type=Pid(), metavar="PID", help="Those below PID: its children, theirs, and so on.")
@click.option("--parents-of", type=Pid(), metavar="PID", help="Those above PID: its parent, and so on to the first.")
@click.option("--orphans", is_flag=True,
              help="Those whose parent adopted them: it is in another session, and they did not start their own.")
@click.option("--zombies", is_flag=True,
              help="Zombies, by the parent that does not wait for them; status 1 if there are any.")
@click.option("--tree", is_flag=True, help="Who descends from whom; with PID, from there down.")
@click.option("--explain", is_flag=True, help="Say in words what each letter of STAT means.")
@click.option("--sort", metavar="COLUMN,…", help="Order by these columns; -COLUMN from the greatest.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N alone.")
@click.option("--watch", type=Seconds(positive=True), metavar="SECONDS", help="Again and again, so often.")
@output_options(TABLES, view=view)
@click.argument("pids", nargs=-1, type=Pid(), metavar="[PID]...")
def command(output: Output, watch: float | None, **asked: Any) -> int:
    """List processes."""
    if watch and output.format not in FORMATS_OF_WATCH:
        there = ", ".join(FORMATS_OF_WATCH)
        raise BadInput(f"--watch does not go with format {output.format}; it goes with: {there}")
    require("processes cannot be listed")
    gc.disable()  # rows have no cycles, and there are thousands of them to be walked in vain
    output.open()
    listing = Listing(output, asked)
    if not watch:
        return listing.write()
    from .watch import watched

    return watched(output, listing, watch)


class Listing:
    """What to list and how, made once and written once, or every so often."""

    def __init__(self, output: Output, asked: dict[str, Any]) -> None:
        self.output = output
        self.said = False  # that /proc hides some
        self.tree, self.zombies, self.limit = asked["tree"], asked["zombies"], asked["limit"]
        self.sort = sort_keys(asked["sort"], ZOMBIES if self.zombies else COLUMNS)
        same = ("user", "name", "threads_over", "children_of", "parents_of", "orphans")
        self.selection = Selection(
            asked["pids"], states=asked["states_wanted"], zombies=self.zombies, below=self.tree,
            **{each: asked[each] for each in same},
        )  # fmt: skip
        self.lister = Lister(self.wanted())

    def wanted(self) -> set[str]:
        """The columns whose values are needed."""
        if self.output.quiet:
            return set()
        shown = () if self.only_counts else self.output.chosen(Report("ps", self.output.columns))
        return {each.name for each in shown} | {name for name, _ in self.sort}

    @property
    def only_counts(self) -> bool:
        """Whether no row is written, the figures alone."""
        return self.output.format == "shell" or self.output.section == "summary"

    def write(self) -> int:
        """List the processes once; return the exit status."""
        self.lister.look()
        self.selection.look()
        self.say_not_shown()
        with contextlib.closing(self.selection.rows(Lister(()) if self.zombies else self.lister)) as found:
            report = self.zombie_report(found) if self.zombies else self.report(found)
            report.ok = report.ok and not self.selection.missing and not self.selection.hidden
            if self.only_counts:
                report.rows = list(report.rows)
            self.output.write(report)
        if self.selection.hidden:
            return EXIT_INTERNAL  # what was asked for is there, and cannot be told of
        return EXIT_OK if report.ok else EXIT_FALSE

    def say_not_shown(self) -> None:
        """Tell of PIDs that nobody has, and, once, of processes that /proc hides."""
        say_missing(self.selection.missing)
        hidden = self.selection.hidden
        if (option := hides_others()) and (hidden or not self.said):
            self.said = True
            which = f"process {', '.join(map(str, hidden))} runs, and" if hidden else "others' processes"
            say(f"ipcctl ps: {which} cannot be seen: /proc is mounted with {option}; list them as root")

    def report(self, found: Iterable[Row]) -> Report:
        """The processes as rows, or as a tree; the figures are counted as the rows come."""
        summary: Row = {}
        rows = self.ordered(counted(found, summary))
        if self.tree:
            from .tree import tree_rows

            rows = tree_rows(list(rows), self.output)
        if self.output.columns is DRAWING and self.output.section is None:  # the drawing alone, as pstree has it
            self.output.header = False
            return Report("ps", DRAWING, rows=rows)
        return Report("ps", self.output.columns, summary=summary, rows=rows, title="processes")

    def ordered(self, rows: Iterable[Row]) -> Iterable[Row]:
        """The rows sorted and cut short as asked; where no order is asked for, as they come."""
        if self.sort:
            rows = list(rows)
            for name, descending in reversed(self.sort):
                known = [row for row in rows if row.get(name) is not None]
                known.sort(key=lambda row: row[name], reverse=descending)
                rows = known + [row for row in rows if row.get(name) is None]
        return rows if self.limit is None else islice(rows, self.limit)

    def zombie_report(self, found: Iterable[Row]) -> Report:
        """The parents of zombies."""
        from .zombies import parent_row

        families: dict[int, list[Row]] = {}
        for row in found:
            families.setdefault(row["ppid"], []).append(row)
        count = sum(map(len, families.values()))
        rows = self.ordered(parent_row(ppid, rows, self.lister) for ppid, rows in families.items())
        summary = {"zombies": count, "parents": len(families)}
        return Report("ps", ZOMBIES, count == 0, summary, rows, title="zombies, by the parent that does not wait")


def say_missing(missing: list[int]) -> None:
    """Tell of PIDs that nobody has."""
    if missing:
        say(f"ipcctl ps: no process {', '.join(map(str, missing))}; `ipcctl ps` lists those there are")


def counted(rows: Iterable[Row], summary: Row) -> Iterator[Row]:
    """The rows as they are; the summary is filled once the last was taken, or no more are asked for."""
    states: dict[str, int] = {}
    threads = 0
    try:
        for row in rows:
            states[row["state"]] = states.get(row["state"], 0) + 1
            threads += row["threads"]
            yield row
    finally:
        summary["processes"] = sum(states.values())
        summary["threads"] = threads
        for word, letters in FIGURES.items():
            summary[word] = sum(states.get(STATES[letter], 0) for letter in letters)


def sort_keys(asked: str | None, table: Iterable[Column]) -> list[tuple[str, bool]]:
    """The columns to order by, each with whether from the greatest. Raises BadInput, listing those there are."""
    known = {key: each for each in table if each.kind != "object" for key in (each.label, each.name)}
    found = []
    for each in asked.split(",") if asked is not None else ():
        name = each.strip()
        column = known.get(name.lstrip("-+"))
        if column is None:
            there = ", ".join(dict.fromkeys(each.name for each in known.values()))
            raise BadInput(f"no column {name.lstrip('-+')!r} to sort by; there are: {there}")
        found.append((column.name, name.startswith("-")))
    return found
