"""Everything that is measured on each curve by itself, for a whole batch at once.

`measure` is one pass: trends, fits, shapes, presence, surprise, link, seeds. It is called once on the data, and
again on every resample with fits over the short list of nodes, so a verdict and its weights come from the same
procedure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from saltus.records import Analysis
from saltus.stats import grid
from saltus.stats.batch import Bools, Channel, CurveBatch, Floats
from saltus.stats.fit import Fit, curve
from saltus.stats.forms import Forms, compare
from saltus.stats.link import Link, link
from saltus.stats.pooled import Apart, apart
from saltus.stats.presence import Floors, Presence, floors, presence
from saltus.stats.seeds import Seeds, seeds
from saltus.stats.series import Prepared, Series
from saltus.stats.shape import (
    JUMP,
    UNKNOWN,
    Limits,
    Shape,
    cells_of,
    dispersion_of,
    fit_series,
    limits,
    places_of,
    seed_shapes,
    shape,
)
from saltus.stats.surprise import Surprise, surprise
from saltus.stats.trend import Trend, trend


@dataclass(frozen=True)
class ChannelMeasures:
    """One channel: pooled over seeds, and every seed by itself (rows C·S)."""

    series: Series
    fit: Fit
    trend: Trend
    shape: Shape
    seed_shape: Shape
    surprise: Surprise
    forms: Forms
    """The model set compared; resamples have none to speak of."""


@dataclass(frozen=True)
class Known:
    """Answers for resamples: fits over short lists (hard, soft), and the data's own floor, link and agreement.

    The link stays because resamples of the two channels are independent, which the scores of the same answers are not.
    """

    fits: tuple[Fit, Fit]
    floor: Floors
    link: Link
    apart: Apart


@dataclass(frozen=True)
class Measures:
    """All of it; arrays run over the curves of the batch."""

    prepared: Prepared
    limits: Limits
    hard: ChannelMeasures
    soft: ChannelMeasures
    has_soft: Bools
    floor: Floors
    presence: Presence
    seeds: Seeds
    link: Link
    apart: Apart

    def __len__(self) -> int:
        return len(self.has_soft)


def measure(curves: CurveBatch, prepared: Prepared, analysis: Analysis, *, known: Known | None = None) -> Measures:
    """Measure all curves. `known` is what resamples take over from the data instead of finding it again."""
    limit = limits(prepared.span, curves.log_axis, analysis)
    both = (prepared.hard, prepared.soft)
    fits = known.fits if known else tuple(fit_series(s, limit, analysis) for s in both)
    margin = np.where(curves.hard.binomial, analysis.present_margin, 0.0)
    hard = _channel(prepared.hard, fits[0], limit, analysis, margin)
    soft = _channel(prepared.soft, fits[1], limit, analysis, np.zeros(len(margin)))
    if known is None:
        sources = [key.floor_source for key in curves.keys]
        channel = _with_untrained(curves.hard, curves)
        floor = floors(channel, prepared.hard, sources, hard.shape.dispersion)
    else:
        floor = known.floor
    noise = np.minimum(hard.shape.dispersion, hard.trend.local)
    found = presence(curves.hard, prepared.hard, floor, noise, analysis.present_margin)
    if known is None:
        leaps = np.isin(hard.shape.code, (JUMP, UNKNOWN))
        noises = (hard.shape.dispersion, hard.shape.freedom, soft.shape.dispersion)
        s = prepared.soft
        flat = s.u.reshape(-1, s.u.shape[2])
        smooth = curve(soft.fit.coefficients, soft.fit.node, flat, grid.FINE).reshape(s.y.shape)
        linked = link(prepared.hard, s, smooth, hard.shape.cell, noises, leaps)
    else:
        linked = known.link
    return Measures(
        prepared=prepared,
        limits=limit,
        hard=hard,
        soft=soft,
        floor=floor,
        presence=found,
        has_soft=curves.has_soft & (prepared.soft.count.max(axis=1) > 0),
        seeds=seeds(prepared.hard, floor.value, hard.shape.dispersion, analysis.present_margin),
        link=linked,
        apart=known.apart if known else apart(curves, analysis),
    )


def _channel(series: Series, fitted: Fit, limit: Limits, analysis: Analysis, least: Floats) -> ChannelMeasures:
    trended = trend(series)
    noise = dispersion_of(series, fitted)
    of = cells_of(series, fitted, noise[0]), places_of(series, fitted, noise)
    pooled = shape(series, fitted, trended, limit, noise, analysis=analysis, of=of, least=least)
    alone = seed_shapes(series, fitted, limit, pooled, analysis)
    foreseen = surprise(series, of[0], *noise)
    none = np.empty((len(series.y), 0))
    forms = compare(series, fitted) if fitted.form_node.shape[1] else Forms(none, none)
    return ChannelMeasures(
        series=series, fit=fitted, trend=trended, shape=pooled, seed_shape=alone, surprise=foreseen, forms=forms
    )


def _with_untrained(channel: Channel, curves: CurveBatch) -> Channel:
    """Where no floor is given, points at x = 0 (untrained models) are one."""
    untrained = curves.seen & ~np.isfinite(curves.x) & np.isfinite(channel.value)
    count = untrained.sum(axis=(1, 2))
    mean = np.where(untrained, channel.value, 0).sum(axis=(1, 2)) / np.maximum(count, 1)
    use = (count > 0) & ~np.isfinite(channel.floor)
    n = np.where(untrained & (channel.n > 0), channel.n, 0).sum(axis=(1, 2))
    error: Floats = np.where(n > 0, np.sqrt(np.maximum(mean * (1 - mean), 0) / np.maximum(n, 1)), 0)
    return replace(
        channel, floor=np.where(use, mean, channel.floor), floor_stderr=np.where(use, error, channel.floor_stderr)
    )
