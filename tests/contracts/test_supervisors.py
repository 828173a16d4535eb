"""The contract of everything that looks after a command: its end is known, and nothing of it is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisors import SUPERVISORS, run, status_of_failure


@pytest.mark.parametrize("name", SUPERVISORS)
def test_the_status_is_that_of_a_command_that_fails(name: str, tmp_path: Path) -> None:
    done = run(name, ["sh", "-c", "exit 3"], tmp_path)
    assert done.returncode == status_of_failure(name, 3), done.stderr
