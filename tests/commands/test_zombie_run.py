"""`ipcctl zombie -- COMMAND`: which descendants were zombies, for how long, and which parent did not wait."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest
from processes import UNTIL_MET
from support import children, ipcctl, one_line, report_of, runs, started

# A parent that has a child which exits with 3, and waits for nobody until `how` says.
NEGLIGENT = UNTIL_MET + """
import os, signal
pid = os.fork()
if pid == 0:
    os.execlp("sh", "given-name", "-c", "read line < /dev/null; exit 3")
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
until_met(pid)
"""
A_WHILE = "signal.sigtimedwait([], 0.3)\n"  # it does something else, longer than --longer-than


def python(code: str) -> list[str]:
    """A command that runs Python code."""
    return [sys.executable, "-c", code]


def report(*args: str, **how: Any) -> dict[str, Any]:
    """The report of a run."""
    return report_of(ipcctl("zombie", "-f", "json", *args, **how), "stderr")


def zombie_of(found: dict[str, Any]) -> dict[str, Any]:
    """The one row of a report."""
    (row,) = found["rows"]
    assert isinstance(row, dict)
    return row


def test_a_parent_that_waits_late() -> None:
    code = NEGLIGENT + "print(os.getpid(), pid, flush=True)\n" + A_WHILE + "os.wait()"
    done = ipcctl("zombie", "-f", "json", "--", *python(code))
    row = zombie_of(report_of(done, "stderr"))
    parent, child = map(int, done.stdout.split())
    assert (row["pid"], row["parent_pid"], row["ended"]) == (child, parent, "reaped by its parent")
    assert row["parent_command"] == python(code)
    assert row["name"] == "sh"
    assert row["command"] in (None, ["given-name", "-c", "read line < /dev/null; exit 3"])
    assert 0.1 < row["lasted_s"] <= report_of(done, "stderr")["summary"]["wall_s"]
    assert row["first_seen_s"] >= 0
    assert row["first_seen_s"] + row["lasted_s"] <= report_of(done, "stderr")["summary"]["wall_s"]


def test_a_parent_that_ends_without_waiting_is_the_one_at_fault() -> None:
    """The middle process neglects its child and ends; the zombie falls to ipcctl. The command runs on."""
    code = NEGLIGENT + A_WHILE
    middle = ["sh", "-c", '"$@" & echo $!; wait; exit 0', "sh", *python(code)]
    done = ipcctl("zombie", "-f", "json", "--", *middle)
    row = zombie_of(report_of(done, "stderr"))
    assert (row["parent_pid"], row["ended"]) == (int(done.stdout), "adopted and reaped")
    assert row["parent_command"] == python(code)


def test_one_still_there_when_the_command_ends() -> None:
    """The command has ended; the parent of the zombie has not, and waits for a pipe to be closed."""
    code = "import os\nos.setsid()\n" + NEGLIGENT + A_WHILE + "os.write(1, b'!')\nsignal.pause()"
    outer = f"import os, subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {code!r}], stdout=-1,"
    outer += " stderr=subprocess.DEVNULL)\nchild.stdout.read(1)\nprint(child.pid, flush=True)\nos._exit(0)"
    done = ipcctl("zombie", "-f", "json", "--", *python(outer))
    row = zombie_of(report_of(done, "stderr"))
    parent = int(done.stdout)
    assert (row["parent_pid"], row["ended"]) == (parent, "still there when the command ended")
    assert row["lasted_s"] > 0.1
    assert runs(parent)  # left, as the shell would
    os.kill(parent, signal.SIGKILL)
    while children():
        os.wait()


def test_one_that_is_reaped_in_time_is_no_row() -> None:
    found = report("--longer-than", "10", "--", *python(NEGLIGENT + "os.wait()"))
    assert (found["rows"], found["summary"]["zombies"], found["summary"]["longest_s"]) == ([], 0, None)
    assert found["ok"]


def test_longer_than_0_has_every_one_that_was_seen() -> None:
    found = report("--longer-than", "0", "--", *python(NEGLIGENT + A_WHILE + "os.wait()"))
    assert len(found["rows"]) == 1


def test_many_zombies_of_one_parent() -> None:
    code = UNTIL_MET + "import signal\npids = []\nfor n in range(50):\n pids.append(os.fork())\n"
    code += " if pids[-1] == 0: os._exit(n)\nuntil_met(*pids)\n" + A_WHILE
    found = report("--", *python(code))
    assert found["summary"]["zombies"] == len(found["rows"]) == 50
    assert found["summary"]["negligent_parents"] == 1
    assert len({row["pid"] for row in found["rows"]}) == 50


def test_an_orphan_that_is_waited_for_at_once_is_no_zombie() -> None:
    assert report("--", "sh", "-c", "(sleep 0.2 &) ; sleep 0.4")["rows"] == []


@pytest.mark.parametrize(("status", "given"), [(0, 1), (7, 7)])
def test_fail_on_leak(status: int, given: int) -> None:
    code = NEGLIGENT + A_WHILE + f"os._exit({status})"
    done = ipcctl("zombie", "-f", "json", "--fail-on-leak", "--", *python(code))
    found = report_of(done, "stderr")
    assert (done.returncode, found["summary"]["status"], found["ok"]) == (given, given, False)
    assert ipcctl("zombie", "-q", "--fail-on-leak", "--", "sh", "-c", f"exit {status}").returncode == status


def test_the_streams_and_the_status_are_the_commands() -> None:
    done = ipcctl("zombie", "--", "sh", "-c", "cat; echo bad >&2; exit 77", stdin=None, input="given\n")
    assert (done.returncode, done.stdout) == (77, "given\n")
    assert done.stderr.startswith("bad\n")
    assert "zombies for longer than 0.1 s\n  none\n" in done.stderr


@pytest.mark.parametrize(("argv", "status"), [(["nosuchcommand"], 127), (["/"], 126)])
def test_what_cannot_be_started(argv: list[str], status: int) -> None:
    done = ipcctl("zombie", "--", *argv)
    assert (done.returncode, done.stdout) == (status, "")
    assert one_line(done.stderr).startswith("ipcctl zombie: cannot start ")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_asked_to_end_it_leaves_nothing(name: str) -> None:
    """Zombies with a parent that ignores the signals, and lives on, as well."""
    code = "import signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n" + NEGLIGENT
    code += A_WHILE + "print('up', flush=True)\nwhile True: signal.pause()"
    with started("zombie", "-f", "json", "--grace", "50ms", "--", *python(code)) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.Signals[name])
        _, err = process.communicate()
    assert process.returncode == 128 + signal.Signals[name]
    assert children() == []
    assert '"ended": "still there when the command ended"' in err


@pytest.mark.parametrize("form", ["table", "csv", "tsv", "jsonl", "markdown", "html", "timeline", "trace", "shell"])
def test_every_format_writes_the_rows(form: str) -> None:
    done = ipcctl("zombie", "-f", form, "--", *python(NEGLIGENT + A_WHILE))
    assert done.returncode == 0
    assert ("ZOMBIE_ZOMBIES='1'" if form == "shell" else "sh") in done.stderr, form
