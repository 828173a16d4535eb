"""Semaphores as a library: one that was half made, keys that others have, and slots that are a process's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipcctl.errors import IpcctlError
from ipcctl.ipc.sem import semaphores, sysv
from ipcctl.ipc.sem.semaphore import SIZE, Removed, create, find, identity_of, keys
from ipcctl.ipc.sem.semaphores import Semaphores


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Semaphores]:
    monkeypatch.setenv("IPCCTL_DIR", str(tmp_path / "names"))
    found = Semaphores()
    yield found
    for name in found.names():
        found.remove(name)


def test_identities_and_keys_differ() -> None:
    identities = {identity_of(place, name) for place in ("/a", "/b") for name in ("x", "y")}
    assert len(identities) == 4
    for identity in identities:
        assert all(0 < each < 1 << 15 for each in identity)
        found = keys(identity)
        assert len(set(found)) == len(found)
        assert all(0 < key < 1 << 31 for key in found)


def test_one_that_was_half_made_is_made(mine: Semaphores) -> None:
    """Whoever was killed between semget and its values left a set with nothing in it."""
    identity = identity_of(mine.place.directory, "x")
    sysv.create(keys(identity)[0], [0] * SIZE)
    assert mine.get_or_make("x", 2).state().free == 2
    assert mine.names() == ["x"]


def test_a_key_that_another_has_is_left_to_it(mine: Semaphores, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = identity_of(mine.place.directory, "x")
    other = create(keys(identity)[0], 1, identity_of("elsewhere", "x"))
    try:
        assert find(keys(identity)[0], identity) is None
        found = mine.get_or_make("x", 2)
        assert found.id != other
        with mine.place.locked():
            mine.place.unlink("x")
        assert mine.get_or_make("x", 2).id == found.id
        monkeypatch.setattr(semaphores, "keys", lambda identity: keys(identity)[:1])
        with pytest.raises(IpcctlError, match="the keys for 'x' are all taken"):
            mine._create("x", semaphores.Record(0, 1, 0.0, ""))
    finally:
        sysv.remove(other)


def test_a_slot_is_its_process_and_given_back_once(mine: Semaphores) -> None:
    found = mine.get_or_make("x", 2)
    pid = os.fork()
    if pid == 0:
        taken = found.take() and found.take(block=False) and not found.take(block=False)
        os._exit(0 if taken and found.state().held == 2 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert (found.state().held, found.state().free, found.wait_until_settled()) == (0, 2, True)


def test_removed_is_told_by_whatever_is_asked(mine: Semaphores) -> None:
    found = mine.get_or_make("x", 2)
    mine.remove("x")
    for use in (found.state, found.take, found.wait_until_settled, lambda: found.resize(3)):
        with pytest.raises(Removed, match="'x' was removed"):
            use()
