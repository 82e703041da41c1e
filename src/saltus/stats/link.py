"""Can the soft twin predict the hard score's jump, without having seen the point it predicts?

The hard score is fitted as a monotone function of the soft one's fitted curve (the same forms as along x: the
pᴸ law is among them), each point being left out in turn; the left-out points from the last before the jump to
the first after it must lie in their prediction intervals together (Bonferroni). A soft score that stands still
while the hard one jumps would fit any link within its noise, so it must also rise across the jump. Known limit:
a threshold in the soft score explains every jump that a moving soft score passes; whether the threshold is the
metric's or the model's is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

from saltus.stats import grid
from saltus.stats.batch import Bools, Floats
from saltus.stats.fit import curve, fit_links
from saltus.stats.monotone import Cells
from saltus.stats.series import Series, pick

OUTSIDE = 0.01
"""Chance that a point of a jump that the soft twin does explain lies outside all the same, over the whole jump."""
MOVES = 2.0
"""Standard errors that a soft score must rise across the jump to explain it."""
LENT = 3.0
"""Neighbours that lend a fitted soft value their strength: its error variance is that of one point divided by this."""
MISFIT = 9.0
"""Most that the link's misfit at the other points may widen the interval (variance)."""
OFFSETS = np.linspace(-2, 2, 9)
"""Standard errors of the soft score at which the link is read."""


@dataclass(frozen=True)
class Link:
    """Per curve."""

    covers: Bools
    """Every left-out point of the jump lies in its prediction interval."""
    worst: Floats
    """Largest |observed − predicted| over its standard error, at the jump; NaN where it could not be asked."""
    limit: Floats
    """What `worst` may be."""
    share: Floats
    """Share of the jump that the left-out predictions make, first to last point of it."""
    moves: Floats
    """Standard errors by which the soft score rises across the jump."""
    rank: Floats
    """Rank correlation of hard and soft; NaN below three points."""


def link(
    hard: Series, soft: Series, smooth: Floats, cell: Cells, noise: tuple[Floats, Floats, Floats], asked: Bools
) -> Link:
    """Judge the curves `asked` about whose channels share their points; others get covers False and NaN.

    smooth (C, S, P): the soft score's fitted curve. noise: dispersion and degrees of freedom of hard,
    dispersion of soft.
    """
    c = len(hard.y)
    both = hard.ok & soft.ok & (hard.source == soft.source)
    jump = _jump_points(cell, both)
    able = asked & (jump.sum(axis=(1, 2)) > 1) & (both.sum(axis=2).max(axis=1) >= 5)
    worst, made, limit = np.full(c, np.nan), np.full(c, np.nan), np.full(c, np.nan)
    rows = np.flatnonzero(able)
    if len(rows):
        fitted = replace(pick(soft, rows), y=smooth[rows], var=soft.var[rows] / LENT)
        dispersion, freedom, soft_dispersion = (v[rows] for v in noise)
        worst[rows], made[rows], limit[rows] = _ask(
            pick(hard, rows), fitted, both[rows], jump[rows], (dispersion, freedom, soft_dispersion)
        )
    with np.errstate(invalid="ignore"):
        moves = _moves(soft, cell, both, noise[2])
        covers = able & (worst <= limit) & (moves > MOVES)
    return Link(covers=covers, worst=worst, limit=limit, share=made, moves=moves, rank=_rank(hard.y, soft.y, both))


def _moves(soft: Series, cell: Cells, both: Bools, dispersion: Floats) -> Floats:
    """Standard errors by which the soft score rose across the jump: three points before, three after, seeds pooled."""
    c, s, p = both.shape
    order = np.arange(p)
    start, arrive = cell.start.reshape(c, s, 1), cell.arrive.reshape(c, s, 1)
    sides = [both & (order <= start) & (order > start - 3), both & (order >= arrive) & (order < arrive + 3)]
    counts = [np.maximum(side.sum(axis=2), 1) for side in sides]
    low, high = (np.where(a, soft.y, 0).sum(axis=2) / n for a, n in zip(sides, counts, strict=True))
    var = sum(np.where(a, soft.var, 0).sum(axis=2) / n**2 for a, n in zip(sides, counts, strict=True))
    asked = sides[0].any(axis=2) & sides[1].any(axis=2)
    z = np.where(asked, (high - low) / np.sqrt(var * dispersion[:, None] + 1e-30), 0.0)
    return z.sum(axis=1) / np.sqrt(np.maximum(asked.sum(axis=1), 1))


