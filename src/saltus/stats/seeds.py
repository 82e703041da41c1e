"""Seeds of one series: how many leapt, whether they ended as one population or two, and when they had leapt.

A seed has leapt when its last level has made at least half of the largest seed's way from the floor; it has not
when it stayed within a quarter. Two populations need both kinds, nobody or few between, and a gap that noise
between and within seeds cannot make. `mixture` asks the same in another way, and is reported beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saltus.stats.batch import Bools, Floats
from saltus.stats.series import Series
from saltus.stats.trend import window_means

LEAPT, STAYED = 0.5, 0.25
GAP_ERRORS = 4.0


@dataclass(frozen=True)
class Seeds:
    """Per curve (C,), per seed (C, S)."""

    count: np.ndarray
    leapt: np.ndarray
    """How many leapt."""
    leapt_seed: Bools
    two: Bools
    final: Floats
    """(C, S) last level; NaN where a seed has no points."""
    error: Floats
    """(C, S) its standard error."""
    between: Floats
    """Standard deviation of the last level between seeds beyond its sampling error; NaN for one seed."""
    gap: Floats
    """Largest gap between neighbouring last levels, in standard errors."""


def seeds(series: Series, floor: Floats, dispersion: Floats, margin: float) -> Seeds:
    """Compare last levels (mean of the last two points) over seeds."""
    there = series.count > 0
    mean, var, ok = window_means(series, min(2, series.y.shape[2]))
    last = np.maximum(ok.sum(axis=2) - 1, 0)
    final = np.where(there, np.take_along_axis(mean, last[..., None], axis=2)[..., 0], np.nan)
    error = np.take_along_axis(var, last[..., None], axis=2)[..., 0] * dispersion[:, None]
    start = np.where(there, mean[:, :, 0], np.nan)
    lowest = np.nanmin(np.where(there, start, np.inf), axis=1)
    base = np.where(np.isfinite(floor), floor, np.where(np.isfinite(lowest), lowest, 0.0))
    way = np.where(there, final - base[:, None], -np.inf)
    most = way.max(axis=1)
    goes = (most > margin)[:, None] & there
    leapt = goes & (way >= LEAPT * most[:, None])
    stayed = goes & (way <= STAYED * most[:, None])
    count = there.sum(axis=1)
    ordered = np.sort(np.where(there, final, np.inf), axis=1)
    noise = np.sqrt(np.maximum(np.where(there, error, 0).sum(axis=1) / np.maximum(count, 1), 1e-30))
    with np.errstate(invalid="ignore"):
        steps = np.where(np.isfinite(ordered[:, 1:]), ordered[:, 1:] - ordered[:, :-1], 0.0)
    gap = steps.max(axis=1, initial=0.0) / (noise * np.sqrt(2))
    two = leapt.any(axis=1) & stayed.any(axis=1) & (gap > GAP_ERRORS)
    two &= (leapt | stayed).sum(axis=1) == count
    return Seeds(
        count=count,
        leapt=leapt.sum(axis=1),
        leapt_seed=leapt,
        two=two,
        final=final,
        error=np.sqrt(error),
        between=_between(final, error, there),
        gap=gap,
    )


def _between(final: Floats, error: Floats, there: Bools) -> Floats:
    """Method of moments: variance of the last levels minus their mean sampling variance."""
    count = there.sum(axis=1)
    level = np.where(there, np.nan_to_num(final), 0)
    mean = level.sum(axis=1) / np.maximum(count, 1)
    total = np.where(there, (level - mean[:, None]) ** 2, 0).sum(axis=1) / np.maximum(count - 1, 1)
    within = np.where(there, error, 0).sum(axis=1) / np.maximum(count, 1)
    return np.where(count > 1, np.sqrt(np.maximum(total - within, 0)), np.nan)
