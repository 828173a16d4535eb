"""Set-up: `make demo` and `make test` where python is there, where it is missing or unfit, and where it changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import DEADLINE_S, ROOT, clean_environment

# A python of another version, or without some modules: the real one, deceived. Of what it is told to make or install
# it only keeps a log.
PYTHON = """#!/bin/sh
case "$1 $2" in
-c*) exec {real} -c "import sys; sys.version_info = ({version}, 0, 'final', 0)
for name in {without}: sys.modules[name] = None
exec(sys.argv[1])" "$2" ;;
"-m venv") mkdir -p "$3/bin"; touch "$3/pyvenv.cfg" "$3/bin/pip"; cp "$0" "$3/bin/python"; cp tour "$3/bin/ipcctl" ;;
esac
echo "{version}: $*" >> log
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the project, with what set-up needs of it."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    program(tmp_path / "tour", '#!/bin/sh\necho "ipcctl $*"\n')
    return tmp_path


def program(path: Path, text: str) -> Path:
    """A program with that text."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def python(clone: Path, version: str = "3, 11", without: tuple[str, ...] = (), name: str = "python3") -> Path:
    """A python in the clone's bin/ that says it is of that version."""
    (clone / "bin").mkdir(exist_ok=True)
    return program(clone / "bin" / name, PYTHON.format(real=sys.executable, version=version, without=list(without)))


def make(clone: Path, *args: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run make in the clone, its bin/ first on PATH."""
    inherited = dict.fromkeys(("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "VENV", "ARGS", "JOBS"))
    env = clean_environment(PATH=f"{clone}/bin:{os.environ['PATH']}", **(inherited | environment))
    command = ["make", "--no-print-directory", *args]
    return subprocess.run(
        command, cwd=clone, env=env, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def log(clone: Path) -> list[str]:
    """What the pythons were told to do since the last look."""
    path = clone / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_make_alone_lists_its_targets(clone: Path) -> None:
    done = make(clone)
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert {"demo", "test", "lint", "types", "man", "bench", "dist", "clean"} <= set(listed)
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines()), "a target without a word on it"


@pytest.mark.parametrize("target", ["demo", "test"])
@pytest.mark.parametrize(
    ("version", "without", "told"),
    [
        ("3, 9", (), "python3 is Python 3.9, and 3.10 or later is needed"),
        ("2, 7", (), "python3 is Python 2.7, and 3.10 or later is needed"),
        ("3, 11", ("ensurepip",), "has no venv; install it (apt install python3-venv)"),
        ("3, 11", ("venv",), "has no venv; install it (apt install python3-venv)"),
    ],
)
def test_an_unfit_python_is_one_clear_line(
    clone: Path, target: str, version: str, without: tuple[str, ...], told: str
) -> None:
    python(clone, version, without)
    done = make(clone, target)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert log(clone) == []
    assert not (clone / ".venv").exists()


def test_a_missing_python_is_one_clear_line(clone: Path) -> None:
    done = make(clone, "demo", "PYTHON=python3.99")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "python3.99 was not found; install Python 3.10 or later (apt install python3)" in done.stderr


def test_a_shim_without_a_version_behind_it_is_one_clear_line(clone: Path) -> None:
    (clone / "bin").mkdir()
    program(clone / "bin/python3", "#!/bin/sh\necho no such version >&2\nexit 127\n")
    done = make(clone, "test")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "python3 does not run" in done.stderr


def test_demo_installs_once_and_again_when_the_project_changes(clone: Path) -> None:
    python(clone)
    done = make(clone, "demo")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ipcctl tour\n", "")
    assert [line for line in log(clone) if "pip install" in line] == ["3, 11: -m pip install -q -e ."]
    assert make(clone, "demo").stdout == "ipcctl tour\n"
    assert log(clone) == []
    os.utime(clone / "pyproject.toml")
    assert make(clone, "demo").returncode == 0
    assert [line for line in log(clone) if "pip install" in line] == ["3, 11: -m pip install -q -e ."]


def test_another_version_makes_the_environment_anew_in_one_go(clone: Path) -> None:
    python(clone)
    python(clone, "3, 12", name="python3.12")
    assert make(clone, "demo").returncode == 0
    (clone / ".venv/of-the-old").touch()
    log(clone)
    done = make(clone, "demo", "PYTHON=python3.12")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ipcctl tour\n", "")
    assert not (clone / ".venv/of-the-old").exists()
    assert log(clone)[:2] == ["3, 12: -m venv .venv", "3, 12: -m pip install -q -e ."]
    assert make(clone, "demo", "PYTHON=python3.12").returncode == 0
    assert log(clone) == []


def test_an_environment_half_made_is_completed(clone: Path) -> None:
    python(clone)
    assert make(clone, "demo").returncode == 0
    (clone / ".venv/bin/pip").unlink()  # what an interrupted venv has not come to
    assert make(clone, "demo").stdout == "ipcctl tour\n"


@pytest.mark.parametrize("place", ["mine", "."])
def test_a_directory_that_is_no_environment_is_left_alone(clone: Path, place: str) -> None:
    python(clone)
    (clone / "mine").mkdir()
    (clone / "mine/work").touch()
    done = make(clone, "demo", f"VENV={place}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{place} is there and is no virtual environment" in done.stderr
    assert (clone / "mine/work").exists()
    assert (clone / "Makefile").exists()


def test_modules_are_compiled_whatever_the_environment_says(clone: Path) -> None:
    python(clone)
    program(clone / "tour", '#!/bin/sh\necho "${PYTHONDONTWRITEBYTECODE-unset}"\n')
    assert make(clone, "demo", PYTHONDONTWRITEBYTECODE="1").stdout == "unset\n"
    assert "3, 11: -m compileall -q src" in log(clone)
