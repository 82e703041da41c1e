"""Shapes at their thresholds: one clear curve, and each number that decides moved from one side to the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from saltus.records import Analysis
from saltus.stats.measure import ChannelMeasures, Measures
from saltus.stats.shape import (
    DRIFT_WIDTH,
    FALLING,
    FLAT,
    GRADUAL,
    JUMP,
    NON_MONOTONE,
    SHAPES,
    UNKNOWN,
    Limits,
    Shape,
    cells_of,
    dispersion_of,
    limits,
    shape,
)
from saltus.stats.trend import Trend

from helpers.by_hand import changed, leap, measured
from helpers.planted import batch, logistic

SPAN = np.array([5.0])


@pytest.fixture(scope="module")
def gradual() -> Measures:
    rise = logistic(10.5, 4.0, 0.1, 0.9)
    return measured(batch([[rise]], [[rise]], n=4000, rng=np.random.default_rng(2)))


def again(
    m: Measures,
    *,
    trend: Mapping[str, Any] | None = None,
    cell: Mapping[str, Any] | None = None,
    narrow: float | None = None,
    broad: float | None = None,
    analysis: Analysis | None = None,
    least: float = 0.0,
    noise: tuple[float, float] | None = None,
) -> Shape:
    """The shape of the hard channel with numbers of its trend, its cells or its limits changed."""
    c: ChannelMeasures = m.hard
    limit = Limits(
        narrow=m.limits.narrow if narrow is None else np.array([narrow]),
        broad=m.limits.broad if broad is None else np.array([broad]),
    )
    rows = c.series.y.shape[0] * c.series.y.shape[1]
    return shape(
        c.series,
        c.fit,
        changed(c.trend, {k: np.array([v]) for k, v in (trend or {}).items()}),
        limit,
        (c.shape.dispersion, c.shape.freedom) if noise is None else (np.array([noise[0]]), np.array([noise[1]])),
        analysis=analysis or Analysis(),
        of=(
            changed(c.shape.cell, {k: np.broadcast_to(v, rows).copy() for k, v in (cell or {}).items()}),
            c.shape.places,
        ),
        least=np.array([least]),
    )


def word(*args: Any, **more: Any) -> str:
    return str(SHAPES[int(again(*args, **more).code[0])])


# limits


def test_a_jump_is_at_most_a_decade_and_at_most_three_tenths_of_the_range() -> None:
    found = limits(np.array([5.0, 2.0, 5.0]), np.array([True, True, False]), Analysis())
    assert found.narrow == pytest.approx([0.2, 0.3, 0.3])
    assert found.broad == pytest.approx([0.25] * 3)
    other = limits(SPAN, np.array([True]), Analysis(jump_width=0.5, gradual_range=0.4))
    assert (other.narrow[0], other.broad[0]) == pytest.approx((0.1, 0.4))


# rise and fall


def test_what_does_not_rise_beyond_noise_is_flat() -> None:
    m = leap(seeds=1)
    assert word(m, trend={"rise_p": 0.0099}) == "jump"
    assert word(m, trend={"rise_p": 0.01}) == "flat"


@pytest.mark.parametrize(
    ("fall_p", "fall", "least", "overall", "expected"),
    [
        (0.0019, 0.31, 0.0, False, NON_MONOTONE),
        (0.0019, 0.31, 0.0, True, FALLING),
        (0.002, 0.31, 0.0, True, JUMP),
        (0.0019, 0.30, 0.0, False, NON_MONOTONE),
        (0.0019, 0.29, 0.0, False, JUMP),
        (0.0019, 0.31, 0.32, False, JUMP),
        (0.0019, 0.31, 0.31, False, JUMP),
    ],
)
def test_a_fall_counts_beyond_noise_and_by_three_tenths_of_the_range(
    fall_p: float, fall: float, least: float, overall: bool, expected: int
) -> None:
    trend = {"fall_p": fall_p, "fall": fall, "spread": 1.0, "falls_overall": overall}
    assert word(leap(seeds=1), trend=trend, least=least) == SHAPES[expected]


def test_a_fall_of_what_does_not_rise_is_a_fall() -> None:
    trend = {"rise_p": 0.5, "fall_p": 0.001, "fall": 0.5, "spread": 0.6, "falls_overall": True}
    assert word(leap(seeds=1), trend=trend) == "falling"


def test_two_points_have_no_shape() -> None:
    m = leap({"hard.series.ok": np.arange(12) < 2}, seeds=1)
    assert word(m) == "unknown"


# jump


def test_a_jump_has_its_whole_width_below_the_limit() -> None:
    m = leap(seeds=1)
    high = float(m.hard.shape.width_high[0])
    assert word(m, narrow=high + 1e-6) == "jump"
    assert word(m, narrow=high - 1e-6) == "unknown"


def test_a_jump_has_points_before_and_after_it() -> None:
    m = leap(seeds=1)
    assert word(m, cell={"before": 3, "after": 2}) == "jump"
    assert word(m, cell={"before": 2, "after": 2}) == "unknown"
    assert word(m, cell={"before": 3, "after": 1}) == "unknown"
    assert word(m, cell={"before": 2, "after": 1}, analysis=Analysis(points_before=2, points_after=1)) == "jump"


def test_the_cells_bound_the_width_where_the_fits_know_less() -> None:
    m = leap(seeds=1)
    wide = again(m, cell={"low": 0.0, "high": 0.19})
    assert (wide.width_high[0], SHAPES[int(wide.code[0])]) == (0.19, "jump")
    wider = again(m, cell={"low": 0.0, "high": 0.21})
    assert (wider.width_high[0], SHAPES[int(wider.code[0])]) == (0.21, "unknown")


# gradual


def test_a_gradual_rise_has_its_whole_width_above_the_limit(gradual: Measures) -> None:
    low = float(gradual.hard.shape.width_low[0])
    assert SHAPES[int(gradual.hard.shape.code[0])] == "gradual"
    assert word(gradual, broad=low) == "gradual"
    assert word(gradual, broad=low + 1e-6) == "unknown"


def test_no_step_of_a_gradual_rise_holds_half_of_it(gradual: Measures) -> None:
    assert word(gradual, cell={"step": 0.499}) == "gradual"
    assert word(gradual, cell={"step": 0.5}) == "unknown"
    assert word(gradual, cell={"step": 0.5}, analysis=Analysis(step_share=0.6)) == "gradual"


def test_the_interval_of_the_width_holds_the_truth_and_grows_with_the_noise(gradual: Measures) -> None:
    """4 of 5 decades, of which a little lies beyond the range."""
    s = gradual.hard.shape
    assert s.width_low[0] < DRIFT_WIDTH
    assert s.width_low[0] <= s.width[0] <= s.width_high[0]
    sure, doubtful = (again(gradual, noise=(d, 7.0)) for d in (0.01, 50.0))
    assert sure.width_low[0] > doubtful.width_low[0]


# seeds


def test_seeds_share_the_width_so_a_quarter_of_them_bounds_it() -> None:
    """Of five upper bounds the second smallest holds, of five lower ones the second largest."""
    m = leap(seeds=5)
    assert again(m, cell={"high": [0.9, 0.5, 0.6, 0.7, 0.8], "low": 0.0}).width_high[0] == pytest.approx(0.6)
    lows = again(m, cell={"low": [0.001, 0.005, 0.004, 0.003, 0.002], "high": 0.9})
    assert lows.width_low[0] == pytest.approx(0.004)


def test_points_beside_the_rise_are_the_median_over_seeds() -> None:
    m = leap(seeds=3)
    found = again(m, cell={"before": [2, 3, 9], "after": [1, 2, 2]})
    assert (found.before[0], found.after[0]) == (3, 2)
    two = leap(seeds=2)
    assert again(two, cell={"before": [2, 5]}).before[0] == 3.5


def test_a_seed_that_hardly_rises_has_no_say_in_the_width() -> None:
    m = leap(seeds=3)
    rise = [0.7, 0.7, 0.17]
    without = again(m, cell={"rise": rise, "high": [0.3, 0.4, 0.25], "before": [5, 5, 0]})
    assert (without.width_high[0], without.before[0]) == (0.3, 5)
    rise = [0.7, 0.7, 0.18]
    withal = again(m, cell={"rise": rise, "high": [0.3, 0.4, 0.25], "before": [5, 4, 0]})
    assert (withal.width_high[0], withal.before[0]) == (0.25, 4)


def test_onsets_that_scatter_over_seeds_widen_the_interval_of_their_middle() -> None:
    apart = [[logistic(mid, 0.2, 0.1, 0.8)] for mid in (9.5, 10.5, 11.5)]
    curves = batch([[c[0] for c in apart]], None, rng=np.random.default_rng(4))
    s = measured(curves).hard.shape
    assert s.onset[0] == pytest.approx(0.5, abs=0.05)
    half = 2.0 * 0.2  # twice the standard deviation of 0.3, 0.5 and 0.7 of the range
    assert (s.onset_low[0], s.onset_high[0]) == pytest.approx((0.5 - half, 0.5 + half), abs=0.06)


# noise


def test_dispersion_is_misfit_per_degree_of_freedom_drawn_towards_one() -> None:
    m = leap(seeds=3)
    series = replace(m.hard.series, paired=np.array([1.0]))
    fitted = replace(m.hard.fit, rss=np.array([7.0, 14.0, 21.0]))
    value, freedom = dispersion_of(series, fitted)
    assert freedom[0] == 2 + 3 * (12 - 5)
    assert value[0] == pytest.approx((2 + 42) / 23)
    paired = dispersion_of(replace(series, paired=np.array([0.5])), fitted)[0]
    assert paired[0] == pytest.approx((1 + 42) / 23)


@pytest.mark.parametrize(("known", "least"), [(True, 0.1), (False, 0.02)])
def test_a_perfect_fit_is_no_proof_that_there_is_no_noise(known: bool, least: float) -> None:
    m = leap(seeds=3)
    series = replace(m.hard.series, paired=np.array([0.0]), known=np.array([known]))
    assert dispersion_of(series, replace(m.hard.fit, rss=np.zeros(3)))[0][0] == least


def test_a_seed_of_five_points_says_nothing_of_the_noise() -> None:
    m = leap({"hard.series.ok": np.arange(12) < np.array([12, 5, 6])[:, None]})
    value, freedom = dispersion_of(replace(m.hard.series, paired=np.array([1.0])), replace(m.hard.fit, rss=np.ones(3)))
    assert freedom[0] == 2 + 7 + 1
    assert value[0] == pytest.approx((2 + 2) / 10)


def test_cells_look_at_the_rise_without_its_drift() -> None:
    """A step of 0.6 on a slope of 0.2: 10 % of the step is reached in its own cell, not along the slope."""

    def truth(x: np.ndarray) -> np.ndarray:
        return 0.1 + 0.2 * (x - 8) / 5 + np.where(x > 10.5, 0.6, 0.0)

    m = measured(batch([[truth]], None, n=10_000_000, rng=np.random.default_rng(5)))
    cell = cells_of(m.hard.series, m.hard.fit, m.hard.shape.dispersion)
    assert (cell.start[0], cell.arrive[0]) == (5, 6)


def test_a_trend_that_is_not_asked_about_is_the_same_for_all() -> None:
    sure = Trend.of(3, rise_p=0.0, fall_p=1.0)
    assert (sure.rise_p == 0).all()
    assert (sure.fall_p == 1).all()
    assert not sure.falls_overall.any()


def test_codes_stand_for_their_words() -> None:
    names = ["flat", "gradual", "jump", "falling", "non_monotone", "unknown"]
    assert [SHAPES[c] for c in (FLAT, GRADUAL, JUMP, FALLING, NON_MONOTONE, UNKNOWN)] == names
