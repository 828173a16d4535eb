"""The man pages: those in man/ are the program's, troff has no complaint, and nothing is without help."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support import ROOT, clean_environment

from ipcctl.cli import COMMANDS, cli
from ipcctl.commands.concept import Concept

PAGES = sorted((ROOT / "man").glob("*.1"))
groff = pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")


def make_man(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the maker of the man pages."""
    command = [sys.executable, str(ROOT / "tools/make_man.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)


def rendered(page: Path) -> str:
    """The page as it is read, without its bold and its line ends."""
    command = ["groff", "-man", "-ww", "-Kutf8", "-Tutf8", "-P-cbou", "-rHY=0", str(page)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert done.stderr == ""
    return " ".join(done.stdout.split())


def every_command(command: click.Command = cli, name: str = "ipcctl") -> Iterator[tuple[str, click.Command]]:
    """Every command there is, with its whole name."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            yield from every_command(below, f"{name} {each}")


def options_of(command: click.Command) -> list[click.Option]:
    """Every option of a command; of a concept those of the show and of the use, each with its own help."""
    both = command.both if isinstance(command, Concept) else [command]
    return [option for each in both for option in each.params if isinstance(option, click.Option)]


ALL = dict(every_command())


def test_none_is_stale() -> None:
    done = make_man("--check", str(ROOT / "man"))
    assert (done.returncode, done.stderr) == (0, "")
    assert {page.name for page in PAGES} == {name.replace(" ", "-") + ".1" for name in ALL}


def test_a_stale_a_missing_and_a_left_over_page_are_told(tmp_path: Path) -> None:
    assert make_man(str(tmp_path)).returncode == 0
    assert make_man("--check", str(tmp_path)).returncode == 0
    with open(tmp_path / "ipcctl.1", "a") as page:
        page.write(".PP\nmore\n")
    (tmp_path / "ipcctl-fork.1").unlink()
    (tmp_path / "ipcctl-gone.1").touch()
    done = make_man("--check", str(tmp_path))
    assert done.returncode == 1
    told = re.findall(r"^\S*/(\S+) is stale; run make man$", done.stderr, re.MULTILINE)
    assert told == ["ipcctl-fork.1", "ipcctl-gone.1", "ipcctl.1"]


@groff
@pytest.mark.parametrize("name", ALL)
def test_a_page_is_read_as_it_is_meant(name: str) -> None:
    text = rendered(ROOT / "man" / (name.replace(" ", "-") + ".1"))
    for option in options_of(ALL[name]):
        assert all(switch in text for switch in option.opts)
        assert " ".join((option.help or "").split()) in text.replace("...", "…")
    for table in getattr(ALL[name], "tables", {}).values():
        for column in table:
            assert column.name in text
            assert column.help.replace("…", "...") in text
    reports = name == "ipcctl" or any(each.name == "format" for each in options_of(ALL[name]))
    for sign in (*(("CONCEPT_FIELD='value'", r"\udcXX", r"\\, \t, \n") if reports else ()), "128+N"):
        assert sign in text, "a sign was lost to troff"


@groff
def test_examples_come_from_the_readme() -> None:
    text = rendered(ROOT / "man/ipcctl-fork.1")
    assert "ipcctl fork -n 4 --capture -f tsv --no-header -c copy,exit_code,wall_s,stdout" in text
    assert """while IFS=$'\\t' read -r copy code seconds output; do""" in text


@pytest.mark.parametrize("name", ALL)
def test_every_command_option_and_column_has_help(name: str) -> None:
    command = ALL[name]
    assert command.help
    assert [each.name for each in options_of(command) if not each.help] == []
    for table in getattr(command, "tables", {}).values():
        assert [each.name for each in table if not each.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_has_its_columns_for_the_page(name: str) -> None:
    assert getattr(ALL[f"ipcctl {name}"], "tables", None)


def test_the_wheel_carries_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = {name.rpartition("/")[2] for name in archive.namelist() if "/share/man/man1/" in name}
        assert carried == {page.name for page in PAGES}
        assert "ipcctl/py.typed" in archive.namelist()
        scripts = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "ipcctl = ipcctl.__main__:main" in archive.read(scripts).decode()
