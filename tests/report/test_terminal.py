"""Text measured, cut and broken in a terminal's columns; wcwidth is asked seldom, and never contradicted."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wcwidth import wcswidth, wcwidth

from ipcctl.report.terminal import DRAWN, cut, display_width, fold, is_narrow, padded, visible_line, wrap

ODD = "日本語🦊👍🏽❤️🇩🇪e\u0301क्षि\u1112\u1161한é…─"
TEXTS = st.text(st.sampled_from(ODD + "ab _-./ ") | st.characters(), max_size=60).map(visible_line)
WIDTHS = st.integers(2, 40)


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("é…─µ", 4), ("日本", 4), ("🦊", 2), ("e\u0301", 1), ("❤\ufe0f", 2), ("\u1112\u1161", 2)],
)
def test_display_width(text: str, width: int) -> None:
    assert display_width(text) == width


def test_what_is_taken_for_narrow_without_wcwidth_is() -> None:
    taken = [char for char in map(chr, range(0x110000)) if char.isprintable() and is_narrow(char)]
    assert len(taken) > 700
    assert [char for char in taken if wcwidth(char) != 1] == []
    assert set(map(chr, DRAWN)) <= set(taken)


@given(text=TEXTS)
def test_every_visible_text_has_a_width(text: str) -> None:
    assert display_width(text) == wcswidth(text) >= 0


@example(text="日本", width=2)
@given(text=TEXTS, width=WIDTHS)
def test_a_cut_text_fits_and_says_that_it_was_cut(text: str, width: int) -> None:
    short = cut(text, width)
    assert wcswidth(short) <= width
    assert short == text if wcswidth(text) <= width else short.endswith("…") and text.startswith(short[:-1])


@given(text=TEXTS, width=WIDTHS)
def test_folded_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = fold(text, width)
    assert "".join(lines) == text
    assert all(wcswidth(line) <= width for line in lines)


@given(texts=st.tuples(TEXTS, TEXTS) | st.text("ab ", max_size=12).map(lambda text: (text, text.replace("b", " "))),
       width=st.integers(2, 8))  # fmt: skip
def test_folded_texts_that_differ_are_seen_to(texts: tuple[str, str], width: int) -> None:
    one, other = ([line.rstrip() for line in fold(text.rstrip(), width)] for text in texts)
    assert (one == other) == (texts[0].rstrip() == texts[1].rstrip())


@given(text=TEXTS, width=WIDTHS)
def test_wrapped_lines_fit_and_keep_every_word(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(wcswidth(line) <= width for line in lines)


def test_lines_end_between_words() -> None:
    assert wrap("a word and  another one", 10) == ["a word and", "another", "one"]
    assert fold("a word and another", 10) == ["a word and", " another"]
    assert fold("parent_before_pid", 7) == ["parent_", "before_", "pid"]
    assert fold("日本語日本語", 5) == ["日本", "語日", "本語"]


def test_padded() -> None:
    assert (padded("日本", 6), padded("日本", 6, right=True)) == ("日本  ", "  日本")


MEASURED = """
import sys
from ipcctl.report.model import Column
from ipcctl.report.table import Page
class Screen:
    width = 60
    def write(self, text): pass
columns = [Column("pid", "integer", ""), Column("command", "text", "")]
Page(Screen(), False, True).rows(columns, [{{"pid": 1, "command": name}} for name in {names!r}])
print("wcwidth" in sys.modules, "tabulate" in sys.modules)
"""


@pytest.mark.parametrize(
    ("names", "imported"),
    [(["sleep", "x" * 200], False), (["12 µs", "é"], False), (["日本"], True)],
)
def test_wcwidth_is_imported_only_where_it_is_needed(names: list[str], imported: bool) -> None:
    code = MEASURED.format(names=names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{imported} True\n"
