"""Everything that is measured on each curve by itself, for a whole batch at once.

`measure` is one pass: trends, fits, shapes, presence, surprise, link, seeds. It is called once on the data, and again on
every resample with fits over the short list of nodes, so a verdict and its weights come from the same procedure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from saltus.records import Analysis
from saltus.stats.batch import Bools, Channel, CurveBatch, Floats
from saltus.stats.fit import Fit
from saltus.stats.link import Link, link
from saltus.stats.presence import Floors, Presence, floors, presence
from saltus.stats.seeds import Seeds, seeds
from saltus.stats.series import Prepared, Series
from saltus.stats.shape import (
    GRADUAL,
    JUMP,
    UNKNOWN,
    Limits,
    Shape,
    cells_of,
    dispersion_of,
    fit_series,
    limits,
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

    def __len__(self) -> int:
        return len(self.has_soft)


def measure(
    curves: CurveBatch,
    prepared: Prepared,
    analysis: Analysis,
    *,
    floor: Floors | None = None,
    fits: tuple[Fit, Fit] | None = None,
) -> Measures:
    """Measure all curves. floor and fits (hard, soft) are found unless given: resamples keep the data's floor."""
    limit = limits(prepared.span, curves.log_axis, analysis)
    both = (prepared.hard, prepared.soft)
    fit_hard, fit_soft = fits or tuple(fit_series(s, limit, analysis) for s in both)
    margin = np.where(curves.hard.binomial, analysis.present_margin, 0.0)
    hard = _channel(prepared.hard, fit_hard, limit, analysis, margin)
    soft = _channel(prepared.soft, fit_soft, limit, analysis, np.zeros(len(margin)))
    if floor is None:
        sources = [key.floor_source for key in curves.keys]
        channel = _with_untrained(curves.hard, curves)
        floor = floors(channel, prepared.hard, sources, hard.shape.dispersion)
    noise = np.minimum(hard.shape.dispersion, hard.trend.local)
    found = presence(curves.hard, prepared.hard, floor, noise)
    leaps = hard.shape.code == JUMP
    asked = leaps & (soft.shape.code == GRADUAL) if fits else leaps | (hard.shape.code == UNKNOWN)
    found_link = link(
        prepared.hard, prepared.soft, hard.shape.cell, (hard.shape.dispersion, hard.shape.freedom),
        soft.shape.dispersion, asked,
    )  # fmt: skip
    return Measures(
        prepared=prepared, limits=limit, hard=hard, soft=soft, floor=floor, presence=found,
        has_soft=curves.has_soft & (prepared.soft.count.max(axis=1) > 0),
        seeds=seeds(prepared.hard, floor.value, hard.shape.dispersion, analysis.present_margin),
        link=found_link,
    )  # fmt: skip


def _channel(
    series: Series, fitted: Fit, limit: Limits, analysis: Analysis, least: Floats
) -> ChannelMeasures:
    trended = trend(series)
    noise = dispersion_of(series, fitted)
    cell = cells_of(series, fitted, noise[0])
    pooled = shape(series, fitted, trended, limit, noise, analysis=analysis, cell=cell, least=least)
    alone = seed_shapes(series, fitted, limit, pooled, analysis)
    foreseen = surprise(series, cell, *noise)
    return ChannelMeasures(
        series=series, fit=fitted, trend=trended, shape=pooled, seed_shape=alone, surprise=foreseen
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
        channel,
        floor=np.where(use, mean, channel.floor),
        floor_stderr=np.where(use, error, channel.floor_stderr),
    )
