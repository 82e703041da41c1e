"""How often would the best smooth curve look this sharp? A parametric bootstrap, stopped early where the answer is clear.

Statistic: what the best jump gains over the best smooth curve, per residual variance of the best curve of all, summed over
seeds; it has no scale, so an unknown dispersion cancels. Null: the best smooth fit of that very curve (drifts,
wide rises of every form, the shapes of pᴸ and of the 4-parameter logistic among them) with errors of the working variances.
Draws come in rounds; a curve stops when `ENOUGH` of them exceeded it (Besag & Clifford 1991), and a generalised
Pareto tail replaces counts too small to trust (Knijnenburg et al. 2009), or nothing could survive multiplicity.
All curves see the same standard draws, so their order cannot matter.
"""

from __future__ import annotations

import numpy as np


from saltus.records import Analysis
from saltus.stats.batch import Floats
from saltus.stats.fit import Fit, curve, fit, refit
from saltus.stats.series import Series
from saltus.stats.shape import Limits

ENOUGH = 10
ROUNDS = (20, 80, 300, 1600)
SMALLEST = 1e-9


def sharp_p(
    series: Series, limit: Limits, analysis: Analysis, rng: np.random.Generator
) -> tuple[Floats, np.ndarray]:
    """(C,) p-value of the jump against the best smooth curve, and the draws spent."""
    c = len(series.y)
    observed, fitted = _statistic(series, series.y, limit, analysis)
    rows, p_count = series.y.shape[0] * series.y.shape[1], series.y.shape[2]
    flat = [a.reshape(rows, p_count) for a in (series.y, series.weight, series.u)]
    null = curve(refit(*flat, fitted.wide_node, True), fitted.wide_node, flat[2], True)
    null = null.reshape(series.y.shape)
    drawn: list[Floats] = []
    p, spent = np.ones(c), np.zeros(c, dtype=int)
    alive = np.flatnonzero(observed > 0)
    kept = np.empty((c, 0))
    for size in ROUNDS:
        size = min(size, analysis.draws - kept.shape[1])
        if size <= 0 or not len(alive):
            break
        z = rng.standard_normal((size, *series.y.shape[1:]))
        fresh = np.full((c, size), np.nan)
        fresh[alive] = _draw(series, null, alive, z, limit, analysis)
        drawn.append(fresh)
        kept = np.concatenate(drawn, axis=1)
        p[alive] = _tail_p(kept[alive], observed[alive])
        spent[alive] = kept.shape[1]
        exceed = (kept[alive] >= observed[alive, None]).sum(axis=1)
        alive = (
            alive[(exceed < ENOUGH) & (p[alive] > 1e-6)]
            if kept.shape[1] >= 100
            else alive[exceed < ENOUGH]
        )
    return p, spent


def _statistic(series: Series, y: Floats, limit: Limits, analysis: Analysis) -> tuple[Floats, Fit]:
    """(C·K/S,) statistic of y (C, K, P) whose K draws × seeds use the series' positions and weights."""
    c, s, p = series.y.shape
    times = y.shape[1] // s
    weight = np.tile(series.weight, (1, times, 1))
    fitted = fit(y, weight, series.u, series.ok, limit.bounds(analysis), coarse=True)
    used = np.tile(series.count > 5, (1, times)).reshape(c, times, s)
    gain = np.where(used, (fitted.wide - fitted.jump).reshape(c, times, s), 0).sum(axis=2)
    rss = np.where(used, fitted.rss.reshape(c, times, s), 0).sum(axis=2)
    freedom = np.where(used, np.tile(series.count - 5, (1, times)).reshape(c, times, s), 0).sum(
        axis=2
    )
    scale = (rss + 1e-9) / np.maximum(freedom, 1)
    value = np.where(freedom > 0, gain / scale, 0.0)
    return value.ravel() if times == 1 else value, fitted


def _draw(
    series: Series, null: Floats, rows: np.ndarray, z: Floats, limit: Limits, analysis: Analysis
) -> Floats:
    part = Series(
        u=series.u[rows], y=series.y[rows], var=series.var[rows], n=series.n[rows],
        ok=series.ok[rows], known=series.known[rows], source=series.source[rows],
    )  # fmt: skip
    c, s, p = part.y.shape
    cut = Limits(narrow=limit.narrow[rows], broad=limit.broad[rows])
    noise = z[None] * np.sqrt(part.var)[:, None]
    y = np.where(part.ok[:, None], null[rows][:, None] + noise, 0.0).reshape(c, -1, p)
    value, _ = _statistic(part, y, cut, analysis)
    return value.reshape(c, len(z))


def _tail_p(draws: Floats, observed: Floats) -> Floats:
    """Counted where at least `ENOUGH` exceed, else a generalised Pareto tail through the top fifth of the draws."""
    n = draws.shape[1]
    exceed = (draws >= observed[:, None]).sum(axis=1)
    p = (exceed + 1) / (n + 1)
    if n < 50:
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
