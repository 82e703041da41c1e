"""Which checkpoints to ask next, so that an onset is found by asking few of many.

A sequential procedure without effects: given what was measured at the checkpoints asked so far, it names the
next ones or stops. It begins with an even net over the axis, then asks where the onset may still lie and along
the rise, and stops when the onset's interval is as narrow as wanted. Where nothing is wanted, it stops when
asking every checkpoint would not make the interval much narrower, which it predicts from the fitted curve
(Fisher information). What it asks decides nothing: the verdict on the asked points is the ordinary one.
Known limits: a rise and fall between two neighbours of the first net is not seen; noise with memory makes
neighbouring checkpoints say less than predicted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saltus.records import Analysis
from saltus.stats import grid
from saltus.stats.batch import Bools, Floats
from saltus.stats.measure import Measures
from saltus.stats.shape import FALLING, NON_MONOTONE, RISE_P, UNKNOWN

RIDGE = 1e-3
"""Prior information on each parameter, as a share of one measurement's: keeps steps invertible."""

VAGUE = 0.25
"""An interval wider than this share of the range is never narrow enough by itself."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a search is for and what it may cost."""

    interval: float | None = None
    """Width wanted for the onset's interval, in the axis' fitted unit (decades); None: see the module."""
    share: float = 0.2
    """At most this share of the checkpoints is asked."""
    least: int = 12
    """… but always so many."""
    first: int = 12
    """Checkpoints of the even net."""
    each: int = 3
    """Checkpoints per round after that."""
    calm: int = 24
    """Even checkpoints asked where nothing rises; the whole share where only the soft twin does, or the curve turns."""
    worse: float = 1.5
    """How many times wider than the full sweep's the interval may stay where no width is wanted."""

    def most(self, checkpoints: int) -> int:
        """Checkpoints that may be asked out of so many."""
        return min(checkpoints, max(self.least, int(self.share * checkpoints + 1e-9)))


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is known of one curve so far; places and widths are shares of the range of the points that came."""

    origin: float
    """Fitted axis at the first of these points, and …"""
    span: float
    """… from there to the last: a checkpoint that could not be asked may lie beyond."""

    rises: bool
    """The hard score does; its onset is what is searched."""
    twin_rises: bool
    turns: bool
    onset: float
    low: float
    high: float
    start: float
    """Where the fitted rise has a tenth of itself, and …"""
    end: float
    """… nine tenths."""
    decided: bool
    """The whole interval of the width is a jump's, with points on both sides, or a gradual rise's; and the soft
    twin, where there is one, has a shape."""
    form: int
    m: float
    w: float
    """The fitted node of the best seed: form, midpoint, width."""
    noise: float
    """Standard error of one point in units of the rise, at a middling score."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do next about one curve."""

    ask: tuple[int, ...]
    """Places in the list of checkpoints; () with `stop`."""
    stop: bool
    why: str
    width: float
    """Width of the onset's interval now, fitted unit; NaN where nothing rises."""
    full: float
    """What it would be had every checkpoint been asked, as predicted; NaN likewise."""


def net(x: Floats, aim: Aim) -> tuple[int, ...]:
    """The first checkpoints to ask: evenly over the axis, both ends and every untrained one (x = −inf) among them."""
    untrained = np.flatnonzero(~np.isfinite(x))
    trained = np.flatnonzero(np.isfinite(x))
    if len(trained) <= aim.first:
        return tuple(range(len(x)))
    return tuple(sorted({*untrained.tolist(), *_even(x, trained, aim.first)}))


