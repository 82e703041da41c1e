"""Weighted least squares of constant + drift + one rise, over every node of the grid, for many rows at once.

A row is one seed of one channel of one curve, or a bootstrap draw of it. Both the drift and the rise are held at or above
0, so every candidate is monotone. The answer is a profile: the smallest weighted sum of squares for every width
of the rise and for every midpoint, from which intervals are read; `records.Analysis` says what counts as a jump.
A rise that carries less than `share` of the whole is a drift, whatever its width.
Known limit: single precision; sums of squares below 1e-6 of the total are noise.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from saltus.stats import grid
from saltus.stats.batch import Bools, Floats

HUGE = np.float32(1e30)
BUDGET = 3_000_000
"""Most numbers of one working array: keeps a piece in the processor's cache and memory flat."""


@dataclass(frozen=True)
class Fit:
    """Of R rows. Sums of squares are weighted: in units of the working variance, before dispersion."""

    rss: Floats
    """(R,) of the best node."""
    constant: Floats
    """(R,) of a constant."""
    node: np.ndarray
    """(R,) the best node."""
    coefficients: Floats
    """(R, 3): level at u = 0, drift over the range, rise of the node."""
    by_width: Floats
    """(R, B + 1) smallest per width bin among rises that carry `share`; the last column holds drifts."""
    width_node: np.ndarray
    """(R, B + 1) the node behind it."""
    by_mid: Floats
    """(R, M) smallest per midpoint bin among rises that carry `share`; inf if none."""
    wide: Floats
    """(R,) smallest among drifts and rises at least `broad` wide: the best smooth curve."""
    wide_node: np.ndarray
    """… and its node."""
    jump: Floats
    """(R,) smallest among rises that carry `share` and are at most `narrow` wide."""


@dataclass(frozen=True)
class Bounds:
    """What counts as what, per row: shares of the range."""

    share: float
    narrow: Floats
    """(R,) largest width of a jump."""
    broad: Floats
    """(R,) smallest width of a gradual rise."""


def same_positions(u: Floats, ok: Bools) -> Bools:
    """(C,) whether all seeds of a curve were measured at the positions of its longest seed."""
    return ((u == _longest(u, ok)[:, None]) | ~ok).all(axis=(1, 2))


def _longest(u: Floats, ok: Bools) -> Floats:
    longest = ok.sum(axis=2).argmax(axis=1)
    return u[np.arange(len(u)), longest]


