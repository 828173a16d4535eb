"""Names: what may be one, where they live, who may use them, and that two at the same instant make one thing."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support import wait_until

from ipcctl.errors import BadInput, IpcctlError
from ipcctl.ipc import registry
from ipcctl.ipc.registry import Directory, NotThere, Refused, Registry, checked_name
from ipcctl.process.users import user_name


@pytest.fixture
def place(tmp_path: Path) -> Directory:
    return Directory("thing", str(tmp_path / "things"))


def nothing(path: str) -> None:
    """A thing is made with nothing in it."""


def writing(text: str) -> object:
    """What fills a file with a text."""
    return lambda path: Path(path).write_text(text)


@pytest.mark.parametrize("name", ["a", "build", "A.b_c-9", "x" * 64, "..a", "-n", ".hidden"])
def test_a_name(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "...", "a/b", "/", "../x", "a b", "a\n", "é", "٣", "a\0", "x" * 65, "x" * 5000, "a~"]
)
def test_no_name(name: str) -> None:
    with pytest.raises(BadInput) as told:
        checked_name(name)
    assert "64" in str(told.value)
    assert len(str(told.value)) < 300


def test_where_they_live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IPCCTL_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert registry.runtime_directory() == f"{tmp_path}/mine"
    monkeypatch.setenv("IPCCTL_DIR", "")
    assert registry.runtime_directory() == f"{tmp_path}/ipcctl"
    for unfit in ("relative", str(tmp_path / "missing"), ""):
        monkeypatch.setenv("XDG_RUNTIME_DIR", unfit)
        assert registry.runtime_directory() == f"/tmp/ipcctl-{os.geteuid()}"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert registry.state_directory() == f"{tmp_path}/ipcctl"
    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert registry.state_directory() == "/home/somebody/.local/state/ipcctl"


def test_it_is_made_for_the_user_alone_whatever_the_umask(place: Directory) -> None:
    before = os.umask(0o777)
    try:
        assert place.make("a", nothing)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(place.directory).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(place.path("a")).st_mode) == 0o600


def test_looking_makes_nothing(place: Directory) -> None:
    assert place.names() == []
    with pytest.raises(NotThere, match="there is none at all"):
        place.open("a")
    with pytest.raises(NotThere):
        Registry(place).remove("a")
    assert not os.path.lexists(place.directory)


def test_a_directory_in_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IpcctlError, match="IPCCTL_DIR"):
        Directory("thing", str(tmp_path / "a/b")).make("x", nothing)
    assert Directory("thing", str(tmp_path / "a/b"), above=True).make("x", nothing)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.chmod(0o750), "open to others (mode 0750); chmod 700"),
        (lambda path: path.chmod(0o701), "open to others (mode 0701)"),
        (lambda path: (path.rename(f"{path}-2"), path.symlink_to(f"{path}-2")), "is a link"),
        (lambda path: (path.rename(f"{path}-2"), path.write_text("")), "is no directory"),
    ],
)
def test_a_directory_that_others_could_meddle_with_is_refused(place: Directory, spoil: object, told: str) -> None:
    place.make("a", nothing)
    spoil(Path(place.directory))  # type: ignore[operator]
    for use in (lambda: place.open("a"), place.names, lambda: place.make("b", nothing)):
        with pytest.raises(Refused) as error:
            use()
        assert told in str(error.value)
        assert "IPCCTL_DIR" in str(error.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory away")
def test_the_directory_of_another_user_is_refused(place: Directory) -> None:
    place.make("a", nothing)
    os.chown(place.directory, 65534, 65534)
    with pytest.raises(Refused, match="is the directory of nobody"):
        place.open("a")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.chmod(0o644),
        lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        lambda path: (path.unlink(), os.mkfifo(path, 0o600)),
        lambda path: (path.unlink(), path.mkdir(0o700)),
    ],
)
def test_a_file_that_is_not_ours_is_refused(place: Directory, spoil: object) -> None:
    place.make("a", nothing)
    spoil(Path(place.path("a")))  # type: ignore[operator]
    with pytest.raises(IpcctlError):
        place.open("a")


def test_names_are_those_of_the_kind(place: Directory) -> None:
    for name in ("b", "a.thing", "a"):
        place.make(name, nothing)
    Directory("other", place.directory).make("c", nothing)
    for each in ("a b.thing", ".thing", "d.thing~", "a.thing-wal"):
        Path(place.directory, each).touch()
    assert place.names() == ["a", "a.thing", "b"]
    with pytest.raises(NotThere, match=r"there are: a, a\.thing, b"):
        place.open("nope")


def test_the_second_does_not_make_it_and_a_removed_one_is_gone(place: Directory) -> None:
    assert place.make("a", writing("1"))
    assert not place.make("a", writing("2"))
    assert Path(place.path("a")).read_text() == "1"
    with place.locked():
        place.put("a", writing("3"))
    descriptor = place.open("a")
    assert os.read(descriptor, 9) == b"3"
    os.close(descriptor)
    things = Registry(place)
    things.remove("a")
    with pytest.raises(NotThere):
        things.remove("a")
    assert os.listdir(place.directory) == []


def test_what_cannot_be_filled_leaves_nothing(place: Directory) -> None:
    def fill(path: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(IpcctlError, match="No space left on device; free some space"):
        place.make("a", fill)
    assert os.listdir(place.directory) == []


def test_rows_have_what_is_wrong_with_a_thing(place: Directory) -> None:
    class Odd(Registry):
        def figures(self, name: str) -> dict[str, object]:
            if name == "gone":
                raise place.not_there(name)
            if name == "bad":
                raise registry.Corrupted("it is not whole")
            return {"created": 1.0}

    for name in ("bad", "gone", "good"):
        place.make(name, nothing)
    rows = {row["name"]: row for row in Odd(place).rows()}
    assert rows.keys() == {"bad", "good"}
    assert (rows["bad"]["problem"], rows["good"]["created"]) == ("it is not whole", 1.0)
    assert rows["good"]["owner"] == user_name(os.geteuid())
    os.utime(place.path("good"), (5, 5))
    assert place.facts("good")["last_used"] == 5
    place.used("good")
    assert place.facts("good")["last_used"] > 5


RACE = """
import os, sys
from ipcctl.ipc.registry import Directory
place = Directory("thing", sys.argv[1])
def fill(path):
    with open(path, "w") as file:
        for _ in range(100):
            print(os.getpid(), file=file, flush=True)
