"""Place and width of every row's best rise, between the nodes of the grid that found it.

From the best node on, damped Gauss–Newton steps in midpoint and log width, with the linear part solved at every step
(variable projection; Golub & Pereyra 1973). What the points do not decide, as where in a gap between two of them a
step lies, is decided by a slight pull to the middle of what the profile admits.
Known limits: the form, and whether a drift takes part, are those of the best node; profiles are in single precision, so
with other curves in the batch an end of an interval moves by about 1e-4 of a decade.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from saltus.stats import grid
from saltus.stats.batch import Bools, Floats
from saltus.stats.fit import Fit, refit
from saltus.stats.series import Series
from saltus.stats.solve import late_drift

STEPS, ARRIVED, H = 12, 1e-4, 1e-5
"""Most steps, the step that counts as none, and the difference that derivatives are taken over."""
PULL = 0.05
"""Of the threshold, at the edge of what is admitted: a fiftieth part of what the points weigh where they decide."""
LEAST_WIDTH = 0.005
HALF_BIN = 0.5 * float(grid.MID_EDGES[1] - grid.MID_EDGES[0])
"""No place is known better than this, whatever the profile says."""
FARTHEST = (0.05, 0.6)
"""Of one step: in the midpoint, as a share of the range, and in the log of the width."""


@dataclass(frozen=True)
class Places:
    """Per row (R,), shares of the range; NaN where no rise was fitted."""

    mid: Floats
    width: Floats
    low: Floats
    """Midpoints that the profile admits run from here …"""
    high: Floats
    """… to here."""


@dataclass(frozen=True)
class _Rise:
    """A rise of each row that is about to move, and what pulls at it."""

    form: np.ndarray
    m: Floats
    log_w: Floats
    drift: Floats
    """(N, P) what runs beside it; 0 where nothing does."""
    centre: tuple[Floats, Floats]
    pull: tuple[Floats, Floats]

    def moved(self, by: Floats) -> _Rise:
        return replace(self, m=self.m + by[:, 0], log_w=np.maximum(self.log_w + by[:, 1], np.log(LEAST_WIDTH)))

    def of(self, rows: np.ndarray) -> _Rise:
        centre, pull = ((pair[0][rows], pair[1][rows]) for pair in (self.centre, self.pull))
        return _Rise(self.form[rows], self.m[rows], self.log_w[rows], self.drift[rows], centre, pull)

    def at(self, u: Floats) -> Floats:
        """(N, P) the rise, scaled to run from 0 to 1 over the range."""
        w = np.exp(self.log_w)[:, None]
        ends = [grid.value(self.form, (end - self.m) / w[:, 0]) for end in (0.0, 1.0)]
        raw = grid.value(np.broadcast_to(self.form[:, None], u.shape), (u - self.m[:, None]) / w)
        return (raw - ends[0][:, None]) / np.maximum(ends[1] - ends[0], 1e-9)[:, None]

    def held(self) -> Floats:
        """(N,) what the pull adds to the sum of squares."""
        apart = (self.m - self.centre[0], self.log_w - self.centre[1])
        return sum(p * d**2 for p, d in zip(self.pull, apart, strict=True))  # type: ignore[return-value]


def of_nodes(fitted: Fit, threshold: Floats) -> Places:
    """Those of the nodes themselves, for draws, whose nodes stand in no order and whose widths nobody reads."""
    delta = fitted.by_mid - _least(fitted.by_mid)
    ok = delta <= threshold[:, None]
    mid = np.take_along_axis(fitted.mids, delta.argmin(axis=1)[:, None], axis=1)[:, 0]
    low, high = np.where(ok, fitted.mids, np.inf).min(axis=1), np.where(ok, fitted.mids, -np.inf).max(axis=1)
    some = np.isfinite(fitted.by_mid).any(axis=1)
    return Places(np.where(some, mid, np.nan), np.full(len(mid), np.nan), low - HALF_BIN, high + HALF_BIN)


def refine(series: Series, fitted: Fit, threshold: Floats) -> Places:
    """Refine the best rise of every row of `fitted`, rows C·S; threshold (R,) is what a profile admits."""
    g = grid.nodes()
    p = series.y.shape[2]
    by_mid, by_width = (a - _least(a) for a in (fitted.by_mid, fitted.by_width[:, :-1]))
    low, high = _valley(np.broadcast_to(fitted.mids, by_mid.shape), by_mid, threshold)
    narrow, broad = _valley(np.broadcast_to(g.bin_width, by_width.shape), by_width, threshold)
    best = by_width.argmin(axis=1)
    node = np.take_along_axis(fitted.width_node, best[:, None], axis=1)[:, 0]
    some = np.isfinite(fitted.by_width[:, :-1]).any(axis=1) & (node >= 0) & (series.count.ravel() > 2)
    rows = np.flatnonzero(some)
    out = Places(np.full(len(some), np.nan), np.full(len(some), np.nan), low, high)
    if not len(rows):
        return out
    y, weight, u = (a.reshape(-1, p)[rows] for a in (series.y, series.weight, series.u))
    named, plain = node[rows], node[rows] % len(g)
    beside = refit(y, weight, u, named, grid.FINE)[:, 1] > 0
    drift = np.where((named >= len(g))[:, None], late_drift(g, plain, u), u)
    half = np.maximum(0.5 * (high - low)[rows], HALF_BIN)
    floor, top = (np.maximum(a[rows], LEAST_WIDTH) for a in (narrow, broad))
    ratio = np.maximum(0.5 * np.log(top / floor), 0.2)
    middle = 0.5 * np.log(top * floor) - np.log(np.maximum(g.width[plain], LEAST_WIDTH))
    strength = PULL * threshold[rows]
    start = _Rise(
        form=g.form[plain],
        m=g.m[plain],
        log_w=np.log(g.w[plain]),
        drift=np.where(beside[:, None], drift, 0.0),
        centre=(g.m[plain] + 0.5 * (low + high)[rows] - g.mid[plain], np.log(g.w[plain]) + middle),
        pull=(strength / half**2, strength / ratio**2),
    )
    out.mid[rows], out.width[rows] = _within(_descend(start, y, weight, u))
    return out


def _least(a: Floats) -> Floats:
    least = a.min(axis=1, keepdims=True)
    return np.where(np.isfinite(least), least, 0.0)


def _descend(rise: _Rise, y: Floats, w: Floats, u: Floats) -> _Rise:
    """Go down until steps are tiny; rows that have arrived rest while others go on."""
    rise, damping = rise.of(np.arange(len(y))), np.full(len(y), 1e-3)
    cost, step = _step(rise, y, w, u, damping)
    for _ in range(STEPS):
        go = np.flatnonzero(np.abs(step).max(axis=1) > ARRIVED)
        if not len(go):
            break
        tried = rise.of(go).moved(step[go])
        tried_cost, onward = _step(tried, y[go], w[go], u[go], damping[go])
        better = tried_cost < cost[go]
        won, lost = go[better], go[~better]
        rise.m[won], rise.log_w[won] = tried.m[better], tried.log_w[better]
        cost[won], step[won] = tried_cost[better], onward[better]
        damping[won] *= 0.3
        damping[lost] *= 10
        step[lost] *= 0.3
    return rise


def _step(rise: _Rise, y: Floats, w: Floats, u: Floats, damping: Floats) -> tuple[Floats, Floats]:
    """(N,) the sum of squares with its pull, and (N, 2) where Gauss–Newton would go from here."""
    f = rise.at(u)
    design = np.stack([np.ones_like(u), rise.drift, f], axis=2)
    beta = _solved(design, w, y)
    rest = y - np.einsum("npk,nk->np", design, beta)
    cost = (w * rest**2).sum(axis=1) + rise.held()
    along = [(rise.moved(np.array([by])).at(u) - f) / H * beta[:, 2:] for by in ((H, 0.0), (0.0, H))]
    full = np.concatenate([design, np.stack(along, axis=2)], axis=2)
    weighted = full * w[..., None]
    square = np.swapaxes(weighted, 1, 2) @ full
    right = np.einsum("npj,np->nj", weighted, rest)
    for j, (value, centre) in enumerate(zip((rise.m, rise.log_w), rise.centre, strict=True)):
        square[:, 3 + j, 3 + j] += rise.pull[j]
        right[:, 3 + j] -= rise.pull[j] * (value - centre)
    diagonal = np.einsum("njj->nj", square)
    diagonal += damping[:, None] * diagonal + 1e-12 * np.maximum(diagonal.max(axis=1, keepdims=True), 1e-30)
    go = np.linalg.solve(square, right[..., None])[..., 0][:, 3:]
    return cost, np.clip(go, -np.array(FARTHEST), FARTHEST)


def _solved(design: Floats, w: Floats, y: Floats) -> Floats:
    """(N, 3) weighted least squares; a column of zeros gets 0."""
    weighted = design * w[..., None]
    square = np.swapaxes(weighted, 1, 2) @ design
    diagonal = np.einsum("njj->nj", square)
    diagonal += 1e-10 * diagonal.max(axis=1, keepdims=True) + 1e-30
    right = np.einsum("npj,np->nj", weighted, y)
    return np.linalg.solve(square, right[..., None])[..., 0]


def _within(rise: _Rise) -> tuple[Floats, Floats]:
    """Where the part within the range has half of its rise, and its 10–90 % width."""
    w = np.exp(rise.log_w)
    low, high = (grid.value(rise.form, (end - rise.m) / w) for end in (0.0, 1.0))
    start, mid, end = (
        np.clip(rise.m + w * grid.inverse(rise.form, low + share * (high - low)), 0, 1) for share in (0.1, 0.5, 0.9)
    )
    return mid, end - start


def _valley(x: Floats, delta: Floats, threshold: Floats) -> tuple[Floats, Floats]:
    """(R,) where a profile crosses its threshold, before the first and after the last admitted bin."""
    bins = x.shape[1]
    ok = delta <= threshold[:, None]
    first, last = ok.argmax(axis=1), bins - 1 - ok[:, ::-1].argmax(axis=1)
    low = crossing(x, delta, threshold, first, np.maximum(first - 1, 0))
    return low, crossing(x, delta, threshold, last, np.minimum(last + 1, bins - 1))


def crossing(x: Floats, delta: Floats, threshold: Floats, inside: np.ndarray, outside: np.ndarray) -> Floats:
    """(R,) where a profile meets its threshold between an admitted bin and its rejected neighbour.

    Near its least a profile is a parabola, so its square root is interpolated. The admitted bin itself where the
    neighbour was not fitted, or is the same bin at an end of the grid.
    """
    a, b, start, end = (
        np.take_along_axis(v, k[:, None], axis=1)[:, 0]
        for v, k in ((delta, inside), (delta, outside), (x, inside), (x, outside))
    )
    able: Bools = np.isfinite(b) & (b > a)
    roots = [np.sqrt(np.maximum(np.where(able, v, 0.0), 0.0)) for v in (a, b, threshold)]
    share = np.clip((roots[2] - roots[0]) / np.where(able, roots[1] - roots[0], 1.0), 0, 1)
    return start + np.where(able, share, 0.0) * (end - start)
