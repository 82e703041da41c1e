"""BIG-bench's linearity and breakthroughness (Srivastava et al. 2022), reported for comparison; they decide nothing.

I = sign(argmax y − argmin y) · (max y − min y); breakthroughness = I / sqrt(median squared increment); linearity = I /
sqrt(mean squared increment), divided by the number of increments so that an equally spaced line scores 1.
Both depend on the grid, know neither noise nor chance, and on published labels do no better than a coin.
"""

from __future__ import annotations

import numpy as np

from saltus.checks.kit import BuiltIn, Judged, code, number
from saltus.records import Evidence
from saltus.stats.batch import Floats

CODE = code("saltus.checks.legacy")


def linearity(y: Floats) -> tuple[float | None, float | None]:
    """(linearity, breakthroughness) of one curve of at least three points; None where increments are all 0."""
    if len(y) < 3:
        return None, None
    size = float(np.sign(np.argmax(y) - np.argmin(y)) * (y.max() - y.min()))
    squares = np.diff(y) ** 2
    root_mean, root_median = float(np.sqrt(squares.mean())), float(np.sqrt(np.median(squares)))
    straight = size / root_mean / len(squares) if root_mean > 0 else None
    broken = size / root_median if root_median > 0 else None
    return straight, broken


def records(j: Judged, i: int) -> tuple[Evidence, ...]:
    s = j.measures.hard.series
    each = [linearity(s.y[i, k][s.ok[i, k]]) for k in range(s.y.shape[1]) if s.ok[i, k].sum() > 2]
    out = []
    for place, name in enumerate(("breakthroughness", "linearity")):
        values = [e[1 - place] for e in each if e[1 - place] is not None]
        value = number(np.median(np.array(values, dtype=float))) if values else None
        why = (
            "reported only: depends on the grid and ignores noise"
            if values
            else ("not defined: fewer than three points, or most increments are exactly 0")
        )
        out.append(Evidence(name=name, question=f"BIG-bench {name}", value=value, unit="ratio", why=why, code=CODE))
    return tuple(out)


check = BuiltIn("legacy", frozenset({"value"}), records)
