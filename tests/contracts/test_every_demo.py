"""The contract of every concept: each statement holds on this kernel, and fails when its subject is broken."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mutants import SUBJECTS, Subject
from support import ipcctl, report_of

EACH = pytest.mark.parametrize("subject", SUBJECTS, ids=[each.concept for each in SUBJECTS])
CHECKS = [pytest.param(subject, id.partition(".")[2], id=id) for subject in SUBJECTS for id in subject.ids]
MUTATIONS = [
    pytest.param(subject, check, changes, id=f"{subject.concept}.{check}-{number}")
    for subject in SUBJECTS
    for number, (check, *changes) in enumerate(subject.mutations)
]
# A mutation that fails by one of these shows nothing of the check.
MISTAKES = re.compile(r"failed (NameError|UnboundLocalError|ImportError|ModuleNotFoundError|IndentationError)")


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    """One run of each concept, made by the first test that wants it."""
    return {}


@pytest.fixture
def report(reports: dict[str, Any], subject: Subject) -> Any:
    """The concept's report, with everything in it."""
    if subject.concept not in reports:
        done = subject.show()
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        reports[subject.concept] = report_of(done)
    return reports[subject.concept]


@EACH
def test_every_check_is_there_and_holds(subject: Subject, report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in subject.ids]
    counts = {"held": len(subject.ids), "failed": 0, "skipped": 0}
    assert (report["ok"], report["summary"] | {"wall_s": None}) == (True, counts | {"wall_s": None})
    assert list(report) == ["concept", "ok", "summary", "rows", "checks", "events"]


@EACH
def test_evidence_is_text_for_people(subject: Subject, report: Any) -> None:
    for each in report["checks"]:
        assert each["expected"], each
        assert each["observed"], each
        assert not re.search(r"^[([{<]|<.* at 0x", each["expected"] + each["observed"]), each


@EACH
def test_source_is_the_demonstration_itself(subject: Subject) -> None:
    assert ipcctl(*subject.arguments, "--source").stdout == subject.source


@EACH
def test_every_check_has_a_mutation(subject: Subject) -> None:
    checks = {check for check, *_ in subject.mutations} | set(subject.elsewhere)
    assert {f"{subject.concept}.{check}" for check in checks} == set(subject.ids)


@pytest.mark.parametrize(("subject", "check"), CHECKS)
def test_a_check_stands_alone(subject: Subject, check: str) -> None:
    assert subject.run_alone(check).startswith("held "), check


@pytest.mark.parametrize(("subject", "check", "changes"), MUTATIONS)
def test_a_check_fails_when_its_subject_is_broken(subject: Subject, check: str, changes: list[str]) -> None:
    if changes[0] in subject.not_here:
        pytest.skip(subject.not_here[changes[0]])
    found = subject.run_broken(check, *changes)
    assert found.startswith("failed "), found
    assert not MISTAKES.match(found), f"the mutation is no program: {found}"
