"""Rises and falls by hand: windows, levels, noise from second differences, and what is read off a simulated null."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saltus.stats.trend import Trend, noise_scale, tail, trend, window_means, windows

from helpers.by_hand import series


def of(*seeds: Any, var: float = 1e-4, known: bool = True, paired: float = 1.0) -> Trend:
    return trend(series(np.array([seeds], dtype=float), var=var, known=known, paired=paired))


@pytest.mark.parametrize(
    ("points", "lengths"),
    [(2, [1]), (3, [1]), (5, [1, 2]), (8, [1, 2, 3]), (9, [2, 3]), (12, [2, 3, 4]), (30, [2, 3, 10])],
)
def test_single_points_are_windows_only_where_there_are_few(points: int, lengths: list[int]) -> None:
    assert windows(points) == lengths


def test_window_means_weigh_by_errors_and_need_all_their_points() -> None:
    given = series([[[1.0, 4.0, 7.0, np.nan]]], var=np.array([[[1.0, 2.0, 2.0, 1.0]]]))
    mean, var, ok = window_means(given, 2)
    assert mean[0, 0, :2] == pytest.approx([(1 + 4 / 2) / 1.5, 5.5])
    assert var[0, 0, :2] == pytest.approx([1 / 1.5, 1.0])
    assert ok[0, 0].tolist() == [True, True, False]


def test_a_step_is_the_rise_its_height_and_the_fall_of_its_mirror_image() -> None:
    step = np.where(np.arange(12) > 5, 0.7, 0.2)
    up, down = of(step), of(step[::-1])
    assert up.rise[0] == pytest.approx(0.5)
    assert up.rise_p[0] < 1e-6
    assert up.fall_p[0] > 0.5
    assert down.fall[0] == pytest.approx(0.5)
    assert down.fall_p[0] < 1e-6
    assert (up.falls_overall[0], down.falls_overall[0]) == (False, True)
    assert up.spread[0] == pytest.approx(0.5)


def test_a_slip_that_recovers_is_no_fall_overall() -> None:
    dip = of([0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.3, 0.3, 0.3, 0.8, 0.8, 0.8])
    assert dip.fall[0] == pytest.approx(0.5)
    assert not dip.falls_overall[0]


@pytest.mark.parametrize(("last", "falls"), [(0.24, True), (0.26, False)])
def test_it_falls_overall_if_it_ends_below_its_start_by_half_of_the_fall(last: float, falls: bool) -> None:
    """From 0.5 up to 0.75 and down to 0.25: the fall is 0.5, the change −0.25."""
    y = [0.5] * 4 + [0.75] * 4 + [last] * 4
    assert bool(of(y).falls_overall[0]) is falls


def test_seeds_are_averaged() -> None:
    step = np.where(np.arange(12) > 5, 0.7, 0.2)
    both = of(step, np.full(12, 0.2))
    assert both.rise[0] == pytest.approx(0.25)
    assert both.spread[0] == pytest.approx(0.25)
    noise = np.random.default_rng(1).normal(0, 0.02, (3, 12))
    small = np.where(np.arange(12) > 5, 0.03, 0.0)
    assert of(*(small + noise), var=4e-4).rise_p[0] < of((small + noise)[0], var=4e-4).rise_p[0]


def test_errors_make_a_rise_doubtful() -> None:
    step = np.where(np.arange(12) > 5, 0.7, 0.2)
    assert of(step, var=1e-4).rise_p[0] < of(step, var=1e-2).rise_p[0] < of(step, var=0.25).rise_p[0]


def test_noise_is_read_from_second_differences_and_drawn_towards_what_is_known() -> None:
    """y = ±1 in turn with variance 1: each point is 2 off the chord of its neighbours, whose variance is 1.5."""
    y = (-1.0) ** np.arange(12)
    local = 4 / 1.5 / 0.455
    freedom = 0.4 * 10
    assert noise_scale(series([[y]], known=True))[0] == pytest.approx((2 + freedom * local) / (2 + freedom))
    assert noise_scale(series([[y]], known=True, paired=0.3))[0] == pytest.approx(
        (0.6 + freedom * local) / (2 + freedom)
    )
    assert noise_scale(series([[y]], known=False))[0] == pytest.approx(local)
    still = np.zeros((1, 1, 12))
    assert noise_scale(series(still))[0] == pytest.approx(2 / (2 + freedom))
    assert noise_scale(series(np.zeros((1, 1, 200)), known=True))[0] == 0.1, "never below a tenth"


def test_a_p_value_among_simulated_values_counts_those_at_least_as_large() -> None:
    null = np.arange(1.0, 1001.0)
    assert tail(null, np.array([501.0, 0.0])) == pytest.approx([501 / 1001, 1.0])
    assert tail(null, np.array([500.5])) == pytest.approx([501 / 1001])


def test_beyond_the_simulated_values_the_tail_is_exponential_through_the_top_twentieth() -> None:
    """The top 50 of 1 … 1000 start at 951 and lie 24.5 above it on average."""
    null = np.arange(1.0, 1001.0)
    far = tail(null, np.array([1000.0, 1100.0]))
    assert far == pytest.approx(0.05 * np.exp(-np.array([49.0, 149.0]) / 24.5))
    assert tail(null, np.array([1e9]))[0] == 1e-12


@pytest.mark.parametrize("points", [0, 1, 2])
def test_fewer_than_three_points_neither_rise_nor_fall(points: int) -> None:
    y = np.where(np.arange(6) < points, np.arange(6.0), np.nan)
    assert (of(y).rise_p[0], of(y).fall_p[0]) == (1.0, 1.0)


def test_company_changes_no_p_value() -> None:
    """Curves of other lengths have other windows, whoever they are judged with."""
    step = np.where(np.arange(12) > 5, 0.25, 0.2)
    short = np.where(np.arange(12) < 6, step, np.nan)
    both = trend(series(np.array([[step], [short]]), var=1e-3))
    assert both.rise_p[0] == pytest.approx(of(step, var=1e-3).rise_p[0], rel=1e-9)
    assert both.rise_p[1] == pytest.approx(of(short, var=1e-3).rise_p[0], rel=1e-9)