def advance(x: Floats, asked: Bools, look: Look, aim: Aim) -> Step:
    """The next checkpoints for one curve, or the end.

    x (G,): fitted axis of all checkpoints, increasing, −inf where untrained; asked (G,).
    """
    trained = np.flatnonzero(np.isfinite(x))
    span = look.span
    u = np.full(len(x), np.nan)
    u[trained] = (x[trained] - look.origin) / span
    everywhere = (float(u[trained[0]]), float(u[trained[-1]]))
    room = aim.most(len(x)) - int(asked.sum())
    free = trained[~asked[trained]]
    if not look.rises or look.turns:
        why = "it turns" if look.turns else "nothing rises"
        nothing = float("nan")
        quiet = not (look.turns or look.twin_rises)
        calm = min(room, aim.calm - int(asked[trained].sum()) if quiet else room)
        if calm <= 0 or not len(free):
            return Step(ask=(), stop=True, why=why, width=nothing, full=nothing)
        ask = _fill(u, asked, free, everywhere, min(calm, 2 * aim.each))
        return Step(ask=ask, stop=False, why=why, width=nothing, full=nothing)
    now = look.high - look.low
    full = predicted_interval(u[trained], asked[trained], look)
    sizes = {"width": now * span, "full": full * span}
    wanted = aim.interval / span if aim.interval is not None else min(aim.worse * full, VAGUE)
    narrow = now <= wanted
    if narrow and look.decided:
        return Step(ask=(), stop=True, why="the interval is as narrow as wanted", **sizes)
    if room <= 0 or not len(free):
        why = "every checkpoint was asked" if not len(free) else "the share to be asked is used up"
        return Step(ask=(), stop=True, why=why, **sizes)
    zone = _zone(look, narrow)
    count = min(aim.each, room)
    ask = _sides(u, asked, look, count) or _fill(u, asked, free, zone, count)
    return Step(ask=ask, stop=False, why="the onset may lie in a wider interval", **sizes)


def look_of(m: Measures, i: int, analysis: Analysis) -> Look:
    """What the measurements of curve i, at the points asked so far, say."""
    shape, series, seeds = m.hard.shape, m.hard.series, m.hard.series.y.shape[1]
    rows = np.arange(i * seeds, (i + 1) * seeds)
    whole = series.count[i] == series.count[i].max()
    best = int(rows[np.where(whole, shape.cell.rise[rows], -np.inf).argmax()])
    g = grid.nodes()
    node = int(m.hard.fit.node[best]) % len(g)
    code = int(shape.code[i])
    size = max(float(np.median(shape.cell.rise[rows])), 1e-9)
    ok = series.ok[i]
    var = float(np.median(series.var[i][ok])) if ok.any() else 1.0
    jump = shape.width_high[i] <= m.limits.narrow[i] + 1e-9
    jump &= shape.before[i] > analysis.points_before and shape.after[i] > analysis.points_after
    wide = shape.width_low[i] >= m.limits.broad[i] and shape.step[i] < analysis.step_share
    twin_settled = not m.has_soft[i] or int(m.soft.shape.code[i]) != UNKNOWN
    return Look(
        origin=float(m.prepared.origin[i]),
        span=float(m.prepared.span[i]),
        rises=bool(m.hard.trend.rise_p[i] < RISE_P),
        twin_rises=bool(m.has_soft[i] and m.soft.trend.rise_p[i] < RISE_P),
        turns=code in (FALLING, NON_MONOTONE),
        onset=float(shape.onset[i]),
        low=float(np.clip(shape.onset_low[i], 0, 1)),
        high=float(np.clip(shape.onset_high[i], 0, 1)),
        start=float(g.start[node]),
        end=float(g.end[node]),
        decided=bool((jump or wide) and twin_settled),
        form=int(g.form[node]),
        m=float(g.m[node]),
        w=float(g.w[node]),
        noise=float(np.sqrt(var * shape.dispersion[i] / max((series.count[i] > 0).sum(), 1)) / size),
    )


def _zone(look: Look, narrow: bool) -> tuple[float, float]:
    """Where to ask: the onset's interval; once that is narrow, the whole rise and as much again; a wide one, all."""
    low, high = look.low, look.high
    if narrow and look.end - look.start > 0.25:
        return 0.0, 1.0
    pad = 0.5 * max(high - low, 0.0125)
    if narrow:
        low, high = min(low, look.start), max(high, look.end)
        pad = 0.5 * (high - low)
    return max(low - pad, 0.0), min(high + pad, 1.0)


