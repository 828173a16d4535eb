"""One check of a demonstration whose source is given: to be broken, and seen to fail."""

from __future__ import annotations

import json
import subprocess
import sys

# Runs one check of a demonstration that is read from stdin; a mutant that waits for ever is not waited for long.
RUN_MUTANT = """
import json, sys, types
from ipcctl.demos import stage
stage.DEADLINE_S = 3.0
id, options = sys.argv[1], json.loads(sys.argv[2])
name = id.partition(".")[0].replace("-", "_")
module = types.ModuleType(f"ipcctl.demos.{name}")
module.__package__ = "ipcctl.demos"
sys.modules[module.__name__] = module
exec(compile(sys.stdin.read(), f"{name}.py", "exec"), module.__dict__)
demonstration = module.demonstration
demonstration.checks = [each for each in demonstration.checks if each[0] == id]
(check,) = demonstration.run(**options).checks
print(check.status, check.observed, check.reason)
"""


def run_alone(check: str, source: str, **options: object) -> str:
    """Run one check, by its whole ID: its status, what it observed, and why."""
    command = [sys.executable, "-c", RUN_MUTANT, check, json.dumps(options)]
    done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    return done.stdout
