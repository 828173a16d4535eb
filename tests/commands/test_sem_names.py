"""`ipcctl sem` by name: what is shown of them, changed, removed; and what may be wrong with one half or the other."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from semaphores import HOLDING, Names, close_other_fds, ending
from support import IPCCTL, clean_environment, ipcctl, one_line, report_of, semaphores_in

from ipcctl.ipc.sem import sysv
from ipcctl.process.users import user_name


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    found = Names(tmp_path / "names")
    yield found
    found.close()


@pytest.fixture
def reachable() -> Iterator[Names]:
    """Names in a directory that other users may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        found = Names(Path(directory) / "names")
        yield found
        found.close()


def test_stat_counts_and_lists_the_holders(names: Names) -> None:
    """Two by their marks, of which one is in two semaphores; not one without an environment, nor children."""
    names.semaphores().get_or_make("x", 4)
    with_child = "sleep 1000 >&- 2>&- & echo in; read line; kill $!; wait"
    plain = names.start("run", "x", "-n", "4", "--", "sh", "-c", with_child)
    nested = names.start("run", "y", "--", IPCCTL, "sem", "run", "x", "--", *HOLDING)
    wiped = names.start("run", "x", "--", "env", "-i", "/bin/sh", *HOLDING[1:])
    with ending(plain, nested, wiped):
        for each in (plain, nested, wiped):
            assert each.stdout and each.stdout.readline() == "in\n"
        found = report_of(names.sem("stat", "x", "-f", "json"))
        assert found["summary"] == {"name": "x", "capacity": 4, "free": 1, "held": 3, "waiting": 0, "unmarked": 1}
        rows = {row["pid"]: row for row in found["rows"]}
        assert rows.keys() == {plain.pid, nested.pid}
        assert rows[nested.pid]["command"] == HOLDING
        assert all(0 < row["held_s"] < 60 for row in rows.values())
        assert [row["pid"] for row in report_of(names.sem("stat", "y", "-f", "json"))["rows"]] == [nested.pid]
        text = names.sem("stat", "x").stdout
        assert "holders of x, by the marks in their environments" in text
        shell = names.sem("stat", "x", "-f", "shell").stdout
        assert "SEM_CAPACITY='4'\nSEM_FREE='1'\n" in shell
        close_other_fds(plain)
    assert names.state().held == 0


def test_list_shows_each_and_remove_removes(names: Names) -> None:
    assert report_of(names.sem("list", "-f", "json"))["rows"] == []
    with ending(names.hold("b", "-n", "2"), names.hold("a", "-n", "5")):
        rows = report_of(names.sem("list", "-f", "json"))["rows"]
        assert [(row["name"], row["capacity"], row["free"], row["held"], row["waiting"]) for row in rows] == [
            ("a", 5, 4, 1, 0),
            ("b", 2, 1, 1, 0),
        ]
        for row in rows:
            assert (row["owner"], row["problem"]) == (user_name(os.geteuid()), None)
            assert row["created"].startswith("20") and row["last_used"].startswith("20")
    modes = [os.stat(names.directory / each).st_mode & 0o777 for each in ("a.sem", "b.sem", ".")]
    assert modes == [0o600, 0o600, 0o700]
    done = names.sem("remove", "a", "nope", "b", "c")
    assert done.returncode == 1
    assert [line.split(" in ")[0] for line in done.stderr.splitlines()] == [
        "ipcctl sem: no sem 'nope'",
        "ipcctl sem: no sem 'c'",
    ]
    assert list(names.directory.iterdir()) == []
    assert semaphores_in(names.directory) == []
    assert names.sem("run", "a", "--", "true").returncode == 0
    assert (names.sem("remove", "--all").returncode, names.semaphores().names()) == (0, [])


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["run", "", "--", "true"], "'' is no name; give letters, digits"),
        (["run", "..", "--", "true"], "'..' is no name"),
        (["run", "a/b", "--", "true"], "'a/b' is no name"),
        (["run", "x" * 65, "--", "true"], "has 65 characters; give at most 64"),
        (["run", "x", "-n", "0", "--", "true"], "0 is not in the range 1<=x<=32767"),
        (["run", "x", "-n", "32768", "--", "true"], "32768 is not in the range 1<=x<=32767"),
        (["run", "x", "--timeout", "soon", "--", "true"], "'soon' is no time"),
        (["run", "x", "--try", "--timeout", "1", "--", "true"], "--try and --timeout exclude each other"),
        (["run", "x"], "no command; give it after --"),
        (["run", "x", "--"], "no command; give it after --"),
        (["run", "x", "true"], "what is 'true'? Put the command after --"),
        (["run", "--", "true"], "Missing argument 'NAME'"),
        (["resize", "x", "0"], "0 is not in the range"),
        (["resize", "x"], "Missing argument 'N'"),
        (["remove"], "name those to remove, or give --all"),
        (["remove", "x", "--all"], "not both"),
        (["-n", "2", "list"], "--slots stands before the verb 'list'; put it after"),
        (["nope"], "no subcommand 'nope'; there are: run, wait, stat, resize, list, remove"),
        (["stat", "x", "-c", "nope"], "no column 'nope'"),
    ],
)
def test_bad_input_is_one_clear_line(names: Names, args: list[str], told: str) -> None:
    done = names.sem(*args)
    assert (done.returncode, done.stdout) == (2, "")
    line = one_line(done.stderr)
    assert told in line
    assert line.startswith("ipcctl sem: ")
    assert not names.directory.exists()


