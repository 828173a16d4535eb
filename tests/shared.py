"""Shared values of a test's own: they live in /dev/shm, and nothing of them is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipcctl.ipc.shm.shared import SharedMemory, SharedValues


def own_directory(path: Path, patch: pytest.MonkeyPatch) -> Iterator[SharedMemory]:
    """Values of this test alone; what it has left of them is removed, and then nothing is there."""
    patch.setenv("IPCCTL_DIR", str(path / "names"))
    place = SharedMemory()
    yield place
    values = SharedValues()
    for name in values.names():
        values.remove(name)
    assert not os.path.lexists(place.directory), os.listdir(place.directory)
