"""Any table on a terminal of any width: no line is wider than it, and rows that differ are seen to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wcwidth import wcswidth

from ipcctl.process.event import Event
from ipcctl.report.layout import MOST_LINES
from ipcctl.report.model import Column, Report, Row
from ipcctl.report.table import Page, write_table
from ipcctl.report.timeline import write_timeline
from ipcctl.report.tree import drawn

ODD = "日本語🦊👍🏽❤️🇩🇪e\u0301é…─ab _-./ "
LONG = st.text("日ab ", max_size=6).map(lambda end: "x" * 30 + end)
TEXTS = st.text(st.sampled_from(ODD) | st.characters(), max_size=30) | LONG
VALUES: dict[str, Any] = {
    "text": TEXTS,
    "integer": st.integers(-(2**63), 2**64) | st.integers(0, 99),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "time": st.integers(0, 4_000_000_000),
    "list": st.lists(TEXTS, max_size=3),
}
NAMES = ("pid", "command", "statement", "parent_before_pid", "name",
         "wall_s", "max_rss_kib", "status", "rate_bytes_per_s")  # fmt: skip


class Screen:
    """A terminal of so many columns; None: no terminal."""

    def __init__(self, width: int | None) -> None:
        self.width = width
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def column(name: str, kind: str) -> Column:
    """A column; with a unit, if it is of numbers."""
    named = Column(name, kind, "")  # type: ignore[arg-type]
    return named if kind in ("integer", "real") else Column(named.label, named.kind, "")


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], list[Row]]:
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=12))
    columns = [column(f"{draw(st.sampled_from(NAMES[:5]))}_{i}", kind) for i, kind in enumerate(kinds)]
    columns = [column(draw(st.sampled_from([each.name, NAMES[i % 9]])), each.kind) for i, each in enumerate(columns)]
    columns = list({each.name: each for each in columns}.values())
    row = st.fixed_dictionaries({each.name: st.none() | VALUES[each.kind] for each in columns})
    rows = draw(st.lists(row, min_size=2, max_size=3))
    for each in rows[1:]:  # rows that are alike but for one field
        each.update({name: rows[0][name] for name in draw(st.sets(st.sampled_from(list(each))))})
    return columns, rows


def shown(columns: Sequence[Column], rows: list[Row], width: int | None, header: bool = True) -> str:
    screen = Screen(width)
    Page(screen, False, header).rows(columns, rows)  # type: ignore[arg-type]
    return screen.text


def assert_fits(text: str, width: int) -> None:
    wide = [line for line in text.split("\n") if not 0 <= wcswidth(line) <= width]
    assert wide == []


@settings(max_examples=60)
@example(table=([column("command", "text")], [{"command": "x" * 60 + end} for end in "ab"]), width=60, header=True)
@given(table=tables(), width=st.integers(20, 140), header=st.booleans())
def test_a_table_fits_and_rows_that_differ_do_not_look_alike(
    table: tuple[list[Column], list[Row]], width: int, header: bool
) -> None:
    columns, rows = table
    text = shown(columns, rows, width, header)
    assert_fits(text, width)
    whole = shown(columns, rows, None).split("\n")[2:]
    for i, j in itertools.combinations(range(len(rows)), 2):
        if whole[i] != whole[j]:
            swapped = list(rows)
            swapped[i], swapped[j] = rows[j], rows[i]
            assert shown(columns, swapped, width, header) != text


@settings(max_examples=40)
@given(table=tables(), width=st.integers(20, 140))
def test_a_whole_report_fits(table: tuple[list[Column], list[Row]], width: int) -> None:
    columns, rows = table
    screen = Screen(width)
    report = Report("a concept", columns, summary=dict(rows[0]), rows=rows, title="日本語の表 " * 10)
    write_table(report, Page(screen, False, True), columns, None)  # type: ignore[arg-type]
    assert_fits(screen.text, width)


NUMBERS = [column(f"number_{i}", "integer") for i in range(12)]


@pytest.mark.parametrize(("width", "lines"), [(200, 1), (60, 2), (40, 3), (30, 12)])
def test_numbers_are_never_cut(width: int, lines: int) -> None:
    rows = [{each.name: 1_000_000 + i for i, each in enumerate(NUMBERS)}] * 2
    text = shown(NUMBERS, rows, width)
    assert_fits(text, width)
    assert text.count("1000011") == 2
    assert len([line for line in text.split("\n") if "10000" in line]) == 2 * lines
    assert lines <= MOST_LINES or "number_11  1000011" in text


def test_what_is_not_a_terminal_is_never_cut() -> None:
    rows = [{"command": "x" * 5000, "statement": "word " * 500}] * 2
    lines = shown([column("command", "text"), column("statement", "text")], rows, None).split("\n")
    assert len(lines) == 2 + 2 + 1
    assert "x" * 5000 in lines[2]


Nodes = dict[int, list[int]]


@st.composite
def trees(draw: st.DrawFn) -> tuple[Nodes, list[str]]:
    parents = draw(st.lists(st.integers(0, 40), max_size=30)) + draw(st.sampled_from([[], [10**6] * 40]))
    below: Nodes = {}
    for i, parent in enumerate(parents, 1):
        below.setdefault(min(parent, i - 1), []).append(i)
    names = draw(st.lists(st.sampled_from(["sh", "a-long-name-15b", "日本語🦊"]), min_size=80, max_size=80))
    return below, names


@given(tree=trees(), width=st.none() | st.integers(40, 132))
def test_a_tree_fits_and_has_every_process_once(tree: tuple[Nodes, list[str]], width: int | None) -> None:
    below, names = tree
    lines = list(drawn([0], lambda i: below.get(i, []), lambda i: f"{names[i]}({i})", width))
    count = 1 + sum(map(len, below.values()))
    for i in range(count):
        assert sum(line.count(f"{names[i]}({i})") for line in lines) == 1
    if width is not None:
        assert_fits("\n".join(lines), width)


def test_a_tree_that_is_too_wide_has_children_below_their_parents() -> None:
    below = {0: [1, 3], 1: [2]}
    lines = [list(drawn([0], lambda i: below.get(i, []), lambda i: f"name({i})", width)) for width in (None, 16, 10)]
    assert lines[0] == ["name(0)─┬─name(1)───name(2)", "        └─name(3)"]
    assert lines[1] == ["name(0)", "├─name(1)", "│ └─name(2)", "└─name(3)"]
    assert lines[2] == ["name(0)", "├─name(1)", "…└─name(2)", "└─name(3)"]


@given(roles=st.lists(TEXTS, min_size=1, max_size=4), details=st.lists(TEXTS, min_size=1, max_size=9),
       width=st.integers(30, 132))  # fmt: skip
def test_a_timeline_fits_and_names_every_process(roles: list[str], details: list[str], width: int) -> None:
    events = [Event(i * 7.5, 1_000_000 + i % len(roles), roles[i % len(roles)], "said", detail)
              for i, detail in enumerate(details)]  # fmt: skip
    screen = Screen(width)
    write_timeline(Report("a", [], events=events), screen)  # type: ignore[arg-type]
    assert_fits(screen.text, width)
    assert all(f"{each.pid} │" in screen.text for each in events)
