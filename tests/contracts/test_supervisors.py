"""The contract of everything that looks after a command: its end is known, and nothing of it is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisors import SUPERVISORS, run

ENDS_WITH = {"double-fork": 1, "queue work": 1, "pool": 1}  # of a command that failed; the others give its own status


@pytest.mark.parametrize("name", SUPERVISORS)
def test_the_status_is_that_of_a_command_that_fails(name: str, tmp_path: Path) -> None:
    done = run(name, ["sh", "-c", "exit 3"], tmp_path)
    assert done.returncode == ENDS_WITH.get(name, 3), done.stderr
