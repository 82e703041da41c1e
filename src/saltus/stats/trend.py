"""Does a channel rise at all, and does it fall by more than noise allows?

The largest standardised rise and the largest standardised fall between two windows of a curve. Their null
distribution (a flat curve, the same search, the same estimate of noise) is simulated once per number of points
and seeds: among monotone curves the flat one makes the largest falls, so the fall's p-value is conservative for
every rising curve.
Known limit: the null has equal errors; seeds are paired by the order of their points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from saltus.stats.batch import Bools, Floats
from saltus.stats.series import Series, local_variance, pick

NULL_DRAWS = 1500


@dataclass(frozen=True)
class Trend:
    """Per curve: p-values of rise and fall, and their sizes in the channel's unit."""

    rise_p: Floats
    fall_p: Floats
    rise: Floats
    fall: Floats
    spread: Floats
    """Highest minus lowest smoothed level: what 30 % is taken of."""
    falls_overall: Bools
    """The last level lies below the first by most of the fall."""
    local: Floats
    """Noise variance in units of the working variance, from second differences."""

    @staticmethod
    def of(count: int, *, rise_p: float, fall_p: float) -> Trend:
        """The same answer for all curves, where the question is not asked."""
        zero = np.zeros(count)
        return Trend(
            rise_p=zero + rise_p,
            fall_p=zero + fall_p,
            rise=zero,
            fall=zero,
            spread=zero,
            falls_overall=zero > 0,
            local=zero + 1,
        )


