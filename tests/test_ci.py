"""`.ci/run` tries what failed once more: a test that fails twice fails it, and so do too many that passed only then."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from retry_failed import MOST
from support import ROOT, clean_environment

TOOL = ROOT / "tools/retry_failed.py"
DEADLINE_S = 200  # for what starts pytest and its workers several times, on a machine in great need
MAKEFILE = f"""
JOBS = 1
test:
\t@PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest -q -p xdist.plugin -n $(JOBS) $(ARGS)
"""
pytestmark = pytest.mark.timeout(DEADLINE_S + 40)
TESTS = {
    "holds": "def test_it(): pass",
    "always": "def test_it(): assert False",
    "once": """
import pathlib, pytest
seen = pathlib.Path(__file__).with_suffix(".seen")
@pytest.mark.parametrize("odd", ["a b'[$x"])
def test_it(odd):
    if not seen.exists():
        seen.touch()
        assert False
""",
    "left": """
import pathlib, pytest
seen = pathlib.Path(__file__).with_suffix(".seen")
@pytest.fixture
def tidy():
    yield
    if not seen.exists():
        seen.touch()
        assert False
def test_it(tidy): pass
""",
    "crash": """
import os, pathlib
seen = pathlib.Path(__file__).with_suffix(".seen")
def test_it():
    if not seen.exists():
        seen.touch()
        os._exit(3)
""",
    "unread": "import what_is_not_there",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A throw-away project, without tests yet."""
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = tools\n")
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOL, tmp_path / "tools")
    hooks = "pytest_collectreport, pytest_runtest_logreport, pytest_sessionfinish"
    (tmp_path / "conftest.py").write_text(f"from retry_failed import {hooks}\n")
    return tmp_path


def tool(project: Path, *args: str) -> Any:
    """Run the tool there."""
    env = clean_environment(**dict.fromkeys(("MAKEFLAGS", "MAKELEVEL", "PYTEST_ADDOPTS", "ARGS", "JOBS", "PYTHONPATH")))
    command = [sys.executable, str(TOOL), *args]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=DEADLINE_S)


def tried(project: Path, *names: str) -> tuple[int, list[str], Any]:
    """Run tests of these kinds: the status, the ledger, and how the tool ended."""
    for number, name in enumerate(names):
        (project / f"test_{name}_{number}.py").write_text(TESTS[name])
    done = tool(project, "run", "ledger", "make", "test")
    ledger = project / "ledger"
    return done.returncode, ledger.read_text().splitlines() if ledger.exists() else [], done


def test_what_holds_is_run_once_and_leaves_no_ledger(project: Path) -> None:
    status, ledger, done = tried(project, "holds")
    assert (status, ledger, done.stdout.count("passed")) == (0, [], 1)
    told = tool(project, "tell", "ledger")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_what_fails_twice_fails_and_what_passes_when_tried_again_is_unsteady_and_named(project: Path) -> None:
    """Each but what held is tried again, in one process, and a test whose fixture failed as well."""
    status, ledger, done = tried(project, "holds", "always", "once", "left")
    first, _, second = done.stdout.partition("tried once more")
    assert status == 1
    assert ("nodes" in first, "nodes" in second, "1 failed, 2 passed" in second) == (True, False, True), done.stdout
    assert done.stdout.endswith("== failed twice:\n   test_always_1.py::test_it\n")
    assert sorted(ledger) == ["test_left_3.py::test_it (make test)", "test_once_2.py::test_it[a b'[$x] (make test)"]
    told = tool(project, "tell", "ledger")
    assert (told.returncode, "unsteady, 2 in all" in told.stdout) == (0, True)
    assert all(f"\n   {each}\n" in told.stdout for each in ledger)


def test_more_than_three_in_all_runs_of_one_ledger_are_too_many(project: Path) -> None:
    for number, kinds in ((MOST, ["once"] * MOST), (MOST + 1, ["left"])):
        assert tried(project, *kinds)[0] == 0
        told = tool(project, "tell", "ledger")
        assert (told.returncode, f"unsteady, {number} in all" in told.stdout) == (int(number > MOST), True)


@pytest.mark.parametrize(
    ("kind", "told"),
    [("crash", "test_crash_1.py::test_it (its worker crashed)"), ("unread", "test_unread_1.py (not collected)")],
)
def test_where_trying_again_tells_nothing_it_fails_at_once(project: Path, kind: str, told: str) -> None:
    status, ledger, done = tried(project, "once", kind)
    assert (status, ledger) == (1, [])
    assert done.stdout.rstrip().endswith(f"== cannot be tried again:\n   {told}")


def test_where_no_test_is_run_it_fails() -> None:
    command = [sys.executable, str(TOOL), "run", "/dev/null", "make", "-f", "/dev/null", "test"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert (done.returncode, "exit status 2" in done.stdout) == (1, True)
