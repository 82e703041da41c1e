"""Extrapolations against planted laws: what is announced is foreseen, what is not is declined, intervals hold."""

from __future__ import annotations

import numpy as np
import pytest

from saltus.stats.components import Panel, components
from saltus.stats.forecasting import (
    METHODS,
    Points,
    Trial,
    doubtful,
    factor,
    holdouts,
    ladder,
    last_value,
    logit_linear,
    sigmoid,
    trials,
)

X = np.linspace(8.0, 11.0, 13)


def curve(value, rng: np.random.Generator, n: int = 2000, soft=None, x: np.ndarray = X) -> Points:  # type: ignore[no-untyped-def]
    y = rng.binomial(n, np.clip(value(x), 0, 1)) / n
    return Points(
        x=x,
        y=y,
        var=np.maximum(y * (1 - y), 1 / n) / n,
        floor=0.25,
        ceiling=1.0,
        bottom=0.0,
        soft=np.full(len(x), np.nan) if soft is None else soft(x) + rng.normal(0, 0.005, len(x)),
    )


def rise(middle: float, slope: float):  # type: ignore[no-untyped-def]
    return lambda x: 0.25 + 0.75 / (1 + np.exp(-slope * (x - middle)))


@pytest.mark.parametrize("method", [logit_linear, sigmoid])
def test_a_logistic_law_is_extrapolated(method) -> None:  # type: ignore[no-untyped-def]
    truth = rise(11.0, 1.5)
    misses = []
    for seed in range(10):
        found = method(curve(truth, np.random.default_rng(seed)), 11.7)
        misses.append((found.value - truth(11.7)) / found.error)
    assert np.mean(np.abs(misses) < 2.5) >= 0.9
    assert abs(np.mean(misses)) < 1.2


def test_the_ladder_foresees_a_rise_that_only_the_twin_announces() -> None:
    def twin(x):  # type: ignore[no-untyped-def]
        return -3.0 * 10 ** (-0.15 * (x - 8))

    def score(x):  # type: ignore[no-untyped-def]
        return 0.25 + 0.75 / (1 + np.exp(-8 * (twin(x) + 1.2)))

    points = curve(score, np.random.default_rng(0), soft=twin)
    found = ladder(points, 12.0)
    assert found is not None
    still = last_value(points, 12.0)
    assert still is not None
    truth = float(score(np.array([12.0]))[0])
    assert abs(found.value - truth) < 2 * doubtful(found, still).error
    assert abs(found.value - truth) < 0.35 * abs(still.value - truth)


def test_a_flat_curve_is_foretold_to_stay() -> None:
    points = curve(lambda x: np.full_like(x, 0.25), np.random.default_rng(1))
    for method in (logit_linear, sigmoid):
        found = method(points, 11.7)
        assert found is not None
        assert abs(found.value - 0.25) < 0.1
        assert abs(found.value - 0.25) < found.error


def test_no_method_sees_beyond_what_it_is_given() -> None:
    """Hold-outs must not leak: scores beyond the cut may be anything."""
    points = curve(rise(10.0, 2.0), np.random.default_rng(2))
    spoiled = Points(**{**vars(points), "y": np.where(points.x >= points.places[-2], 0.0, points.y)})
    for name, use in holdouts(points, 0.5):
        if name in ("top 1",):
            continue
        for method in METHODS.values():
            a, b = (method(p.part(use), 11.0) for p in (points, spoiled))
            assert (a is None and b is None) or (a is not None and b is not None and a.value == b.value)


def test_holdouts_are_the_largest_and_leave_four() -> None:
    points = curve(rise(10.0, 2.0), np.random.default_rng(3))
    found = dict(holdouts(points, 1.6))
    assert {"top 1", "top 2", "top 3", "top decade", "as far"} <= set(found)
    for use in found.values():
        assert use.sum() >= 4
        assert points.x[use].max() < points.x[~use].min()
    few = points.part(points.x < X[4])
    assert holdouts(few, 0.5) == []


def test_short_holdouts_say_nothing_about_long_ways() -> None:
    dense = np.linspace(8.0, 11.0, 61)
    points = curve(rise(10.0, 2.0), np.random.default_rng(4), x=dense)
    assert min(t.horizon for t in trials(points, METHODS, 1.0)) >= 0.5


def test_the_factor_covers_what_the_trials_missed() -> None:
    rng = np.random.default_rng(5)
    record = [[Trial("m", "top 1", 1.0, miss, 1.0, 1.0)] for miss in 3.0 * rng.normal(size=400)]
    assert factor(record) == pytest.approx(5.9, abs=0.8)
    assert factor([]) == 2.5
    assert factor(record[:3]) >= 2.5


def families(rng: np.random.Generator, n: int = 6) -> tuple[Panel, np.ndarray]:
    """Families that turn compute into one ability at different rates; ten tasks read it, the first one late."""
    x, family, ability = [], [], []
    for f in range(n):
        rate, start = rng.uniform(0.6, 1.4), rng.uniform(-0.5, 0.5)
        for at in np.linspace(20, 24, 6):
            x.append(at)
            family.append(f"f{f}")
            ability.append(rate * (at - 22) + start)
    a = np.array(ability)
    places = np.concatenate([[2.0], rng.uniform(-2, 1.5, 9)])
    scores = 1 / (1 + np.exp(-1.5 * (a[:, None] - places)))
    return Panel(np.array(x), np.array(family), scores + rng.normal(0, 0.01, scores.shape)), a


def test_components_learn_a_late_rise_from_other_families() -> None:
    better, wins = 0.0, 0
    for seed in range(8):
        panel, _ = families(np.random.default_rng(seed))
        mine = panel.family == "f0"
        order = np.argsort(panel.x[mine])
        x, y = panel.x[mine][order], panel.scores[mine, 0][order]
        points = Points(
            x=x[:-1], y=y[:-1], var=np.full(5, 1e-4), soft=np.full(5, np.nan), floor=0.0, ceiling=1.0, bottom=0.0
        )
        found = components(panel, 0, "f0")(points, float(x[-1]))
        assert found is not None
        better += abs(found.value - y[-1]) / max(abs(y[-2] - y[-1]), 1e-3)
        wins += abs(found.value - y[-1]) < abs(y[-2] - y[-1])
    assert wins >= 6


def test_components_need_families_and_tasks() -> None:
    panel, _ = families(np.random.default_rng(0), n=2)
    points = Points(
        x=np.linspace(20, 23, 5),
        y=np.full(5, 0.1),
        var=np.full(5, 1e-4),
        soft=np.full(5, np.nan),
        floor=0.0,
        ceiling=1.0,
        bottom=0.0,
    )
    assert components(panel, 0, "f0")(points, 24.0) is None
