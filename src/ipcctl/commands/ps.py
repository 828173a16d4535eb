"""`ipcctl ps`: the system's processes listed, as a tree, or by the parent at fault; or each state made and shown."""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import click

from ..demos.columns import STATE_COLUMNS
from ..errors import EXIT_FALSE, EXIT_INTERNAL, EXIT_OK, BadInput, Interrupted
from ..process.listing import AT, COLUMNS, Lister, sigchld_disposition, stats
from ..process.procfs import STATES, hides_others, require
from ..process.selection import Selection
from ..report.model import Column, Report, Row
from ..report.options import output_options
from ..report.output import Output
from ..report.sink import say
from .arguments import Seconds
from .running import show

MOST_PIDS = 1 << 22  # the kernel's own limit on PIDs (PID_MAX_LIMIT)
WATCHED = ("table", "json", "jsonl", "csv", "tsv")
FIGURES = {"running": "R", "sleeping": "S", "uninterruptible": "D", "stopped": "Tt", "zombies": "Z", "idle": "I"}
CLEAR = "\x1b[H\x1b[2J"  # cursor home, erase the display (ECMA-48 CUP, ED)

IN_WORDS = ("pid", "stat", "meaning", "command")
EXPLAINED = tuple(each.but(each.shown or each.name in IN_WORDS, each.name in IN_WORDS) for each in COLUMNS)
TREE = (
    *COLUMNS,
    Column("depth", "integer", "how many of those listed are above it"),
    Column("children", "object", "in JSON: the processes below it, each with its own"),
)
DRAWING = (Column("tree", "text", "name(PID), and to the right of it its children"),)
ZOMBIES = (
    Column("ppid", "integer", "the parent that has not waited"),
    Column("user", "text", "the parent's effective user"),
    Column("stat", "text", "the parent's state and marks"),
    Column("sigchld", "text", "what the parent does about SIGCHLD: caught, blocked, ignored or default"),
    Column("zombies", "integer", "how many zombies it has"),
    Column("oldest_s", "real", "how long ago the oldest was started; when it exited the kernel does not keep"),
    Column("newest_s", "real", "how long ago the newest was started"),
    Column("pids", "list", "the zombies", in_table=False),
    Column("names", "list", "their names", in_table=False),
    Column("ages_s", "list", "how long ago each was started", in_table=False),
    Column("command", "text", "the parent's arguments"),
    AT,
)
TABLES = {
    "the list": COLUMNS,
    "--explain": EXPLAINED,
    "--watch": tuple(each.but(shown=True, in_table=False) if each is AT else each for each in COLUMNS),
    "--tree": TREE,
    "--tree, drawn": DRAWING,
    "--zombies": ZOMBIES,
    "--states": STATE_COLUMNS,
}


def mode_of(given: dict[str, Any]) -> str:
    """Which of the tables the options ask for."""
    if given["tree"] and given["format"] == "table" and given["columns"] is None:
        return "--tree, drawn"
    asked = (name for name in ("states", "zombies", "tree", "explain", "watch") if given[name])
    return next((f"--{name}" for name in asked), "the list")


class Pid(click.ParamType):  # type: ignore[type-arg]
    """The number of a process."""

    name = "pid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; a usage error for what can be no PID."""
        if not re.fullmatch("[0-9]{1,9}", str(value), re.ASCII) or not 1 <= int(value) <= MOST_PIDS:
            self.fail(f"{value!r} is no PID; give a number from 1 to {MOST_PIDS}", param, ctx)
        return int(value)


