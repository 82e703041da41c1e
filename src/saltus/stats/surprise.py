"""Was what followed the onset foreseen from what lay before it?

A straight line is fitted to the points before the rise (up to its 10 % crossing, never the points being predicted) and
extended with its predictive distribution, slope error included, to the points after it. The p-value says how
unlikely a level as high as theirs was. Seeds are independent witnesses: their standardised surprises are
added (Stouffer). Known limit: with few points before, the predictive distribution is wide and nothing surprises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from saltus.stats.batch import Bools, Floats
from saltus.stats.monotone import Cells
from saltus.stats.series import Series

NEEDED = 3


@dataclass(frozen=True)
class Surprise:
    """Per curve (C,) and per seed (C, S)."""

    p: Floats
    """NaN where it could not be asked."""
    p_seed: Floats
    observed: Floats
    """Mean level past the rise, over seeds that could be asked."""
    predicted: Floats
    low: Floats
    high: Floats
    line: Floats
    """(C, 3): level at u = 0 and slope of the pooled forecast, last position it rests on."""
    points: np.ndarray
    """(C,) points the forecast rests on."""


def surprise(series: Series, cell: Cells, dispersion: Floats, freedom: Floats) -> Surprise:
    """Forecast the level past the rise of every seed, and pool."""
    c, s, p = series.y.shape
    order = np.arange(p)
    start, arrive = cell.start.reshape(c, s, 1), cell.arrive.reshape(c, s, 1)
    before = series.ok & (order <= start)
    after = series.ok & (order >= arrive)
    asked = (before.sum(axis=2) >= NEEDED) & (after.sum(axis=2) >= 1)
    var = series.var * dispersion[:, None, None]
    level, slope, cov = _line(series.u, series.y, np.where(before, 1 / var, 0))
    count = np.maximum(after.sum(axis=2), 1)
    at = np.where(after, series.u, 0).sum(axis=2) / count
    seen = np.where(after, series.y, 0).sum(axis=2) / count
    noise = np.where(after, var, 0).sum(axis=2) / count**2
    forecast = level + slope * at
    error = np.sqrt(cov[0] + 2 * at * cov[1] + at**2 * cov[2] + noise)
    z = np.where(asked, (seen - forecast) / np.maximum(error, 1e-30), 0.0)
    witnesses = asked.sum(axis=1)
    pooled = z.sum(axis=1) / np.sqrt(np.maximum(witnesses, 1))
    with np.errstate(all="ignore"):
        p_seed = np.where(asked, stdtr(freedom[:, None], -z), np.nan)
        p_curve = np.where(witnesses > 0, stdtr(freedom, -pooled), np.nan)
    margin = 1.96 * error
    return Surprise(
        p=p_curve,
        p_seed=p_seed,
        observed=_mean(seen, asked),
        predicted=_mean(forecast, asked),
        low=_mean(forecast - margin, asked),
        high=_mean(forecast + margin, asked),
        line=np.stack([_mean(level, asked), _mean(slope, asked), _mean(_last(series.u, before), asked)], axis=1),
        points=np.where(asked, before.sum(axis=2), 0).max(axis=1, initial=0),
    )


def _line(u: Floats, y: Floats, w: Floats) -> tuple[Floats, Floats, tuple[Floats, Floats, Floats]]:
    """Weighted line: level at 0, slope, and the covariance of both (variances are 1/w)."""
    total = np.maximum(w.sum(axis=-1), 1e-30)
    um, ym = (w * u).sum(axis=-1) / total, (w * y).sum(axis=-1) / total
    uu = (w * (u - um[..., None]) ** 2).sum(axis=-1)
    uy = (w * (u - um[..., None]) * (y - ym[..., None])).sum(axis=-1)
    sound = uu > 1e-30
    slope = np.where(sound, uy / np.where(sound, uu, 1), 0.0)
    vs = np.where(sound, 1 / np.where(sound, uu, 1), 0.0)
    return ym - slope * um, slope, (1 / total + um**2 * vs, -um * vs, vs)


def _mean(a: Floats, ok: Bools) -> Floats:
    return np.where(ok.any(axis=1), np.where(ok, a, 0).sum(axis=1) / np.maximum(ok.sum(axis=1), 1), np.nan)


def _last(u: Floats, ok: Bools) -> Floats:
    return np.where(ok, u, 0).max(axis=2)
