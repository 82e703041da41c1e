"""One population of seeds or two: a mixture of two normal laws against a single one, on the seeds' last levels.

Both share one spread between seeds beside every seed's own sampling error, which keeps a group of one seed from
having no spread at all. The groups are those of the best cut of the sorted levels (the classification likelihood;
Celeux & Govaert 1992): seeds are too few to share them out softly. Reported beside the gap rule of `seeds`, which
decides: with three seeds, four parameters have nothing left to be tested on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saltus.stats.batch import Floats

LEAST = 3
_SPREADS = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 31)])
"""Spreads between seeds that are tried, as shares of the range of the levels."""


@dataclass(frozen=True)
class Mixture:
    """Two laws against one."""

    bic: float | None
    """BIC of one law minus that of two: above 6, two are much the better; None with fewer than three seeds."""
    lower: int | None
    """Seeds in the lower of the two groups."""


def two_against_one(level: Floats, error: Floats) -> Mixture:
    """Compare on last levels (S,) and their standard errors; NaN where a seed has none."""
    there = np.isfinite(level)
    order = np.argsort(level[there], kind="stable")
    x, e = level[there][order], np.maximum(np.nan_to_num(error[there][order]), 1e-9)
    n = len(x)
    if n < LEAST:
        return Mixture(None, None)
    spread = np.ptp(x) * _SPREADS
    variance = e**2 + spread[:, None] ** 2
    one = _fits(x[None], variance).max()
    two = []
    for k in range(1, n):
        groups = _fits(x[None, :k], variance[:, :k]) + _fits(x[None, k:], variance[:, k:])
        two.append(groups.max() + k * np.log(k / n) + (n - k) * np.log(1 - k / n))
    best = int(np.argmax(two))
    return Mixture(float(2 * (two[best] - one) - 2 * np.log(n)), best + 1)


def _fits(x: Floats, variance: Floats) -> Floats:
    """(T,) log-likelihood under every spread, with the mean that is best for it."""
    weight = 1 / variance
    mean = (weight * x).sum(axis=1) / weight.sum(axis=1)
    return -0.5 * (weight * (x - mean[:, None]) ** 2 + np.log(2 * np.pi * variance)).sum(axis=1)
