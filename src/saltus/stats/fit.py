"""Weighted least squares of constant + drift + one rise, over every node of the grid, for many rows at once.

A row is one seed of one channel of one curve, or a draw of it. `solve` does the arithmetic. The answer is a profile:
the smallest weighted sum of squares for every width of the rise and for every midpoint, from which intervals are
read. A rise that carries less than `share` of the whole is a drift, whatever its width. A node is named by its number
in the grid, plus the size of the grid where its drift sets in with the rise; −1 is a straight line.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from saltus.stats import grid
from saltus.stats.batch import Bools, Floats
from saltus.stats.solve import HUGE, Shares, Solved, Tables, late_drift, solve, tables, tables_at

BUDGET = 240_000
"""Most numbers of one working array: keeps a piece within the processor's cache, and memory flat."""
KEPT, KEPT_RISES = 16, 10
"""Nodes that a short list keeps per width bin: the best ones, and so many among rises that carry `share`."""


@dataclass(frozen=True)
class Bounds:
    """What counts as what: shares of the range."""

    share: Shares
    narrow: Floats
    """(C,) largest width of a jump."""
    broad: Floats
    """(C,) smallest width of a gradual rise."""

    def at(self, rows: np.ndarray) -> Bounds:
        return replace(self, narrow=self.narrow[rows], broad=self.broad[rows])


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
    """(R, 3): level at u = 0, rise of the drift over the range, rise of the node."""
    by_width: Floats
    """(R, B + 1) smallest per width bin among rises that carry `share`; the last column holds drifts."""
    width_node: np.ndarray
    """(R, B + 1) the node behind it."""
    mids: Floats
    """(R, M) midpoints, and …"""
    by_mid: Floats
    """… (R, M) the smallest sum of squares there among rises that carry `share`; inf where there is none."""
    wide_node: np.ndarray
    """(R,) best node among even drifts and rises at least `broad` wide; −1 is a straight line."""
    line: Floats
    """(R,) of a straight line that does not fall."""
    form_node: np.ndarray
    """(R, F) the best node of each form; no columns for draws."""
    form_rss: Floats
    """(R, F) and its sum of squares."""
    short: np.ndarray
    """(R, B·KEPT) the nodes worth trying on draws of this row; no columns if not asked for."""


def same_positions(u: Floats, ok: Bools) -> Bools:
    """(C,) whether all seeds of a curve were measured at the positions of its longest seed."""
    return ((u == _longest(u, ok)[:, None]) | ~ok).all(axis=(1, 2))


def _longest(u: Floats, ok: Bools) -> Floats:
    return u[np.arange(len(u)), ok.sum(axis=2).argmax(axis=1)]


def fit(
    y: Floats, weight: Floats, u: Floats, ok: Bools, bounds: Bounds, *, level: int = grid.FINE, short: bool = False
) -> Fit:
    """Fit rows (C, S, P), weights 0 where not `ok`; outputs have C·S rows. short: also list nodes for `fit_draws`."""
    parts = []
    for rows in _pieces(len(y), y.shape[1] * len(grid.nodes(level))):
        part = (y[rows], weight[rows], u[rows], ok[rows])
        parts.append(_fit(*part, bounds.at(rows), level, short))
    return _join(parts)


