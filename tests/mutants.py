"""A demonstration with its source changed in one place: the check of what was broken there must fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

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


def run_alone(
    id: str, source: str, wrapper: Sequence[str] = (), deadline_s: float = 20.0, **options: object
) -> str:
    """Run one check of a demonstration whose source is given: its status, what it observed, and why."""
    concept = id.partition(".")[0].replace("-", "_")
    command = [*wrapper, sys.executable, "-c", RUN, concept, id, repr(options), str(deadline_s)]
    done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=50)
    assert done.stderr == ""
    return done.stdout


def run_broken(id: str, source: str, wrapper: Sequence[str] = (), **options: object) -> str:
    """As run_alone, for a source in which something is broken: where it waits for ever, it is not waited for long."""
    return run_alone(id, source, wrapper, deadline_s=1.0, **options)
