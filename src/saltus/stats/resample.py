"""How often would each word have come out? Whole verdicts over parametric resamples of the curves.

A resample is the fitted curve of every seed and channel plus noise of the estimated dispersion, measured again from the
start. Curves whose first resamples all say the same are done; the rest go on. All curves see the same standard draws.
Known limit: the two channels are resampled independently, although they come from the same answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from saltus.records import Analysis, Verdict
from saltus.stats.batch import Bools, Channel, CurveBatch, Floats
from saltus.stats.facts import fact_arrays
from saltus.stats.fit import curve
from saltus.stats.measure import ChannelMeasures, Measures, measure
from saltus.stats.presence import Floors
from saltus.stats.series import Prepared, Series, smooth3
from saltus.stats.shape import FALLING, NON_MONOTONE

FIRST = 20
Word = Callable[[int, tuple[int, ...]], Verdict]
"""(index of the curve, codes of its facts) → verdict."""


def verdict_weights(
    curves: CurveBatch, m: Measures, gates: tuple[Floats, Bools], word: Word, analysis: Analysis,
    rng: np.random.Generator,
) -> list[Mapping[str, float]]:  # fmt: skip
    """Share of resamples that gave each word. gates: the family's p-value threshold of presence, and whose jump counts."""
    threshold, significant = gates
    counts: list[Counter[str]] = [Counter() for _ in range(len(m))]
    active = np.arange(len(m))
    for done in range(analysis.resamples):
        if done == FIRST:
            active = np.array([i for i in active if len(counts[i]) > 1], dtype=int)
        if not len(active):
            break
        noise = rng.standard_normal((2, *m.hard.series.y.shape[1:]))
        part = take(curves, active)
        prepared = Prepared(
            origin=m.prepared.origin[active], span=m.prepared.span[active],
            hard=_redraw(m.hard, active, noise[0], curves.hard), soft=_redraw(m.soft, active, noise[1], curves.soft),
        )  # fmt: skip
        floor = Floors(m.floor.value[active], m.floor.stderr[active], m.floor.source[active])
        again = measure(part, prepared, analysis, floor=floor, coarse=True)
        found = fact_arrays(
            again, again.presence.p <= threshold[active], significant[active], analysis
        )
        for i, codes in zip(active.tolist(), found.rows().tolist(), strict=True):
            counts[i][word(i, tuple(codes))] += 1
    return [{k: v / sum(c.values()) for k, v in c.most_common()} for c in counts]


def _redraw(m: ChannelMeasures, rows: np.ndarray, noise: Floats, channel: Channel) -> Series:
    s = m.series
    c, seeds, p = s.y.shape
    flat = s.u.reshape(c * seeds, p)
    fitted = curve(m.fit.coefficients, m.fit.node, flat, False).reshape(c, seeds, p)
    turns = np.isin(m.shape.code, (FALLING, NON_MONOTONE))[:, None, None]
    centre = np.where(turns, smooth3(s.y, s.ok), fitted)[rows]
    spread = np.where(turns[:, 0, 0], m.trend.local, m.shape.dispersion)[rows, None, None]
    y = centre + noise * np.sqrt(s.var[rows] * spread)
    low, high = channel.bottom[rows, None, None], channel.ceiling[rows, None, None]
    y = np.where(s.ok[rows], np.clip(y, low, high), 0.0)
    return Series(
        u=s.u[rows], y=y, var=s.var[rows], n=s.n[rows], ok=s.ok[rows], known=s.known[rows],
        source=s.source[rows],
    )  # fmt: skip


def take(curves: CurveBatch, rows: np.ndarray) -> CurveBatch:
    """The batch of some curves, in the order of `rows`."""

    def channel(c: Channel) -> Channel:
        return replace(c, **{k: v[rows] for k, v in vars(c).items() if v is not None})

    return replace(
        curves,
        keys=tuple(curves.keys[i] for i in rows),
        x=curves.x[rows], raw_x=curves.raw_x[rows], seen=curves.seen[rows],
        log_axis=curves.log_axis[rows], hard=channel(curves.hard), soft=channel(curves.soft),
        has_soft=curves.has_soft[rows],
        other_axes={k: v[rows] for k, v in curves.other_axes.items()},
        suspects=tuple(curves.suspects[i] for i in rows) if curves.suspects else (),
        point_names=tuple(curves.point_names[i] for i in rows) if curves.point_names else (),
    )  # fmt: skip
