"""Demonstrate what ps shows."""

from __future__ import annotations

from .stage import Demonstration

demonstration = Demonstration("ps")
