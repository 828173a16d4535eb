"""posix_spawn(3) through ctypes: what the child gets, and what it says where there is none."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ipcctl.process.posix_spawn import Files, Spawner


def to(descriptor: int) -> Files:
    """Standard output to that descriptor."""
    return Files([(os.POSIX_SPAWN_DUP2, descriptor, 1)])


def output(spawner: Spawner, argv: list[str], file: Path) -> bytes:
    """What a program wrote."""
    with open(file, "w+b") as stream:
        assert os.waitpid(spawner.spawn(argv, to(stream.fileno())), 0)[1] == 0
    return file.read_bytes()


def test_mask_signals_environment_and_bytes_arrive(tmp_path: Path) -> None:
    spawner = Spawner([signal.SIGUSR1, signal.SIGRTMAX], {b"N": b"v\xfe=", b"PATH": os.environb[b"PATH"]})
    seen = output(spawner, ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"], tmp_path / "signals").split()
    assert int(seen[1], 16) == bit(signal.SIGUSR1) | bit(signal.SIGRTMAX)
    assert int(seen[3], 16) & (bit(signal.SIGPIPE) | bit(signal.SIGXFSZ)) == 0  # this interpreter ignores them
    argv = ["sh", "-c", "printf '%s %s' \"$N\" \"$1\"", "sh", "a\udcff b"]
    assert output(spawner, argv, tmp_path / "bytes") == b"v\xfe= a\xff b"


def bit(number: int) -> int:
    """A signal's bit in the masks of /proc."""
    return 1 << number - 1


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["no-such-command"], FileNotFoundError),
        ([""], FileNotFoundError),
        (["/"], PermissionError),
        (["true", "a\0b"], ValueError),
        (["true", "a" * (32 * os.sysconf("SC_PAGE_SIZE"))], OSError),
    ],
)
def test_what_cannot_be_started_raises(argv: list[str], error: type[Exception]) -> None:
    with pytest.raises(error):
        Spawner([], {}).spawn(argv, Files([]))


def test_where_a_program_was_found_is_remembered_and_told_when_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tool = tmp_path / "ipcctl-test-tool"
    tool.symlink_to("/bin/true")
    spawner = Spawner([], {})
    for _ in range(2):
        assert os.waitpid(spawner.spawn([tool.name], Files([])), 0)[1] == 0
    tool.unlink()
    with pytest.raises(FileNotFoundError):
        spawner.spawn([tool.name], Files([]))
