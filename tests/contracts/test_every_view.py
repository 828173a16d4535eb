"""The contract of everything that ipcctl draws: it fits the terminal, and what differs does not look alike."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from supervisors import environment
from support import IPCCTL, wait_until
from views import (
    ODD,
    VIEWS,
    WIDTHS,
    drawn_again,
    lines_of,
    odd_process,
    on_terminal,
    resize,
    set_up,
    watching,
)
from wcwidth import wcswidth

pytestmark = pytest.mark.usefixtures("adopting")
RUN_AT_EVERY_WIDTH = [each.name for each in VIEWS.values() if not each.again]
RUN_AT_EVERY_WIDTH += ["tour", "fork -- COMMAND", "pool -- COMMAND", "stages", "double-fork status", "queue list"]


def too_wide(lines: list[str], width: int) -> list[str]:
    """The lines that are wider than the terminal, or that it would not show as they are.

    A message is no part of a view: it is one line, whatever it tells.
    """
    return [line for line in lines if not 0 <= wcswidth(line) <= width and not line.startswith("ipcctl ")]


def drawings(text: str) -> dict[str, list[str]]:
    """What was drawn for each width, by its heading."""
    found: dict[str, list[str]] = {"=== 60 at first": []}
    for line in lines_of(text):
        if line.startswith(("=== ", "!!! ")):
            found[line] = []
        else:
            found[next(reversed(found))].append(line)
    return found


def assert_fits(text: str, least: int) -> None:
    """Each drawing fits the width that its heading says; there are so many, at the least, for every width."""
    found = drawings(text)
    for width in WIDTHS:
        assert sum(each.startswith(f"=== {width} ") for each in found) >= least, text
    wide = {head: bad for head, lines in found.items() if (bad := too_wide(lines, int(head.split()[1])))}
    assert wide == {}
    assert [head for head in found if head.startswith("!!!")] == []


@pytest.mark.parametrize("name", [each.name for each in VIEWS.values() if each.again])
def test_every_section_fits_every_terminal(name: str, tmp_path: Path) -> None:
    env = environment(tmp_path)
    with set_up(VIEWS[name], tmp_path, env) as args:
        assert_fits(drawn_again(args, env, VIEWS[name].input), least=2)


def test_every_table_of_columns_fits_every_terminal(tmp_path: Path) -> None:
    assert_fits(drawn_again(["help"], environment(tmp_path)), least=20)


@pytest.mark.parametrize("name", RUN_AT_EVERY_WIDTH)
def test_the_program_itself_fits_every_terminal(name: str, tmp_path: Path) -> None:
    env, view = environment(tmp_path), VIEWS[name]
    with set_up(view, tmp_path, env) as args:
        for width in WIDTHS:
            lines = lines_of(on_terminal([IPCCTL, *args], width, env, view.input))
            assert len(lines) > 1
            assert too_wide(lines, width) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("name", "ends"), [("ps -c", [ODD, ODD + "2"]), ("pool -c input", [ODD + "1", ODD + "2"])])
def test_what_differs_at_its_end_alone_is_told_apart(name: str, ends: list[str], width: int, tmp_path: Path) -> None:
    env = environment(tmp_path)
    with set_up(VIEWS[name], tmp_path, env) as args:
        text = "".join(on_terminal([IPCCTL, *args], width, env).split())
    assert all("argument-" + end in text for end in ends)


CLEAR = b"\x1b[H\x1b[2J"


def last_screen(terminal: int, seen: bytearray) -> list[str]:
    """The lines of the last list that was drawn to its end, without the line that the cursor is on."""
    with contextlib.suppress(BlockingIOError):
        seen += os.read(terminal, 65536)
    return lines_of(seen.split(CLEAR)[-2].decode())[:-1] if seen.count(CLEAR) > 1 else []


@pytest.mark.parametrize("width", [60, 132])
def test_a_watched_list_keeps_to_the_screen_when_it_is_resized(width: int, tmp_path: Path) -> None:
    env, columns = environment(tmp_path), "pid,ppid,user,stat,rss,cpu_percent,tty,elapsed,time,name"
    with odd_process(), watching([IPCCTL, "ps", "--watch", "0.05", "-c", columns], width, env) as terminal:
        os.set_blocking(terminal, False)
        for height in (7, 5, 6):
            resize(terminal, width, height)
            seen = bytearray()
            wait_until(lambda height=height, seen=seen: len(last_screen(terminal, seen)) == height - 1, "a screenful")
            assert "pid" in "".join(last_screen(terminal, seen)[:4])
            assert too_wide(last_screen(terminal, seen), width) == []
