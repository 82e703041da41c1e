"""How often would the best smooth curve look this sharp? A parametric bootstrap, stopped early on clear answers.

Statistic: what the best jump gains over the best smooth curve, summed over seeds, per residual variance of the
best curve of all; where few points are left over, that variance leans on the dispersion estimated from the
data. Null: the best smooth fit of that very curve (drifts, wide rises of every form, the shapes of pᴸ and of
the 4-parameter logistic among them) with errors of the working variances. Draws come in rounds; a curve stops
when `ENOUGH` of them exceeded it (Besag & Clifford 1991), and a generalised Pareto tail replaces counts too
small to trust (Knijnenburg et al. 2009), or nothing could survive multiplicity. All curves see the same
standard draws, so their order cannot matter.
"""

from __future__ import annotations

import numpy as np

from saltus.records import Analysis
from saltus.stats import grid
from saltus.stats.batch import Bools, Floats
from saltus.stats.fit import Fit, contest, curve, refit
from saltus.stats.series import Series, pick
from saltus.stats.shape import Limits

ENOUGH = 10
ROUNDS = (20, 40, 340, 1600)
SMALLEST = 1e-9
PIECE = 500_000
"""Numbers of all draws that are in memory together, about."""
PRIOR = 3.0
"""Degrees of freedom that the curve's own dispersion counts for beside the residual of each draw."""
CLEAR = {60: 1e-5, 400: 1e-3}
"""Draws so far → a p-value below this needs no more digits."""


def sharp_p(
    series: Series, fitted: Fit, dispersion: Floats, limit: Limits, analysis: Analysis, rng: np.random.Generator
) -> tuple[Floats, np.ndarray]:
    """(C,) p-value of the jump against the best smooth curve, and the draws spent."""
    c, s, p_count = series.y.shape
    y, w, u = (a.reshape(c * s, p_count) for a in (series.y, series.weight, series.u))
    null = curve(refit(y, w, u, fitted.wide_node, grid.FINE), fitted.wide_node, u, grid.FINE)
    null = null.reshape(series.y.shape)
    observed = _statistic(series, series.y[:, None], dispersion, limit, analysis)[:, 0]
    p, spent = np.ones(c), np.zeros(c, dtype=int)
    kept = np.empty((c, 0))
    alive = np.flatnonzero(observed > 0)
    for size in ROUNDS:
        size = min(size, analysis.draws - kept.shape[1])
        if size <= 0 or not len(alive):
            break
        z = rng.standard_normal((size, s, p_count))
        fresh = np.full((c, size), np.nan)
        for rows in np.array_split(alive, min(len(alive), max(1, -(-len(alive) * z.size // PIECE)))):
            part, scale = pick(series, rows), dispersion[rows]
            noise = z[None] * np.sqrt(part.var * scale[:, None, None])[:, None]
            draws = np.where(part.ok[:, None], null[rows][:, None] + noise, 0.0)
            cut = Limits(narrow=limit.narrow[rows], broad=limit.broad[rows])
            fresh[rows] = _statistic(part, draws, scale, cut, analysis)
        kept = np.concatenate([kept, fresh], axis=1)
        p[alive] = _tail_p(kept[alive], observed[alive])
        spent[alive] = kept.shape[1]
        alive = alive[_goes_on(kept[alive], observed[alive], p[alive])]
    return p, spent


def _goes_on(kept: Floats, observed: Floats, p: Floats) -> Bools:
    """Neither clearly null (enough draws exceeded it) nor clearly not: the fewer the draws, the smaller p must be."""
    exceed = (kept >= observed[:, None]).sum(axis=1)
    clear = CLEAR.get(kept.shape[1], 0.0)
    return (exceed < ENOUGH) & (p >= clear)


def _statistic(series: Series, y: Floats, dispersion: Floats, limit: Limits, analysis: Analysis) -> Floats:
    """(C, B) statistic of draws y (C, B, S, P) at the series' positions and weights."""
    best, smooth, jump = contest(y, series.weight, series.u, series.ok, limit.bounds(analysis))
    used = (series.count > 5)[:, None]
    gain = np.where(used, np.minimum(smooth, 1e30) - np.minimum(jump, 1e30), 0).sum(axis=2)
    freedom = np.where(used, (series.count - 5)[:, None], 0).sum(axis=2)
    scale = PRIOR * dispersion[:, None] + np.where(used, best, 0).sum(axis=2)
    return np.where(freedom > 0, gain * (PRIOR + freedom) / scale, 0.0)


def _tail_p(draws: Floats, observed: Floats) -> Floats:
    """Counted where at least `ENOUGH` exceed, else a generalised Pareto tail through the top fifth of the draws."""
    n = draws.shape[1]
    exceed = (draws >= observed[:, None]).sum(axis=1)
    p = (exceed + 1) / (n + 1)
    if n < sum(ROUNDS[:2]):
        return p
    top = np.sort(draws, axis=1)[:, -max(n // 5, 20) :]
    base = top[:, :1]
    over = top - base
    mean, var = over.mean(axis=1), np.maximum(over.var(axis=1), 1e-30)
    shape = np.clip(0.5 * (1 - mean**2 / var), 0.0, 0.4)
    scale = np.maximum(mean * (1 - shape), 1e-12)
    beyond = np.maximum(observed - base[:, 0], 0)
    with np.errstate(under="ignore", over="ignore"):
        heavy = (1 + shape * beyond / scale) ** (-1 / np.maximum(shape, 1e-6))
        tail = np.where(shape > 1e-6, heavy, np.exp(-beyond / scale)) * top.shape[1] / n
    return np.where((exceed < ENOUGH) & (beyond > 0), np.maximum(tail, SMALLEST), p)
