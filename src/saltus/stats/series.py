"""Curves made ready to fit: trained points in order, positions in [0, 1], working variances, repeated seeds left out.

Everything later works on positions u = (x − first x) / range, so the units of the axis cannot matter, and on points
sorted within seeds sorted by label, so the order of rows cannot matter.
Known limit: the working variance of a binomial score rests on a three-point smoother, not on the final fit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from saltus.stats.batch import Bools, Channel, CurveBatch, Floats

TINY = 1e-12
LEAST_PAIRED, PAIRED_STEPS = 0.1, 3
"""Shared items never make noise smaller than this, and fewer steps than this give no estimate of it."""
PLACES = 64
"""Positions that a range is divided into where a series has more points than that."""


@dataclass(frozen=True)
class Series:
    """One channel of all curves, trained points only, moved to the front of each seed; arrays (C, S, P)."""

    u: Floats
    """Position in the curve's range, 0 to 1; 0 where not `ok`."""
    y: Floats
    """Value; 0 where not `ok`."""
    var: Floats
    """Variance of y before dispersion; 1 where not `ok`."""
    n: Floats
    """Items; NaN where unknown."""
    ok: Bools
    known: Bools
    """(C,) the variance comes from item counts or stated errors, not from the scatter itself."""
    source: np.ndarray
    """(C, S, P) index of the point in the batch."""
    paired: Floats
    """(C,) variance of differences between neighbours that share items, over what independent errors would make it,
    within [`LEAST_PAIRED`, 1]; 1 where unknown. What dispersion is expected to be before the scatter is looked at."""

    @property
    def weight(self) -> Floats:
        return np.where(self.ok, 1.0 / self.var, 0.0)

    @property
    def count(self) -> np.ndarray:
        """(C, S) points per seed."""
        return self.ok.sum(axis=2)


@dataclass(frozen=True)
class Prepared:
    """Both channels of all curves with the range they share."""

    origin: Floats
    """(C,) x of the first trained point."""
    span: Floats
    """(C,) range R of x over trained points; decades on a log axis. 1 where there is none."""
    hard: Series
    soft: Series


def pick(series: Series, rows: np.ndarray) -> Series:
    """The series of some curves."""
    return Series(**{f.name: getattr(series, f.name)[rows] for f in fields(Series)})


def canonical(curves: CurveBatch) -> tuple[CurveBatch, list[int]]:
    """Seeds by label, points by x, exact repeats unseen; and how many seeds per curve were repeats of another."""
    order_s = np.array(
        [_padded(sorted(range(len(k.seeds)), key=lambda i: k.seeds[i]), curves.shape[1]) for k in curves.keys]
    ).reshape(len(curves), curves.shape[1])
    out = _take(curves, order_s[:, :, None], axis=1)
    keys = tuple(replace(k, seeds=tuple(sorted(k.seeds))) for k in curves.keys)
    place = np.where(out.seen, np.where(np.isfinite(out.x), out.x, -np.inf), np.inf)
    out = _take(out, np.argsort(place, axis=2, kind="stable"), axis=2)
    seen, repeats = _without_repeats(out)
    return replace(out, keys=keys, seen=seen), repeats


def _padded(order: list[int], size: int) -> list[int]:
    return order[:size] + list(range(len(order), size))


def _take(curves: CurveBatch, order: np.ndarray, axis: int) -> CurveBatch:
    """The batch with seeds (axis 1) or points (axis 2) reordered in every array that has them."""
    shape = curves.shape
    order = np.broadcast_to(order, shape)

    def move(a: np.ndarray) -> np.ndarray:
        return np.take_along_axis(a, order, axis=axis)

    def channel(c: Channel) -> Channel:
        step = None if c.step_stderr is None else move(c.step_stderr)
        return replace(c, value=move(c.value), stderr=move(c.stderr), n=move(c.n), step_stderr=step)

    suspects = tuple(
        tuple(replace(s, mask=np.take_along_axis(s.mask, order[i], axis=axis - 1)) for s in several)
        for i, several in enumerate(curves.suspects)
    )
    return replace(
        curves,
        x=move(curves.x),
        raw_x=move(curves.raw_x),
        seen=move(curves.seen),
        hard=channel(curves.hard),
        soft=channel(curves.soft),
        other_axes={k: move(v) for k, v in curves.other_axes.items()},
        suspects=suspects,
        point_names=(),
    )


