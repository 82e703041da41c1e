"""Is the behaviour there at all? The floor, exact tests against it, and the smallest effect that could have been seen.

Floor: what the batch says (untrained points, computed, declared); where that is only the nominal chance level and the
earliest points are flat at another level, the earliest points. Without any floor the earliest points stand in, and
any floor from the worst possible score to `NEAR` above them is allowed for: what rises beyond is present, what stays at
the worst score is absent, the rest is unknown. Binomial scores are tested exactly at an
effective number of items n / max(dispersion, 1): the items are a sample, however smooth the curve. A zero of n is the
bound 3/n. Known limit: points of one seed are not pooled, because they answer the same items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, ndtr, ndtri

from saltus.stats.batch import Bools, Channel, Floats
from saltus.stats.series import Series
from saltus.stats.trend import window_means

NEAR = 0.12
"""How far from the nominal level flat earliest points may lie and still be a floor."""


@dataclass(frozen=True)
class Floors:
    """Per curve; NaN where there is none."""

    value: Floats
    stderr: Floats
    source: np.ndarray
    """(C,) of str."""
    slack: Floats
    """How far above `value` the floor may lie: 0, or `NEAR` where no floor is given."""


@dataclass(frozen=True)
class Presence:
    """Per curve."""

    p: Floats
    """Two-sided test that some part of the curve differs from the floor; below it only where the curve falls."""
    effect: Floats
    """Largest smoothed distance from the floor, with sign; 0 where all of a rise lies below it."""
    low: Floats
    high: Floats
    """95 % interval of the last level."""
    last: Floats
    """Level of the last points minus the floor."""
    mde: Floats
    zero_bound: Floats
    """3/n where every score is exactly 0; NaN elsewhere."""
    off: np.ndarray
    """(C,) number of positions off the floor."""
    lone: Bools
    """Exactly one position is off the floor, and it is decisive."""


def floors(channel: Channel, series: Series, sources: list[str], dispersion: Floats) -> Floors:
    """The floor of every curve, and where it is from."""
    early, error, flat, several = _earliest(series, dispersion)
    value, stderr = channel.floor.copy(), np.nan_to_num(channel.floor_stderr)
    nominal = channel.nominal_floor
    only_nominal = np.array([s.startswith("nominal") for s in sources]) | ~np.isfinite(value)
    base = np.where(np.isfinite(value), value, nominal)
    off = np.abs(early - base) > 2.5 * error
    near = (early < base) | (np.abs(early - base) < NEAR)
    use_early = only_nominal & several & flat & near & (off | ~np.isfinite(base))
    use_early |= ~np.isfinite(base) & several
    take_nominal = ~use_early & ~np.isfinite(value) & np.isfinite(nominal)
    value = np.where(use_early, early, np.where(take_nominal, nominal, value))
    stderr = np.where(use_early, error, np.where(take_nominal, 0.0, stderr))
    source = np.array(sources, dtype=object)
    source[take_nominal] = "nominal"
    source[use_early] = "earliest points"
    given = np.isfinite(base)
    source[use_early & ~given] = "earliest points, no floor is given"
    source[~np.isfinite(value)] = "unknown"
    return Floors(value=value, stderr=stderr, source=source, slack=np.where(given, 0.0, NEAR))


def _earliest(series: Series, dispersion: Floats) -> tuple[Floats, Floats, Bools, Bools]:
    """Level of the first points, its standard error, whether they are flat, whether there are enough."""
    points = series.count.max(axis=1)
    take = np.clip(points // 4, 2, 4)
    first = np.arange(series.y.shape[2]) < take[:, None, None]
    w = np.where(first, series.weight, 0)
    total = np.maximum(w.sum(axis=(1, 2)), 1e-30)
    mean = (w * series.y).sum(axis=(1, 2)) / total
    chi2 = (w * (series.y - mean[:, None, None]) ** 2).sum(axis=(1, 2)) / dispersion
    freedom = np.maximum((w > 0).sum(axis=(1, 2)) - 1, 1)
    flat = chi2 < freedom + 2.5 * np.sqrt(2 * freedom)
    return mean, np.sqrt(np.maximum(dispersion, 1) / total), flat, points >= 2


def presence(channel: Channel, series: Series, floor: Floors, dispersion: Floats, margin: float) -> Presence:
    """Test every curve against its floor, or the nearest of those that are allowed for.

    margin: an effect as small as this counts as none, so a score that stays so close to the worst one is at any floor.
    """
    wide = np.maximum(dispersion, 1.0)
    known = np.isfinite(floor.value)
    f, f_error = np.where(known, floor.value, 0.0)[:, None], floor.stderr[:, None]
    seeds = np.maximum((series.count > 0).sum(axis=1), 1)
    pairs, _, pair_ok = window_means(series, min(2, series.y.shape[2]))
    level = _over_seeds(pairs, pair_ok)
    near = np.clip(level, f, f + floor.slack[:, None])
    items = np.where(series.n > 0, series.n, np.nan)
    per_point = _over_seeds(np.nan_to_num(items), series.ok & np.isfinite(items))
    n_eff = per_point[:, : level.shape[1]] * (seeds / wide)[:, None]
    spread = _over_seeds(series.var, series.ok)[:, : level.shape[1]] * (wide / seeds)[:, None]
    spread = spread + f_error**2
    there = pair_ok.any(axis=1)
    p_each = _two_sided(level, n_eff, near, f_error, spread, channel.binomial[:, None])
    last = np.maximum(there.sum(axis=1) - 1, 0)
    rows = np.arange(len(level))
    # Below the floor is no skill: an untrained network may not even guess. It counts where a curve falls there.
    falls = level[rows, last] < level[:, 0]
    counts = there & ((level > near) | (falls[:, None] & (level < near)))
    p_each = np.where(counts, p_each, 1.0)
    tests = np.maximum(there.sum(axis=1), 1)
    p = np.minimum(1.0, 2 * np.minimum(p_each[rows, last], tests * p_each.min(axis=1)))
    distance = np.where(counts, level - near, 0.0)
    top = np.abs(distance).argmax(axis=1)
    point = _over_seeds(series.y, series.ok)
    off, lone = _off_points(point, series, f[:, 0], wide / seeds, floor.stderr, falls)
    end, error = (level - near)[rows, last], np.sqrt(spread[rows, last])
    n_last = np.where(channel.binomial, per_point[rows, np.minimum(last, per_point.shape[1] - 1)], np.nan)
    zero = (np.where(series.ok, np.abs(series.y), 0).max(axis=(1, 2)) == 0) & channel.binomial
    worst = np.where(there, level, -np.inf).max(axis=1) <= channel.bottom + margin
    able = known & ((floor.slack == 0) | worst)
    return Presence(
        p=np.where(known, p, 1.0),
        effect=np.where(known, distance[rows, top], np.nan),
        low=end - 1.96 * error,
        high=end + 1.96 * error,
        last=np.where(known, end, np.nan),
        mde=np.where(able, _mde(f[:, 0], n_last / wide, spread[rows, last]), np.inf),
        zero_bound=np.where(zero & (n_last > 0), 3.0 / np.maximum(n_last, 1), np.nan),
        off=off,
        lone=lone & known,
    )


def _over_seeds(a: Floats, ok: Bools) -> Floats:
    return np.asarray(np.where(ok, a, 0).sum(axis=1) / np.maximum(ok.sum(axis=1), 1))


def _two_sided(level: Floats, n: Floats, f: Floats, f_error: Floats, spread: Floats, binomial: Bools) -> Floats:
    """p-value of each level: exact where binomial with an exact floor, else normal."""
    k, q = np.clip(level, 0, 1) * n, np.clip(f, 0, 1)
    exact = binomial & (n > 0) & (f_error == 0)
    with np.errstate(all="ignore"):
        above = np.where(k > 0, betainc(np.maximum(k, 1e-9), np.maximum(n - k + 1, 1e-9), q), 1.0)
        below = np.where(k < n, 1 - betainc(np.maximum(k + 1, 1e-9), np.maximum(n - k, 1e-9), q), 1.0)
        z = np.abs(level - f) / np.sqrt(spread)
    two = np.minimum(1.0, 2 * np.minimum(np.nan_to_num(above, nan=1), np.nan_to_num(below, nan=1)))
    return np.where(exact, two, 2 * ndtr(-np.nan_to_num(z)))


def _off_points(
    point: Floats, series: Series, f: Floats, scale: Floats, f_error: Floats, falls: Bools
) -> tuple[np.ndarray, Bools]:
    """Positions off the floor, by 3 standard errors and a third of the largest distance; and whether it is just one."""
    counts = series.ok.any(axis=1) & ((point > f[:, None]) | falls[:, None])
    var = _over_seeds(series.var, series.ok) * scale[:, None] + f_error[:, None] ** 2
    distance = np.where(counts, point - f[:, None], 0.0)
    clear = np.abs(distance) > 3 * np.sqrt(var)
    largest = np.abs(distance).max(axis=1)
    off = clear & (np.abs(distance) > largest[:, None] / 3)
    weak = np.abs(distance) > np.maximum(largest[:, None] / 4, 2 * np.sqrt(var))
    return clear.sum(axis=1), (off.sum(axis=1) == 1) & (weak.sum(axis=1) == 1)


def _mde(f: Floats, n: Floats, spread: Floats) -> Floats:
    """Effect found with 80 % power at 5 %, two-sided: binomial by fixed point, else from the standard error."""
    za, zb = float(ndtri(0.975)), float(ndtri(0.8))
    q = np.clip(f, 0, 0.99)
    with np.errstate(all="ignore"):
        d = np.full(len(f), 0.1)
        for _ in range(12):
            high = np.clip(q + d, 1e-3, 1 - 1e-3)
            d = np.minimum(za * np.sqrt(q * (1 - q) / n) + zb * np.sqrt(high * (1 - high) / n), 1.0)
        exact = np.where(n > 0, np.maximum(d, 1.61 / n), np.nan)
    return np.where(np.isfinite(exact), exact, (za + zb) * np.sqrt(spread))
