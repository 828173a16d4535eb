"""What is said when a queue's files are damaged or the disk is full, and that kills at random moments lose nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from queues import Queue, own_environment, runner, stat
from support import IPCCTL, one_line, report_of, started


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return own_environment(tmp_path)


@pytest.fixture
def queue(env: dict[str, str]) -> Queue:
    return runner(env)


@pytest.fixture
def path(env: dict[str, str], queue: Queue) -> Path:
    """The database of a queue with messages in it."""
    queue("put", "q", *map(str, range(2000)))
    return Path(env["IPCCTL_DIR"]) / "q.queue"


def emptied(path: Path) -> None:
    """A file system that was full, or an editor, leaves this."""
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    """Something else has the name."""
    path.write_text("this is no database\n" * 500)


def scrambled(path: Path) -> None:
    """The header is whole, what follows is not."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + os.urandom(len(data) - 4096))


def cut(path: Path) -> None:
    """Half of it."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_another_program(path: Path) -> None:
    """A good database, and no queue."""
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE another(a)").connection.close()
    path.chmod(0o600)


@pytest.mark.parametrize("damage", [emptied, overwritten, scrambled, cut, of_another_program])
def test_a_damaged_database_is_told_and_left_and_can_be_removed(
    queue: Queue, path: Path, damage: Callable[[Path], None]
) -> None:
    damage(path)
    before = path.read_bytes()
    for args in (("get", "q", "--all"), ("put", "q", "x")):
        done = queue(*args)
        if damage is cut and done.returncode != 125:
            continue  # what is put may go to a page that is there
        assert done.returncode == 125, done
        told = one_line(done.stderr)
        assert told.startswith("ipcctl queue: queue 'q' is damaged (")
        assert str(path) in told
        assert "`ipcctl queue remove q`" in told
    if damage is not cut:
        assert path.read_bytes() == before
        (row,) = report_of(queue("list", "-f", "json"))["rows"]
        assert "damaged" in row["problem"] or damage is scrambled
    assert queue("remove", "q").returncode == 0
    assert os.listdir(path.parent) == []
    assert queue("put", "q", "new").returncode == 0
    assert queue("get", "q").stdout == "new\n"


def test_a_log_that_is_gone_is_told(queue: Queue, path: Path, env: dict[str, str]) -> None:
    """What was acknowledged since the last checkpoint is in the log alone, while somebody has the queue open."""
    with started("queue", "get", "q", "-n", "3000", env=env, stdout=subprocess.DEVNULL) as holder:
        while stat(queue)["got"] < 2000:
            os.sched_yield()
        queue("put", "q", "a", "b", "c")
        holder.kill()
    Path(f"{path}-wal").unlink()
    done = queue("get", "q", "--try")
    assert done.returncode == 125
    assert "the last 3 messages are lost" in one_line(done.stderr)
    Path(f"{path}-lock").unlink()
    done = queue("put", "q", "d")
    assert (done.returncode, one_line(done.stderr)) == (
        0, "ipcctl queue: the lock file of queue 'q' was deleted; a new one is made")  # fmt: skip
    assert queue("get", "q", "-n", "2001", "--try").stdout.endswith("d\n")


def test_a_database_that_was_deleted_is_made_anew_without_the_old_log(queue: Queue, path: Path) -> None:
    Path(f"{path}-wal").write_bytes(os.urandom(5000))
    path.unlink()
    assert queue("get", "q", "--try").returncode == 1
    assert queue("put", "q", "new").returncode == 0
    assert queue("get", "q", "--all").stdout == "new\n"


def test_files_that_others_could_read_or_that_are_none_are_refused(queue: Queue, path: Path) -> None:
    path.chmod(0o644)
    done = queue("get", "q")
    assert (done.returncode, "no file that ipcctl made" in one_line(done.stderr)) == (125, True)
    path.unlink()
    path.symlink_to("/etc/passwd")
    done = queue("put", "q", "x")
    assert (done.returncode, "no file that ipcctl made" in one_line(done.stderr)) == (125, True)
    path.parent.chmod(0o755)
    done = queue("put", "other", "x")
    assert (done.returncode, "open to others" in one_line(done.stderr)) == (125, True)


FULL = """
set -e
mount -t tmpfs -o size=16m,mode=700 tmpfs "$IPCCTL_DIR"
seq 1000000 2000000 | "$0" queue put q || echo "put: $?"
"$0" queue get q --all > "$OUT" || echo "get failed: $?"
"$0" queue put q after
head -c 99M /dev/zero > "$IPCCTL_DIR/filling" 2> /dev/null || true
"$0" queue put q more || echo "put: $?"
"$0" queue put nowhere x || echo "put: $?"
"$0" queue get q > /dev/null || echo "get: $?"
rm "$IPCCTL_DIR/filling"
"$0" queue get q
ls "$IPCCTL_DIR"
"""


def test_a_full_disk_is_told_with_how_many_are_in(tmp_path: Path, env: dict[str, str]) -> None:
    """What is said to be in can be got, though the disk is full; where another fills it, nothing is lost."""
    Path(env["IPCCTL_DIR"]).mkdir(mode=0o700)
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*command, "mount -t tmpfs tmpfs /tmp"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespace may be made here")
    env |= {"OUT": str(tmp_path / "out")}
    done = subprocess.run([*command, FULL, IPCCTL], env=env, capture_output=True, text=True, check=False)
    told = done.stderr.splitlines()
    assert len(told) == 4, done
    for line in told:
        assert "full" in line or "No space left" in line
        assert "free some space" in line
    count = int(told[0].rpartition("; ")[2].split()[0])
    assert 1000 < count < 1_000_000
    found = (tmp_path / "out").read_text().split()
    assert found == [str(number) for number in range(1_000_000, 1_000_000 + count)]
    assert done.stdout.splitlines() == [*["put: 125"] * 3, "get: 125", "after", "q.queue", "q.queue-lock"]


def test_a_put_and_a_get_of_the_program_killed_at_random_moments(
    queue: Queue, env: dict[str, str], tmp_path: Path
) -> None:
    """Of what one put read, the first so many messages are in; of what gets print and what is left, none is lost."""
    rounds, each, put, printed = 5, 150_000, 0, []
    wanted: set[str] = set()
    queue("put", "q", "first")
    for number in range(rounds):
        lines, out = tmp_path / f"in{number}", tmp_path / f"out{number}"
        messages = [f"{number}.{at}" for at in range(each)]
        lines.write_text("\n".join(messages))
        with lines.open() as data, started("queue", "put", "q", stdin=data, env=env) as putter:
            time.sleep(0.1 + number / 50)  # any moment
            putter.kill()
        before, put = put or 1, stat(queue)["put"]
        wanted |= set(messages[: put - before])
        with out.open("w") as data, started("queue", "get", "q", "--all", stdout=data, env=env) as getter:
            time.sleep(0.1 + number / 50)
            getter.kill()
        printed += out.read_text().split("\n")[:-1]  # its last line may be a part of one
    printed += queue("get", "q", "--all").stdout.splitlines()
    found = stat(queue)
    assert (found["empty"], found["put"], found["got"]) == (True, put, put)
    assert set(printed) == wanted | {"first"}
    assert len(printed) <= put + rounds * 10_000
