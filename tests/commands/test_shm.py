"""`ipcctl shm` between shells: values by name, each operation atomic; waiting without work; faults told in one line."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shared import own_directory
from support import IPCCTL, clean_environment, ipcctl, limited, one_line, report_of, started, state_of, wait_until

from ipcctl.ipc.shm.ctype import CType
from ipcctl.ipc.shm.shared import Shared, SharedMemory


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedMemory]:
    yield from own_directory(tmp_path, monkeypatch)


def environment() -> dict[str, str]:
    """The environment of what is run here: the test's own directory."""
    return clean_environment(IPCCTL_DIR=os.environ["IPCCTL_DIR"])


def shm(*args: str | bytes, **how: Any) -> Any:
    """Run `ipcctl shm …`."""
    return ipcctl("shm", *args, env=environment(), **how)


def said(*args: str | bytes, **how: Any) -> str:
    """What it prints, and nothing is wrong."""
    done = shm(*args, **how)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    text: str = done.stdout
    return text


def made(name: str, code: str, *texts: str) -> None:
    """Make a value, without a start of ipcctl."""
    ctype, shared = CType(code), Shared(name)
    shared.set(ctype, ctype.pack([ctype.parse(each) for each in texts]))
    shared.close()


def values(name: str) -> list[Any]:
    """What it holds, without a start of ipcctl."""
    shared = Shared(name)
    found = shared.get()
    shared.close()
    return found


def test_a_number() -> None:
    assert said("set", "n", "5") == ""
    assert said("get", "n") == "5\n"
    assert said("add", "n", "-7") == "-2\n"
    assert said("cas", "n", "-2", "10") == "10\n"
    done = shm("cas", "n", "-2", "11")
    assert (done.returncode, done.stdout, done.stderr) == (1, "10\n", "")
    assert said("set", "n", "-9223372036854775808") == ""
    assert said("get", "n") == "-9223372036854775808\n"


def test_an_array_and_its_elements() -> None:
    assert said("set", "a", "--ctype", "h", "1", "-2", "3") == ""
    assert said("get", "a") == "1\n-2\n3\n"
    assert said("add", "a[1]", "-40") == "-42\n"
    assert said("set", "a[0]", "-7") == ""
    assert said("cas", "a[2]", "3", "4") == "4\n"
    assert said("get", "a[0]") + said("get", "a") == "-7\n-7\n-42\n4\n"


def test_bytes_from_stdin_come_back_as_they_were() -> None:
    raw = bytes(range(256)) * 20
    assert shm("set", "b", "--bytes", stdin=None, input=raw, text=False).returncode == 0
    for args in (["get", "b"], ["get", "b", "--bytes"]):
        assert shm(*args, text=False).stdout == raw
    done = shm("set", "b", "--ctype", "c", "--bytes", stdin=None, input=b"hello", text=False)
    assert (done.returncode, shm("get", "b", text=False).stdout) == (0, b"hello")
    said("set", "b[0]", "H")
    assert said("get", "b") == "Hello"
    doubles = CType("d").pack([1.5, -2.0])
    assert shm("set", "d", "--ctype", "d", "--bytes", stdin=None, input=doubles, text=False).returncode == 0
    assert said("get", "d") == "1.5\n-2.0\n"
    assert shm("get", "d", "--bytes", text=False).stdout == doubles


def test_add_makes_a_counter() -> None:
    assert said("add", "hits", "3") == "3\n"
    assert said("add", "share", "0.5") + said("add", "share", "1") == "0.5\n1.5\n"
    assert said("add", "small", "--ctype", "B", "255") == "255\n"
    done = shm("add", "small", "1")
    assert done.returncode == 2
    told = "small is 255, plus 1: 256 is outside the range of ctype 'B' (unsigned char), 0 to 255; nothing was changed"
    assert told in one_line(done.stderr)


def test_list_and_path_and_remove(place: SharedMemory) -> None:
    assert report_of(shm("list", "-f", "json"))["rows"] == []
    made("n", "q", "5")
    made("long", "i", *map(str, range(100)))
    made("text", "c", "a", "\n")
    rows = {row["name"]: row for row in report_of(shm("list", "-f", "json"))["rows"]}
    assert list(rows) == ["long", "n", "text"]
    assert rows["n"] | {"created": 0, "last_used": 0, "owner": 0} == {
        "name": "n", "ctype": "q", "values": 1, "value": "5", "size_bytes": 80, "path": place.path("n"), "owner": 0,
        "created": 0, "last_used": 0, "problem": None,
    }  # fmt: skip
    assert (rows["long"]["values"], rows["long"]["value"]) == (100, "0 1 2 3 4 5 6 7…")
    assert rows["text"]["value"] == "a\n"
    assert said("path", "n") == place.path("n") + "\n"
    done = shm("remove", "n", "nope", "long")
    assert (done.returncode, "no shm 'nope'" in one_line(done.stderr)) == (1, True)
    assert said("remove", "--all") == ""
    assert place.names() == []


