"""Can the soft twin predict the hard score's jump, without having seen the point it predicts?

The hard score is fitted as a monotone function of the soft one (the same forms as along x: the pᴸ law is among
them), each point being left out in turn; the left-out points from the last before the jump to the first after it must lie in
their prediction intervals together (Bonferroni). Known limit: a soft score that barely moves while the hard one
jumps gives wide intervals at the jump, so an explanation needs a soft rise of its own; the caller asks for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from saltus.stats import grid
from saltus.stats.batch import Bools, Floats
from saltus.stats.fit import Bounds, fit
from saltus.stats.monotone import Cells
from saltus.stats.series import Series


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
    rank: Floats
    """Rank correlation of hard and soft; NaN below three points."""


def link(
    hard: Series, soft: Series, cell: Cells, noise: tuple[Floats, Floats], soft_noise: Floats
) -> Link:
    """Judge every curve whose channels share their points; others get covers False and NaN."""
    c, s, p = hard.y.shape
    both = hard.ok & soft.ok & (hard.source == soft.source)
    position, size = _positions(soft.y, both)
    predicted, slope = _left_out(hard, position, both)
    slope = slope / size
    jump = _jump_points(cell, both, (c, s, p))
    dispersion, freedom = noise
    scale = _residual_scale(hard, predicted, both & ~jump, dispersion)
    variance = hard.var * np.maximum(dispersion, scale)[:, None, None]
    variance = variance * 1.5 + slope**2 * soft.var * soft_noise[:, None, None]
    z = np.where(jump, np.abs(hard.y - predicted) / np.sqrt(variance), 0.0)
    tests = np.maximum(jump.sum(axis=(1, 2)), 1)
    limit = stdtrit(np.maximum(freedom, 1), 1 - 0.025 / tests)
    worst = z.max(axis=(1, 2))
    asked = (jump.sum(axis=(1, 2)) > 1) & (both.sum(axis=2).max(axis=1) >= 5)
    made = _rise(np.where(jump, predicted, np.nan)) / np.maximum(
        _rise(np.where(jump, hard.y, np.nan)), 1e-12
    )
    return Link(
        covers=asked & (worst <= limit), worst=np.where(asked, worst, np.nan), limit=limit,
        share=np.where(asked, made, np.nan), rank=_rank(hard.y, soft.y, both),
    )  # fmt: skip


def _positions(y: Floats, ok: Bools) -> tuple[Floats, Floats]:
    """Soft values scaled to [0, 1] within each curve, and what they were divided by."""
    low = np.where(ok, y, np.inf).min(axis=(1, 2), keepdims=True)
    high = np.where(ok, y, -np.inf).max(axis=(1, 2), keepdims=True)
    size = np.where(high > low, high - low, 1.0)
    size = np.where(np.isfinite(size), size, 1.0)
    return np.where(ok, (y - np.where(np.isfinite(low), low, 0)) / size, 0.0), size


def _left_out(hard: Series, position: Floats, both: Bools) -> tuple[Floats, Floats]:
    """(C, S, P) prediction of each point by the link fitted to the others of its curve, and its slope."""
    c, s, p = hard.y.shape
    flat = s * p
    weight = np.where(both, hard.weight, 0.0).reshape(c, 1, flat)
    y, u = hard.y.reshape(c, 1, flat), position.reshape(c, 1, flat)
    weights = np.repeat(weight, flat, axis=1)
    weights[:, np.arange(flat), np.arange(flat)] = 0.0
    ys = np.broadcast_to(y, weights.shape)
    always = Bounds(share=0.0, narrow=np.ones(c), broad=np.zeros(c))
    found = fit(ys, weights, u, both.reshape(c, 1, flat), always, coarse=True)
    g = grid.nodes(True)
    at = u.reshape(c * flat, 1)
    step = 0.02
    places = np.concatenate([at, np.clip(at - step, 0, 1), np.clip(at + step, 0, 1)], axis=1)
    level, drift, rise = found.coefficients.T[:, :, None]
    curve = level + drift * places + rise * grid.curve_of(g, found.node, places)
    run = np.maximum(places[:, 2] - places[:, 1], 1e-9)
    slope = (curve[:, 2] - curve[:, 1]) / run
    return curve[:, 0].reshape(c, s, p), slope.reshape(c, s, p)


def _jump_points(cell: Cells, both: Bools, shape: tuple[int, int, int]) -> Bools:
    order = np.arange(shape[2])
    start, arrive = cell.start.reshape(*shape[:2], 1), cell.arrive.reshape(*shape[:2], 1)
    return both & (order >= start) & (order <= arrive)


def _residual_scale(hard: Series, predicted: Floats, ok: Bools, dispersion: Floats) -> Floats:
    """Dispersion of the left-out residuals away from the jump, drawn towards the hard channel's own."""
    square = np.where(ok, (hard.y - predicted) ** 2 / hard.var, 0).sum(axis=(1, 2))
    return (2 * dispersion + square) / (2 + ok.sum(axis=(1, 2)))


def _rise(y: Floats) -> Floats:
    """Mean over seeds of last minus first."""
    there = np.isfinite(y)
    high = np.where(there, y, -np.inf).max(axis=2)
    low = np.where(there, y, np.inf).min(axis=2)
    ok = there.any(axis=2)
    return np.where(ok, high - low, 0.0).sum(axis=1) / np.maximum(ok.sum(axis=1), 1)


def _rank(a: Floats, b: Floats, ok: Bools) -> Floats:
    """Spearman's correlation within each seed, averaged over seeds."""
    ra, rb = _ranks(a, ok), _ranks(b, ok)
    count = np.maximum(ok.sum(axis=2), 1)
    da = np.where(ok, ra - (np.where(ok, ra, 0).sum(axis=2) / count)[..., None], 0)
    db = np.where(ok, rb - (np.where(ok, rb, 0).sum(axis=2) / count)[..., None], 0)
    size = np.sqrt((da**2).sum(axis=2) * (db**2).sum(axis=2))
    rho = (da * db).sum(axis=2) / np.where(size > 0, size, 1)
    use = (ok.sum(axis=2) >= 3) & (size > 0)
    return np.where(
        use.any(axis=1), np.where(use, rho, 0).sum(axis=1) / np.maximum(use.sum(axis=1), 1), np.nan
    )


def _ranks(a: Floats, ok: Bools) -> Floats:
    filled = np.where(ok, a, np.inf)
    return np.asarray(
        np.argsort(np.argsort(filled, axis=2, kind="stable"), axis=2, kind="stable"), dtype=float
    )
