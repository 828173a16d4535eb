"""The demonstrations, and what breaks them: one with its source changed in one place must fail the check of that."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support import ROOT, ipcctl

from ipcctl.demos import CONCEPTS

# Runs one check of a demonstration that is read from stdin.
RUN = """
import sys, types
from ipcctl.demos import deadline
concept, id, options, deadline.LIMIT_S = *sys.argv[1:4], float(sys.argv[4])
module = types.ModuleType(f"ipcctl.demos.{concept}")
module.__package__ = "ipcctl.demos"
sys.modules[module.__name__] = module
exec(compile(sys.stdin.read(), f"{concept}.py", "exec"), module.__dict__)
demonstration = module.demonstration
demonstration.checks = [each for each in demonstration.checks if each[0] == id]
(check,) = demonstration.run(**eval(options)).checks
print(check.status, check.observed, check.reason)
"""


@dataclass(frozen=True)
class Subject:
    """One concept: what `mutations/CONCEPT.py` has of it, in capitals there."""

    concept: str
    source: str
    ids: list[str]  # of its checks, in their order
    mutations: list[tuple[str, ...]]  # (check, a piece of the source, what stands there instead, another piece, …)
    arguments: list[str]  # ipcctl's, that show it
    options: Mapping[str, Any] = field(default_factory=dict)  # of a run of one check
    wrapper: Sequence[str] = ()  # what such a run is started under
    elsewhere: Sequence[str] = ()  # checks whose mutation is a test of its own, in test_CONCEPT.py
    not_here: Mapping[str, str] = field(default_factory=dict)  # pieces that change nothing on this machine, and why

    def broken(self, *changes: str) -> str:
        """The source with each of the pieces replaced by what follows it; each must be there exactly once."""
        source = self.source
        for piece, instead in zip(changes[::2], changes[1::2], strict=True):
            assert source.count(piece) == 1, f"the code to break is not there exactly once: {piece}"
            source = source.replace(piece, instead)
        return source

    def show(self) -> Any:
        """Run every check by the real binary, for a JSON report."""
        return ipcctl(*self.arguments, "-f", "json")

    def run_alone(self, check: str, source: str | None = None, deadline_s: float = 20.0, **options: object) -> str:
        """Run one check, of the source given: its status, what it observed, and why."""
        name, id = self.concept.replace("-", "_"), f"{self.concept}.{check}"
        command = [*self.wrapper, sys.executable, "-c", RUN, name, id, repr({**self.options, **options})]
        given = self.source if source is None else source
        done = subprocess.run([*command, str(deadline_s)], input=given, capture_output=True, text=True, timeout=50)
        assert done.stderr == ""
        return done.stdout

    def run_broken(self, check: str, *changes: str) -> str:
        """As run_alone, with the source changed: where it then waits for ever, it is not waited for long."""
        return self.run_alone(check, self.broken(*changes), deadline_s=1.0)


def subject_of(concept: str) -> Subject:
    """The concept of that name."""
    name = concept.replace("-", "_")
    found = vars(importlib.import_module(f"mutations.{name}"))
    data = {key.lower(): value for key, value in found.items() if key.lower() in Subject.__dataclass_fields__}
    source = (ROOT / f"src/ipcctl/demos/{name}.py").read_text("utf-8")
    return Subject(**{"concept": concept, "source": source, "arguments": [concept]} | data)


SUBJECTS = [subject_of(concept) for concept in CONCEPTS]
