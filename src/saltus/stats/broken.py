"""Two lines that meet at one place: a law with one break, and the explicit alternative that turns.

On the log axis a piece with one slope is logarithmic growth, and two of them are a broken neural scaling law with one
break (Caballero et al. 2023, arXiv:2210.14891) without its smoothing. *Broken*: both slopes at or above 0.
*Non-monotone*: slopes of opposite sign, so the curve turns there. Given the break, both are least squares in two
regressors, solved in closed form at every hinge for all rows at once.
Known limits: breaks lie on a fixed grid of places, so one is off by up to half a step of it; a turn must show at a
hinge, waves with two turns are a misfit here as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saltus.stats.batch import Floats

HINGES = np.linspace(0.05, 0.95, 19)
"""Places of the break, shares of the range."""
BROKEN, TURNING = range(2)
NAMES = ("broken", "non-monotone")
PARAMETERS = (4, 4)
"""Level, two slopes, the place of the break."""
COLLINEAR = 1e-6


@dataclass(frozen=True)
class Broken:
    """Of R rows, for both laws: arrays (R, 2)."""

    rss: Floats
    """Weighted sum of squares; that of a constant where no hinge gives slopes of the law's signs."""
    level: Floats
    """Value at the break, …"""
    before: Floats
    """… slope per range before it and …"""
    after: Floats
    """… after it, …"""
    place: Floats
    """… and where it is."""


def fit_broken(y: Floats, weight: Floats, u: Floats) -> Broken:
    """Fit both laws to rows y, u (R, P) in [0, 1], weights 0 where there is no point."""
    total = np.maximum(weight.sum(axis=1), 1e-30)[:, None]
    mean = (weight * y).sum(axis=1)[:, None] / total
    off = weight * (y - mean)
    constant = (off * (y - mean)).sum(axis=1)
    rest = np.stack([np.minimum(u[:, None] - HINGES[:, None], 0.0), np.maximum(u[:, None] - HINGES[:, None], 0.0)])
    sums = np.einsum("rp,krhp->krh", weight, rest)
    square = np.einsum("rp,krhp->krh", weight, rest**2) - sums**2 / total
    cross = -sums[0] * sums[1] / total  # the two never differ from 0 at one point
    product = np.einsum("rp,krhp->krh", off, rest)
    slopes, gain = _both(square, cross, product)
    rising = (slopes >= 0).all(axis=0)
    up = np.where(square > COLLINEAR * total, np.maximum(product, 0), 0)
    single = up / np.maximum(square, 1e-30)
    alone = up * single
    single = np.where(alone.argmax(axis=0) == np.arange(2)[:, None, None], single, 0)
    best = np.where(rising, gain, alone.max(axis=0))
    broken = _at(best, np.where(rising, slopes, single))
    turns = slopes[0] * slopes[1] < 0
    turning = _at(np.where(turns, gain, 0), np.where(turns, slopes, 0))
    gained, hinge, before, after = (np.stack(a, axis=1) for a in zip(broken, turning, strict=True))
    rows = np.arange(len(y))[:, None]
    level = mean - (before * sums[0][rows, hinge] + after * sums[1][rows, hinge]) / total
    rss = np.maximum(constant[:, None] - gained, 0.0)
    return Broken(rss=rss, level=level, before=before, after=after, place=HINGES[hinge])


def _both(square: Floats, cross: Floats, product: Floats) -> tuple[Floats, Floats]:
    """(2, R, H) slopes and (R, H) gain of least squares in both regressors; slopes NaN where they are one."""
    det = square[0] * square[1] - cross**2
    sound = det > COLLINEAR * square[0] * square[1]
    safe = np.where(sound & (det > 0), det, np.nan)
    slopes = (product * square[::-1] - product[::-1] * cross) / safe
    return slopes, (slopes * product).sum(axis=0)


def _at(gain: Floats, slopes: Floats) -> tuple[Floats, np.ndarray, Floats, Floats]:
    """The best hinge of every row: its gain, index and slopes."""
    hinge = gain.argmax(axis=1)
    rows = np.arange(len(gain))
    return gain[rows, hinge], hinge, slopes[0, rows, hinge], slopes[1, rows, hinge]


def broken_curve(found: Broken, law: int, u: Floats) -> Floats:
    """(R, Q) the fitted curve of one law at positions u, (Q,) for all rows or (R, Q)."""
    level, before, after, place = (a[:, law : law + 1] for a in (found.level, found.before, found.after, found.place))
    return level + before * np.minimum(u - place, 0) + after * np.maximum(u - place, 0)
