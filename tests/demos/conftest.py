"""The report of the concept that a module of tests is of."""

from __future__ import annotations

from typing import Any

import pytest
from mutants import subject_of
from support import report_of


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Any:
    """One run for all of test_CONCEPT.py, with everything in it."""
    done = subject_of(request.path.stem.removeprefix("test_").replace("_", "-")).show()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)