def _without_repeats(curves: CurveBatch) -> tuple[Bools, list[int]]:
    """`seen` without points or whole seeds that repeat another exactly, and the number of such seeds."""
    parts = np.stack([curves.x, curves.hard.value, curves.soft.value], axis=-1)
    parts = np.where(curves.seen[..., None], np.nan_to_num(parts, nan=-9.9e99), 9.9e99)
    seen = curves.seen.copy()
    same = (parts[:, :, 1:] == parts[:, :, :-1]).all(axis=-1)
    seen[:, :, 1:] &= ~same
    repeats = np.zeros(len(curves), dtype=int)
    for s in range(1, curves.shape[1]):
        twin = np.zeros(len(curves), dtype=bool)
        for t in range(s):
            twin |= (parts[:, s] == parts[:, t]).all(axis=(1, 2)) & seen[:, t].any(axis=1)
        twin &= seen[:, s].any(axis=1) & (seen[:, s].sum(axis=1) > 1)
        repeats += twin
        seen[twin, s] = False
    return seen, [int(r) for r in repeats]


def prepare(curves: CurveBatch) -> Prepared:
    """Positions, values and working variances of both channels."""
    trained = curves.seen & np.isfinite(curves.x)
    used = trained & (np.isfinite(curves.hard.value) | np.isfinite(curves.soft.value))
    low = np.where(used, curves.x, np.inf).min(axis=(1, 2))
    high = np.where(used, curves.x, -np.inf).max(axis=(1, 2))
    good = high > low
    origin, span = np.where(good, low, 0.0), np.where(good, high - low, 1.0)
    u = np.round((curves.x - origin[:, None, None]) / span[:, None, None], 9)
    return Prepared(origin=origin, span=span, hard=_series(curves.hard, u, used), soft=_series(curves.soft, u, used))


def _series(channel: Channel, u: Floats, used: Bools) -> Series:
    ok = used & np.isfinite(channel.value)
    order = np.argsort(~ok, axis=2, kind="stable")

    def move(a: np.ndarray, fill: float) -> Floats:
        out = np.take_along_axis(np.where(ok, a, fill), order, axis=2)
        return np.asarray(out, dtype=float)

    front = np.take_along_axis(ok, order, axis=2)
    y, n = move(channel.value, 0.0), move(channel.n, np.nan)
    var, known = _variance(channel, y, n, move(channel.stderr, np.nan), front)
    step = None if channel.step_stderr is None else move(channel.step_stderr, np.nan)
    whole = Series(
        u=move(u, 0.0),
        y=y,
        var=np.where(front, var, 1.0),
        n=n,
        ok=front,
        known=known,
        source=order,
        paired=_paired(step, var, front & known[:, None, None]),
    )
    return merged(whole) if y.shape[2] > PLACES else whole


def merged(series: Series) -> Series:
    """Points closer together than 1 / `PLACES` of the range become one: nothing narrower is ever decided.

    Long series are mostly many late points on a log axis, whose errors are not independent: the variance of a mean of
    m of them is taken as 1/√m of one, between independent (1/m) and the same (1).
    """
    c, s, _ = series.y.shape
    place = np.minimum((series.u * PLACES).astype(int), PLACES - 1)
    out = {name: np.zeros((c, s, PLACES)) for name in ("u", "y", "var", "n")}
    count, source = np.zeros((c, s, PLACES)), np.zeros((c, s, PLACES), dtype=int)
    for k in range(PLACES):
        here = series.ok & (place == k)
        count[..., k] = m = here.sum(axis=2)
        source[..., k] = np.take_along_axis(series.source, here.argmax(axis=2)[..., None], axis=2)[..., 0]
        for name, values in out.items():
            total = np.where(here, getattr(series, name), 0.0).sum(axis=2)
            values[..., k] = total / np.maximum(m, 1)
    out["var"] /= np.sqrt(np.maximum(count, 1))
    ok = count > 0
    order = np.argsort(~ok, axis=2, kind="stable")
    front = np.take_along_axis(ok, order, axis=2)
    moved = {k: np.take_along_axis(np.where(ok, v, 0), order, axis=2) for k, v in out.items()}
    return Series(
        u=moved["u"],
        y=moved["y"],
        n=moved["n"],
        var=np.where(front, moved["var"], 1.0),
        ok=front,
        known=series.known,
        source=np.take_along_axis(source, order, axis=2),
        paired=series.paired,
    )


