"""`ipcctl fork -- COMMAND`: a truthful record of a real command."""

from __future__ import annotations

import pytest

from support import ipcctl, report_of


@pytest.mark.parametrize("status", [0, 1, 2, 77, 124, 125, 126, 127, 128, 137, 255])
def test_the_status_is_the_commands(status: int) -> None:
    done = ipcctl("fork", "-f", "json", "--", "sh", "-c", f"exit {status}")
    assert done.returncode == status
    assert report_of(done, "stderr")["rows"][0]["exit_code"] == status
