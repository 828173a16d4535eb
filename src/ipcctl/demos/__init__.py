"""The concepts, one file each, shown with the real calls and checked against what the kernel says.

A demonstration never prints: its checks return evidence, and the report is made from that. Its children tell what they
saw through a pipe; only the parent reports.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..report.model import Report

# In the order in which they build on each other; `tour` runs them all.
CONCEPTS = ("fork", "zombie", "orphan", "double-fork", "pool", "pipe", "queue", "shm", "sem", "ps")


def demonstrate(concept: str, **options: Any) -> Report:
    """Run every check of a concept, and return the report."""
    module = importlib.import_module(f".{concept.replace('-', '_')}", __package__)
    report: Report = module.demonstration.run(**options)
    return report
