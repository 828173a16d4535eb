"""Who waits for what, told from what the kernel says of a thread, or does not say."""

from __future__ import annotations

import pytest

from ipcctl.ipc.pipe.stall import links, what_for

IN, OUT, OTHER = "pipe:[1]", "pipe:[2]", "pipe:[3]"


@pytest.mark.parametrize(
    ("state", "wchan", "descriptors", "what"),
    [
        ("S", "anon_pipe_read", [IN], "input"),
        ("S", "pipe_read", [IN], "input"),
        ("S", "pipe_wait", [IN], "input"),
        ("S", "anon_pipe_write", [OUT], "output"),
        ("S", "splice_from_pipe_next", [IN, OTHER], "input"),
        ("S", "anon_pipe_read", [OTHER], ""),
        ("S", "do_wait", [], ""),
        ("S", "futex_do_wait", [], ""),
        ("S", "sigsuspend", [], ""),
        ("S", "do_epoll_wait", [], "event"),
        ("S", "poll_schedule_timeout.constprop.0", [], "event"),
        ("S", "hrtimer_nanosleep", [], "nothing"),
        ("S", "", [], "unknown"),
        ("R", "", [], "nothing"),
        ("D", "folio_wait_bit", [], "nothing"),
        ("T", "do_signal_stop", [IN], "nothing"),
        ("Z", "", [], ""),
    ],
)
def test_what_a_thread_waits_for(state: str, wchan: str, descriptors: list[str], what: str) -> None:
    assert what_for(state, wchan, descriptors, IN, OUT) == what


def test_a_system_call_that_is_not_told_has_no_descriptors() -> None:
    assert links(1, b"running\n") == links(1, b"") == links(1, b"-1 0x7ffd 0x7f\n") == []
