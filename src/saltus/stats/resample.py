"""How often would each word have come out? Whole verdicts over parametric resamples of the curves.

A resample is the fitted curve of every seed and channel plus noise of the estimated dispersion, measured again from the
start. Curves whose first resamples all say the same are done; the rest go on. All curves see the same standard draws.
Known limit: the two channels are resampled independently, although they come from the same answers; so the link
between them is not asked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields, replace

import numpy as np

from saltus.records import Analysis, Verdict
from saltus.stats import grid
from saltus.stats.batch import Bools, Channel, CurveBatch, Floats
from saltus.stats.facts import fact_arrays
from saltus.stats.fit import Fit, curve, fit_draws
from saltus.stats.link import Link
from saltus.stats.measure import ChannelMeasures, Known, Measures, measure
from saltus.stats.pooled import Apart
from saltus.stats.presence import Floors
from saltus.stats.series import Prepared, pick, smooth3
from saltus.stats.shape import FALLING, NON_MONOTONE, Limits

PIECE = 40_000
"""Points of all draws that are computed together, about."""
BLOCKS = (8, 32, 60)
"""Draws per round; a curve whose draws so far all agree is done."""
Word = Callable[[int, tuple[int, ...]], Verdict]
"""(index of the curve, codes of its facts) → verdict."""


def verdict_weights(
    curves: CurveBatch,
    m: Measures,
    gates: tuple[Floats, Bools],
    word: Word,
    analysis: Analysis,
    rng: np.random.Generator,
) -> list[Mapping[str, float]]:
    """Share of resamples that gave each word. gates: the family's threshold of presence, and whose jump counts."""
    counts: list[Counter[str]] = [Counter() for _ in range(len(m))]
    active, left = np.arange(len(m)), analysis.resamples
    size = int(np.prod(m.hard.series.y.shape[1:]))
    for block in (*BLOCKS, *[BLOCKS[-1]] * (left // BLOCKS[-1])):
        block = min(block, left)
        if not block or not len(active):
            break
        left -= block
        noise = rng.standard_normal((2, block, *m.hard.series.y.shape[1:]))
        pieces = -(-len(active) * size * block // PIECE)
        for rows in np.array_split(active, min(len(active), max(1, pieces))):
            found = _words(curves, m, gates, rows, noise, word, analysis)
            for i, words in zip(rows.tolist(), found, strict=True):
                counts[i].update(words)
        active = np.array([i for i in active if len(counts[i]) > 1], dtype=int)
    return [{k: v / sum(c.values()) for k, v in c.most_common()} for c in counts]


def _words(
    curves: CurveBatch,
    m: Measures,
    gates: tuple[Floats, Bools],
    rows: np.ndarray,
    noise: Floats,
    word: Word,
    analysis: Analysis,
) -> list[list[Verdict]]:
    """The words of all draws of some curves; noise (2, B, S, P)."""
    draws = noise.shape[1]
    spread = np.repeat(rows, draws)
    channels = ((m.hard, curves.hard, noise[0]), (m.soft, curves.soft, noise[1]))
    limit = Limits(narrow=m.limits.narrow[rows], broad=m.limits.broad[rows]).bounds(analysis)
    drawn, fits = [], []
    for c, channel, z in channels:
        y = _redraw(c, rows, z, channel)
        s = pick(c.series, rows)
        fits.append(fit_draws(_of_rows(c, rows), y, s.weight, s.u, limit))
        drawn.append(replace(pick(c.series, spread), y=y.reshape(-1, *y.shape[2:])))
    prepared = Prepared(origin=m.prepared.origin[spread], span=m.prepared.span[spread], hard=drawn[0], soft=drawn[1])
    floor = Floors(*(getattr(m.floor, f.name)[spread] for f in fields(Floors)))
    linked = Link(*(getattr(m.link, f.name)[spread] for f in fields(Link)))
    agreed = Apart(*(getattr(m.apart, f.name)[spread] for f in fields(Apart)))
    known = Known((fits[0], fits[1]), floor, linked, agreed)
    again = measure(take(curves, spread), prepared, analysis, known=known)
    present = again.presence.p <= gates[0][spread]
    codes = fact_arrays(again, present, gates[1][spread], analysis).rows()
    kinds, which = np.unique(codes, axis=0, return_inverse=True)
    tuples = [tuple(k) for k in kinds.tolist()]
    found = [word(i, tuples[k]) for i, k in zip(spread.tolist(), which.ravel().tolist(), strict=True)]
    return [found[k * draws : (k + 1) * draws] for k in range(len(rows))]


def _of_rows(c: ChannelMeasures, rows: np.ndarray) -> Fit:
    """The short lists of some curves, all that `fit_draws` reads."""
    s = c.series.y.shape[1]
    short = c.fit.short.reshape(-1, s, c.fit.short.shape[1])[rows]
    return replace(c.fit, short=short.reshape(-1, short.shape[2]))


def _redraw(c: ChannelMeasures, rows: np.ndarray, noise: Floats, channel: Channel) -> Floats:
    """(C, B, S, P) draws: the fitted curve of every seed (a smoother, where it falls) and noise."""
    s = c.series
    shape = s.y.shape
    flat = s.u.reshape(-1, shape[2])
    fitted = curve(c.fit.coefficients, c.fit.node, flat, grid.FINE).reshape(shape)
    turns = np.isin(c.shape.code, (FALLING, NON_MONOTONE))
    centre = np.where(turns[:, None, None], smooth3(s.y, s.ok), fitted)[rows]
    scale = np.where(turns, c.trend.local, c.shape.dispersion)[rows, None, None]
    y = centre[:, None] + noise * np.sqrt(s.var[rows] * scale)[:, None]
    low, high = (a[rows, None, None, None] for a in (channel.bottom, channel.ceiling))
    return np.where(s.ok[rows][:, None], np.clip(y, low, high), 0.0)


def take(curves: CurveBatch, rows: np.ndarray) -> CurveBatch:
    """The batch of some curves, in the order of `rows`."""

    def channel(c: Channel) -> Channel:
        return replace(c, **{k: v[rows] for k, v in vars(c).items() if v is not None})

    return replace(
        curves,
        keys=tuple(curves.keys[i] for i in rows),
        x=curves.x[rows],
        raw_x=curves.raw_x[rows],
        seen=curves.seen[rows],
        log_axis=curves.log_axis[rows],
        hard=channel(curves.hard),
        soft=channel(curves.soft),
        has_soft=curves.has_soft[rows],
        other_axes={k: v[rows] for k, v in curves.other_axes.items()},
        suspects=tuple(curves.suspects[i] for i in rows) if curves.suspects else (),
        point_names=tuple(curves.point_names[i] for i in rows) if curves.point_names else (),
    )
