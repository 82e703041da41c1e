"""Isotonic regression and what it says without any curve form: cell bounds of the width, the largest step, the bracket.

Many rows at once by the max–min formula g_i = max_{a≤i} min_{b≥i} mean(y_a … y_b) (Robertson, Wright & Dykstra 1988).
Known limit: P² numbers per row; callers cut long batches into pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saltus.stats.batch import Bools, Floats


@dataclass(frozen=True)
class Cells:
    """Per row (N,): shares of the range, from any monotone curve through the points."""

    low: Floats
    """The 10–90 % width is at least this …"""
    high: Floats
    """… and at most this, if the slope rises to one peak and falls again; inf where nothing rises.

    Such a curve lies below its chord before the steepest place and above it after: over two or more cells only one of
    the two crossings can lie at the far end of its cell.
    """
    bracket_low: Floats
    """The half-way crossing lies between these two points."""
    bracket_high: Floats
    whole_low: Floats
    """… and that of the whole rise, drift included, between these places: where its fit ± half of the tolerance
    crosses (an isotonic level pools some four points)."""
    whole_high: Floats
    before: np.ndarray
    """Points before the rise, and …"""
    after: np.ndarray
    """… after it."""
    start: np.ndarray
    """Index of the last point before the rise (≤ 10 %), and …"""
    arrive: np.ndarray
    """… of the first after it (≥ 90 %)."""
    step: Floats
    """Largest share of the rise between neighbouring points."""
    rise: Floats
    """Last minus first isotonic level, channel's unit."""


def isotonic(y: Floats, w: Floats) -> Floats:
    """Non-decreasing least-squares fit of rows (N, P); entries with weight 0 take part in nothing."""
    n, p = y.shape
    total = np.concatenate([np.zeros((n, 1)), np.cumsum(w, axis=1)], axis=1)
    moment = np.concatenate([np.zeros((n, 1)), np.cumsum(w * y, axis=1)], axis=1)
    size = total[:, None, 1:] - total[:, :-1, None]
    mean = (moment[:, None, 1:] - moment[:, :-1, None]) / np.where(size > 0, size, 1)
    order = np.arange(p)
    mean = np.where((order[:, None] <= order) & (size > 0), mean, np.inf)
    least = np.minimum.accumulate(mean[:, :, ::-1], axis=2)[:, :, ::-1]
    least = np.where((order[:, None] <= order) & np.isfinite(least), least, -np.inf)
    best = least.max(axis=1)
    return np.where(np.isfinite(best), best, 0.0)


def _chord(share: Floats, u: Floats, left: np.ndarray, level: float) -> Floats:
    """Where the chord from point `left` to the next one crosses a level; an end of it where it does not."""
    rows = np.arange(len(u))
    right = np.minimum(left + 1, u.shape[1] - 1)
    a, b = np.nan_to_num(share[rows, left]), np.nan_to_num(share[rows, right])
    way = np.where(b > a, np.clip((level - a) / np.where(b > a, b - a, 1), 0, 1), 0.0)
    return u[rows, left] + way * np.maximum(u[rows, right] - u[rows, left], 0)


def _crossing(share: Floats, u: Floats, ok: Bools) -> Floats:
    """Where the chords through the points last cross a half; an end where they do not."""
    order = np.arange(u.shape[1])
    last = np.maximum(ok.sum(axis=1) - 1, 0)
    left = np.where(ok & (share < 0.5), order, 0).max(axis=1)
    beyond = share[np.arange(len(u)), last] < 0.5
    inside = _chord(share, u, np.minimum(left, np.maximum(last - 1, 0)), 0.5)
    return np.where(beyond, u[np.arange(len(u)), last], inside)


def cells(u: Floats, y: Floats, ok: Bools, w: Floats, tolerance: Floats, drift: Floats) -> Cells:
    """Bounds for rows (N, P): y with a drift (N, P) taken away.

    tolerance (N, P): standard error of y; a point within one of them of the 10 % or 90 % line counts as there.
    """
    count = ok.sum(axis=1)
    last = np.maximum(count - 1, 0)
    rows = np.arange(len(y))
    raw = isotonic(y, w)
    flat = isotonic(y - drift, w)
    rise = flat[rows, last] - flat[:, 0]
    size = np.where(rise > 0, rise, 1.0)[:, None]
    share = np.where(ok, (flat - flat[:, :1]) / size, np.nan)
    slack = np.minimum(tolerance / size, 0.08)
    order = np.arange(y.shape[1])
    start = np.where(ok & (share <= 0.1 + slack), order, 0).max(axis=1)
    arrive = np.where(ok & (share >= 0.9 - slack), order, last[:, None]).min(axis=1)
    arrive = np.maximum(arrive, np.minimum(start + 1, last))
    left = np.where(ok & (share > 0.1), order, last[:, None]).min(axis=1)
    leave = np.where(ok & (share < 0.9), order, 0).max(axis=1)
    early = _chord(share, u, start, 0.1) - u[rows, start]
    late = u[rows, arrive] - _chord(share, u, np.maximum(arrive - 1, 0), 0.9)
    spared = np.where(arrive - start >= 2, np.clip(np.minimum(early, late), 0, None), 0.0)
    whole = raw[rows, last] - raw[:, 0]
    of_whole = (raw - raw[:, :1]) / np.where(whole > 0, whole, 1.0)[:, None]
    half = np.where(ok & (share < 0.5), order, 0).max(axis=1)
    blur = 0.5 * tolerance / np.where(whole > 0, whole, 1.0)[:, None]
    change = np.where(ok[:, 1:], raw[:, 1:] - raw[:, :-1], 0.0)
    step = change.max(axis=1, initial=0.0) / np.where(whole > 0, whole, 1.0)
    none = rise <= 0
    return Cells(
        low=np.where(none, 0, np.maximum(u[rows, leave] - u[rows, left], 0)),
        high=np.where(none, np.inf, u[rows, arrive] - u[rows, start] - spared),
        bracket_low=u[rows, half],
        bracket_high=u[rows, np.minimum(half + 1, last)],
        whole_low=_crossing(of_whole + blur, u, ok),
        whole_high=_crossing(of_whole - blur, u, ok),
        before=start + 1,
        after=np.maximum(count - arrive, 0),
        start=start,
        arrive=arrive,
        step=np.where(whole > 0, step, 0.0),
        rise=np.where(none, 0.0, rise),
    )
