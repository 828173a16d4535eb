"""Any record, in every format, read back: nothing is lost on the way."""

from __future__ import annotations

import csv
import datetime
import html
import io
import json
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipcctl.process.event import Event
from ipcctl.report.model import Check, Column, Report
from ipcctl.report.output import Output

COLUMNS = (
    Column("name", "text", "a text"),
    Column("count", "integer", "a number"),
    Column("wall_s", "real", "a time"),
    Column("ok", "boolean", "yes or no"),
    Column("argv", "list", "a command"),
    Column("started", "time", "a moment"),
)
# What a name of a process or an argument may be: any bytes but NUL, as surrogateescape decodes them.
TEXTS = st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
HOSTILE = ["a,b", 'say "x"', "a\tb", "a\nb", "\\n", "|", "<b>", "&amp;", " x ", "'", "$(id)", "-"]
HOSTILE += ["\x01", "\x1b[31m", "\u202e"]
TEXTS |= st.sampled_from([*HOSTILE, ""])
ROWS = st.fixed_dictionaries(
    {
        "name": st.none() | TEXTS,
        "count": st.none() | st.integers(-(2**63), 2**64),
        "wall_s": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "ok": st.none() | st.booleans(),
        "argv": st.none() | st.lists(TEXTS, max_size=3),
        "started": st.none() | st.integers(0, 4_000_000_000).map(lambda ms: ms / 1000),
    }
)
Rows = list[dict[str, Any]]
each_example = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def written(tmp_path: Path, rows: Rows, format: str, **how: Any) -> bytes:
    """The bytes of a report with these rows (and the first as its summary)."""
    output = Output(COLUMNS, format, path=str(tmp_path / "report"), **how)
    summary = {name: value for name, value in rows[0].items() if name != "started"} if rows else {}
    output.write(Report("test", COLUMNS, summary=summary, rows=rows))
    os.close(output.sink.descriptor)
    return (tmp_path / "report").read_bytes()


def plain(value: Any) -> str:
    """A value as the line formats write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, list) else str(value)


def assert_same(row: dict[str, Any], found: dict[str, str]) -> None:
    """The fields of a line format are those of the row."""
    moment = found["started"]
    assert (row["started"] is None) == (moment == "")
    if moment:
        assert datetime.datetime.fromisoformat(moment).timestamp() == pytest.approx(row["started"], abs=0.001)
    for name in ("name", "count", "wall_s", "ok", "argv"):
        assert found[name] == plain(row[name])


def from_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row of JSON with its moment as a number again."""
    if row["started"] is not None:
        row["started"] = datetime.datetime.fromisoformat(row["started"]).timestamp()
    return row


@each_example
@given(rows=st.lists(ROWS, max_size=3))
def test_json(tmp_path: Path, rows: Rows) -> None:
    report = json.loads(written(tmp_path, rows, "json").decode("ascii"))
    assert list(report) == ["concept", "ok", "summary", "rows", "checks", "events"]
    assert [from_json(row) for row in report["rows"]] == rows


@each_example
@given(rows=st.lists(ROWS, max_size=3))
def test_jsonl(tmp_path: Path, rows: Rows) -> None:
    lines = written(tmp_path, rows, "jsonl").decode("ascii").splitlines()
    assert [from_json(json.loads(line)) for line in lines] == rows


@each_example
@given(rows=st.lists(ROWS, max_size=3))
def test_csv(tmp_path: Path, rows: Rows) -> None:
    text = written(tmp_path, rows, "csv").decode("utf-8", "surrogateescape")
    found = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(found) == len(rows)
    for row, line in zip(rows, found, strict=True):
        assert_same(row, line)


def test_csv_tells_unknown_from_empty(tmp_path: Path) -> None:
    assert written(tmp_path, [{"name": None}, {"name": ""}], "csv", asked="name,count") == b'name,count\n,\n"",\n'


UNESCAPED = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


@each_example
@given(rows=st.lists(ROWS, max_size=3))
def test_tsv(tmp_path: Path, rows: Rows) -> None:
    lines = written(tmp_path, rows, "tsv").decode("utf-8", "surrogateescape").split("\n")
    assert lines.pop() == ""
    names = lines.pop(0).split("\t")
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        values = [re.sub(r"\\[\\tnr]", lambda found: UNESCAPED[found[0]], value) for value in line.split("\t")]
        assert_same(row, dict(zip(names, values, strict=True)))


@settings(each_example, max_examples=15)
@given(row=ROWS)
def test_shell(tmp_path: Path, row: dict[str, Any]) -> None:
    script = written(tmp_path, [row], "shell")
    names = [f"TEST_{name.upper()}" for name in row if name != "started"]
    shown = "; ".join(f"printf '%s\\0' \"${name}\"" for name in names)
    done = subprocess.run(["sh", "-c", script + b"\n" + shown.encode()], capture_output=True, check=True)
    found = [value.decode("utf-8", "surrogateescape") for value in done.stdout.split(b"\0")[:-1]]
    assert found == [plain(value) for name, value in row.items() if name != "started"]


