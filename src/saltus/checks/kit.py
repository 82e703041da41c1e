"""What the built-in checks share: one object per file, measuring by itself when called alone.

Inside `judge` everything is measured once and `evidence` is called on that; called as a plug-in, a check
measures for itself. Both give the same evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saltus._version import __version__
from saltus.records import Analysis, Evidence
from saltus.stats.batch import CurveBatch
from saltus.stats.display import Drawn
from saltus.stats.measure import Measures, measure
from saltus.stats.series import canonical, prepare


@dataclass(frozen=True)
class Judged:
    """Measurements of a batch and what the family made of them."""

    curves: CurveBatch
    measures: Measures
    analysis: Analysis
    presence_q: np.ndarray | None = None
    sharp_p: np.ndarray | None = None
    sharp_q: np.ndarray | None = None
    drawn: Drawn | None = None
    """Curves for the charts."""


@dataclass(frozen=True)
class BuiltIn:
    """A check of ours: `records` turns measurements into one or more Evidence per curve."""

    name: str
    needs: frozenset[str]
    records: Callable[[Judged, int], tuple[Evidence, ...]]
    """(measurements, index of the curve) → its evidence; the first one is the answer to the check's question."""

    def __call__(self, curves: CurveBatch, rng: np.random.Generator) -> Sequence[Evidence]:
        """One Evidence per curve. `rng` is not used: these checks are exact or use fixed tables."""
        curves, _ = canonical(curves)
        analysis = Analysis()
        judged = Judged(curves, measure(curves, prepare(curves), analysis), analysis)
        return [self.records(judged, i)[0] for i in range(len(curves))]


def code(module: str) -> str:
    """Name and version of the code behind an evidence."""
    return f"{module}@{__version__}"


def number(value: Any) -> float | None:
    """A plain float, or None where it is not finite."""
    out = float(value)
    return out if np.isfinite(out) else None


def text(value: float | None, digits: int = 3) -> str:
    """A number in a sentence."""
    return "unknown" if value is None or not np.isfinite(value) else f"{value:.{digits}g}"


def p_text(p: float | None) -> str:
    """A p-value in a sentence."""
    if p is None or not np.isfinite(p):
        return "p unknown"
    return "p < 1e-6" if p < 1e-6 else f"p = {p:.2g}"


def unit_of(curves: CurveBatch, i: int) -> str:
    """Unit of widths along the curve's axis."""
    axis = curves.keys[i].axis
    return "decades" if curves.log_axis[i] else {"loss": "nats", "date": "years"}.get(axis, axis)