def _pieces(count: int, width: int) -> list[np.ndarray]:
    return np.array_split(np.arange(count), max(1, min(count, -(-count * width // BUDGET))))


def _join(parts: list[Fit]) -> Fit:
    return Fit(*(np.concatenate([getattr(f, d.name) for f in parts]) for d in fields(Fit)))


def _tables(u: Floats, weight: Floats, ok: Bools, level: int, *, alike: bool = True) -> tuple[Tables, Floats, Floats]:
    """Tables, positions and weights with one row of positions each.

    One row for all where every curve was measured at the same positions, one per curve where its seeds were.
    """
    c, s, p = u.shape
    if not same_positions(u, ok).all():
        at = u.reshape(-1, p)
        return tables(at, level), at, weight.reshape(-1, 1, p)
    at = _longest(u, ok)
    if alike and (at == at[0]).all():
        return tables(at[:1], level), at[:1], weight.reshape(1, c * s, p)
    return tables(at, level), at, weight


def _fit(y: Floats, weight: Floats, u: Floats, ok: Bools, bounds: Bounds, level: int, short: bool) -> Fit:
    c, s, p = y.shape
    basis, at, w = _tables(u, weight, ok, level)
    solved = solve(basis, at, w, y.reshape(len(at), 1, -1, p), bounds.share)
    rise, drift, even, late = (a.reshape(c * s, -1) for a in solved.apart())
    g = grid.nodes(level)
    rss = np.minimum(rise, drift)
    rows = (y.reshape(c * s, p), weight.reshape(c * s, p), u.reshape(c * s, p))
    line, constant = _line(*rows)

    def named(node: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Nodes (R, …) with the drift that won there; `values` is what each was chosen for."""
        flat = node.reshape(len(node), -1)
        wins = np.take_along_axis(late, flat, axis=1)
        wins &= values.reshape(flat.shape) == np.take_along_axis(rise, flat, axis=1)
        return np.where(wins.reshape(node.shape), node + len(g), node)

    by_width, width_node = _binned(rise, g.width_bins)
    width_node = named(width_node, by_width)
    drift_node = drift.argmin(axis=1)
    drift_best = np.take_along_axis(drift, drift_node[:, None], axis=1)[:, 0]
    drift_node = np.where(line <= drift_best, -1, drift_node)
    by_width = np.concatenate([by_width, np.minimum(drift_best, line)[:, None]], axis=1)
    width_node = np.concatenate([width_node, drift_node[:, None]], axis=1)
    wide = np.where(g.width >= np.repeat(bounds.broad, s)[:, None], rss, even)
    wide_node = wide.argmin(axis=1)
    wide_best = np.take_along_axis(wide, wide_node[:, None], axis=1)[:, 0]
    wide_node = np.where(line <= wide_best, -1, named(wide_node, wide_best))
    by_mid = np.minimum.reduceat(rise[:, g.by_mid], g.mid_bins, axis=1)
    form_rss, form_place = _binned(rss[:, g.by_form], g.form_bins)
    best = rss.argmin(axis=1)
    best_rss = np.take_along_axis(rss, best[:, None], axis=1)[:, 0]
    node = named(best, best_rss)
    return Fit(
        rss=_sum(best_rss),
        constant=constant,
        node=node,
        coefficients=refit(*rows, node, level),
        by_width=_sum(by_width),
        width_node=width_node,
        mids=np.broadcast_to(g.mid_bin_centres, by_mid.shape),
        by_mid=_sum(by_mid),
        wide_node=wide_node,
        line=line,
        form_node=named(g.by_form[form_place], form_rss),
        form_rss=_sum(form_rss),
        short=_short_list(rss, rise, g) if short else np.empty((c * s, 0), dtype=int),
    )


def _sum(a: np.ndarray) -> Floats:
    return np.where(a >= HUGE, np.inf, np.maximum(a.astype(float), 0.0))


def _line(y: Floats, w: Floats, u: Floats) -> tuple[Floats, Floats]:
    """Weighted sums of squares of a rising line and of a constant."""
    total = np.maximum(w.sum(axis=1), 1e-30)[:, None]
    yc, xc = (a - (w * a).sum(axis=1, keepdims=True) / total for a in (y, u))
    yy, xx, xy = (w * yc**2).sum(axis=1), (w * xc**2).sum(axis=1), (w * xc * yc).sum(axis=1)
    return yy - np.maximum(xy, 0) ** 2 / np.maximum(xx, 1e-30), yy


def _binned(values: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and its node within each run of columns that starts at `first`."""
    ends = [*first[1:], values.shape[1]]
    nodes = np.stack([a + values[:, a:z].argmin(axis=1) for a, z in zip(first, ends, strict=True)], axis=1)
    return np.take_along_axis(values, nodes, axis=1), nodes


def _short_list(rss: np.ndarray, rise: np.ndarray, g: grid.Nodes) -> np.ndarray:
    """The best nodes of every width bin: `KEPT_RISES` that carry the share, the rest whatever they are."""
    ends = [*g.width_bins[1:], rss.shape[1]]
    out = []
    for a, z in zip(g.width_bins, ends, strict=True):
        for values, count in ((rise, KEPT_RISES), (rss, KEPT - KEPT_RISES)):
            out.append(a + np.argpartition(values[:, a:z], count - 1, axis=1)[:, :count])
    return np.concatenate(out, axis=1).astype(np.int16)  # some thousand nodes; rows are many


def fit_draws(fitted: Fit, y: Floats, weight: Floats, u: Floats, bounds: Bounds) -> Fit:
    """Fit draws y (C, B, S, P) of rows that `fit(…, short=True)` has fitted; outputs have C·B·S rows in that order."""
    c, b, s, p = y.shape
    flat_w, flat_u = weight.reshape(c * s, 1, p), u.reshape(c * s, p)
    rows = np.moveaxis(y, 2, 1).reshape(c * s, b, 1, p)
    solved = solve(tables_at(flat_u, fitted.short), flat_u, flat_w, rows, bounds.share)
    rise, drift, _, late = (np.moveaxis(a.reshape(c, s, b, -1), 1, 2).reshape(c * b * s, -1) for a in solved.apart())
    rss = np.minimum(rise, drift)
    short = np.repeat(fitted.short.reshape(c, 1, s, -1), b, axis=1).reshape(c * b * s, -1)
    wide_u, wide_w = (np.repeat(a.reshape(c, 1, s, p), b, axis=1).reshape(-1, p) for a in (u, weight))
    every = (y.reshape(-1, p), wide_w, wide_u)
    line, constant = _line(*every)
    by_width = rise.reshape(len(rise), -1, KEPT).min(axis=2)
    by_width = np.concatenate([by_width, np.minimum(drift.min(axis=1), line)[:, None]], axis=1)
    best = rss.argmin(axis=1)[:, None]
    node, sets_in, best_rss, its_rise = (np.take_along_axis(a, best, axis=1)[:, 0] for a in (short, late, rss, rise))
    node = np.where(sets_in & (its_rise == best_rss), node + len(grid.nodes()), node)
    none = np.full(len(rss), -1)
    return Fit(
        rss=_sum(best_rss),
        constant=constant,
        node=node,
        coefficients=refit(*every, node, grid.FINE),
        by_width=_sum(by_width),
        width_node=np.full(by_width.shape, -1),
        mids=grid.nodes().mid[short],
        by_mid=_sum(rise),
        wide_node=none,
        line=line,
        form_node=np.empty((len(rss), 0), dtype=int),
        form_rss=np.empty((len(rss), 0)),
        short=np.empty((len(rss), 0), dtype=int),
    )


def fit_links(y: Floats, weight: Floats, u: Floats) -> tuple[Floats, np.ndarray, Floats]:
    """Fit y (C, Q) over u (C, Q) under K weightings (C, K, Q): sums of squares, nodes (C, K), coefficients."""
    c, k, q = weight.shape
    rss, node = np.empty((c, k)), np.empty((c, k), dtype=int)
    for rows in _pieces(c, k * len(grid.nodes(grid.COARSE))):
        same = np.broadcast_to(y[rows, None, None], (len(rows), 1, k, q))
        straight = tables(u[rows], grid.COARSE, late=False)
        each = solve(straight, u[rows], weight[rows], same, Shares(0.0, 0.0)).apart()[0]
        node[rows] = each[:, 0].argmin(axis=2)
        rss[rows] = np.take_along_axis(each[:, 0], node[rows][..., None], axis=2)[..., 0]
    flat = [np.broadcast_to(a[:, None], (c, k, q)).reshape(-1, q) for a in (y, u)]
    coefficients = refit(flat[0], weight.reshape(-1, q), flat[1], node.ravel(), grid.COARSE)
    return rss, node, coefficients.reshape(c, k, 3)


def contest(y: Floats, weight: Floats, u: Floats, ok: Bools, bounds: Bounds) -> tuple[Floats, Floats, Floats]:
    """Smallest sums of squares of draws y (C, B, S, P) on the coarse grid: of all, smooth, and jumping curves.

    Smooth: even drifts and rises at least `broad` wide; jumping: rises that carry the share, at most `narrow`
    wide. All (C, B, S).
    """
    out = []
    g = grid.nodes(grid.COARSE)
    for rows in _pieces(len(y), y.shape[1] * y.shape[2] * len(g)):
        narrow, broad = bounds.narrow[rows], bounds.broad[rows]
        alike = np.ptp(narrow) == 0 and np.ptp(broad) == 0
        basis, at, w = _tables(u[rows], weight[rows], ok[rows], grid.COARSE, alike=alike)
        part = y[rows]
        c, b, s, p = part.shape
        if len(at) == c * s:  # one row of positions per seed
            part = np.moveaxis(part, 2, 1).reshape(c * s, b, 1, p)
            narrow, broad = np.repeat(narrow, s), np.repeat(broad, s)
        elif len(at) == 1:
            part = np.moveaxis(part, 1, 0).reshape(1, b, c * s, p)
        best = _duel(solve(basis, at, w, part, bounds.share), g.width, narrow, broad)
        if len(at) == c * s:
            best = [np.moveaxis(a.reshape(c, s, b), 1, 2) for a in best]
        elif len(at) == 1:
            best = [np.moveaxis(a.reshape(b, c, s), 0, 1) for a in best]
        out.append(best)
    return tuple(_sum(np.concatenate([o[i] for o in out])) for i in range(3))  # type: ignore[return-value]


def _duel(found: Solved, width: Floats, narrow: Floats, broad: Floats) -> list[np.ndarray]:
    """Least over all, over smooth and over jumping nodes; nodes are sorted by width, so each is mostly one slice."""
    end = int(np.searchsorted(width, narrow.max(), side="right"))
    start = int(np.searchsorted(width, broad.min(), side="left"))
    few = None if np.ptp(narrow) == 0 else width[:end] <= narrow[:, None]
    many = None if np.ptp(broad) == 0 else width[start:] >= broad[:, None]
    smooth = np.minimum(found.evens(), found.rises(slice(start, None), many))
    return [found.least(), smooth, found.rises(slice(end), few)]


def _curve_of(node: np.ndarray, u: Floats, level: int) -> tuple[Floats, Floats]:
    """(R, Q) drift and rise of one named node per row, each scaled to 1 over the range."""
    g = grid.nodes(level)
    plain = np.where(node >= len(g), node - len(g), np.maximum(node, 0))
    f = np.where(node[:, None] >= 0, grid.curve_of(g, plain, u), 0.0)
    return np.where(node[:, None] >= len(g), late_drift(g, plain, u), u), f


def drift(coefficients: Floats, node: np.ndarray, u: Floats, level: int) -> Floats:
    """(R, Q) what the drift alone adds at positions u."""
    return coefficients[:, 1:2] * _curve_of(node, u, level)[0]


def refit(y: Floats, weight: Floats, u: Floats, node: np.ndarray, level: int) -> Floats:
    """(R, 3) level, drift and rise of one given node per row (−1: a straight line); y, weight, u (R, P)."""
    x, f = _curve_of(node, u, level)
    total = np.maximum(weight.sum(axis=1), 1e-30)[:, None]
    yc, xc, fc = (a - (weight * a).sum(axis=1, keepdims=True) / total for a in (y, x, f))
    xx, xy = (weight * xc * xc).sum(axis=1), (weight * xc * yc).sum(axis=1)
    ff, fx, fy = ((weight * fc * a).sum(axis=1) for a in (fc, xc, yc))
    det = ff * xx - fx * fx
    sound = (node >= 0) & (det > 1e-4 * ff * xx) & (ff > 1e-12)
    safe = np.where(sound, det, 1.0)
    b, c = (xy * ff - fy * fx) / safe, (fy * xx - fx * xy) / safe
    both = sound & (b > 0) & (c > 0)
    alone = np.where((node >= 0) & (ff > 1e-12), np.maximum(fy, 0) / np.maximum(ff, 1e-30), 0.0)
    line = np.where(node < 0, np.maximum(xy, 0) / np.maximum(xx, 1e-30), 0.0)
    b, c = np.where(both, b, line), np.where(both, c, alone)
    level = (weight * (y - b[:, None] * x - c[:, None] * f)).sum(axis=1) / total[:, 0]
    return np.stack([level, b, c], axis=1)


def curve(coefficients: Floats, node: np.ndarray, u: Floats, level: int) -> Floats:
    """Fitted values of rows at positions u (R, Q)."""
    x, f = _curve_of(node, u, level)
    return coefficients[:, :1] + coefficients[:, 1:2] * x + coefficients[:, 2:] * f