class Cells(HTMLParser):
    """The cells of an HTML table."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.lines.append([])
        elif tag in ("td", "th"):
            self.lines[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.lines and self.lines[-1]:
            self.lines[-1][-1] += data


@each_example
@given(rows=st.lists(ROWS, min_size=1, max_size=3))
def test_html(tmp_path: Path, rows: Rows) -> None:
    parser = Cells()
    parser.feed(written(tmp_path, rows, "html", section="rows").decode("utf-8", "surrogateescape"))
    names = [name.strip() for name in parser.lines.pop(0)]
    for row, line in zip(rows, parser.lines, strict=True):
        # An HTML parser trims what stands between the tags no more than it must: compare what is inside.
        found = dict(zip(names, line, strict=True))
        assert found["name"].strip() == plain(row["name"]).strip()
        assert_same(row, {name: value.strip() for name, value in found.items()} | {"name": plain(row["name"])})


@each_example
@given(rows=st.lists(ROWS, min_size=1, max_size=3))
def test_markdown(tmp_path: Path, rows: Rows) -> None:
    lines = written(tmp_path, rows, "markdown", section="rows").decode("utf-8", "surrogateescape").split("\n")
    assert lines.pop() == ""
    names, _, *lines = [re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1] for line in lines if line]
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        values = [html.unescape(re.sub(r"\\([\\|])", r"\1", value)).strip() for value in line]
        found = dict(zip([name.strip() for name in names], values, strict=True))
        assert found["count"] == plain(row["count"])
        assert found["name"] == plain(row["name"]).strip()


@each_example
@given(rows=st.lists(ROWS, min_size=1, max_size=3))
def test_table_keeps_a_row_a_line_that_no_terminal_obeys(tmp_path: Path, rows: Rows) -> None:
    text = written(tmp_path, rows, "table", asked="name,count,argv").decode()  # UTF-8: stray bytes are escaped
    assert len(text.split("\n")) == 2 + len(rows) + 1
    assert all(char.isprintable() or char == "\n" for char in text)
    for row, line in zip(rows, text.split("\n")[2:], strict=False):
        if row["count"] is not None:
            assert str(row["count"]) in line


@pytest.mark.parametrize("format", ["table", "json", "jsonl", "csv", "tsv", "markdown", "html"])
def test_every_section_in_every_format(tmp_path: Path, format: str) -> None:
    checks = [Check("a.b", "it holds", "1", "1", "held"), Check("a.c", "it fails", "1", "2", "failed", "broken")]
    events = [Event(0.5, 11, "child", "start"), Event(2.5, 11, "child", "end", "exit 0")]
    report = Report("a", COLUMNS, summary={"held": 1}, rows=[{"name": "x"}], checks=checks, events=events)
    there = {"checks": ["a.b", "broken"], "events": ["start", "exit 0"], "summary": ["held", "1"]}
    for section, words in there.items():
        output = Output(COLUMNS, format, section, path=str(tmp_path / section))
        output.write(report)
        os.close(output.sink.descriptor)
        text = (tmp_path / section).read_text()
        assert all(word in text for word in words)


def test_trace_is_chromes_form(tmp_path: Path) -> None:
    events = [Event(0.5, 11, "child", "start"), Event(2.5, 11, "child", "end", "exit 0"), Event(1, 12, "other", "go")]
    output = Output(COLUMNS, "trace", path=str(tmp_path / "trace"))
    output.write(Report("a", COLUMNS, events=events))
    os.close(output.sink.descriptor)
    found = json.loads((tmp_path / "trace").read_text())["traceEvents"]
    lives = {each["pid"]: (each["ts"], each["dur"]) for each in found if each["ph"] == "X"}
    assert lives == {11: (500, 2000), 12: (1000, 0)}
    assert [each["name"] for each in found if each["ph"] == "i" and each["pid"] == 11] == ["start", "end"]


def test_timeline_draws_who_ran_when(tmp_path: Path) -> None:
    events = [Event(0, 1, "parent", "start"), Event(50, 2, "child", "start"), Event(75, 2, "child", "end", "exit 3"),
              Event(100, 1, "parent", "end")]  # fmt: skip
    output = Output(COLUMNS, "timeline", path=str(tmp_path / "timeline"))
    output.write(Report("a", COLUMNS, events=events))
    os.close(output.sink.descriptor)
    parent, _, child, legend, axis = (tmp_path / "timeline").read_text().splitlines()
    bar = {name: line.partition("│")[2].rstrip("│") for name, line in (("parent", parent), ("child", child))}
    width = len(bar["parent"])
    assert (bar["parent"][0], bar["parent"][-1]) == ("●", "●")
    assert (bar["child"].index("●"), bar["child"].rindex("●")) == (width // 2, width * 3 // 4)
    assert "exit 3" in legend
    assert "100 ms" in axis