BAD = [
    (["set", "n"], "give either values or --bytes"),
    (["set", "n", "--bytes", "1"], "give either values or --bytes"),
    (["set", "", "1"], "'' is no name"),
    (["set", "..", "1"], "'..' is no name"),
    (["set", "a/b", "1"], "'a/b' is no name"),
    (["add", "x" * 65, "1"], "has 65 characters; give at most 64"),
    (["set", "new", "x"], "'x' is no number; give --ctype c"),
    (["set", "new", "--ctype", "x", "1"], "'x' is not one of 'b'"),
    (["set", "new", "9223372036854775808"], "outside the range of ctype 'q' (long long), -9223372036854775808 to"),
    (["set", "new", "--ctype", "b", "1", "128"], "128 is outside the range of ctype 'b' (signed char), -128 to 127"),
    (["set", "new", "--ctype", "d", "1e999"], "1e999 is outside the range of ctype 'd'"),
    (["set", "n", "--ctype", "d", "1"],
     "'n' holds ctype 'i' (int), not 'd' (double); give --ctype i, or `ipcctl shm remove n`"),
    (["set", "n", "2147483648"], "outside the range of ctype 'i'"),
    (["set", "a[0]", "1", "2"], "takes one VALUE"),
    (["set", "a[3]", "1"], "a[3] is outside: the indexes are 0 to 2"),
    (["get", "a[-1]"], "'a[-1]' has no index"),
    (["get", "a[x]"], "'a[x]' has no index; give NAME[INDEX], from 0"),
    (["get", "a[1]", "--bytes"], "leave [1] out"),
    (["add", "a", "1"], "'a' is an array of 3; say which of them: a[INDEX], from 0"),
    (["add", "n", "1.5"], "'1.5' is no integer; the ctype is 'i' (int)"),
    (["add", "n", "2147483647"], "nothing was changed"),
    (["add", "n", "--nope"], "'--nope' is no"),
    (["cas", "n", "1"], "NEW"),
    (["cas", "n", "1", "99999999999"], "outside the range"),
    (["wait", "n"], "--until"),
    (["wait", "n", "--until", "10"], "'10' is no condition; give one of >= <= == != > < = and a value, as '>=10'"),
    (["wait", "n", "--until", ">="], "is no condition"),
    (["wait", "n", "--until", ">=x"], "'x' is no integer"),
    (["wait", "n", "--until", ">9", "--timeout", "soon"], "'soon' is no time"),
    (["nope"], "no subcommand 'nope'; there are: set, get, add, cas, wait, list, remove, path"),
    (["--updates", "5", "get", "n"], "--updates stands before the verb 'get'; put it after"),
    (["--updates", "0"], "0 is not in the range"),
    (["remove"], "name those to remove, or give --all"),
]


def test_bad_input_is_one_clear_line_and_status_2() -> None:
    made("n", "i", "1")
    made("a", "i", "1", "2", "3")
    running = [(args, told, subprocess.Popen([IPCCTL, "shm", *args], env=environment(), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)) for args, told in BAD]  # fmt: skip
    for args, told, process in running:
        out, err = process.communicate()
        assert (process.returncode, out) == (2, ""), args
        assert told in one_line(err), args
        assert err.startswith("ipcctl shm: "), args
    assert (values("n"), values("a"), SharedMemory().names()) == ([1], [1, 2, 3], ["a", "n"])


def test_what_is_not_there_is_status_1() -> None:
    made("there", "i", "1")
    for args in ("get nope", "add nope[0] 1", "cas nope 1 2", "wait nope --until >1"):
        done = shm(*args.split())
        assert (done.returncode, done.stdout) == (1, "")
        assert "no shm 'nope' in" in one_line(done.stderr)
        assert "there are: there" in done.stderr


# --- several at once