def _variance(channel: Channel, y: Floats, n: Floats, stderr: Floats, ok: Bools) -> tuple[Floats, Bools]:
    """Binomial where n is known, else stated errors, else the scatter around neighbours."""
    binomial = channel.binomial[:, None, None] & (n > 0)
    level = smooth3(y, ok)
    items = np.where(binomial, n, 1.0)
    share = np.clip((items * level + 1.0) / (items + 2.0), 0.0, 1.0)
    var = np.where(binomial, share * (1 - share) / items, np.where(stderr > 0, stderr, np.nan) ** 2)
    with np.errstate(all="ignore"):
        typical = _nanmedian(np.where(ok, var, np.nan))
    unknown = ~np.isfinite(typical)
    spread = np.where(ok, y, -np.inf).max(axis=(1, 2)) - np.where(ok, y, np.inf).min(axis=(1, 2))
    spread = np.where(np.isfinite(spread), spread, 0.0)
    scatter = np.maximum(local_variance(y, np.ones_like(y), ok), (0.002 * spread) ** 2)
    fill = np.where(unknown, np.maximum(scatter, TINY), np.nan_to_num(typical))
    var = np.where(np.isfinite(var), var, fill[:, None, None])
    return np.maximum(var, 1e-4 * fill[:, None, None] + TINY**2), ~unknown


def _paired(step: Floats | None, var: Floats, ok: Bools) -> Floats:
    """(C,) median over steps of the paired variance over the sum of both points' own.

    Steps on which no item changed are left out: at a floor of 0 they say nothing of how items hang together.
    """
    if step is None:
        return np.ones(len(var))
    there = ok[..., 1:] & ok[..., :-1] & (np.nan_to_num(step[..., 1:]) > 0)
    ratio = np.where(there, step[..., 1:] ** 2 / (var[..., 1:] + var[..., :-1]), np.nan)
    enough = there.sum(axis=(1, 2)) >= PAIRED_STEPS
    return np.where(enough, np.clip(np.nan_to_num(_nanmedian(ratio)), LEAST_PAIRED, 1.0), 1.0)


def _nanmedian(a: Floats) -> Floats:
    """(C,) median over seeds and points, NaN where there is none."""
    flat = np.sort(a.reshape(len(a), -1), axis=1)
    count = np.isfinite(flat).sum(axis=1)
    middle = np.maximum(count - 1, 0) // 2
    return np.take_along_axis(flat, middle[:, None], axis=1)[:, 0]


def smooth3(y: Floats, ok: Bools) -> Floats:
    """Weighted mean with both neighbours (1, 2, 1); ends use what is there."""
    w = ok.astype(float)
    total, norm = 2 * y * w, 2 * w
    for cut, put in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        total[..., put] += (y * w)[..., cut]
        norm[..., put] += w[..., cut]
    return total / np.maximum(norm, 1.0)


def local_variance(y: Floats, var: Floats, ok: Bools, u: Floats | None = None) -> Floats:
    """(C,) noise variance in units of `var` from second differences, robust to one or two breaks.

    Each inner point against the line through its neighbours; the median of the squares, which one jump per
    seed cannot move far, divided by the median of χ²₁ (0.455). NaN-free: 0 where no seed has three points.
    """
    if y.shape[2] < 3:
        return np.zeros(len(y))
    both = ok[..., 2:]
    if u is None:
        share: Floats | float = 0.5
    else:
        gap = np.maximum(u[..., 2:] - u[..., :-2], TINY)
        share = np.clip((u[..., 1:-1] - u[..., :-2]) / gap, 0.0, 1.0)
    off = y[..., 1:-1] - (1 - share) * y[..., :-2] - share * y[..., 2:]
    size = var[..., 1:-1] + (1 - share) ** 2 * var[..., :-2] + share**2 * var[..., 2:]
    squares = np.where(both, off**2 / size, np.nan)
    return np.nan_to_num(_nanmedian(squares)) / 0.455
