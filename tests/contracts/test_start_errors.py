"""The contract of everything that starts a command: why it could not be started is said on stderr, in one line, once.

Whatever the report is to show, and where it goes. The status is that of a shell.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from supervisors import SUPERVISORS, arguments, environment
from support import ipcctl

FORMATS = ("table", "json", "jsonl", "csv", "tsv", "shell", "timeline", "trace", "markdown", "html")
SHELLS = {"pipe", "duplex"}  # their commands are lines for sh -c: it is sh that cannot be started, or can
WITH_REPORT = [name for name in SUPERVISORS if name != "queue work"]
STARTERS = [*SUPERVISORS, "sem run"]


def unusable(directory: Path) -> dict[str, tuple[str, int, str]]:
    """What cannot be started: its path, the status, and the reason."""
    plain, script = directory / "plain", directory / "script"
    plain.write_text("#!/bin/sh\n")
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    return {
        "missing": ("nosuchcommand", 127, "not found on PATH"),
        "not executable": (str(plain), 126, "permission denied"),
        "directory": (str(directory), 126, "it is a directory"),
        "interpreter": (str(script), 127, "its interpreter"),
    }


def args_of(name: str, program: str, directory: Path, *options: str) -> list[str]:
    """The arguments by which ipcctl is to start a program, and fails; with the options in place of -q."""
    if name == "sem run":
        return ["sem", "run", "s", *options, "--", program]
    found = arguments(name, [program], directory)
    if "-q" in found:
        at = found.index("-q")
        found[at : at + 1] = options
    return found


def check(name: str, err: str, why: str) -> None:
    """The reason is said once, in a line of ipcctl's."""
    lines = [line for line in err.splitlines() if line.removeprefix("# ").startswith(f"ipcctl {name.split()[0]}: ")]
    assert len(lines) == 1, err
    assert "cannot start" in lines[0] and why in lines[0]


@pytest.mark.parametrize("what", ["missing", "not executable", "directory", "interpreter"])
@pytest.mark.parametrize("name", [each for each in STARTERS if each not in SHELLS])
def test_the_reason_and_the_status(name: str, what: str, tmp_path: Path) -> None:
    program, status, why = unusable(tmp_path)[what]
    done = ipcctl(*args_of(name, program, tmp_path), env=environment(tmp_path))
    if name == "sem run":
        ipcctl("sem", "remove", "s", env=environment(tmp_path))
    assert done.returncode == status
    check({"duplex": "pipe"}.get(name, name), done.stderr, why)


@pytest.mark.parametrize("options", [*(("-f", each) for each in FORMATS), ("-q",), ("--section", "summary"),
                                     ("--section", "events"), ("-f", "tsv", "-c", "pid"), ("-f", "csv", "-o", "-")],
                         ids=" ".join)  # fmt: skip
@pytest.mark.parametrize("name", WITH_REPORT)
def test_it_is_said_whatever_the_report_shows(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    if name == "zombie" and options[-2:] == ("-c", "pid"):
        options = ("-f", "tsv", "-c", "name")
    if name == "double-fork" and "events" in options:
        pytest.skip("has no events")
    path = "/nonexistent" if name in SHELLS else os.environ["PATH"]
    done = ipcctl(*args_of(name, "nosuchcommand", tmp_path, *options), env=environment(tmp_path, PATH=path))
    assert done.returncode == 127
    check({"duplex": "pipe"}.get(name, name), done.stderr, "not found on PATH")


@pytest.mark.parametrize("format", FORMATS)
def test_each_job_of_a_pool_that_cannot_be_started_has_its_line(format: str, tmp_path: Path) -> None:
    done = ipcctl("pool", "-f", format, "--", "{}", ":::", "nosuchcommand", "true", str(tmp_path))
    lines = [line for line in done.stderr.splitlines() if line.removeprefix("# ").startswith("ipcctl pool: ")]
    assert done.returncode == 1
    assert ["job 1" in lines[0], "job 3" in lines[1], len(lines)] == [True, True, 2]


def test_a_shell_can_evaluate_what_stands_beside_the_reason() -> None:
    done = ipcctl("fork", "-f", "shell", "--", "nosuchcommand")
    assert [line for line in done.stderr.splitlines() if not line.startswith("# ") and "=" not in line] == []