class User(click.ParamType):  # type: ignore[type-arg]
    """A user, by name or number."""

    name = "user"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The user ID; a usage error for a name that nobody has."""
        import pwd

        if isinstance(value, int):
            return value
        if re.fullmatch("[0-9]{1,10}", value, re.ASCII) and int(value) < 1 << 32:
            return int(value)
        try:
            return pwd.getpwnam(value).pw_uid
        except (KeyError, ValueError, UnicodeError):
            self.fail(f"no user {value!r}; give a name from the password database (getent passwd), or a number",
                      param, ctx)  # fmt: skip


class States(click.ParamType):  # type: ignore[type-arg]
    """State letters, with commas between them or without."""

    name = "states"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[str]:
        """The letters; a usage error for one that is no state."""
        letters = [letter.strip() for letter in value.split(",")] if "," in value else list(value)
        unknown = [letter for letter in letters if letter not in STATES]
        if unknown or not letters:
            there = "; ".join(f"{letter} {words}" for letter, words in STATES.items())
            self.fail(f"no state {''.join(unknown[:1])!r}; there are: {there}", param, ctx)
        return frozenset(letters)


class Pattern(click.ParamType):  # type: ignore[type-arg]
    """A regular expression."""

    name = "pattern"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        """The expression compiled; a usage error for one that is wrong."""
        try:
            return re.compile(value)
        except (re.error, RecursionError, OverflowError) as error:
            self.fail(f"{value!r} is no regular expression: {error}", param, ctx)


@click.command()
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
@click.option("--states", is_flag=True, help="Make a process in each state, and check what the kernel shows for it.")
@output_options(TABLES, mode_of, source="ps")
@click.argument("pids", nargs=-1, type=Pid(), metavar="[PID]...")
def command(output: Output, states: bool, watch: float | None, **asked: Any) -> int:
    """List processes: states in words, trees, zombies and who neglects them.

    With PID, those alone; the status is 1 if one of them is not there. What the options say must all be true of what
    is listed. What may not be read is unknown (null in JSON).

    With --states, it makes a process in each state and checks every statement of the concept.
    """
    check_together(output, states, watch, asked)
    if states:
        return show(output, "ps")
    require("processes cannot be listed")
    gc.disable()  # rows have no cycles, and there are thousands of them to be walked in vain
    output.open()
    listing = Listing(output, asked)
    return watched(output, listing, watch) if watch else listing.write()


def check_together(output: Output, states: bool, watch: float | None, asked: dict[str, Any]) -> None:
    """Raise BadInput for options that contradict each other."""
    given = [name for name, value in asked.items() if value or (value == 0 and value is not False)]
    options = {name: "PID" if name == "pids" else "--" + name.replace("_", "-") for name in given}
    options |= {"states_wanted": "--state"} if "states_wanted" in given else {}
    if states and (given or watch):
        raise BadInput(f"--states shows processes that it makes; leave {next(iter(options.values()), '--watch')} out")
    for one, others in (("tree", ("zombies", "limit", "explain")), ("zombies", ("explain", "states_wanted"))):
        for other in others:
            if one in given and other in given:
                raise BadInput(f"--{one} does not go with {options[other]}; leave one of them out")
    if watch and output.format not in WATCHED:
        raise BadInput(f"--watch does not go with format {output.format}; it goes with: {', '.join(WATCHED)}")


class Listing:
    """What to list and how, made once and written once, or every so often."""

    def __init__(self, output: Output, asked: dict[str, Any]) -> None:
        self.output = output
        self.said = False  # that /proc hides some
        self.tree, self.zombies, self.limit = asked["tree"], asked["zombies"], asked["limit"]
        self.sort = sort_keys(asked["sort"], ZOMBIES if self.zombies else COLUMNS)
        states = "Z" if self.zombies else asked["states_wanted"]
        same = ("user", "name", "threads_over", "children_of", "parents_of", "orphans")
        self.selection = Selection(
            asked["pids"], states=states, below=self.tree, **{each: asked[each] for each in same}
        )
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


def parent_row(ppid: int, zombies: list[Row], lister: Lister) -> Row:
    """A parent and its zombies."""
    ages = [each["elapsed_s"] for each in zombies]
    parent = next(lister.rows(stats([ppid])), {})
    return {
        **{name: parent.get(name) for name in ("user", "stat", "command")},
        "ppid": ppid,
        "sigchld": sigchld_disposition(ppid),
        "zombies": len(zombies),
        "oldest_s": max(ages),
        "newest_s": min(ages),
        "pids": [each["pid"] for each in zombies],
        "names": [each["name"] for each in zombies],
        "ages_s": ages,
        "at": lister.at,
    }


def tree_rows(rows: list[Row], output: Output) -> Iterable[Row]:
    """The tree of these processes: drawn, nested in JSON, and elsewhere a row each, parents before their children."""
    from ..report.tree import drawn, in_order

    by_pid = {row["pid"]: row for row in rows}
    families: dict[int, list[Row]] = {}
    roots: list[Row] = []
    for row in rows:
        parent = by_pid.get(row["ppid"])
        # One that is younger than its child got its number after the child's record was read, and is not its parent.
        is_below = parent is not None and parent is not row and parent["started"] <= row["started"]
        (families.setdefault(row["ppid"], []) if is_below else roots).append(row)

    def children(row: Row) -> list[Row]:
        return families.get(row["pid"], [])

    if output.columns is DRAWING:
        width = output.sink.width
        lines = drawn(roots, children, lambda row: process_label(row, width), width)
        return ({"tree": line} for line in lines)
    flat = [{**row, "depth": depth} for row, depth in in_order(roots, children)]
    return nested(flat, output) if output.format in ("json", "jsonl") else flat


def process_label(row: Row, width: int | None) -> str:
    """Return `name(PID)`; the name is cut where both would not fit, with a mark before them."""
    from ..report.terminal import cut, visible_line

    name, pid = visible_line(row["name"]), f"({row['pid']})"
    return (name if width is None else cut(name, width - len(pid) - 1)) + pid


def nested(flat: list[Row], output: Output) -> list[Row]:
    """The roots, each with its children in it, theirs in them, made as JSON shows them."""
    from ..report.formats import chosen

    choose = chosen(output.chosen(Report("ps", TREE)))
    below: dict[int, list[Row]] = {}
    roots = []
    for row in reversed(flat):  # children before their parents
        row["children"] = below.pop(row["pid"], [])[::-1]
        if row["depth"] == 0:
            roots.append(row)
        else:
            below.setdefault(row["ppid"], []).append(choose(row))
    allow_depth(max((row["depth"] for row in flat), default=0))
    return roots[::-1]


def allow_depth(depth: int) -> None:
    """Let JSON nest so deep: the encoder takes a level of recursion for the object and one for the list."""
    import sys

    sys.setrecursionlimit(max(sys.getrecursionlimit(), 3 * depth + 1000))


def watched(output: Output, listing: Listing, seconds: float) -> int:
    """List again and again, until a signal ends it. On a terminal, each list in place of the one before."""
    import signal
    import time

    redraws, asked = output.format == "table" and output.sink.is_terminal, listing.limit
    if redraws:
        output.section = output.section or "rows"
    due = time.monotonic()
    try:
        while True:
            if redraws:
                output.height = lines_of_terminal(output) - 1  # the cursor rests on the last
                listing.limit = asked or max(output.height - 2, 1)  # below a header of two lines, at the least
                output.sink.write(CLEAR)
            listing.write()
            output.header = output.header and output.format not in ("csv", "tsv")  # a second header would be a row
            due = max(due + seconds, time.monotonic())
            wait_until_due(due)
    except KeyboardInterrupt:  # a Ctrl-C while it listed
        raise Interrupted(signal.SIGINT) from None


def lines_of_terminal(output: Output) -> int:
    """Return how many lines the terminal has now; one that does not say has 24."""
    import os

    return os.get_terminal_size(output.sink.descriptor).lines or 24


def wait_until_due(due: float) -> None:
    """Wait until then (time.monotonic). Raises Interrupted for a signal that asks to end."""
    from ..process.signals import ENDING, Signals

    with Signals(ENDING) as signals:
        while info := signals.wait(due):
            if info.si_signo in ENDING:
                raise Interrupted(info.si_signo)