def windows(points: int) -> list[int]:
    """Window lengths in points: single points only where there are few, because one point is one slip."""
    lengths = {1, 2, 3} if points < 9 else {2, 3, points // 3}
    return sorted(lengths & set(range(1, max(points // 2, 1) + 1))) or [1]


def trend(series: Series) -> Trend:
    """Test rise and fall of every curve; seeds are averaged at equal ranks of their points."""
    dispersion = noise_scale(series)
    c = len(series.y)
    up, down = (np.zeros((c, 2)) for _ in range(2))
    up[:, 0] = down[:, 0] = -np.inf
    rise_p, fall_p = np.ones(c), np.ones(c)
    points, seeds = series.count.max(axis=1), (series.count > 2).sum(axis=1)
    # Curves that differ in any of the three have other windows and other nulls, whoever they are judged with.
    for p, s, known in {*zip(points.tolist(), seeds.tolist(), series.known.tolist(), strict=True)}:
        here = np.flatnonzero((points == p) & (seeds == s) & (series.known == known))
        up[here], down[here] = (np.stack(a, axis=1) for a in _largest(pick(series, here), dispersion[here]))
        if p < 3 or s < 1:
            continue
        null_up, null_down = null_table(min(p, 40), min(s, 6), known)
        rise_p[here] = tail(null_up, up[here, 0])
        fall_p[here] = tail(null_down, down[here, 0])
    level = _levels(series)
    return Trend(
        rise_p=rise_p,
        fall_p=fall_p,
        rise=up[:, 1],
        fall=down[:, 1],
        spread=level[1] - level[0],
        falls_overall=level[2] < -0.5 * np.maximum(down[:, 1], 0),
        local=dispersion,
    )


def noise_scale(series: Series) -> Floats:
    """(C,) dispersion from second differences; where item counts or errors are known, drawn towards 1, or towards what
    paired items say (`Series.paired`)."""
    local = local_variance(series.y, series.var, series.ok, series.u)
    freedom = np.maximum(0.4 * (series.count - 2).clip(0).sum(axis=1), 0)
    prior = np.where(series.known, 2.0, 0.0)
    mixed = (prior * series.paired + freedom * local) / np.maximum(prior + freedom, 1e-9)
    return np.where(series.known, np.maximum(mixed, 0.1), np.maximum(mixed, 1e-3))


def tail(null: Floats, observed: Floats) -> Floats:
    """p-value among simulated values; beyond them an exponential tail through the top twentieth."""
    rank = len(null) - np.searchsorted(null, observed, side="left")
    p = (rank + 1) / (len(null) + 1)
    top = null[-len(null) // 20 :]
    scale = max(float((top - top[0]).mean()), 1e-9)
    with np.errstate(under="ignore"):
        far = 0.05 * np.exp(-np.maximum(observed - top[0], 0) / scale)
    return np.where(rank < len(null) // 50, np.maximum(far, 1e-12), p)


@cache
def null_table(points: int, seeds: int, known: bool) -> tuple[Floats, Floats]:
    """Sorted largest standardised rises and falls of flat curves."""
    rng = np.random.default_rng([points, seeds, int(known)])
    shape = (NULL_DRAWS, seeds, points)
    flat = Series(
        u=np.broadcast_to(np.linspace(0, 1, points), shape),
        y=rng.standard_normal(shape),
        var=np.ones(shape),
        n=np.full(shape, np.nan),
        ok=np.ones(shape, dtype=bool),
        known=np.full(NULL_DRAWS, known),
        source=np.zeros(shape, dtype=int),
        paired=np.ones(NULL_DRAWS),
    )
    up, down = _largest(flat, noise_scale(flat))
    return np.sort(up[0]), np.sort(down[0])


def _largest(series: Series, dispersion: Floats) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """(z, size) of the largest rise and fall over all pairs of windows."""
    c = len(series.y)
    up, down = ([np.full(c, -np.inf), np.zeros(c)] for _ in range(2))
    for h in windows(int(series.count.max(initial=0))):
        mean, var, ok = window_means(series, h)
        for gap in range(h, mean.shape[2]):
            both = ok[:, :, gap:] & ok[:, :, : mean.shape[2] - gap]
            seeds = both.sum(axis=1)
            step = np.where(both, mean[:, :, gap:] - mean[:, :, : mean.shape[2] - gap], 0).sum(axis=1)
            error = np.where(both, var[:, :, gap:] + var[:, :, : mean.shape[2] - gap], 0).sum(axis=1)
            full = (seeds > 0) & (seeds >= (seeds.max(axis=1) + 1)[:, None] // 2)
            z = step / np.sqrt(np.maximum(error * dispersion[:, None], 1e-30))
            size = step / np.maximum(seeds, 1)
            for best, sign in ((up, 1), (down, -1)):
                score = np.where(full, sign * z, -np.inf)
                at = score.argmax(axis=1)
                rows = np.arange(c)
                better = score[rows, at] > best[0]
                best[0] = np.where(better, score[rows, at], best[0])
                best[1] = np.where(better, sign * size[rows, at], best[1])
    return tuple(up), tuple(down)


def window_means(series: Series, h: int) -> tuple[Floats, Floats, Bools]:
    """Means over h neighbouring points, their variance before dispersion, and whether all h are there."""
    w = series.weight
    total = np.concatenate([np.zeros((*w.shape[:2], 1)), np.cumsum(w, axis=2)], axis=2)
    moment = np.concatenate([np.zeros((*w.shape[:2], 1)), np.cumsum(w * series.y, axis=2)], axis=2)
    size = np.maximum(total[:, :, h:] - total[:, :, :-h], 1e-30)
    ok = series.ok[:, :, h - 1 :]
    return (moment[:, :, h:] - moment[:, :, :-h]) / size, 1 / size, ok


def _levels(series: Series) -> tuple[Floats, Floats, Floats]:
    """Lowest, highest, and last minus first level of the seed-averaged curve, two points at a time."""
    h = min(2, series.y.shape[2])
    mean, _, ok = window_means(series, h)
    seeds = ok.sum(axis=1)
    full = (seeds > 0) & (seeds >= (seeds.max(axis=1, initial=0) + 1)[:, None] // 2)
    level = np.where(ok, mean, 0).sum(axis=1) / np.maximum(seeds, 1)
    low = np.where(full, level, np.inf).min(axis=1)
    high = np.where(full, level, -np.inf).max(axis=1)
    last = np.maximum(full.sum(axis=1) - 1, 0)
    change = level[np.arange(len(level)), last] - level[:, 0]
    none = ~full.any(axis=1)
    return np.where(none, 0, low), np.where(none, 0, high), np.where(none, 0, change)
