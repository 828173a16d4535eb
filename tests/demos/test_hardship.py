"""Every concept where it is made hard to show: as an ordinary user, and at limits. Nothing fails that was not wrong."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from support import as_nobody, ipcctl, limited, report_of, see_orphans_end, without_processes

from ipcctl.cli import COMMANDS

CONCEPTS = [name for name in COMMANDS if name != "tour"]


@pytest.fixture(autouse=True)
def adopting(nothing_left_behind: None) -> Iterator[None]:
    """Orphans that are shown fall to this process, a subreaper; they have ended, and are waited for here."""
    yield
    see_orphans_end()


def shown(concept: str) -> list[str]:
    """The arguments that show a concept."""
    return [concept, *(["--states"] if concept == "ps" else []), "-f", "json"]


def statuses(done: Any) -> Counter[str]:
    """How many checks of a run came to what; each that was skipped says why, and the run itself has no error."""
    checks = report_of(done)["checks"]
    assert done.stderr == ""
    assert all(each["reason"] for each in checks if each["status"] == "skipped")
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
    skipped = [each["reason"] for each in report_of(done)["checks"] if each["status"] == "skipped"]
    assert all("ulimit -u" in reason for reason in skipped), skipped


@pytest.mark.parametrize("descriptors", [8, 14, 20])
@pytest.mark.parametrize("concept", CONCEPTS)
def test_with_few_descriptors_what_cannot_be_made_is_skipped(concept: str, descriptors: int) -> None:
    found = statuses(ipcctl(*shown(concept), preexec_fn=limited(resource.RLIMIT_NOFILE, descriptors)))
    assert found["skipped"] > 0 or descriptors > 8, found


@pytest.mark.parametrize("concept", CONCEPTS)
def test_where_no_file_may_be_written_what_needs_one_is_skipped(concept: str) -> None:
    statuses(ipcctl(*shown(concept), preexec_fn=limited(resource.RLIMIT_FSIZE, 0)))
