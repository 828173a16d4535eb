"""Work shared with a helper: the same results in the same order, whatever becomes of the helper."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator

import pytest
from support import children

from ipcctl.process.forked_map import forked_map

BATCHES = [list(range(i, i + 10)) for i in range(0, 200, 10)]


def named(batch: list[int]) -> Iterator[tuple[int, int]]:
    """Each number, with who worked on it."""
    return ((number, os.getpid()) for number in batch)


def test_results_come_in_order_and_half_of_them_from_the_helper() -> None:
    results = list(forked_map(BATCHES, named))
    assert [number for number, _ in results] == list(range(200))
    workers = [pid for _, pid in results]
    assert workers[:10] == [os.getpid()] * 10
    assert len(set(workers)) == 2
    assert workers.count(os.getpid()) == 100


def test_text_that_is_not_utf8_passes() -> None:
    assert list(forked_map([["a"], ["\udcff\n"]], list)) == ["a", "\udcff\n"]


def test_more_than_a_pipe_holds_passes() -> None:
    long = "x" * (3 << 20)
    assert list(forked_map([["a"], [long], ["b"], [long]], list)) == ["a", long, "b", long]


@pytest.mark.parametrize("dies_at", [0, 50, 190])
def test_what_a_dead_helper_did_not_do_is_done_without_it(dies_at: int) -> None:
    me = os.getpid()

    def deadly(batch: list[int]) -> list[int]:
        if os.getpid() != me and dies_at in batch:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    assert list(forked_map(BATCHES, deadly)) == list(range(200))


def test_what_goes_wrong_in_the_helper_alone_is_done_without_it() -> None:
    me = os.getpid()

    def fails_elsewhere(batch: list[int]) -> list[int]:
        assert os.getpid() == me
        return batch

    assert list(forked_map(BATCHES, fails_elsewhere)) == list(range(200))


def test_closing_early_ends_the_helper() -> None:
    results = forked_map(BATCHES, named)
    assert next(results) == (0, os.getpid())
    assert len(children()) == 1
    results.close()
    assert children() == []


def test_without_a_fork_it_is_done_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_the_limit() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", at_the_limit)
    assert {pid for _, pid in forked_map(BATCHES, named)} == {os.getpid()}
