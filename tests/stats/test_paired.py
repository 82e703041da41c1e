"""Checkpoints that answer the same items: their differences are narrower than independent errors, and that is used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from saltus.judging.findings import dump_finding
from saltus.judging.judge import judge
from saltus.records import Analysis
from saltus.stats.batch import CurveBatch
from saltus.stats.measure import Measures, measure
from saltus.stats.series import LEAST_PAIRED, canonical, prepare

from helpers.planted import batch, flat, logistic

RNG = np.random.default_rng
POINTS, ITEMS = 8, 400


def measured(curves: CurveBatch) -> Measures:
    curves, _ = canonical(curves)
    return measure(curves, prepare(curves), Analysis())


def answered(rise: float, sure: float, count: int, seed: int) -> CurveBatch:
    """The same items at every point: a share `sure` of them always is answered alike, the others by lot.

    Half of the sure items are right, and half-way along `rise` of all items turn from wrong to right for good.
    """
    rng = RNG(seed)
    curves = batch([[flat(0.5)]] * count, None, x=np.linspace(8, 13, POINTS), n=ITEMS, rng=rng)
    kind = rng.random((count, ITEMS, 1))
    chance = np.where(kind < sure / 2, 1.0, np.where(kind < sure, 0.0, 0.5))
    turned = (kind >= sure / 2) & (kind < sure / 2 + rise) & (np.arange(POINTS) >= POINTS // 2)
    right = (rng.random((count, ITEMS, POINTS)) < np.where(turned, 1.0, chance)).astype(float)
    steps = np.diff(right, axis=2).std(axis=1, ddof=1) / np.sqrt(ITEMS)
    paired = np.concatenate([np.full((count, 1), np.nan), steps], axis=1)[:, None]
    hard = replace(curves.hard, value=right.mean(axis=1)[:, None], step_stderr=paired)
    return replace(curves, hard=hard)


def unpaired(curves: CurveBatch) -> CurveBatch:
    return replace(curves, hard=replace(curves.hard, step_stderr=None))


def found(curves: CurveBatch) -> float:
    return float(np.mean(measured(curves).hard.trend.rise_p < 0.01))


@pytest.mark.parametrize(("sure", "ratio"), [(0.0, 1.0), (0.5, 0.5), (0.8, 0.2), (1.0, 1.0)])
def test_the_ratio_of_paired_to_independent_variance_is_recovered(sure: float, ratio: float) -> None:
    """With `sure` = 1 no answer ever changes, which says nothing: the prior stays at 1."""
    found = measured(answered(0.0, sure, 30, 1)).hard.series.paired
    assert found.mean() == pytest.approx(ratio, abs=0.06)


def test_the_ratio_stays_within_its_bounds_and_needs_three_steps() -> None:
    curves = answered(0.0, 0.97, 10, 2)
    assert measured(curves).hard.series.paired == pytest.approx(np.full(10, LEAST_PAIRED))
    two = curves.hard.step_stderr.copy()
    two[:, :, 3:] = np.nan
    few = replace(curves, hard=replace(curves.hard, step_stderr=two))
    assert (measured(few).hard.series.paired == 1).all()


def test_the_smallest_rise_that_is_found_shrinks() -> None:
    rises = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08)
    with_pairs, without = [], []
    for rise in rises:
        curves = answered(rise, 0.8, 100, 3)
        with_pairs.append(found(curves))
        without.append(found(unpaired(curves)))
    assert all(a >= b for a, b in zip(with_pairs, without, strict=True))
    smallest, before = (
        next(r for r, p in zip(rises, power, strict=True) if p >= 0.8) for power in (with_pairs, without)
    )
    assert smallest < before
    assert max(a - b for a, b in zip(with_pairs, without, strict=True)) > 0.2


@pytest.mark.parametrize("sure", [0.0, 0.8, 0.95])
def test_flat_curves_still_raise_no_alarm(sure: float) -> None:
    m = measured(answered(0.0, sure, 600, 4))
    assert np.mean(m.hard.trend.rise_p < 0.01) <= 0.02
    assert np.mean(m.hard.trend.fall_p < 0.01) <= 0.02


def test_curves_without_paired_items_are_judged_as_if_there_were_no_such_thing() -> None:
    hard, soft = logistic(10.7, 0.4, 0.1, 0.8), logistic(10.7, 0.4, 0.1, 0.7)
    curves = batch([[hard] * 3, [flat(0.1)] * 3], [[soft] * 3, [flat(0.1)] * 3], rng=RNG(5))
    unknown = np.full(curves.shape, np.nan)
    blank = replace(
        curves, hard=replace(curves.hard, step_stderr=unknown), soft=replace(curves.soft, step_stderr=unknown)
    )
    analysis = Analysis(resamples=8, draws=99)
    plain, other = (judge(c, analysis, RNG(6)) for c in (curves, blank))
    assert [dump_finding(f) for f in plain] == [dump_finding(f) for f in other]
