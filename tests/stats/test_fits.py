"""Fits, cell bounds and shapes: planted curves are recovered, and what cannot be told is not told."""

from __future__ import annotations

import numpy as np
import pytest

from saltus.records import Analysis
from saltus.stats import broken, grid
from saltus.stats.fit import Bounds, curve, fit, fit_draws, refit
from saltus.stats.measure import Measures, measure
from saltus.stats.monotone import isotonic
from saltus.stats.series import canonical, local_variance, merged, prepare
from saltus.stats.shape import FLAT, GRADUAL, JUMP, UNKNOWN
from saltus.stats.solve import Shares, solve, tables

from helpers.planted import batch, flat, logistic

RNG = np.random.default_rng


def measured(curves) -> Measures:  # type: ignore[no-untyped-def]
    curves, _ = canonical(curves)
    return measure(curves, prepare(curves), Analysis())


@pytest.mark.parametrize("form", range(4))
def test_every_form_is_the_inverse_of_its_inverse_and_half_way_at_its_midpoint(form: int) -> None:
    share = np.array([0.1, 0.5, 0.9])
    z = grid.inverse(np.full(3, form), share)
    assert grid.value(np.full(3, form), z) == pytest.approx(share)
    assert z[1] == pytest.approx(0, abs=1e-9)
    assert z[2] - z[0] == pytest.approx(1)


def test_a_node_is_fitted_exactly_without_noise_and_its_coefficients_come_back() -> None:
    g = grid.nodes()
    node = int(np.flatnonzero((g.form == grid.LOGISTIC) & np.isclose(g.w, 0.14) & (abs(g.m - 0.5) < 0.02))[0])
    u = np.linspace(0, 1, 20)[None]
    y = curve(np.array([[0.2, 0.1, 0.5]]), np.array([node]), u, grid.FINE)[:, None]
    w = np.full(y.shape, 1e4)
    bounds = Bounds(Shares(0.6, 0.5), np.array([0.2]), np.array([0.25]))
    found = fit(y, w, u[:, None], np.ones(y.shape, dtype=bool), bounds)
    assert found.rss[0] < 1e-3 * found.constant[0]
    assert refit(y[0], w[0], u, np.array([node]), grid.FINE)[0] == pytest.approx([0.2, 0.1, 0.5])


def test_a_seed_that_misses_early_points_is_fitted_where_the_others_are() -> None:
    u = np.tile(np.linspace(0, 1, 24), (1, 2, 1))
    y = 0.1 + 0.8 / (1 + np.exp(-(u - 0.5) / 0.02)) + RNG(0).normal(0, 0.01, u.shape)
    ok = np.ones(u.shape, dtype=bool)
    y[0, 1, :-3], u[0, 1, :-3] = y[0, 1, 3:].copy(), u[0, 1, 3:].copy()
    y[0, 1, -3:], u[0, 1, -3:], ok[0, 1, -3:] = 0, 0, False
    found = fit(y, np.where(ok, 1e4, 0.0), u, ok, Bounds(Shares(0.6, 0.5), np.array([0.2]), np.array([0.25])))
    best = found.mids[np.arange(2), found.by_mid.argmin(axis=1)]
    assert best == pytest.approx([0.5, 0.5], abs=0.03)


def test_draws_over_the_short_list_find_what_the_whole_grid_finds() -> None:
    rng = RNG(3)
    u = np.tile(np.linspace(0, 1, 14), (4, 2, 1))
    y = 0.1 + 0.7 / (1 + np.exp(-(u - 0.5) / 0.03)) + rng.normal(0, 0.02, u.shape)
    ok, w = np.ones(u.shape, dtype=bool), np.full(u.shape, 2500.0)
    bounds = Bounds(Shares(0.6, 0.5), np.full(4, 0.2), np.full(4, 0.25))
    whole = fit(y, w, u, ok, bounds, short=True)
    again = fit_draws(whole, y[:, None], w, u, bounds)
    assert again.rss == pytest.approx(whole.rss, rel=1e-3, abs=1e-2)


def test_isotonic_regression_agrees_with_the_pooled_means() -> None:
    y, w = np.array([[1.0, 3.0, 2.0, 4.0, 0.0]]), np.ones((1, 5))
    assert isotonic(y, w)[0] == pytest.approx([1.0, 2.25, 2.25, 2.25, 2.25])


