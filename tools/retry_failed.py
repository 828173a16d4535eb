"""Try what failed once more, alone and one after the other; what passes only then is unsteady, and named.

    retry_failed.py run LEDGER make test PYTHON=…    run it, and what failed again; add what is unsteady to the ledger
    retry_failed.py tell LEDGER                      name what is unsteady; fail if it is more than MOST

`run` fails where a test fails twice, and at once where trying again would tell nothing: a worker crashed, a module was
not collected, or no test was run. The tests' conftest imports the hooks below; they do nothing unless `run` asks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MOST = 3  # unsteady tests in all that one ledger is of
WANTED = "IPCCTL_FAILED_TESTS"  # names the file that the hooks write
TESTS_FAILED = 1  # pytest's exit status: all ran, and some failed

failed: dict[str, None] = {}  # the tests, each once
broken: list[str] = []  # what cannot be tried again


# --- hooks of pytest


def pytest_runtest_logreport(report: Any) -> None:
    """Note a test that failed, or was under way when its worker crashed (pytest-xdist says "???" then)."""
    if report.failed and report.when == "???":
        broken.append(f"{report.nodeid} (its worker crashed)")
    elif report.failed:
        failed[report.nodeid] = None


def pytest_collectreport(report: Any) -> None:
    """Note what was not collected."""
    if report.failed:
        broken.append(f"{report.nodeid} (not collected)")


def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    """Write what was noted, where `run` asks for it; not in a worker."""
    if WANTED in os.environ and not hasattr(session.config, "workerinput"):
        found = {"status": int(exitstatus), "failed": list(failed), "broken": list(dict.fromkeys(broken))}
        Path(os.environ[WANTED]).write_text(json.dumps(found), "utf-8")


# --- the command


def outcome_of(command: list[str], directory: Path) -> tuple[int, dict[str, Any]]:
    """Run the tests: the command's exit status, and what the hooks wrote (where pytest came to that)."""
    path = directory / "outcome"
    path.unlink(missing_ok=True)
    status = subprocess.run(command, env=os.environ | {WANTED: str(path)}, check=False).returncode
    nothing = {"status": None, "failed": [], "broken": []}
    return status, json.loads(path.read_text("utf-8")) if path.exists() else nothing


def run(ledger: Path, command: list[str], directory: Path) -> int:
    """Run the command, and what failed in it once more; return the exit status."""
    status, first = outcome_of(command, directory)
    if status == 0:
        return 0
    if first["broken"] or first["status"] != TESTS_FAILED or not first["failed"]:
        name("cannot be tried again", first["broken"] or [f"{' '.join(command)}: exit status {status}"])
        return 1
    name("failed, and is tried once more, alone", first["failed"])
    again = directory / "again"
    again.write_text("\n".join(first["failed"]) + "\n", "utf-8")
    status, second = outcome_of([*command, "JOBS=0", f"ARGS=@{again}"], directory)
    if second["broken"] or second["status"] not in (0, TESTS_FAILED) or bool(status) != bool(second["failed"]):
        name("was not tried to the end", second["broken"] or first["failed"])
        return 1
    with ledger.open("a", encoding="utf-8") as file:
        file.writelines(f"{each} ({' '.join(command)})\n" for each in first["failed"] if each not in second["failed"])
    if second["failed"]:
        name("failed twice", second["failed"])
    return int(bool(second["failed"]))


def tell(ledger: Path) -> int:
    """Name what is unsteady; return the exit status."""
    found = ledger.read_text("utf-8").splitlines() if ledger.exists() else []
    if found:
        name(f"unsteady, {len(found)} in all (at most {MOST} may be): passed only when tried again", found)
    return int(len(found) > MOST)


def name(what: str, each: list[str]) -> None:
    """Say what these are."""
    print(f"\n== {what}:", *(f"   {one}" for one in each), sep="\n", flush=True)


def main(args: list[str]) -> int:
    """Do as the command line says; return the exit status."""
    match args:
        case ["run", ledger, *command] if command:
            with tempfile.TemporaryDirectory() as directory:
                return run(Path(ledger), command, Path(directory))
        case ["tell", ledger]:
            return tell(Path(ledger))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
