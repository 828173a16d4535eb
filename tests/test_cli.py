"""The command line as a whole: bad input, closed and full outputs, exit statuses, colours."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import DEADLINE_S, IPCCTL, clean_environment, ipcctl, limited, one_line, report_of, started

from ipcctl import __version__
from ipcctl.cli import COMMANDS
from ipcctl.demos import CONCEPTS
from ipcctl.report.model import FORMATS


def on_a_terminal(*args: str, width: int = 80, **environment: str | None) -> tuple[str, int]:
    """What ipcctl prints on a terminal of that width, and its status."""
    pid, screen = pty.fork()
    if pid == 0:
        os.environ["COLUMNS"] = ""
        subprocess.run(["stty", "cols", str(width)], check=True)
        os.execve(IPCCTL, [IPCCTL, *args], clean_environment(TERM="xterm", **environment))
    text = b""
    with os.fdopen(screen, "rb", buffering=0) as stream:
        while select.select([stream], [], [], DEADLINE_S)[0]:
            try:
                text += stream.read(65536)
            except OSError:  # EIO: the last one that held the terminal has ended
                break
    return text.decode().replace("\r\n", "\n"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["frok"], "no subcommand 'frok'; did you mean 'fork'?"),
        (["xyzzy"], "there are: fork"),
        (["--nope"], "--nope"),
        (["fork", "--nope"], "--nope"),
        (["fork", "-f", "yaml"], "'table', 'json'"),
        (["fork", "-c", "pid,nope"], "no column 'nope' in rows; there are: pid, ppid"),
        (["fork", "-c", ""], "no column ''"),
        (["fork", "--section", "nope"], "'rows', 'checks'"),
        (["fork", "-f", "shell", "--section", "rows"], "format shell writes the summary"),
        (["fork", "--trials", "0"], "0 is not in the range"),
        (["fork", "--trials", "-1"], "-1 is not in the range"),
        (["fork", "--trials", "999999999999999999999"], "is not in the range"),
        (["fork", "--trials", "x"], "'x' is not a valid integer"),
        (["fork", "-n", "0", "--", "true"], "0 is not in the range"),
        (["fork", "-n", "100000", "--", "true"], "100000 is not in the range 1<=x<=10000"),
        (["fork", "--timeout", "soon", "--", "true"], "'soon' is no time"),
        (["fork", "--timeout", "-1", "--", "true"], "'-1' is no time"),
        (["fork", "--timeout", "0", "--", "true"], "too short; give more than 0"),
        (["fork", "--timeout", "1e-99999", "--", "true"], "too short"),
        (["fork", "--timeout", "9" * 400, "--", "true"], "too long"),
        (["fork", "--timeout", "nan", "--", "true"], "'nan' is no time"),
        (["fork", "--grace", "99999999999", "--", "true"], "the most is 100 years"),
        (["fork", "cost", "--rss", "many"], "'many' is no size"),
        (["fork", "cost", "--rss", "1,,2"], "'' is no size"),
        (["fork", "cost", "--rss", "-1"], "'-1' is no size"),
        (["fork", "cost", "--rss", "999999P"], "too large; the most is 1P"),
        (["fork", "cost", "--", "true"], "Got unexpected extra argument (true)"),
        (["fork", "--rss", "1M"], "No such option"),
        (["fork", "--timeout", "1"], "--timeout goes with -- COMMAND"),
        (["fork", "--trials", "5", "--", "true"], "--trials goes with `ipcctl fork` alone"),
        (["fork", "-o", "/no/such/file"], "cannot write to '/no/such/file': No such file or directory"),
        (["fork", "-o", "/"], "Is a directory"),
        (["tour", "nope"], f"no concept 'nope'; there are: {', '.join(CONCEPTS)}"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(args: list[str], told: str) -> None:
    done = ipcctl(*args)
    assert (done.returncode, done.stdout) == (2, "")
    line = one_line(done.stderr)
    assert told in line
    assert line.startswith(f"ipcctl {args[0]}: " if args[0] in COMMANDS else "ipcctl: ")


def test_a_format_from_the_environment() -> None:
    done = ipcctl("fork", "-c", "help", env=clean_environment(IPCCTL_FORMAT="json"))
    assert json.loads(done.stdout)[0]["name"] == "pid"
    done = ipcctl("fork", "-c", "help", env=clean_environment(IPCCTL_FORMAT="nope"))
    assert (done.returncode, "IPCCTL_FORMAT" in one_line(done.stderr)) == (2, True)


def test_too_much_memory_is_said_not_killed_for() -> None:
    import resource

    limit = limited(resource.RLIMIT_AS, 1 << 30)
    done = ipcctl("fork", "cost", "--rss", "2G", preexec_fn=limit)
    assert done.returncode == 125
    assert "MemoryError; give --rss a smaller size" in one_line(done.stderr)


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["fork", "--help"], ["fork"], ["fork", "--source"]])
def test_a_full_disk_is_an_error(args: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = ipcctl(*args, stdout=full)
    assert done.returncode == 125
    assert "No space left on device" in one_line(done.stderr)


@pytest.mark.parametrize("args", [["--help"], ["fork"], ["fork", "--source"]])
def test_a_closed_stdout_is_an_error_that_does_not_hide(args: list[str]) -> None:
    done = ipcctl(*args, stdout=None, preexec_fn=lambda: os.close(1))
    assert done.returncode == 125
    assert "Bad file descriptor" in one_line(done.stderr)


@pytest.mark.parametrize("args", [["--help"], ["fork"], ["fork", "--source"]])
def test_a_reader_that_is_gone_ends_it_quietly(args: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody:
        done = ipcctl(*args, stdout=nobody)
    assert (done.returncode, done.stderr) == (141, "")


def test_stdin_and_stderr_closed() -> None:
    def close() -> None:
        os.close(0)
        os.close(2)

    done = ipcctl("fork", "-f", "json", stdin=None, stderr=None, preexec_fn=close)
    assert done.returncode == 0
    assert report_of(done)["ok"] is True


def test_without_home_and_locale() -> None:
    done = ipcctl("fork", "-f", "json", env={"PATH": os.environ["PATH"]})
    assert report_of(done)["ok"] is True


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_the_show(format: str) -> None:
    done = ipcctl("fork", "-f", format, "--trials", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n")
    assert "\x1b" not in done.stdout


def test_quiet_says_it_by_the_status() -> None:
    done = ipcctl("fork", "-q", "--trials", "1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_columns_are_chosen_and_ordered() -> None:
    done = ipcctl("fork", "-f", "tsv", "-c", "role,pid", "--trials", "1")
    assert done.stdout.splitlines()[0] == "role\tpid"
    done = ipcctl("fork", "-f", "tsv", "-c", "role,started", "--no-header", "--trials", "1")
    assert done.stdout.splitlines()[0].count("\t") == 1
    assert not done.stdout.startswith("role")


def test_columns_help_says_type_unit_and_meaning() -> None:
    done = ipcctl("fork", "-c", "help", "-f", "tsv", "--", "true")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0] == ["name", "type", "unit", "help"]
    units = {name: unit for name, _, unit, _ in rows}
    assert (units["wall_s"], units["max_rss_kib"], units["started"], units["pid"]) == ("seconds", "KiB", "ISO 8601", "")
    assert all(meaning for *_, meaning in rows)


def test_a_section_alone() -> None:
    checks = json.loads(ipcctl("fork", "-f", "json", "--section", "checks", "--trials", "1").stdout)
    assert {"fork.returns-twice"} <= {check["id"] for check in checks}
    summary = json.loads(ipcctl("fork", "-f", "json", "--section", "summary", "--trials", "1").stdout)
    assert summary["failed"] == 0


def test_colours_only_on_a_terminal_that_wants_them() -> None:
    text, status = on_a_terminal("fork", "--trials", "1")
    assert (status, "\x1b[32m" in text) == (0, True)
    assert "\x1b" not in on_a_terminal("fork", "--trials", "1", NO_COLOR="1")[0]


@pytest.mark.parametrize("width", [40, 80, 132])
def test_fitted_to_the_terminal(width: int) -> None:
    text, _ = on_a_terminal("fork", "--trials", "1", width=width, NO_COLOR="1")
    longest = max(map(len, text.splitlines()))
    assert longest <= max(width, 75)  # numbers and names of columns are never cut
    wide = ipcctl("fork", "--trials", "1").stdout
    assert max(map(len, wide.splitlines())) > 100


def test_help_and_version() -> None:
    assert ipcctl("--version").stdout == f"ipcctl {__version__}\n"
    text = ipcctl("--help").stdout
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("module", ["tabulate", "multiprocessing", "psutil", "sqlite3", "importlib.metadata", "json"])
def test_a_start_imports_nothing_that_it_does_not_need(module: str) -> None:
    code = f"import sys; from ipcctl.cli import main; main(sys.argv[1:]); sys.exit({module!r} in sys.modules)"
    for args in (["--version"], ["fork", "-q", "--", "true"], ["fork", "--", "true"]):
        command = [sys.executable, "-c", code, *args]
        assert subprocess.run(command, capture_output=True, env=clean_environment(), check=False).returncode == 0, args


def test_interrupted_in_the_middle_it_ends_cleanly() -> None:
    with started("fork", "cost", "--rss", "64M,64M,64M,64M", "-f", "csv", bufsize=0) as process:
        assert process.stdout is not None and process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "")


def test_source_prints_the_demonstration() -> None:
    import ipcctl.demos.fork as demo

    assert ipcctl("fork", "--source").stdout == Path(demo.__file__).read_text()
