"""A demonstration with its source changed in one place: the check of what was broken there must fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

# Runs one check of a demonstration that is read from stdin; a mutant that waits for ever is not waited for long.
RUN = """
import sys, types
from ipcctl.demos import stage
stage.DEADLINE_S = 3.0
concept, id, options = sys.argv[1:]
module = types.ModuleType(f"ipcctl.demos.{concept}")
module.__package__ = "ipcctl.demos"
sys.modules[module.__name__] = module
exec(compile(sys.stdin.read(), f"{concept}.py", "exec"), module.__dict__)
demonstration = module.demonstration
demonstration.checks = [each for each in demonstration.checks if each[0] == id]
(check,) = demonstration.run(**eval(options)).checks
print(check.status, check.observed, check.reason)
"""


def run_alone(id: str, source: str, wrapper: Sequence[str] = (), **options: object) -> str:
    """Run one check of a demonstration whose source is given: its status, what it observed, and why."""
    command = [*wrapper, sys.executable, "-c", RUN, id.partition(".")[0].replace("-", "_"), id, repr(options)]
    done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=50)
    assert done.stderr == ""
    return done.stdout
