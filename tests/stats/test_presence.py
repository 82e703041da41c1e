"""Presence by hand: floors and where they are from, exact tests against them, and effects that could have been seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, norm

from saltus.stats.presence import NEAR, Floors, Presence, floors, presence

from helpers.by_hand import channel, series


def asked(
    y: Any,
    floor: float = 0.25,
    *,
    n: float = 40,
    floor_error: float = 0.0,
    slack: float = 0.0,
    dispersion: float = 1.0,
    var: Any = 1e-4,
    margin: float = 0.05,
    **more: Any,
) -> Presence:
    """One curve, seeds as rows, against a floor."""
    given = series(np.atleast_2d(np.asarray(y, dtype=float))[None], n=n, var=var)
    below = Floors(
        value=np.array([floor]),
        stderr=np.array([floor_error]),
        source=np.array(["computed"], dtype=object),
        slack=np.array([slack]),
    )
    return presence(channel(given, floor=floor, **more), given, below, np.array([dispersion]), margin)


def exact(right: int, n: int, floor: float) -> float:
    """Two-sided: twice the smaller tail."""
    return min(1.0, 2 * min(binom.sf(right - 1, n, floor), binom.cdf(right, n, floor)))


# the test


def test_a_level_is_tested_exactly_and_twice_because_two_questions_are_asked() -> None:
    """One window of two points: its mean is 0.45, 18 right of 40."""
    assert asked([0.4, 0.5]).p[0] == pytest.approx(2 * exact(18, 40, 0.25))


def test_the_last_level_is_asked_about_once_and_every_other_as_often_as_there_are_levels() -> None:
    last = asked([0.25, 0.25, 0.25, 0.25, 0.65])  # the last window is at 0.45, three others at the floor
    assert last.p[0] == pytest.approx(2 * exact(18, 40, 0.25))
    middle = asked([0.25, 0.25, 0.45, 0.45, 0.05])
    assert middle.p[0] == pytest.approx(2 * 4 * exact(18, 40, 0.25))


def test_items_count_for_less_where_scores_scatter_by_more_and_never_for_more() -> None:
    assert asked([0.5, 0.5], dispersion=2.0).p[0] == pytest.approx(2 * exact(10, 20, 0.25))
    assert asked([0.5, 0.5], dispersion=0.2).p[0] == pytest.approx(2 * exact(20, 40, 0.25))


def test_seeds_add_their_items() -> None:
    assert asked([[0.4, 0.4], [0.5, 0.5]]).p[0] == pytest.approx(2 * exact(36, 80, 0.25))


def test_a_floor_with_an_error_and_a_score_that_is_no_share_are_tested_by_their_errors() -> None:
    """The error of one point is 0.01 whatever the window; the floor's own is added."""
    assert asked([0.28, 0.28], floor_error=0.02).p[0] == pytest.approx(2 * 2 * norm.sf(0.03 / np.hypot(0.01, 0.02)))
    plain = asked([0.28, 0.28], binomial=np.array([False]))
    assert plain.p[0] == pytest.approx(2 * 2 * norm.sf(3.0))
    wide = asked([0.28, 0.28], binomial=np.array([False]), dispersion=2.25)
    assert wide.p[0] == pytest.approx(2 * 2 * norm.sf(2.0))


def test_a_score_below_its_floor_counts_only_where_the_curve_falls_there() -> None:
    below = asked([0.05, 0.05, 0.05, 0.06])
    assert (below.p[0], below.effect[0]) == (1.0, 0.0)
    fell = asked([0.25, 0.25, 0.05, 0.05])
    assert fell.effect[0] == pytest.approx(-0.2)
    assert fell.p[0] == pytest.approx(2 * exact(2, 40, 0.25))


def test_the_effect_is_the_largest_smoothed_distance_from_the_floor() -> None:
    found = asked([0.25, 0.75, 0.55, 0.35, 0.45])
    assert found.effect[0] == pytest.approx(0.65 - 0.25)
    assert found.last[0] == pytest.approx(0.4 - 0.25)
    half = 1.96 * 0.01  # the error of one point: points of one seed answer the same items
    assert (found.low[0], found.high[0]) == pytest.approx((0.15 - half, 0.15 + half))


