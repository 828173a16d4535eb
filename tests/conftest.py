"""Every test leaves nothing behind: no process, no descriptor, no file in /dev/shm."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from support import become_subreaper, descriptors, end_children


def pytest_configure() -> None:
    become_subreaper()


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path: object) -> Iterator[None]:
    """Fails a test that leaves a child (or an orphan of one of its runs), a descriptor or a shared memory file."""
    open_before, shared_before = descriptors(), set(os.listdir("/dev/shm"))
    yield
    assert end_children() == [], "processes were left behind"
    assert descriptors() <= open_before, "descriptors were left open"
    mine = {name for name in set(os.listdir("/dev/shm")) - shared_before if str(os.getpid()) in name}
    assert mine == set(), "files were left in /dev/shm"
