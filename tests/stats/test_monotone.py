"""Isotonic levels and cell bounds by hand: what any monotone curve through the points allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saltus.stats.monotone import Cells, cells, isotonic

U = np.linspace(0, 1, 11)


def bounds(y: Any, *, u: Any = U, tolerance: float = 0.0, drift: Any = 0.0) -> Cells:
    """Of one row; NaN where there is no point."""
    y, u = (np.asarray(a, dtype=float)[None] for a in (y, u))
    ok = np.isfinite(y)
    own = np.broadcast_to(np.asarray(drift, dtype=float), y.shape)
    return cells(np.where(ok, u, 0), np.where(ok, y, 0), ok, ok.astype(float), np.full(y.shape, tolerance), own)


def test_isotonic_levels_pool_neighbours_that_fall_by_their_weights() -> None:
    assert isotonic(np.array([[1.0, 3, 2, 4]]), np.ones((1, 4)))[0] == pytest.approx([1, 2.5, 2.5, 4])
    assert isotonic(np.array([[3.0, 1, 5]]), np.array([[1.0, 3, 1]]))[0] == pytest.approx([1.5, 1.5, 5])
    assert isotonic(np.array([[4.0, 3, 2, 1]]), np.ones((1, 4)))[0] == pytest.approx([2.5] * 4)
    kept = isotonic(np.array([[1.0, -9, 2, 3]]), np.array([[1.0, 0, 1, 1]]))[0]
    assert kept[[0, 2, 3]] == pytest.approx([1, 2, 3]), "what has no weight moves nothing"


def test_a_rise_over_several_cells_is_bounded_from_both_sides() -> None:
    """10 % lies after 0.3 and 90 % before 0.6; the chords cross them at a third of a cell from either end."""
    found = bounds([0, 0, 0, 0, 0.3, 0.7, 1, 1, 1, 1, 1])
    assert (found.start[0], found.arrive[0]) == (3, 6)
    assert (found.before[0], found.after[0]) == (4, 5)
    assert found.low[0] == pytest.approx(0.1), "from the first point above 10 % to the last below 90 %"
    assert found.high[0] == pytest.approx(0.3 - 0.1 / 3)
    assert (found.bracket_low[0], found.bracket_high[0]) == pytest.approx((0.4, 0.5))
    assert found.step[0] == pytest.approx(0.4)
    assert found.rise[0] == pytest.approx(1)


def test_the_lesser_of_the_two_ends_is_spared() -> None:
    """10 % is crossed 0.05 into its cell, 90 % a seventh of a cell before the end of its own."""
    found = bounds([0, 0, 0, 0, 0.2, 0.3, 1, 1, 1, 1, 1])
    assert found.high[0] == pytest.approx(0.3 - 0.1 / 7)


def test_a_rise_within_one_cell_is_at_most_as_wide_as_it() -> None:
    found = bounds([0.1] * 5 + [0.9] * 6)
    assert (found.low[0], found.high[0]) == pytest.approx((0, 0.1))
    assert found.step[0] == pytest.approx(1)
    assert found.rise[0] == pytest.approx(0.8)


def test_levels_of_exactly_ten_and_ninety_percent_lie_outside_the_rise() -> None:
    found = bounds([0, 0, 0, 0.1, 0.5, 0.9, 1, 1, 1, 1, 1])
    assert (found.start[0], found.arrive[0]) == (3, 5)


@pytest.mark.parametrize(
    ("level", "tolerance", "start"), [(0.15, 0.04, 3), (0.15, 0.06, 4), (0.17, 0.5, 4), (0.19, 0.5, 3)]
)
def test_a_point_within_an_error_of_the_line_counts_as_before_up_to_a_bound(
    level: float, tolerance: float, start: int
) -> None:
    """10 % and an error, but never more than 18 %; and 90 % likewise."""
    up = [0, 0, 0, 0, level, 1, 1, 1, 1, 1, 1]
    assert bounds(up, tolerance=tolerance).start[0] == start
    mirrored = bounds(1 - np.array(up)[::-1], tolerance=tolerance)
    assert mirrored.arrive[0] == 10 - start


def test_the_drift_is_no_part_of_the_rise_but_of_the_step() -> None:
    step = np.where(U > 0.45, 0.4, 0.0)
    plain, drifting = bounds(step), bounds(step + 0.4 * U, drift=0.4 * U)
    assert (drifting.start[0], drifting.arrive[0]) == (plain.start[0], plain.arrive[0])
    assert drifting.rise[0] == pytest.approx(0.4)
    assert drifting.step[0] == pytest.approx(0.44 / 0.8)


def test_the_place_of_the_whole_rise_is_blurred_by_half_of_the_tolerance() -> None:
    found = bounds(U)
    assert (found.whole_low[0], found.whole_high[0]) == pytest.approx((0.5, 0.5))
    blurred = bounds(U, tolerance=0.1)
    assert (blurred.whole_low[0], blurred.whole_high[0]) == pytest.approx((0.45, 0.55))


def test_what_does_not_rise_has_no_bounds() -> None:
    for y in ([0.5] * 11, np.linspace(1, 0, 11)):
        found = bounds(y)
        assert (found.low[0], found.high[0], found.rise[0], found.step[0]) == (0, np.inf, 0, 0)


def test_points_that_are_not_there_are_counted_nowhere() -> None:
    y = [0, 0, 0, 0, 0.3, 0.7, 1, 1, np.nan, np.nan, np.nan]
    found, whole = bounds(y), bounds(y[:8], u=U[:8])
    for name in ("low", "high", "before", "after", "start", "arrive", "step", "rise", "bracket_low", "whole_low"):
        assert getattr(found, name)[0] == pytest.approx(getattr(whole, name)[0])
    assert found.after[0] == 2


def test_the_unit_of_the_score_changes_no_share() -> None:
    y = np.array([0, 0.02, 0.01, 0.1, 0.35, 0.7, 0.95, 1, 1, 1, 1])
    one, other = bounds(y, tolerance=0.03), bounds(250 * y - 40, tolerance=0.03 * 250)
    for name in ("low", "high", "before", "after", "step", "bracket_low", "whole_low", "whole_high"):
        assert getattr(one, name)[0] == pytest.approx(getattr(other, name)[0])
    assert other.rise[0] == pytest.approx(250 * one.rise[0])
