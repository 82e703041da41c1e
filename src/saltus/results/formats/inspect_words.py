"""Inspect's words for scores, as its logs and its scorers use them."""

from __future__ import annotations

COMPARING = frozenset({"match", "exact", "includes", "pattern", "answer", "f1"})
"""Inspect's scorers whose target is the wanted answer; elsewhere it may be a rubric for a judge."""
SYMBOLS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