sys.stdout.write("!"); sys.stdout.flush()
for round in sys.stdin:
    made = place.make(f"a{int(round)}", fill)
    lines = open(place.path(f"a{int(round)}")).readlines()
    print(int(made), len(lines), len(set(lines)), flush=True)
"""


def test_several_at_the_same_instant_make_one_and_see_it_whole(place: Directory) -> None:
    pipe = subprocess.PIPE
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, place.directory], stdin=pipe, stdout=pipe, text=True)
        for _ in range(4)
    ]
    assert [racer.stdout and racer.stdout.read(1) for racer in racers] == ["!"] * 4
    for each in range(25):
        for racer in racers:
            assert racer.stdin
            print(each, file=racer.stdin, flush=True)
        found = [racer.stdout.readline().split() for racer in racers if racer.stdout]
        assert sorted(made for made, *_ in found) == ["0", "0", "0", "1"]
        assert {tuple(seen) for _, *seen in found} == {("100", "1")}
    for racer in racers:
        racer.communicate()


STUCK = """
import os, signal, sys
from ipcctl.ipc.registry import Directory
def fill(path):
    os.write(1, b"!")
    signal.pause()
Directory("thing", sys.argv[1]).make("a", fill)
"""


def test_one_that_is_killed_while_it_makes_a_thing_holds_nobody_up(place: Directory) -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK, place.directory], stdout=subprocess.PIPE) as stuck:
        assert stuck.stdout and stuck.stdout.read(1) == b"!"
        assert place.names() == []
        stuck.send_signal(signal.SIGKILL)
        wait_until(lambda: stuck.poll() is not None)
    assert place.make("a", writing("whole"))
    assert os.listdir(place.directory) == ["a.thing"]