def test_what_is_not_there_is_status_1(names: Names) -> None:
    for args in (["stat", "x"], ["resize", "x", "3"], ["remove", "x"]):
        done = names.sem(*args)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"no sem 'x' in {names.directory}; there is none at all" in one_line(done.stderr)
    assert not names.directory.exists()


def test_the_largest_and_what_it_can_be_resized_to(names: Names) -> None:
    assert names.sem("run", "x", "-n", "32767", "--", "true").returncode == 0
    assert (names.state().capacity, names.state().free) == (32767, 32767)
    assert names.sem("run", "y", "--", "true").returncode == 0
    assert names.sem("resize", "y", "16384").returncode == 0
    done = names.sem("resize", "y", "16385")
    assert done.returncode == 2
    assert "'y' can be resized up to 16384, not to 16385; remove it" in one_line(done.stderr)
    assert names.state("y").free == 16384
    with ending(names.hold("x"), names.hold("x")):
        done = names.sem("resize", "x", "1")
        assert done.returncode == 125
        assert "held 2 times" in one_line(done.stderr)
        assert names.state().free == 32765


def test_removed_by_ipcrm_it_is_said_and_made_anew(names: Names) -> None:
    assert names.sem("run", "x", "-n", "3", "--", "true").returncode == 0
    first = names.id()
    for args in (["run", "x", "--", "true"], ["stat", "x"], ["wait", "x"], ["resize", "x", "3"]):
        sysv.remove(names.id())
        row = report_of(names.sem("list", "-f", "json"))["rows"][0] if args[0] == "run" else None
        assert row is None or row["problem"].startswith("the kernel has lost it")
        done = names.sem(*args)
        assert done.returncode == 0
        told = "the kernel had lost 'x' (ipcrm, or a reboot); it was made anew, with capacity 3"
        assert one_line(done.stderr) == f"ipcctl sem: {told}"
        assert (names.state().capacity, names.state().free) == (3, 3)
    assert names.id() != first
    sysv.remove(names.id())
    assert names.sem("run", "x", "-n", "5", "--", "true").returncode == 0
    assert names.state().capacity == 5
    sysv.remove(names.id())
    assert names.sem("remove", "x").returncode == 0
    assert names.semaphores().names() == []