def _ask(
    hard: Series, soft: Series, both: Bools, jump: Bools, noise: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Largest standardised miss, share of the jump that was predicted, and the miss allowed, per curve."""
    dispersion, freedom, soft_dispersion = noise
    position, size = _positions(soft.y, both)
    own = hard.var * dispersion[:, None, None]
    error = np.sqrt(soft.var * soft_dispersion[:, None, None]) / size
    first = _left_out(hard.y, np.where(both, 1 / own, 0.0), (position, error), both, np.zeros_like(both))
    carried = 0.25 * (first.around[..., -1] - first.around[..., 0]) ** 2 / OFFSETS[-1] ** 2
    weight = np.where(both, 1 / (own + carried), 0.0)
    left = _left_out(hard.y, weight, (position, error), both, jump)
    near = ((hard.y[..., None] - left.around) ** 2 / own[..., None] + OFFSETS**2).min(axis=3)
    others = np.maximum(both.sum(axis=(1, 2)) - 6, 1)[:, None, None]
    misfit = np.clip(left.rest / others, 1.0, MISFIT)
    z = np.sqrt(np.where(jump, np.minimum(np.maximum(left.lost, 0) / misfit, near), 0.0))
    limit = stdtrit(np.maximum(freedom, 1), 1 - 0.5 * OUTSIDE / jump.sum(axis=(1, 2)))
    predicted_step = np.where(jump, left.around[..., len(OFFSETS) // 2], np.nan)
    made = _rise(predicted_step) / np.maximum(_rise(np.where(jump, hard.y, np.nan)), 1e-12)
    return z.max(axis=(1, 2)), made, limit


def _positions(y: Floats, ok: Bools) -> tuple[Floats, Floats]:
    """Soft values scaled to [0, 1] within each curve, and what they were divided by."""
    low = np.where(ok, y, np.inf).min(axis=(1, 2), keepdims=True)
    high = np.where(ok, y, -np.inf).max(axis=(1, 2), keepdims=True)
    size = np.where(high > low, high - low, 1.0)
    return np.where(ok, (y - low) / size, 0.0), size


@dataclass(frozen=True)
class _LeftOut:
    around: Floats
    """(C, S, P, offsets) prediction at the soft score itself and some of its standard errors away."""
    lost: Floats
    """(C, S, P) what a point adds to the sum of squares when it is fitted too, and …"""
    rest: Floats
    """… what it was without it."""


def _left_out(hard: Floats, weight: Floats, at: tuple[Floats, Floats], both: Bools, jump: Bools) -> _LeftOut:
    """Jump points are predicted by the link fitted without them, the others by the link fitted to all.

    What a left-out point adds is its squared distance from the nearest prediction that the others admit: the profile
    version of (observed − predicted)² / prediction variance. at: soft positions and their errors.
    """
    c, s, p = hard.shape
    flat, order = s * p, np.argsort(~jump.reshape(c, s * p), axis=1, kind="stable")
    out = order[:, : int(jump.sum(axis=(1, 2)).max())]
    k = out.shape[1]
    rows = np.arange(c)[:, None]
    is_jump = jump.reshape(c, flat)
    weights = np.repeat(weight.reshape(c, 1, flat), k + 1, axis=1)
    weights[rows, np.arange(k), out] = 0.0
    u = at[0].reshape(c, flat)
    rss, node, coefficients = fit_links(hard.reshape(c, flat), weights, u)
    which = np.full((c, flat), k)
    which[rows, out] = np.where(is_jump[rows, out], np.arange(k), k)
    places = np.clip(u[..., None] + OFFSETS * at[1].reshape(c, flat, 1), 0, 1).reshape(c * flat, -1)
    chosen = coefficients[rows, which].reshape(-1, 3), node[rows, which].ravel()
    around = curve(*chosen, places, grid.COARSE)
    rest = rss[rows, which]
    lost = rss[:, k:] - rest
    return _LeftOut(around.reshape(c, s, p, -1), lost.reshape(c, s, p), rest.reshape(c, s, p))


def _jump_points(cell: Cells, both: Bools) -> Bools:
    c, s, p = both.shape
    order = np.arange(p)
    start, arrive = cell.start.reshape(c, s, 1), cell.arrive.reshape(c, s, 1)
    return both & (order >= start) & (order <= arrive)


def _rise(y: Floats) -> Floats:
    """Mean over seeds of last minus first."""
    there = np.isfinite(y)
    high = np.where(there, y, -np.inf).max(axis=2)
    low = np.where(there, y, np.inf).min(axis=2)
    ok = there.any(axis=2)
    return np.where(ok, high - low, 0.0).sum(axis=1) / np.maximum(ok.sum(axis=1), 1)


def _rank(a: Floats, b: Floats, ok: Bools) -> Floats:
    """Spearman's correlation within each seed, averaged over seeds; ties share their mean rank."""
    ra, rb = (rankdata(np.where(ok, v, np.inf), axis=2) for v in (a, b))
    count = np.maximum(ok.sum(axis=2), 1)
    da = np.where(ok, ra - (np.where(ok, ra, 0).sum(axis=2) / count)[..., None], 0)
    db = np.where(ok, rb - (np.where(ok, rb, 0).sum(axis=2) / count)[..., None], 0)
    size = np.sqrt((da**2).sum(axis=2) * (db**2).sum(axis=2))
    rho = (da * db).sum(axis=2) / np.where(size > 0, size, 1)
    use = (ok.sum(axis=2) >= 3) & (size > 0)
    return np.where(use.any(axis=1), np.where(use, rho, 0).sum(axis=1) / np.maximum(use.sum(axis=1), 1), np.nan)
