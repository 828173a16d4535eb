"""The layers: imports go one way, the library knows no option, and nothing but the report prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

SOURCE = ROOT / "src/ipcctl"
LIBRARY = ("process", "pool", "ipc", "errors", "times", "waiting")
# From which of our packages and modules each may import.
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "errors": set(),
    "times": set(),
    "waiting": {"errors"},
    "process": {"process", "errors", "times", "waiting"},
    "pool": {"pool", "process", "errors", "times", "waiting"},
    "ipc": {"ipc", "process", "errors", "times", "waiting"},
    "report": {"report", "errors", "times", "waiting", "process"},  # of process, its events alone: see below
    "demos": {"demos", "report", "process", "ipc", "pool", "errors", "times", "waiting"},
    "commands": {"commands", "demos", "report", "process", "pool", "ipc", "errors", "times", "waiting"},
    "cli": {"commands", "report", "errors", "__init__", "waiting"},
}
FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))


def layer(path: Path) -> str:
    """The package, or the module, below ipcctl that a file belongs to."""
    return path.parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[str, ...]]:
    """The dotted names below ipcctl that a file imports, those for types as well."""
    package = path.parent.parts
    for node in ast.walk(ast.parse((SOURCE / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name.split(".")[1:] and tuple(each.name.split(".")[1:]) for each in node.names
                        if each.name.split(".")[0] == "ipcctl")  # fmt: skip
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            if node.module or base:
                yield (*base, *(node.module or "").split(".")) if node.module else base
            else:
                yield from ((each.name,) for each in node.names)


def strings(path: Path) -> Iterator[str]:
    """The texts in a file's code, docstrings left out."""
    tree = ast.parse((SOURCE / path).read_text("utf-8"))
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.value


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_one_way(path: Path) -> None:
    wrong = {".".join(name) for name in imported(path) if name and name[0] not in MAY_IMPORT[layer(path)]}
    if path == Path("cli.py"):
        wrong.discard("__version__")
    assert wrong == set()


def test_of_processes_the_report_knows_events_alone() -> None:
    found = {name for path in FILES if layer(path) == "report" for name in imported(path) if name[:1] == ("process",)}
    assert found <= {("process", "event")}


@pytest.mark.parametrize("path", [path for path in FILES if layer(path) in LIBRARY], ids=str)
def test_the_library_names_no_option_and_prints_nothing(path: Path) -> None:
    options = [text for text in strings(path) if re.search(r"(?<![\w-])--[a-z]{2}", text)]
    assert [text for text in options if "unshare --mount-proc" not in text] == []
    code = (SOURCE / path).read_text("utf-8")
    assert not re.search(r"\bimport click\b|\bfrom click\b|\bsay\(", code)
    assert not re.search(r"(?<!\.)\bprint\(", code) or path.name == "cost.py"  # which prints for its parent, in a child
