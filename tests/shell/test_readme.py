"""The README is true: its recipes run as they stand, its examples print what it says, its tables are the program's."""

from __future__ import annotations

import re
import shutil

import pytest
from readme import README, Block, blocks, printed, sessions, shape, shell
from support import tried

from ipcctl.cli import COMMANDS
from ipcctl.errors import MEANINGS
from ipcctl.report.model import FORMATS

pytestmark = pytest.mark.usefixtures("adopting")  # a block may leave daemons and orphans

EXAMPLES = [(block, command, stated) for block in blocks("console") for command, stated in sessions(block)]


@pytest.mark.parametrize("recipe", blocks("bash"), ids=lambda block: block.name)
def test_a_recipe_runs_as_it_stands(recipe: Block) -> None:
    missing = [name for name in recipe.needs if not shutil.which(name)]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    done = shell(recipe.body)
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    assert "ipcctl: " not in done.stdout, "an error was told"


@pytest.mark.parametrize(("block", "command", "stated"), EXAMPLES, ids=[command for _, command, _ in EXAMPLES])
def test_an_example_prints_what_is_stated(block: Block, command: str, stated: str) -> None:
    """Where others take all processors, a pipeline's bottleneck may be blurred: then it is tried again."""
    wanted = shape(stated)
    found = tried(lambda: shape(printed(command)), lambda found: found == wanted, 5 if "bottleneck" in stated else 1)
    assert found == wanted, "run: python tools/readme.py --update"


def test_another_output_has_another_shape() -> None:
    table = "status    id\n--------  ----\nheld      a.b\n  wall  1.36 ms"
    assert shape(table) == shape("status      id\n----------  ----\nskipped   a.b\n  wall  924 µs")
    assert shape(table) != shape(table.replace("held", "failed"))
    assert shape(table) != shape(table.replace("a.b", "a.c"))
    assert shape(table) != shape(table + "\nheld      a.c")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_has_an_example_and_a_recipe(name: str) -> None:
    for language in ("console", "bash"):
        assert [block for block in blocks(language) if block.heading == f"ipcctl {name}"], language


def test_the_exit_statuses_are_the_programs() -> None:
    rows = re.findall(r"^\| ([\d+N]+) \| (.*) \|$", README.read_text(), re.MULTILINE)
    assert tuple(rows) == MEANINGS


def test_every_format_is_named() -> None:
    section = README.read_text().partition("## Formats")[2].partition("\n## ")[0]
    named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)))
    assert sorted(named) == sorted(FORMATS)
