"""The grammar of every concept: alone it shows, with a command it uses, with a verb it does all else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support import ipcctl, one_line

USE = {  # a command, the one that a verb is called like where there are any, as each concept takes it
    "fork": ["--", "true"],
    "zombie": ["--", "true"],
    "orphan": ["--", "true"],
    "double-fork": ["--", "true"],
    "pool": ["--", "true", ":::", "x"],
    "pipe": ["true"],
}
SHOWS = {"fork": "--trials", "zombie": "--count", "orphan": "--hold", "double-fork": "--jobs", "pool": "--tasks"}
VALUES = {"--jobs": "1,1"}
USES = {"fork": "--timeout", "zombie": "--longer-than", "orphan": "--grace", "double-fork": "--alive-for",
        "pipe": "--grace"}  # fmt: skip


def refused(*args: str, **how: Any) -> str:
    """The line of a usage error."""
    done = ipcctl(*args, **how)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    return one_line(done.stderr)


def columns(*args: str) -> list[str]:
    """The columns of the report that a command line would make."""
    done = ipcctl(*args[:1], "-c", "help", "-f", "json", *args[1:])
    assert (done.returncode, done.stderr) == (0, "")
    return [each["name"] for each in json.loads(done.stdout)]


@pytest.mark.parametrize("concept", USE)
def test_with_a_command_the_report_is_anothers_than_alone(concept: str) -> None:
    assert columns(concept) != columns(concept, *USE[concept])
    assert columns(concept, *USE[concept]) == columns(concept, *[each for each in USE[concept] if each != "--"])


@pytest.mark.parametrize("concept", USE)
def test_dashes_with_nothing_after_them_are_an_error(concept: str) -> None:
    """A script's `-- $COMMAND` with an empty variable must not run the show."""
    for before in ([], ["-q"], ["-f", "json"]):
        told = refused(concept, *before, "--")
        assert told.startswith(f"ipcctl {concept}: no command after --; name one, or leave the -- out")


@pytest.mark.parametrize(("concept", "option"), SHOWS.items())
def test_an_option_of_the_show_beside_a_command(concept: str, option: str) -> None:
    told = refused(concept, option, VALUES.get(option, "1"), *USE[concept])
    remedy = "to see the concept; leave it out beside a command"
    assert told.startswith(f"ipcctl {concept}: {option} goes with `ipcctl {concept}` alone, {remedy}")


@pytest.mark.parametrize(("concept", "option"), USES.items())
def test_an_option_of_the_use_without_a_command(concept: str, option: str) -> None:
    told = refused(concept, option, "1", "-q")
    assert f"{option} goes with {'-- COMMAND' if concept != 'pipe' else repr('COMMAND')}; name one" in told


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["fork", "-q", "cost"], "--quiet stands before the verb 'cost'; put it after, or -- before a command"),
        (["pipe", "-f", "json", "meter"], "--format stands before the verb 'meter'"),
        (["sem", "-q", "list"], "--quiet stands before the verb 'list'; put it after (see"),
        (["fork", "--nope"], "--nope"),
        (["fork", "--nope", "--", "true"], "--nope"),
        (["fork", "-qz", "--", "true"], "-z"),
        (["fork", "-q", "--tirals", "3"], "--trials"),
        (["fork", "--cost"], "--cost"),
        (["pipe", "--meter"], "--meter"),
        (["ps", "--states"], "--states"),
        (["double-fork", "--stop", "--pidfile", "x"], "--stop"),
        (["sem", "rum"], "no subcommand 'rum'; did you mean 'run'?"),
        (["sem", "--"], "no subcommand '--'"),
        (["double-fork", "stop"], "--pidfile"),
    ],
)
def test_what_is_refused(args: list[str], told: str) -> None:
    assert told in refused(*args)


def test_a_command_that_is_called_like_a_verb(tmp_path: Path) -> None:
    for name in ("cost", "meter", "status"):
        (tmp_path / name).write_text("#!/bin/sh\necho mine\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert ipcctl("fork", "-q", "--", "cost", env=env).stdout == "mine\n"
    assert ipcctl("pipe", "-q", "--", "meter", "cat", env=env).stdout == "mine\n"
    assert ipcctl("pipe", "-q", "echo x", "meter", env=env).stdout == "mine\n", "only the first word may be a verb"
    assert ipcctl("fork", "--", "status", env=env).stdout == "mine\n"


def test_options_may_stand_after_stages_and_pids_and_belong_to_a_command() -> None:
    assert ipcctl("pipe", "echo a", "cat", "-q").stderr == ""
    assert ipcctl("ps", str(os.getpid()), "-f", "csv", "-c", "pid").stdout == f"pid\n{os.getpid()}\n"
    assert ipcctl("fork", "-q", "echo", "-q").stdout == "-q\n"