def test_without_a_floor_nothing_is_present_or_known() -> None:
    found = asked([0.5, 0.9], floor=np.nan)
    assert found.p[0] == 1.0
    assert np.isnan(found.effect[0])
    assert found.mde[0] == np.inf
    assert not found.lone[0]


def test_a_guessed_floor_may_lie_anywhere_up_to_its_slack() -> None:
    """0.35 could be a floor of 0.35; 0.45 is 0.08 above the highest that is allowed for."""
    assert asked([0.35, 0.35], slack=NEAR).p[0] == 1.0
    above = asked([0.45, 0.45], slack=NEAR)
    assert above.effect[0] == pytest.approx(0.45 - 0.25 - NEAR)
    assert above.p[0] == pytest.approx(2 * exact(18, 40, 0.25 + NEAR))


@pytest.mark.parametrize(("level", "able"), [(0.04, True), (0.06, False)])
def test_absence_from_a_guessed_floor_is_known_only_at_the_worst_score(level: float, able: bool) -> None:
    found = asked([0.01, 0.01, level, level], floor=0.01, slack=NEAR, margin=0.05)
    assert np.isfinite(found.mde[0]) == able
    assert np.isfinite(asked([0.01, 0.01, level, level], floor=0.01).mde[0]), "a given floor has no such doubt"


# what could have been seen


@pytest.mark.parametrize(("floor", "n"), [(0.25, 100), (0.5, 400), (0.1, 50)])
def test_the_detectable_effect_is_found_with_eighty_percent_power_at_five_percent(floor: float, n: int) -> None:
    d = asked([floor, floor], floor=floor, n=n).mde[0]
    critical = floor + norm.ppf(0.975) * np.sqrt(floor * (1 - floor) / n)
    power = norm.sf((critical - floor - d) / np.sqrt((floor + d) * (1 - floor - d) / n))
    assert power == pytest.approx(0.8, abs=0.002)


def test_scatter_takes_away_power_as_fewer_items_would() -> None:
    plain = asked([0.25, 0.25], n=50).mde[0]
    assert asked([0.25, 0.25], n=100, dispersion=2.0).mde[0] == pytest.approx(plain)


def test_at_a_floor_of_zero_one_right_answer_has_to_be_likely() -> None:
    """1 − (1 − p)^n = 0.8 at p = 1.61 / n."""
    mde = asked([0.0, 0.0], floor=0.0, n=100).mde[0]
    assert mde >= 0.0161
    power = 1 - (1 - 0.0161) ** 100
    assert power == pytest.approx(0.8, abs=0.005)


def test_where_items_are_unknown_the_stated_error_says_what_could_have_been_seen() -> None:
    found = asked([0.25, 0.25], n=np.nan, var=4e-4, floor_error=0.015)
    assert found.mde[0] == pytest.approx((norm.ppf(0.975) + norm.ppf(0.8)) * np.hypot(0.02, 0.015))


def test_zero_right_of_n_is_the_bound_of_three_over_n() -> None:
    zeros = asked([0.0, 0.0, 0.0], floor=0.0, n=60)
    assert zeros.zero_bound[0] == pytest.approx(3 / 60)
    assert np.isnan(asked([0.0, 0.0, 0.02], floor=0.0, n=50).zero_bound[0])
    assert np.isnan(asked([0.0, 0.0], floor=0.0, binomial=np.array([False])).zero_bound[0])
    assert asked([[0.0] * 3] * 2, floor=0.0, n=60).zero_bound[0] == pytest.approx(3 / 60), "of each score"


# positions off the floor


@pytest.mark.parametrize(
    ("y", "off", "lone"),
    [
        ([0.25] * 5 + [0.65], 1, True),
        ([0.25] * 4 + [0.65, 0.65], 2, False),
        ([0.25, 0.25, 0.65, 0.25, 0.25, 0.25], 1, True),
        ([0.25] * 4 + [0.34, 0.65], 2, True),  # 0.09 is less than a quarter of 0.4
        ([0.25] * 4 + [0.36, 0.65], 2, False),  # 0.11 is more
        ([0.25] * 4 + [0.25, 0.279], 0, False),  # three errors are 0.03
        ([0.25] * 4 + [0.25, 0.281], 1, True),
        ([0.05] * 5 + [0.65], 1, True),  # below the floor is no skill
    ],
)
def test_one_position_off_the_floor_is_lone_unless_another_has_a_good_part_of_it(
    y: list[float], off: int, lone: bool
) -> None:
    found = asked(y)
    assert (found.off[0], bool(found.lone[0])) == (off, lone)