def _sides(u: Floats, asked: Bools, look: Look, count: int) -> tuple[int, ...]:
    """Checkpoints that are missing before or after the rise: no verdict can do without them."""
    found: list[int] = []
    for inside, need in ((u < min(look.start, look.low), 4), (u > max(look.end, look.high), 3)):
        free = np.flatnonzero(inside & ~asked)
        lack = need - int((inside & asked).sum())
        if lack > 0 and len(free):
            found += _fill(u, asked, free, (-np.inf, np.inf), min(lack, count))
    return tuple(found[:count])


def _fill(u: Floats, asked: Bools, free: np.ndarray, zone: tuple[float, float], count: int) -> tuple[int, ...]:
    """`count` of the free checkpoints, each the farthest from all asked ones; those in the zone first."""
    known = list(u[asked & np.isfinite(u)])
    left = list(free)
    chosen: list[int] = []
    while left and len(chosen) < count:
        at = u[left]
        distance = np.abs(at[:, None] - np.asarray(known)[None, :]).min(axis=1)
        outside = np.maximum(np.maximum(zone[0] - at, at - zone[1]), 0.0)
        score = np.where(outside > 0, -outside, distance)
        pick = left.pop(int(score.argmax()))
        chosen.append(int(pick))
        known.append(u[pick])
    return tuple(sorted(chosen))


def _even(x: Floats, where: np.ndarray, count: int) -> list[int]:
    """About `count` of the places `where`, evenly spread over x; fewer where the checkpoints crowd."""
    at = x[where]
    wish = np.linspace(at[0], at[-1], count)
    near = np.abs(at[:, None] - wish[None, :]).argmin(axis=0)
    chosen = set(where[near].tolist())
    spare = [int(p) for p in where if p not in chosen]
    u = (at - at[0]) / max(float(at[-1] - at[0]), 1e-12)
    full = np.full(len(x), np.nan)
    full[where] = u
    taken = np.zeros(len(x), dtype=bool)
    taken[list(chosen)] = True
    return sorted(chosen | set(_fill(full, taken, np.array(spare, dtype=int), (0.0, 1.0), count - len(chosen))))


def predicted_interval(u: Floats, asked: Bools, look: Look) -> float:
    """Width of the onset's interval had every checkpoint been asked, share of the range.

    The present width times the ratio of the standard errors of the fitted midpoint, from the information that the
    asked and that all checkpoints hold about level, rise, midpoint and width; not below one bin of the profile,
    nor below the gap between the checkpoints around the onset.
    """
    now = look.high - look.low
    some, all_ = (_midpoint_error(u[use], look) for use in (asked, np.ones(len(u), dtype=bool)))
    right = int(np.clip(np.searchsorted(u, look.onset), 1, len(u) - 1))
    least = max(1.0 / len(grid.MID_EDGES), float(u[right] - u[right - 1]))
    return min(now, max(now * all_ / some, least))


def _midpoint_error(u: Floats, look: Look) -> float:
    """Standard error of the midpoint, in units of the range, from measurements at u."""
    w, h = max(look.w, 0.01), 1e-3

    def rise(m: float, width: float) -> Floats:
        return grid.value(np.full(len(u), look.form), (u - m) / width)

    columns = [np.ones(len(u)), rise(look.m, w)]
    columns.append((rise(look.m + h, w) - rise(look.m - h, w)) / (2 * h))
    columns.append((rise(look.m, w * (1 + h)) - rise(look.m, w * (1 - h))) / (2 * h))
    design = np.stack(columns, axis=1) / max(look.noise, 1e-6)
    information = design.T @ design + RIDGE / max(look.noise, 1e-6) ** 2 * np.eye(4)
    return float(np.sqrt(np.linalg.inv(information)[2, 2]))
