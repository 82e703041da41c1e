"""The shape of one channel: flat, gradual, a jump, falling, non-monotone, or unknown; with width and onset.

The width of the rise is an interval: cell bounds, true of any monotone curve through the points, joined with
all widths that the profile over the curve forms cannot reject. A jump needs the whole interval to be narrow, a
gradual rise needs the whole interval to be wide, so everything between is unknown. Dispersion contains the
misfit of the best form, so a curve that no form fits gets wide intervals, not a sharp verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from saltus.records import Analysis
from saltus.stats import grid
from saltus.stats.batch import Bools, Floats
from saltus.stats.fit import Bounds, Fit, drift, fit
from saltus.stats.monotone import Cells, cells
from saltus.stats.refine import HALF_BIN, Places, crossing, of_nodes, refine
from saltus.stats.series import Series
from saltus.stats.solve import Shares
from saltus.stats.trend import Trend

SHAPES: tuple[Any, ...] = ("flat", "gradual", "jump", "falling", "non_monotone", "unknown")
FLAT, GRADUAL, JUMP, FALLING, NON_MONOTONE, UNKNOWN = range(6)
DRIFT_WIDTH = 0.8
"""10–90 % width of a straight line, as a share of the range."""
RISE_P = 0.01
FALL_P = 0.002


@dataclass(frozen=True)
class Limits:
    """Widths that make a jump or a gradual rise, per curve, as shares of the range."""

    narrow: Floats
    broad: Floats

    def bounds(self, analysis: Analysis) -> Bounds:
        share = Shares(rise=analysis.jump_share, even=min(analysis.step_share, analysis.jump_share))
        return Bounds(share=share, narrow=self.narrow, broad=self.broad)


@dataclass(frozen=True)
class Shape:
    """Per curve (C,) unless stated otherwise; widths and places are shares of the range."""

    code: np.ndarray
    width: Floats
    width_low: Floats
    width_high: Floats
    onset: Floats
    onset_low: Floats
    onset_high: Floats
    admissible: Floats
    """Width of the smoothest admissible curve, and …"""
    admissible_node: np.ndarray
    """(C, S) … the node that draws it; −1 is a straight line."""
    dispersion: Floats
    freedom: Floats
    before: Floats
    after: Floats
    step: Floats
    cell: Cells
    """Of every seed, rows C·S, and …"""
    places: Places
    """… so are these."""


def limits(span: Floats, log_axis: Bools, analysis: Analysis) -> Limits:
    """A jump is at most `jump_width` decades and at most `jump_range` of the range; off log axes only the latter."""
    share = np.where(log_axis, analysis.jump_width / span, np.inf)
    return Limits(narrow=np.minimum(share, analysis.jump_range), broad=np.full(len(span), analysis.gradual_range))


def split(series: Series) -> Series:
    """Every seed as a curve of its own: arrays (C·S, 1, P)."""
    c, s, p = series.y.shape

    def move(a: np.ndarray) -> np.ndarray:
        return a.reshape(c * s, 1, p)

    return Series(
        u=move(series.u),
        y=move(series.y),
        var=move(series.var),
        n=move(series.n),
        ok=move(series.ok),
        known=np.repeat(series.known, s),
        source=move(series.source),
        paired=np.repeat(series.paired, s),
    )


def fit_series(series: Series, limit: Limits, analysis: Analysis) -> Fit:
    """Profiles of every seed, rows C·S."""
    return fit(series.y, series.weight, series.u, series.ok, limit.bounds(analysis), short=True)


def dispersion_of(series: Series, fitted: Fit) -> tuple[Floats, Floats]:
    """(C,) noise variance in units of the working variance, misfit included, and its degrees of freedom.

    Before any misfit it is expected to be 1, or less where neighbouring points share items (`Series.paired`).
    """
    c, s, _ = series.y.shape
    used = series.count > 5
    rss = np.where(used, fitted.rss.reshape(c, s), 0).sum(axis=1)
    freedom = np.where(used, series.count - 5, 0).sum(axis=1).astype(float)
    prior = 2.0
    value = np.maximum((prior * series.paired + rss) / (prior + freedom), np.where(series.known, 0.1, 0.02))
    return value, prior + freedom


def admitted(noise: tuple[Floats, Floats]) -> Floats:
    """(C,) how far a profile may lie above its least, from dispersion and its degrees of freedom: 95 %."""
    dispersion, freedom = noise
    return dispersion * stdtrit(freedom, 0.975) ** 2


def places_of(series: Series, fitted: Fit, noise: tuple[Floats, Floats]) -> Places:
    """Places of every seed, rows C·S: refined between the nodes, except for draws."""
    threshold = np.repeat(admitted(noise), series.y.shape[1])
    return refine(series, fitted, threshold) if fitted.form_node.shape[1] else of_nodes(fitted, threshold)


def shape(
    series: Series,
    fitted: Fit,
    trend: Trend,
    limit: Limits,
    noise: tuple[Floats, Floats],
    *,
    analysis: Analysis,
    of: tuple[Cells, Places],
    least: Floats,
) -> Shape:
    """Judge every curve from the profiles of its seeds; onsets may differ between seeds, the width may not.

    of: cells and places of every seed, rows C·S. least: a fall must exceed this to count, in the channel's unit.
    """
    cell, places = of
    c, s, _ = series.y.shape
    dispersion, freedom = noise
    live = (series.count > 2) & (cell.rise.reshape(c, s) > 0.25 * _most(cell.rise.reshape(c, s)))
    low, high, best, node = _profile(fitted, places, live, admitted(noise))
    cell_low = -_quartile(-cell.low.reshape(c, s), live)
    cell_high = _quartile(cell.high.reshape(c, s), live)
    width_low, width_high = np.minimum(low, cell_low), np.maximum(high, cell_high)
    before, after, step = (_middle(a.reshape(c, s).astype(float), live) for a in (cell.before, cell.after, cell.step))
    jump = (width_high <= limit.narrow + 1e-9) & (before >= analysis.points_before)
    jump &= after >= analysis.points_after
    gradual = (width_low >= limit.broad - 1e-9) & (step < analysis.step_share)
    code = np.select([jump, gradual], [JUMP, GRADUAL], UNKNOWN)
    code = np.where(trend.rise_p < RISE_P, code, FLAT)
    big = (trend.fall_p < FALL_P) & (trend.fall >= analysis.irregular_share * trend.spread)
    code = np.where(big & (trend.fall > least), np.where(trend.falls_overall, FALLING, NON_MONOTONE), code)
    code = np.where(series.count.max(axis=1) < 3, UNKNOWN, code)
    onset, onset_low, onset_high = _onset(places, cell, live, code == JUMP)
    return Shape(
        code=code,
        width=best,
        width_low=width_low,
        width_high=width_high,
        onset=onset,
        onset_low=onset_low,
        onset_high=onset_high,
        admissible=high,
        admissible_node=node,
        dispersion=dispersion,
        freedom=freedom,
        before=before,
        after=after,
        step=step,
        cell=cell,
        places=places,
    )


def seed_shapes(series: Series, fitted: Fit, limit: Limits, pooled: Shape, analysis: Analysis) -> Shape:
    """Every seed by itself, rows C·S, with the noise of its curve. Whether it rose at all is not asked here."""
    s = series.y.shape[1]
    if s == 1:
        return pooled
    one = split(series)
    rows = len(one.y)
    sure = Trend.of(rows, rise_p=0.0, fall_p=1.0)
    own = Limits(narrow=np.repeat(limit.narrow, s), broad=np.repeat(limit.broad, s))
    noise = (np.repeat(pooled.dispersion, s), np.repeat(pooled.freedom, s))
    return shape(
        one, fitted, sure, own, noise, analysis=analysis, of=(pooled.cell, pooled.places), least=np.zeros(rows)
    )


def _most(a: Floats) -> Floats:
    return a.max(axis=1, keepdims=True)


def _middle(a: Floats, live: Bools) -> Floats:
    """(C,) median over live seeds (over all where none is live)."""
    use = live | ~live.any(axis=1, keepdims=True)
    ordered = np.sort(np.where(use, a, np.inf), axis=1)
    count = use.sum(axis=1)
    rows = np.arange(len(a))
    low, high = ordered[rows, (count - 1) // 2], ordered[rows, count // 2]
    return np.where(np.isfinite(low) & np.isfinite(high), 0.5 * (low + high), high)


def _quartile(a: Floats, live: Bools) -> Floats:
    """(C,) lower quartile over live seeds: seeds share the width, so each one's bound holds for all."""
    use = live | ~live.any(axis=1, keepdims=True)
    ordered = np.sort(np.where(use, a, np.inf), axis=1)
    return np.asarray(ordered[np.arange(len(a)), (use.sum(axis=1) - 1) // 4])


def cells_of(series: Series, fitted: Fit, dispersion: Floats) -> Cells:
    """Cell bounds of every seed, rows C·S, after its drift is taken away."""
    s = series.y.shape[1]
    one = split(series)
    tolerance = np.sqrt(one.var[:, 0] * np.repeat(dispersion, s)[:, None])
    leads = fitted.coefficients[:, 2] > fitted.coefficients[:, 1]
    own = drift(fitted.coefficients, fitted.node, one.u[:, 0], grid.FINE)
    own = np.where(leads[:, None], own, 0.0)
    return cells(one.u[:, 0], one.y[:, 0], one.ok[:, 0], one.weight[:, 0], tolerance, own)


def _profile(fitted: Fit, places: Places, live: Bools, threshold: Floats) -> tuple[Floats, Floats, Floats, np.ndarray]:
    """Lowest, highest and best width that the pooled profile admits, and the nodes of the widest."""
    c, s = live.shape
    bins = fitted.by_width.shape[1]
    use = (live | ~live.any(axis=1, keepdims=True))[..., None]
    rss = np.where(use, fitted.by_width.reshape(c, s, bins), 0).sum(axis=1)
    delta = rss - rss.min(axis=1, keepdims=True)
    width = np.broadcast_to(np.append(grid.nodes().bin_width, DRIFT_WIDTH), delta.shape)
    ok = delta <= threshold[:, None]
    first, last = ok.argmax(axis=1), bins - 1 - ok[:, ::-1].argmax(axis=1)
    low = crossing(width, delta, threshold, first, np.maximum(first - 1, 0))
    high = crossing(width, delta, threshold, last, np.minimum(last + 1, bins - 1))
    node = fitted.width_node.reshape(c, s, bins)[np.arange(c), :, last]
    drifts = delta.argmin(axis=1) == bins - 1
    best = np.where(
        drifts, DRIFT_WIDTH, _middle(places.width.reshape(c, s), live & np.isfinite(places.width.reshape(c, s)))
    )
    return np.where(first == 0, 0.0, low), high, best, node


def _onset(places: Places, cell: Cells, live: Bools, jump: Bools) -> tuple[Floats, Floats, Floats]:
    """Half-way point over seeds; interval = profile over midpoints joined with the bracketing points.

    Where there is no jump, those of the whole rise: what the drift takes may be part of one gradual rise.
    """
    c, s = live.shape
    some = np.isfinite(places.mid)
    leaps = np.repeat(jump, s)
    first = np.where(leaps, cell.bracket_low, cell.whole_low)
    last = np.where(leaps, cell.bracket_high, cell.whole_high)
    low = np.where(some, np.minimum(np.minimum(places.low, places.mid - HALF_BIN), first), first)
    high = np.where(some, np.maximum(np.maximum(places.high, places.mid + HALF_BIN), last), last)
    best = np.clip(np.where(some, places.mid, 0.5 * (first + last)), low, high)
    onset, low, high = (_middle(a.reshape(c, s), live) for a in (best, low, high))
    spread = _spread(best.reshape(c, s), live)
    return onset, np.minimum(low, onset - spread), np.maximum(high, onset + spread)


def _spread(onset: Floats, live: Bools) -> Floats:
    """Half-width of a 95 % interval of the mean onset over seeds; 0 for one seed."""
    count = live.sum(axis=1)
    mean = np.where(live, onset, 0).sum(axis=1) / np.maximum(count, 1)
    square = np.where(live, (onset - mean[:, None]) ** 2, 0).sum(axis=1)
    deviation = np.sqrt(square / np.maximum(count - 1, 1))
    factor = stdtrit(np.maximum(count - 1, 1), 0.975) / np.sqrt(np.maximum(count, 1))
    return np.where(count > 1, np.minimum(factor, 2.0) * deviation, 0.0)