def test_positions_are_means_over_seeds() -> None:
    one = [0.25] * 5 + [0.65]
    assert asked([one, [0.25] * 6]).lone[0]
    assert not asked([one, [0.25] * 4 + [0.65, 0.25]]).lone[0]


# floors


def floored(
    y: Any,
    *,
    floor: float = np.nan,
    nominal: float = np.nan,
    source: str = "nominal",
    var: float = 1e-4,
    dispersion: float = 1.0,
) -> tuple[float, float, str, float]:
    """value, error, source, slack."""
    given = series(np.atleast_2d(np.asarray(y, dtype=float))[None], n=40, var=var)
    made = channel(given, floor=floor, nominal_floor=np.array([nominal]))
    found = floors(made, given, [source], np.array([dispersion]))
    return found.value[0], found.stderr[0], found.source[0], found.slack[0]


RISING = [0.4, 0.6, 0.8, 0.9]


def test_a_computed_floor_stands_whatever_the_earliest_points_are() -> None:
    assert floored([0.2, 0.2, *RISING], floor=0.25, source="computed: guesser") == (0.25, 0.0, "computed: guesser", 0.0)


def test_a_nominal_floor_gives_way_to_flat_earliest_points_beyond_their_error() -> None:
    """The mean of two points of error 0.01 has error 0.01 / √2; 2.5 of those are 0.0177."""
    assert floored([0.231, 0.231, *RISING], floor=0.25)[2] == "earliest points"
    value, error, source, slack = floored([0.233, 0.233, *RISING], floor=0.25)
    assert (value, error, source, slack) == (0.25, 0.0, "nominal", 0.0)
    value, error, *_ = floored([0.2, 0.2, *RISING], floor=0.25)
    assert (value, error) == pytest.approx((0.2, 0.01 / np.sqrt(2)))
    assert floored([0.2, 0.2, *RISING], floor=0.25, dispersion=4.0)[1] == pytest.approx(0.02 / np.sqrt(2))


@pytest.mark.parametrize(("early", "source"), [(0.36, "earliest points"), (0.38, "nominal"), (0.05, "earliest points")])
def test_earliest_points_far_above_the_nominal_floor_are_a_skill_and_none_is_below_it(
    early: float, source: str
) -> None:
    assert floored([early, early, *RISING], floor=0.25)[2] == source


def test_earliest_points_that_are_not_flat_are_no_floor() -> None:
    """χ² of two points 0.08 apart is 32 at error 0.01, against 1 + 2.5 · √2 = 4.5."""
    assert floored([0.15, 0.23, *RISING], floor=0.25)[2] == "nominal"
    assert floored([0.18, 0.20, *RISING], floor=0.25)[2] == "earliest points"


@pytest.mark.parametrize(("points", "taken"), [(6, 2), (12, 3), (16, 4), (40, 4)])
def test_a_quarter_of_the_points_is_early_and_two_to_four_of_them(points: int, taken: int) -> None:
    y = np.where(np.arange(points) < taken, 0.2, 0.9)
    assert floored(y, floor=0.25)[0] == pytest.approx(0.2)
    assert floored(y, floor=0.25)[1] == pytest.approx(0.01 / np.sqrt(taken))


def test_the_nominal_level_is_the_floor_where_no_other_is_given() -> None:
    assert floored([0.25, 0.25, *RISING], nominal=0.25, source="unknown") == (0.25, 0.0, "nominal", 0.0)


def test_where_nothing_is_given_the_earliest_points_stand_in_with_slack() -> None:
    value, error, source, slack = floored([0.2, 0.2, *RISING], source="unknown")
    assert (value, error, slack) == pytest.approx((0.2, 0.01 / np.sqrt(2), NEAR))
    assert source == "earliest points, no floor is given"
    rising = floored([0.2, 0.5, *RISING], source="unknown")
    assert rising[2] == source, "however they run"
    assert rising[3] == NEAR


def test_a_single_point_is_no_floor() -> None:
    value, _, source, _ = floored([0.2], source="unknown")
    assert np.isnan(value)
    assert source == "unknown"