def test_with_its_file_deleted_it_is_said_and_who_holds_it_still_counts(names: Names) -> None:
    holder = names.hold("x", "-n", "2")
    with ending(holder):
        id = names.id()
        (names.directory / "x.sem").unlink()
        done = names.sem("run", "x", "-n", "2", "--", "true")
        assert done.returncode == 0
        told = "the file of 'x' was gone; it was made anew, with capacity 2, 1 held"
        assert one_line(done.stderr) == f"ipcctl sem: {told}"
        assert (names.id(), names.state().held) == (id, 1)
        shutil.rmtree(names.directory)
        assert "made anew" in one_line(names.sem("stat", "x", "-q").stderr)
        (names.directory / "x.sem").unlink()
        assert names.sem("remove", "x").returncode == 0
        with pytest.raises(sysv.Gone):
            sysv.values(id, 7)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:20],
        lambda text: text + "x",
        lambda text: text.replace("capacity 2", "capacity 99999"),
        lambda text: text.replace("key 0x", "key 0xzz"),
        lambda text: "\x7fELF" * 5000,
    ],
)
def test_a_corrupted_file_is_said_and_left_as_it_is(names: Names, spoil: Callable[[str], str]) -> None:
    names.semaphores().get_or_make("x", 2)
    path = names.directory / "x.sem"
    path.write_text(spoiled := spoil(path.read_text()))
    done = names.sem("run", "x", "--", "true")
    assert done.returncode == 125
    assert one_line(done.stderr).endswith("is not as ipcctl wrote it; remove it: `ipcctl sem remove x`")
    assert path.read_text() == spoiled
    assert [row["problem"][:1] for row in names.semaphores().rows()] == ["'"]
    before = names.semaphores()._orphan("x")
    assert before
    assert names.sem("remove", "x").returncode == 0
    assert (names.semaphores()._orphan("x"), path.exists()) == (None, False)


def test_a_file_of_others_making_is_refused(names: Names) -> None:
    names.semaphores().get_or_make("x", 2)
    (names.directory / "x.sem").chmod(0o644)
    assert "remove it" in one_line(names.sem("run", "x", "--", "true").stderr)
    assert names.sem("remove", "x").returncode == 0
    assert names.semaphores()._orphan("x") is None
    names.directory.chmod(0o755)
    done = names.sem("run", "x", "--", "true")
    assert done.returncode == 125
    assert "is open to others (mode 0755); chmod 700 it, or set IPCCTL_DIR" in one_line(done.stderr)
    names.directory.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another")
def test_a_second_user_is_refused(reachable: Names) -> None:
    names = reachable
    names.semaphores().get_or_make("x", 2)
    code = "import os, pwd, sys, ipcctl.ipc.sem.semaphores, ipcctl.report.table, tabulate\n"
    code += "from ipcctl.commands.sem import list, remove, run\n"
    code += "from ipcctl.cli import main; os.setuid(65534); sys.exit(main(sys.argv[1:]))"
    for args in (["run", "x", "--", "true"], ["list"], ["remove", "x"]):
        done = subprocess.run(
            [sys.executable, "-c", code, "sem", *args], capture_output=True, text=True, env=names.env, check=False
        )
        assert done.returncode == 125
        assert "is the directory of root; objects are shared by the shells of one user alone" in one_line(done.stderr)
    assert names.state().capacity == 2


# Answers semget(2) with an error, as a sandbox does: a filter of seccomp(2), in classic BPF.
NUMBERS = {"x86_64": 64, "aarch64": 190}
NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2


def without_semget(code: int) -> Callable[[], None]:
    """What makes a child live in such a sandbox."""

    class Instruction(ctypes.Structure):
        _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction))]

    instructions = (Instruction * 4)(
        (0x20, 0, 0, 0),  # load the number of the call
        (0x15, 0, 1, NUMBERS[platform.machine()]),  # is it semget?
        (0x06, 0, 0, 0x00050000 | code),  # then an error
        (0x06, 0, 0, 0x7FFF0000),  # else allow it
    )
    program = Program(4, instructions)

    def confine() -> None:
        libc = ctypes.CDLL(None)
        assert libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        assert libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(program)) == 0

    return confine