def test_noise_is_estimated_without_the_jump() -> None:
    rng = RNG(1)
    y = rng.normal(0, 0.1, (400, 1, 14))
    y[..., 7:] += 5.0
    found = local_variance(y, np.full(y.shape, 0.01), np.ones(y.shape, dtype=bool))
    assert np.median(found) == pytest.approx(1.0, abs=0.5)


def test_a_leap_is_a_jump_whose_width_and_onset_hold_the_truth() -> None:
    m = measured(batch([[logistic(10.7, 0.3, 0.1, 0.8)]] * 40, None, rng=RNG(2)))
    s, span, origin = m.hard.shape, m.prepared.span, m.prepared.origin
    assert np.mean(s.code == JUMP) >= 0.9
    assert np.mean((s.width_low * span <= 0.3) & (s.width_high * span >= 0.3)) >= 0.95
    assert np.mean((s.onset_low * span + origin <= 10.7) & (s.onset_high * span + origin >= 10.7)) >= 0.9
    assert np.median((s.onset_high - s.onset_low) * span) <= 0.8


def test_a_rise_over_most_of_the_range_is_gradual_and_no_rise_is_flat() -> None:
    wide = measured(batch([[logistic(10.5, 4.0, 0.1, 0.8)] * 3] * 20, None, rng=RNG(3)))
    none = measured(batch([[flat(0.3)] * 3] * 60, None, rng=RNG(4)))
    assert np.mean(wide.hard.shape.code == GRADUAL) >= 0.8
    assert np.mean(none.hard.shape.code == FLAT) >= 0.95


def test_a_step_before_the_last_point_is_not_called_anything() -> None:
    m = measured(batch([[logistic(12.8, 0.05, 0.1, 0.8)]] * 20, None, rng=RNG(5)))
    assert not np.isin(m.hard.shape.code, (JUMP, GRADUAL)).any()
    assert (m.hard.shape.code == UNKNOWN).any()


def test_merging_dense_points_keeps_their_mean_and_their_order() -> None:
    x = np.linspace(8, 13, 400)
    curves = batch([[logistic(10.5, 1.0, 0.1, 0.8)]], None, x=x, rng=RNG(6))
    curves, _ = canonical(curves)
    series = prepare(curves).hard
    assert series.y.shape[2] <= 64
    assert (np.diff(series.u[0, 0][series.ok[0, 0]]) > 0).all()
    assert series.y[series.ok].mean() == pytest.approx(curves.hard.value.mean(), abs=0.01)
    assert merged(series).y.shape[2] <= 64


def test_the_right_law_wins_the_weights_and_a_flat_curve_is_a_constant() -> None:
    def gompertz(x: np.ndarray) -> np.ndarray:
        return 0.1 + 0.8 * np.exp(-np.exp(-3.0 * (x - 10.0)))

    x = np.linspace(8, 13, 30)
    curves = batch([[gompertz]] * 20 + [[flat(0.3)]] * 20, None, x=x, n=20_000, rng=RNG(7))
    laws = measured(curves).hard.forms
    first = laws.weight.argmax(axis=1)
    assert (first[:20] == 2 + grid.GOMPERTZ).all()
    assert {laws.decided(i) for i in range(20)} == {"gompertz"}
    assert np.mean(first[20:] == 0) >= 0.75
    assert not {laws.decided(i) for i in range(20, 40)} & set(broken.NAMES)
    assert laws.weight.sum(axis=1) == pytest.approx(np.ones(40))


def test_a_leap_that_climbs_on_is_told_from_one_wide_rise() -> None:
    """With the straight drift alone its best fit is several times worse: the second drift does the work."""
    g, rng = grid.nodes(), RNG(8)
    u = np.linspace(0, 1, 24)[None, None]
    y = 0.1 + 0.5 / (1 + np.exp(-(u - 0.4) / 0.01)) + 0.25 * np.maximum(u - 0.4, 0) / 0.6
    y = y + rng.normal(0, 0.005, u.shape)
    w, ok = np.full(u.shape, 1 / 0.005**2), np.ones(u.shape, dtype=bool)
    bounds = Bounds(Shares(0.6, 0.5), np.array([0.2]), np.array([0.25]))
    found = fit(y, w, u, ok, bounds)
    node = int(found.node[0])
    assert node >= len(g)
    assert g.width[node - len(g)] < 0.1
    assert found.coefficients[0] == pytest.approx([0.1, 0.25, 0.5], abs=0.03)
    straight = solve(tables(u[0], grid.FINE, late=False), u[0], w[0][None], y[:, None], bounds.share)
    assert min(a.min() for a in straight.apart()[:2]) > 3 * found.rss[0]
