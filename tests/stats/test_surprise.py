"""Surprise by hand: the forecast of a straight line with its own error, and how unlikely what came was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, t

from saltus.stats.surprise import Surprise, surprise

from helpers.by_hand import rise_at, series

U = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
VAR = 1e-4
LINE = 0.1 + 0.3 * U


def forecast(u: np.ndarray, y: np.ndarray, at: float, var: np.ndarray) -> tuple[float, float]:
    """Level and variance that weighted least squares predicts at one place, by the textbook."""
    design, weight = np.stack([np.ones_like(u), u], axis=1), np.diag(1 / var)
    cov = np.linalg.inv(design.T @ weight @ design)
    here = np.array([1.0, at])
    return float(here @ cov @ design.T @ weight @ y), float(here @ cov @ here)


def asked(
    y: Any, start: Any = 2, arrive: Any = 4, *, var: Any = VAR, dispersion: float = 1.0, freedom: float = 8.0
) -> Surprise:
    y = np.atleast_2d(np.asarray(y, dtype=float))[None]
    given = series(y, u=U, var=var)
    return surprise(given, rise_at(given, start, arrive), np.array([dispersion]), np.array([freedom]))


def jumping(by: float) -> np.ndarray:
    return LINE + np.where(U >= 0.8, by, 0.0)


def test_the_p_value_is_that_of_the_level_past_the_rise_under_the_line_before_it() -> None:
    y = jumping(0.1)
    y[:3] += [0.004, -0.008, 0.004]
    expected, var = forecast(U[:3], y[:3], 0.9, np.full(3, VAR))
    error = np.sqrt(var + VAR / 2)
    found = asked(y)
    assert found.observed[0] == pytest.approx(y[4:].mean())
    assert found.predicted[0] == pytest.approx(expected)
    assert found.p[0] == pytest.approx(t.sf((y[4:].mean() - expected) / error, 8), rel=1e-9)
    assert (found.low[0], found.high[0]) == pytest.approx((expected - 1.96 * error, expected + 1.96 * error))
    assert found.p_seed[0, 0] == found.p[0]


def test_points_of_unequal_error_weigh_by_it() -> None:
    y, var = jumping(0.1), np.array([4e-4, 1e-4, 9e-4, 1.0, 2e-4, 4e-4])
    y[:3] += [0.01, -0.01, 0.02]
    expected, spread = forecast(U[:3], y[:3], 0.9, var[:3])
    found = asked(y, var=var)
    z = (y[4:].mean() - expected) / np.sqrt(spread + (2e-4 + 4e-4) / 4)
    assert found.p[0] == pytest.approx(t.sf(z, 8), rel=1e-9)


def test_points_within_the_rise_are_neither_foreseen_from_nor_foreseen() -> None:
    plain, other = jumping(0.1), jumping(0.1)
    other[3] = 55.0
    assert asked(plain).p[0] == pytest.approx(asked(other).p[0], rel=1e-12)


def test_the_foreseen_is_no_surprise_and_a_fall_is_none_either() -> None:
    assert asked(LINE).p[0] == pytest.approx(0.5)
    assert asked(jumping(0.2)).p[0] < 1e-3
    assert asked(jumping(-0.2)).p[0] > 0.99


def test_dispersion_widens_the_forecast_by_its_root() -> None:
    z = t.isf(asked(jumping(0.05)).p[0], 8)
    assert t.isf(asked(jumping(0.05), dispersion=4.0).p[0], 8) == pytest.approx(z / 2)
    one, four = asked(jumping(0.05)), asked(jumping(0.05), dispersion=4.0)
    assert four.high[0] - four.low[0] == pytest.approx(2 * (one.high[0] - one.low[0]))


def test_few_degrees_of_freedom_make_everything_likelier() -> None:
    far = [asked(jumping(0.1), freedom=f).p[0] for f in (2.0, 8.0, 1e7)]
    assert far == sorted(far, reverse=True)
    expected, var = forecast(U[:3], LINE[:3], 0.9, np.full(3, VAR))
    assert far[2] == pytest.approx(norm.sf((LINE[4:].mean() + 0.1 - expected) / np.sqrt(var + VAR / 2)), rel=1e-3)


@pytest.mark.parametrize(("start", "arrive", "can"), [(2, 4, True), (1, 4, False), (3, 5, True), (3, 6, False)])
def test_three_points_before_and_one_after_are_needed(start: int, arrive: int, can: bool) -> None:
    found = asked(jumping(0.1), start, arrive)
    assert np.isfinite(found.p[0]) == can
    assert np.isfinite(found.p_seed[0, 0]) == can
    assert np.isfinite(found.observed[0]) == can
    assert found.points[0] == (start + 1 if can else 0)


def test_seeds_are_independent_witnesses_whose_surprises_add_up() -> None:
    """Stouffer: the sum of two standardised surprises over √2; a seed that cannot be asked has no say."""
    one, two = jumping(0.03), jumping(0.06)
    z = [t.isf(asked(y).p[0], 8) for y in (one, two)]
    both = asked([one, two])
    assert t.isf(both.p[0], 8) == pytest.approx(sum(z) / np.sqrt(2))
    assert t.isf(both.p_seed[0], 8) == pytest.approx(z)
    mute = asked([one, two, jumping(9.0)], start=[2, 2, 0])
    assert mute.p[0] == pytest.approx(both.p[0])
    assert np.isnan(mute.p_seed[0, 2])
    assert mute.observed[0] == pytest.approx(both.observed[0])


def test_the_drawn_line_is_the_mean_forecast_and_ends_where_it_was_fitted() -> None:
    found = asked([LINE, 2 * LINE], start=[2, 3])
    assert found.line[0] == pytest.approx([0.15, 0.45, (0.4 + 0.6) / 2])
    assert found.points[0] == 4, "of the seed with most"


def test_points_at_one_place_foretell_their_level() -> None:
    """No slope can be known: 0 is taken, and the variance of the mean stays."""
    u = np.array([0.0, 0.0, 0.0, 0.5, 1.0])
    given = series(np.array([[[0.1, 0.2, 0.3, 0.5, 0.9]]]), u=u, var=VAR)
    found = surprise(given, rise_at(given, 2, 4), np.array([1.0]), np.array([8.0]))
    assert found.predicted[0] == pytest.approx(0.2)
    assert found.p[0] == pytest.approx(t.sf(0.7 / np.sqrt(VAR / 3 + VAR), 8), rel=1e-6)