@pytest.mark.skipif(platform.machine() not in NUMBERS, reason="the number of semget is not known here")
@pytest.mark.parametrize(
    ("code", "told"),
    [
        (38, "has no System V semaphores (ENOSYS); enable CONFIG_SYSVIPC, or let the sandbox allow semget"),
        (1, "a sandbox forbids System V semaphores (EPERM); let it allow semget"),
        (28, "the limit on semaphores is reached (sysctl kernel.sem); remove some (ipcs -s, ipcrm), or raise it"),
    ],
)
def test_without_semaphores_the_reason_is_told(names: Names, code: int, told: str) -> None:
    names.semaphores().get_or_make("y", 1)
    confine = without_semget(code)
    for args in (["run", "x", "--", "true"], ["stat", "y"]):
        done = names.sem(*args, preexec_fn=confine)
        assert done.returncode == 125
        assert told in one_line(done.stderr)
    rows = report_of(names.sem("list", "-f", "json", preexec_fn=confine))["rows"]
    assert told in rows[0]["problem"]
    assert names.semaphores().names() == ["y"]


def unshared(option: str, script: str, names: Names) -> Any:
    """Run a script by sh in namespaces of its own; skips the test where that may not be."""
    command = ["unshare", option, "sh", "-c", script]
    try:
        if subprocess.run([*command[:-1], "true"], capture_output=True, check=False).returncode == 0:
            return subprocess.run(command, capture_output=True, text=True, env=names.env, check=False)
    except FileNotFoundError:
        pass
    pytest.skip("no namespace of its own is to be had here")


def test_one_in_another_namespace_is_not_taken_for_one_that_is_lost(names: Names) -> None:
    names.semaphores().get_or_make("x", 2)
    id = names.id()
    done = unshared("-ri", f"{IPCCTL} sem run x -- true", names)
    assert done.returncode == 125
    assert "was made in another IPC namespace" in one_line(done.stderr)
    assert names.id() == id


def test_a_full_disk_is_an_error_and_leaves_nothing(names: Names) -> None:
    names.directory.mkdir(0o700)
    mount = f"mount -t tmpfs -o size=4k,nr_inodes=1,mode=700 none {names.directory}"
    done = unshared("-rm", f"{mount} && {IPCCTL} sem run x -- echo ran", names)
    if "mount" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert (done.returncode, done.stdout) == (125, "")
    assert "No space left on device; free some space" in one_line(done.stderr)
    assert names.semaphores()._orphan("x") is None


def test_names_complete(names: Names) -> None:
    for name in ("build", "bench", "test"):
        names.semaphores().get_or_make(name, 1)

    def completed(line: str) -> list[str]:
        asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        env = {**names.env, "_IPCCTL_COMPLETE": "bash_complete", **asked}
        return [each.removeprefix("plain,") for each in ipcctl(env=env).stdout.split()]

    assert completed("ipcctl sem ") == ["run", "wait", "stat", "resize", "list", "remove"]
    assert completed("ipcctl sem run b") == ["bench", "build"]
    assert completed("ipcctl sem stat ") == ["bench", "build", "test"]
    assert completed("ipcctl sem remove build ") == ["bench", "test"]
    assert completed("ipcctl sem run x --t") == ["--try", "--timeout"]
    names.directory.chmod(0o755)
    assert completed("ipcctl sem stat ") == []
    names.directory.chmod(0o700)


def test_the_default_directory_is_the_users_own(tmp_path: Path) -> None:
    env = clean_environment(XDG_RUNTIME_DIR=str(tmp_path))
    assert ipcctl("sem", "run", "x", "--", "true", env=env).returncode == 0
    assert [path.name for path in (tmp_path / "ipcctl").iterdir()] == ["x.sem"]
    assert ipcctl("sem", "remove", "x", env=env).returncode == 0