def test_many_at_the_same_instant_make_one_and_count() -> None:
    """Of ten that add to what is not there, each gets a sum of its own."""
    running = [
        subprocess.Popen([IPCCTL, "shm", "add", "new", "1"], env=environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    sums = [int(each.communicate()[0]) for each in running]
    assert sorted(sums) == list(range(1, 11))


def test_killed_at_random_what_was_printed_counts() -> None:
    """The real binary, from its start to its end: what it printed is counted; what it did not may be, once."""
    running = []
    for _ in range(24):
        process = subprocess.Popen([IPCCTL, "shm", "add", "n", "1"], env=environment(), stdout=subprocess.PIPE)
        running.append(process)
        if random.random() < 0.7:
            signal.sigtimedwait([], random.random() * 0.08)
            process.kill()
    printed = [int(each.communicate()[0] or 0) for each in running]
    total = values("n")[0] if SharedMemory().names() else 0
    acknowledged = [each for each in printed if each]
    assert len(set(acknowledged)) == len(acknowledged)
    assert len(acknowledged) <= total <= len(running)
    assert max(acknowledged, default=0) <= total


def waiting(condition: str, name: str = "n", *more: str) -> Any:
    """A waiter, which sleeps by now."""
    return started("shm", "wait", name, "--until", condition, *more, env=environment())


def asleep(process: Any) -> None:
    """It has opened the file, and waits for what is done to it."""
    wait_until(lambda: watches(process.pid), "a watch")
    wait_until(lambda: state_of(process.pid) == "S", "sleep")


def watches(pid: int) -> bool:
    """Whether it has an inotify watch."""
    for each in Path(f"/proc/{pid}/fdinfo").glob("*"):
        try:
            if "inotify wd" in each.read_text():
                return True
        except OSError:
            pass
    return False


def test_wait_ends_when_the_value_is_such() -> None:
    made("n", "i", "5")
    assert said("wait", "n", "--until", ">=5") == "5\n"
    with waiting(">=10") as more, waiting("!=5") as other, waiting("==-3") as less:
        for each in (more, other, less):
            asleep(each)
        shared = Shared("n")
        shared.add(-8)
        assert (other.communicate()[0], less.communicate()[0]) == ("-3\n", "-3\n")
        asleep(more)
        shared.set(CType("i"), CType("i").pack([10]))
        assert more.communicate() == ("10\n", "")
        shared.close()
    assert (more.returncode, other.returncode, less.returncode) == (0, 0, 0)


def test_wait_sees_another_file_that_took_the_name() -> None:
    """An array that outgrows its file gets another."""
    made("a", "i", "1")
    with waiting("=7", "a[0]") as process:
        asleep(process)
        made("a", "i", *"2" * 1000)
        made("a", "i", "7", *"2" * 2000)
        assert process.communicate() == ("7\n", "")


def test_wait_sees_what_another_program_writes(place: SharedMemory) -> None:
    made("n", "i", "5")
    with waiting("==99") as process:
        asleep(process)
        with open(place.path("n"), "r+b", buffering=0) as file:
            file.seek(64)
            file.write(struct.pack("i", 99))
            assert process.communicate() == ("99\n", "")


def unshared(options: str, begin: str, script: str) -> Any:
    """Run a script in namespaces of its own, once they are as `begin` makes them; $0 is ipcctl. Skips without."""
    namespace = ["unshare", options, "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*namespace, begin], capture_output=True).returncode:
        pytest.skip("no such namespace can be had here")
    run = [*namespace, f"{begin}; {script}", IPCCTL]
    return subprocess.run(run, env=environment(), capture_output=True, text=True)


def test_a_limit_on_inotify_is_an_error() -> None:
    script = '"$0" shm set n 1; "$0" shm wait n --until ">5"; echo $?; "$0" shm remove n'
    done = unshared("-Ur", "echo 0 > /proc/sys/user/max_inotify_instances", script)
    assert done.stdout == "125\n", done.stderr
    assert "the limit on inotify instances or open files is reached" in one_line(done.stderr)


def test_wait_takes_no_processor_time() -> None:
    made("n", "i", "5")
    with waiting(">=10") as process:
        asleep(process)
        clock = ~process.pid << 3 | 2  # clock_getcpuclockid(3) of another process
        began, used = time.monotonic(), time.clock_gettime(clock)
        signal.sigtimedwait([], 0.3)
        assert time.clock_gettime(clock) - used < (time.monotonic() - began) / 10
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", "")
    assert process.returncode == 130


def test_wait_ends_after_its_timeout() -> None:
    made("n", "i", "5")
    done = shm("wait", "n", "--until", ">=10", "--timeout", "50ms")
    assert (done.returncode, done.stdout) == (124, "")
    assert "'n' is 5, and the time is over" in one_line(done.stderr)


def test_a_killed_writer_wakes_those_that_wait() -> None:
    """It was killed after its store and before it told anybody: that its file is closed tells them."""
    made("n", "q", "5")
    script = "import os, signal, sys\nfrom ipcctl.ipc.shm import memory\nfrom ipcctl.ipc.shm.shared import Shared\n"
    script += "memory.os.utime = lambda *any: os.kill(os.getpid(), signal.SIGKILL)\nShared('n').add(5)"
    with waiting(">=10") as process:
        asleep(process)
        done = subprocess.run([sys.executable, "-c", script], env=environment())
        assert done.returncode == -signal.SIGKILL
        assert process.communicate() == ("10\n", "")


@pytest.mark.parametrize("how", ["remove", "rm"])
def test_removing_it_ends_those_that_wait(how: str, place: SharedMemory) -> None:
    made("n", "i", "5")
    with waiting(">=10") as first, waiting("<0") as second:
        for each in (first, second):
            asleep(each)
        if how == "remove":
            assert said("remove", "n") == ""
        else:
            os.unlink(place.path("n"))
            os.rmdir(place.directory)
        for each in (first, second):
            out, err = each.communicate()
            assert (each.returncode, out) == (1, "")
            assert "the shm 'n' was removed while this waited for it" in one_line(err)


# --- faults


def test_a_corrupted_one_is_said_and_removed(place: SharedMemory) -> None:
    made("n", "i", "5")
    os.truncate(place.path("n"), 65)
    done = shm("add", "n", "1")
    assert (done.returncode, done.stdout) == (125, "")
    assert "is corrupted: it was cut to 65 bytes of 80" in one_line(done.stderr)
    done = shm("list")
    assert (done.returncode, "is corrupted" in done.stdout) == (0, True)
    assert said("remove", "n") == ""


def test_no_room_is_an_error_when_it_is_made() -> None:
    """A /dev/shm of 64 KiB."""
    script = 'head -c 99999 /dev/zero | "$0" shm set big --bytes; echo $?; "$0" shm set n 5; "$0" shm get n;'
    script += 'head -c 88888 /dev/zero | "$0" shm set n --bytes; echo $?; "$0" shm get n; ls /dev/shm/*'
    options = "-m" if os.geteuid() == 0 else "-Urm"
    done = unshared(options, "mount -t tmpfs -o size=64k shm /dev/shm", script)
    assert done.stdout == "125\n5\n125\n5\nn.shm\n", done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("ipcctl shm: cannot make '/dev/shm/ipcctl-")
        assert line.endswith(": No space left on device; free some space")


def test_a_limit_on_the_size_of_files_is_an_error() -> None:
    limit = limited(resource.RLIMIT_FSIZE, 4096)
    done = shm("set", "big", "--ctype", "q", *map(str, range(1000)), preexec_fn=limit)
    assert (done.returncode, "File too large" in one_line(done.stderr)) == (125, True)
    assert SharedMemory().names() == []


AS_NOBODY = """
import os, pwd, sys
import ipcctl.cli, ipcctl.ipc.shm.shared
from ipcctl.commands.shm import add, cas, get, list, path, remove, set, wait
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for args in sys.argv[1:]:
    assert ipcctl.cli.main(["shm", *args.split()]) == 125, args
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")
def test_the_second_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not let in, and not given a value of the same name to add to."""
    directory = f"/tmp/ipcctl-test-{os.getpid()}"
    monkeypatch.setenv("IPCCTL_DIR", directory)
    made("n", "i", "5")
    mine = SharedMemory()
    try:
        command = [sys.executable, "-c", AS_NOBODY, "get n", "add n 1", "list", "remove n"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert done.stderr.count(f"{directory!r} is the directory of root") == len(done.stderr.splitlines()) == 4
        assert values("n") == [5]
    finally:
        with mine.locked():
            mine.unlink("n")
        os.rmdir(directory)


def imported_by(*args: str) -> set[str]:
    """The modules that a run imports."""
    command = [sys.executable, "-X", "importtime", "-m", "ipcctl", *args]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_nothing_is_imported_that_is_not_used() -> None:
    imported = imported_by("shm", "add", "n", "1") - imported_by("--version")
    assert "ipcctl.ipc.shm.shared" in imported
    unused = {"sqlite3", "multiprocessing", "sysv_ipc", "tabulate", "psutil", "json", "ctypes", "subprocess", "pwd"}
    assert imported & (unused | {"ipcctl.ipc.sem.semaphore", "ipcctl.ipc.queue.queue", "ipcctl.demos.harness"}) == set()