def fit(y: Floats, weight: Floats, u: Floats, ok: Bools, bounds: Bounds, *, coarse: bool) -> Fit:
    """Fit rows y (C, K, P) with weights (C, K, P); K runs over seeds and draws.

    u, ok: (C, S, P) with S = K, or K a multiple of S (draws run slowest). All outputs have C·K rows.
    """
    c, k, p = y.shape
    width = k * len(grid.nodes(coarse))
    pieces = max(1, -(-c * width // BUDGET))
    if pieces > 1 and c > 1:
        parts = np.array_split(np.arange(c), min(pieces, c))
        return _join([
            fit(y[i], weight[i], u[i], ok[i], _cut(bounds, i), coarse=coarse) for i in parts
        ])  # fmt: skip
    if same_positions(u, ok).all():
        return _solve(y, weight, _longest(u, ok), bounds, coarse)
    at = np.tile(u, (1, k // u.shape[1], 1)).reshape(c * k, p)
    return _solve(y.reshape(-1, 1, p), weight.reshape(-1, 1, p), at, bounds, coarse)


def _cut(bounds: Bounds, rows: np.ndarray) -> Bounds:
    return replace(bounds, narrow=bounds.narrow[rows], broad=bounds.broad[rows])


def _join(parts: list[Fit]) -> Fit:
    return Fit(*(np.concatenate([getattr(f, d.name) for f in parts]) for d in fields(Fit)))


def refit(y: Floats, weight: Floats, u: Floats, node: np.ndarray, coarse: bool) -> Floats:
    """(R, 3) level, drift and rise of one given node per row (−1: a straight line); y, weight, u (R, P)."""
    f = np.where(node[:, None] >= 0, grid.curve_of(grid.nodes(coarse), np.maximum(node, 0), u), 0.0)
    total = np.maximum(weight.sum(axis=1), 1e-30)[:, None]
    centre = [a - (weight * a).sum(axis=1, keepdims=True) / total for a in (y, u, f)]
    yc, xc, fc = centre
    s = {"yy": (weight * yc**2).sum(axis=1, keepdims=True), "xx": (weight * xc**2).sum(axis=1, keepdims=True),
         "xy": (weight * xc * yc).sum(axis=1, keepdims=True)}  # fmt: skip
    sff, sfx, sfy = ((weight * fc * a).sum(axis=1, keepdims=True) for a in (fc, xc, yc))
    _, b, c = _nodewise(sff, sfx, sfy, s)
    line = np.maximum(s["xy"], 0) / np.maximum(s["xx"], 1e-30)
    b, c = np.where(node[:, None] < 0, line, b), np.where(node[:, None] < 0, 0, c)
    level = ((weight * (y - b * u - c * f)).sum(axis=1, keepdims=True)) / total
    return np.concatenate([level, b, c], axis=1)


def curve(coefficients: Floats, node: np.ndarray, u: Floats, coarse: bool) -> Floats:
    """Fitted values of rows at positions u (R, Q)."""
    f = np.where(node[:, None] >= 0, grid.curve_of(grid.nodes(coarse), np.maximum(node, 0), u), 0.0)
    return coefficients[:, :1] + coefficients[:, 1:2] * u + coefficients[:, 2:] * f


def _solve(y: Floats, weight: Floats, u: Floats, bounds: Bounds, coarse: bool) -> Fit:
    """y, weight (N, K, P), u (N, P)."""
    n, k, p = y.shape
    f = grid.basis(u, coarse)
    total = np.maximum(weight.sum(axis=2), 1e-30)
    mean = (weight * y).sum(axis=2) / total
    x0 = (weight * u[:, None]).sum(axis=2) / total
    yc, xc = y - mean[..., None], u[:, None] - x0[..., None]
    s = {
        "yy": (weight * yc**2).sum(axis=2), "xx": (weight * xc**2).sum(axis=2),
        "xy": (weight * xc * yc).sum(axis=2),
    }  # fmt: skip
    w32 = weight.astype(np.float32)
    left = np.concatenate(
        [w32, (weight * xc).astype(np.float32), (weight * yc).astype(np.float32)], axis=1
    )
    sums = left @ f
    sf, sfx, sfy = (sums[:, i * k : (i + 1) * k].reshape(n * k, -1) for i in range(3))
    sff = (w32 @ (f * f)).reshape(n * k, -1) - sf * sf / total.reshape(-1, 1).astype(np.float32)
    flat = {name: v.reshape(-1, 1) for name, v in s.items()}
    best = _nodewise(sff, sfx, sfy, flat)
    return _reduce(best, (sf, mean.ravel(), total.ravel(), x0.ravel()), flat, bounds, coarse)


def _nodewise(
    sff: np.ndarray, sfx: np.ndarray, sfy: np.ndarray, s: dict[str, Floats]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum of squares, drift b ≥ 0 and rise c ≥ 0 of every node and row."""
    syy, sxx, sxy = (s[name].astype(np.float32) for name in ("yy", "xx", "xy"))
    sff = np.maximum(sff, np.float32(1e-20))
    alone = np.maximum(sfy, 0) / sff
    rss = syy - alone * sfy
    det = sff * sxx - sfx * sfx
    sound = det > np.float32(1e-4) * sff * sxx
    det = np.where(sound, det, 1)
    c = (sfy * sxx - sfx * sxy) / det
    b = (sxy * sff - sfy * sfx) / det
    both = sound & (b > 0) & (c > 0)
    rss = np.where(both, syy - c * sfy - b * sxy, rss)
    return rss, np.where(both, b, 0), np.where(both, c, alone)


def _reduce(
    best: tuple[np.ndarray, np.ndarray, np.ndarray],
    parts: tuple[np.ndarray, Floats, Floats, Floats],
    s: dict[str, Floats],
    bounds: Bounds,
    coarse: bool,
) -> Fit:
    rss, b, c = best
    sf, mean, total, x0 = parts
    g = grid.nodes(coarse)
    rows = np.arange(len(rss))
    carries = c >= bounds.share * (b + c)
    narrow, broad = _per_row(bounds.narrow, len(rss)), _per_row(bounds.broad, len(rss))
    rise = np.where(carries, rss, HUGE)
    drift = np.where(carries, HUGE, rss)
    node = rss.argmin(axis=1)
    line = s["yy"] - np.maximum(s["xy"], 0) ** 2 / np.maximum(s["xx"], 1e-30)
    by_width, width_node = _binned(rise, g.width_bins)
    drift_best, drift_node = drift.min(axis=1), drift.argmin(axis=1)
    by_width = np.concatenate([by_width, np.minimum(drift_best[:, None], line)], axis=1)
    width_node = np.concatenate([width_node, drift_node[:, None]], axis=1)
    wide = np.where(g.width >= broad, rss, drift)
    wide_node = wide.argmin(axis=1)
    by_mid = np.minimum.reduceat(rise[:, g.by_mid], g.mid_bins, axis=1)
    bb, cc = b[rows, node], c[rows, node]
    level = mean - cc * sf[rows, node] / total - bb * x0
    floor = lambda a: np.maximum(a.astype(float), 0.0)  # noqa: E731
    return Fit(
        rss=floor(rss[rows, node]), constant=floor(s["yy"][:, 0]), node=node,
        coefficients=np.stack([level, bb, cc], axis=1).astype(float),
        by_width=floor(by_width), width_node=width_node,
        by_mid=np.where(by_mid >= HUGE, np.inf, floor(by_mid)),
        wide=floor(np.minimum(wide[rows, wide_node], line[:, 0])), wide_node=wide_node,
        jump=floor(np.where(g.width <= narrow, rise, HUGE).min(axis=1)),
    )  # fmt: skip


def _per_row(values: Floats, rows: int) -> np.ndarray:
    return np.repeat(values, rows // len(values))[:, None]


def _binned(values: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and its node within each run of columns that starts at `first`."""
    low = np.minimum.reduceat(values, first, axis=1)
    nodes = np.empty(low.shape, dtype=int)
    ends = [*first[1:], values.shape[1]]
    for i, (a, z) in enumerate(zip(first, ends, strict=True)):
        nodes[:, i] = a + values[:, a:z].argmin(axis=1)
    return low, nodes
