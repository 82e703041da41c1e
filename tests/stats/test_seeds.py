"""Seeds by hand: last levels, who leapt, and whether a gap is wider than noise can make it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from saltus.stats.seeds import Seeds, seeds

from helpers.by_hand import series

VAR = 2e-4
"""Of one point: the mean of the last two has variance 1e-4, an error of 0.01."""


def ending(
    *levels: float,
    floor: float = 0.0,
    var: float = VAR,
    dispersion: float = 1.0,
    margin: float = 0.05,
    start: float = 0.0,
) -> Seeds:
    """Four points of every seed at `start` and two at its last level."""
    y = np.array([[[start] * 4 + [level] * 2 for level in levels]])
    return seeds(series(y, var=var), np.array([floor]), np.array([dispersion]), margin)


def leapt(found: Seeds) -> list[bool]:
    return [bool(v) for v in found.leapt_seed[0]]


def test_the_last_level_is_the_mean_of_the_last_two_points_weighted_by_their_errors() -> None:
    y = np.array([[[0.9, 0.9, 0.3, 0.6], [0.9, 0.2, 0.4, np.nan]]])
    var = np.array([[[1.0, 1.0, 2e-4, 1e-4], [1.0, 1e-4, 1e-4, 1.0]]])
    found = seeds(series(y, var=var), np.array([0.0]), np.array([4.0]), 0.05)
    assert found.final[0] == pytest.approx([(0.3 / 2 + 0.6) / 1.5, 0.3])
    weight = np.array([1 / 2e-4 + 1 / 1e-4, 2 / 1e-4])
    assert found.error[0] == pytest.approx(np.sqrt(4.0 / weight))


def test_a_seed_has_leapt_with_half_of_the_largest_seeds_way_from_the_floor() -> None:
    assert leapt(ending(0.8, 0.4, 0.39)) == [True, True, False]
    assert ending(0.8, 0.4, 0.39).leapt[0] == 2
    # from a floor of 0.2 the largest way is 0.6, and half of it ends at 0.5
    assert leapt(ending(0.8, 0.51, 0.49, floor=0.2)) == [True, True, False]


def test_without_a_floor_the_lowest_start_is_the_base() -> None:
    y = np.array([[[0.2, 0.2, 0.2, 0.8, 0.8], [0.3, 0.3, 0.3, 0.51, 0.51], [0.4, 0.4, 0.4, 0.49, 0.49]]])
    found = seeds(series(y, var=VAR), np.array([np.nan]), np.array([1.0]), 0.05)
    assert leapt(found) == [True, True, False]


def test_nobody_leapt_where_the_largest_way_is_within_the_margin() -> None:
    assert leapt(ending(0.051, 0.0)) == [True, False]
    assert leapt(ending(0.05, 0.0)) == [False, False]
    assert not ending(0.05, 0.0, var=1e-12).two[0]


@pytest.mark.parametrize(("level", "two"), [(0.2, True), (0.21, False), (0.39, False), (0.4, False)])
def test_two_populations_need_seeds_that_stayed_within_a_quarter(level: float, two: bool) -> None:
    assert bool(ending(0.8, level, 0.8).two[0]) is two


def test_a_seed_between_the_kinds_leaves_no_two_populations() -> None:
    assert ending(0.8, 0.0, 0.8).two[0]
    assert not ending(0.8, 0.0, 0.3).two[0]


def test_the_gap_is_the_widest_between_neighbours_in_errors_of_a_difference() -> None:
    found = ending(0.1, 0.5, 0.2, 0.8)
    assert found.gap[0] == pytest.approx(0.3 / (0.01 * np.sqrt(2)))
    assert ending(0.1, 0.5, 0.2, 0.8, dispersion=4.0).gap[0] == pytest.approx(0.3 / (0.02 * np.sqrt(2)))


@pytest.mark.parametrize(("errors", "two"), [(4.01, True), (3.99, False)])
def test_a_gap_that_noise_could_make_is_none(errors: float, two: bool) -> None:
    """Apart by `errors` standard errors of a difference; both kinds are there, and only the gap is in doubt."""
    apart = errors * 0.01 * np.sqrt(2)
    assert bool(ending(apart, 0.0, apart, margin=0.01).two[0]) is two


def test_scatter_between_seeds_is_what_sampling_does_not_explain() -> None:
    levels = np.array([0.1, 0.3, 0.5])
    assert ending(*levels).between[0] == pytest.approx(np.sqrt(0.04 - 1e-4))  # sample variance 0.04
    assert ending(0.300, 0.301, 0.302).between[0] == 0.0
    assert np.isnan(ending(0.5).between[0])


def unequal(*lengths: int) -> Sequence[Sequence[float]]:
    return [[0.0] * (k - 2) + [0.8] * 2 + [np.nan] * (6 - k) if k else [np.nan] * 6 for k in lengths]


def test_a_seed_without_points_does_not_count() -> None:
    found = seeds(series(np.array([unequal(6, 0, 5)]), var=VAR), np.array([0.0]), np.array([1.0]), 0.05)
    assert found.count[0] == 2
    assert leapt(found) == [True, False, True]
    assert np.isnan(found.final[0, 1])
    assert found.gap[0] == pytest.approx(0.0)
    assert not found.two[0]


def test_the_order_of_seeds_changes_nothing_of_the_curve() -> None:
    one, other = ending(0.8, 0.1, 0.7, 0.15), ending(0.15, 0.7, 0.1, 0.8)
    for name in ("count", "leapt", "two", "between", "gap"):
        assert getattr(one, name)[0] == pytest.approx(getattr(other, name)[0])
    assert leapt(one) == leapt(other)[::-1]
