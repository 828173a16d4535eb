"""Every concept where it is made hard to show: as an ordinary user, and at limits. Nothing fails that was not wrong."""

from __future__ import annotations

import resource
from collections import Counter
from typing import Any

import pytest
from support import as_nobody, ipcctl, limited, report_of, without_processes

from ipcctl.demos import CONCEPTS

pytestmark = pytest.mark.usefixtures("adopting")


def shown(concept: str) -> list[str]:
    """The arguments that show a concept."""
    return [concept, *(["states"] if concept == "ps" else []), "-f", "json"]


def reasons(done: Any) -> list[str]:
    """Why checks of a run were skipped."""
    return [each["reason"] for each in report_of(done)["checks"] if each["status"] == "skipped"]


def statuses(done: Any) -> Counter[str]:
    """How many checks of a run came to what; each that was skipped says why, and the run itself has no error."""
    checks = report_of(done)["checks"]
    assert done.stderr == ""
    assert all(reasons(done))
    found = Counter(each["status"] for each in checks)
    assert found["failed"] == done.returncode == 0, [each for each in checks if each["status"] == "failed"]
    return found


@pytest.mark.parametrize("concept", CONCEPTS)
def test_every_check_holds_for_an_ordinary_user(concept: str) -> None:
    assert statuses(as_nobody(*shown(concept))).keys() == {"held"}


@pytest.mark.parametrize("concept", CONCEPTS)
def test_where_no_process_can_be_made_what_needs_one_is_skipped_with_the_remedy(concept: str) -> None:
    done = without_processes(*shown(concept))
    assert statuses(done)["skipped"] > 0
    assert all("ulimit -u" in reason for reason in reasons(done)), reasons(done)


@pytest.mark.parametrize("descriptors", [8, 14, 20])
@pytest.mark.parametrize("concept", CONCEPTS)
def test_with_few_descriptors_what_cannot_be_made_is_skipped(concept: str, descriptors: int) -> None:
    done = ipcctl(*shown(concept), preexec_fn=limited(resource.RLIMIT_NOFILE, descriptors))
    found = statuses(done)
    assert found["skipped"] > 0 or descriptors > 8, found
    named = "ulimit -n" if concept == "fork" else "open files"
    assert all(named in reason for reason in reasons(done)), reasons(done)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_where_no_file_may_be_written_what_needs_one_is_skipped(concept: str) -> None:
    statuses(ipcctl(*shown(concept), preexec_fn=limited(resource.RLIMIT_FSIZE, 0)))
