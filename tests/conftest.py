"""Every test leaves nothing behind: no process, no descriptor, no file in /dev/shm, no semaphore in the kernel."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from retry_failed import pytest_collectreport, pytest_runtest_logreport, pytest_sessionfinish  # noqa: F401  (hooks)
from support import become_subreaper, descriptors, end_children, end_semaphores, see_orphans_end


def pytest_configure() -> None:
    become_subreaper()
    # In the background of a script, or under nohup, some are ignored, and would be by all that is started here.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # these by the interpreter itself
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    # A busy machine is slow, and no example is wrong for it; the rest is as it is here, or where CI is set.
    settings.register_profile("busy", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow]))
    settings.load_profile("busy")


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path: Path) -> Iterator[None]:
    """Fails a test that leaves a child (or an orphan of one of its runs), a descriptor, a shared memory file.

    Or a semaphore: in the kernel, with its file in the test's directory.
    """
    open_before, shared_before = descriptors(), set(os.listdir("/dev/shm"))
    yield
    assert end_children() == [], "processes were left behind"
    assert end_semaphores(tmp_path) == [], "semaphores were left in the kernel"
    assert descriptors() <= open_before, "descriptors were left open"
    mine = {name for name in set(os.listdir("/dev/shm")) - shared_before if str(os.getpid()) in name}
    assert mine == set(), "files were left in /dev/shm"


@pytest.fixture
def adopting(nothing_left_behind: None) -> Iterator[None]:
    """What a test's runs leave falls to this process, a subreaper: it ends by itself, and is waited for here."""
    yield
    see_orphans_end()
