"""One break and one turn: exact at every hinge, found where planted, and not seen in lines and leaps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from saltus.records import Analysis
from saltus.stats.broken import BROKEN, HINGES, TURNING, Broken, broken_curve, fit_broken
from saltus.stats.display import draw
from saltus.stats.forms import NAMES
from saltus.stats.measure import Measures, measure
from saltus.stats.series import canonical, prepare

from helpers.planted import Curve, batch, flat, logistic

RNG = np.random.default_rng


def measured(curve: Curve, count: int = 20, n: int = 1000) -> Measures:
    curves, _ = canonical(batch([[curve]] * count, None, n=n, rng=RNG(7)))
    return measure(curves, prepare(curves), Analysis())


def hinge(x: np.ndarray) -> np.ndarray:
    return 0.2 + 0.02 * (x - 8) + 0.15 * np.maximum(x - 10.5, 0)


def hump(x: np.ndarray) -> np.ndarray:
    return 0.7 - 0.12 * np.abs(x - 10.5)


def misfit(found: Broken, law: int, y: np.ndarray, w: np.ndarray, u: np.ndarray) -> np.ndarray:
    fitted = np.array([broken_curve(found, law, row)[i] for i, row in enumerate(u)])
    return (w * (y - fitted) ** 2).sum(axis=1)


def test_both_laws_are_the_least_squares_that_a_solver_finds() -> None:
    rng = RNG(0)
    u = np.sort(rng.uniform(0, 1, (12, 11)), axis=1)
    y = rng.normal(size=u.shape) + 3 * np.maximum(u - 0.5, 0)
    w = rng.uniform(0.5, 2, u.shape)
    w[:, -1] = 0
    found = fit_broken(y, w, u)
    assert misfit(found, BROKEN, y, w, u) == pytest.approx(found.rss[:, BROKEN])
    assert misfit(found, TURNING, y, w, u) == pytest.approx(found.rss[:, TURNING])
    for row, fitted in enumerate(found.rss):
        root = np.sqrt(w[row])
        rests = [(np.minimum(u[row] - m, 0), np.maximum(u[row] - m, 0)) for m in HINGES]
        designs = [np.stack([np.ones(11), *rest], axis=1) * root[:, None] for rest in rests]
        rising = [2 * lsq_linear(a, y[row] * root, ([-np.inf, 0, 0], np.inf)).cost for a in designs]
        assert fitted[BROKEN] == pytest.approx(min(rising), rel=1e-5)
        free = [np.linalg.lstsq(a, y[row] * root) for a in designs]
        turning = [float(f[1][0]) for f in free if len(f[1]) and f[0][1] * f[0][2] < 0]
        centred = y[row] - np.average(y[row], weights=w[row])
        assert fitted[TURNING] == pytest.approx(min([*turning, (w[row] * centred**2).sum()]))


def test_a_break_without_noise_comes_back() -> None:
    u = np.linspace(0, 1, 21)[None]
    for before, after, law in ((0.3, 1.2, BROKEN), (1.0, -0.5, TURNING), (-0.4, 0.8, TURNING)):
        y = 0.2 + before * np.minimum(u - 0.4, 0) + after * np.maximum(u - 0.4, 0)
        found = fit_broken(y, np.ones(u.shape), u)
        assert found.rss[0, law] == pytest.approx(0, abs=1e-12)
        held = [a[0, law] for a in (found.level, found.before, found.after, found.place)]
        assert held == pytest.approx([0.2, before, after, 0.4])


def test_a_law_that_does_not_fit_the_signs_is_a_constant() -> None:
    u = np.linspace(0, 1, 9)[None]
    found = fit_broken(-u, np.ones(u.shape), u)
    assert found.before[0, BROKEN] == found.after[0, BROKEN] == 0
    assert found.rss[0, BROKEN] == pytest.approx(((u - 0.5) ** 2).sum())


@pytest.mark.parametrize(("curve", "name"), [(hinge, "broken"), (hump, "non-monotone")])
def test_a_planted_break_and_a_planted_turn_win_the_weights(curve: Curve, name: str) -> None:
    laws = measured(curve).hard.forms
    assert np.mean(laws.weight.argmax(axis=1) == NAMES.index(name)) >= 0.9
    decided = [laws.decided(i) for i in range(20)]
    assert set(decided) <= {name, None}
    assert name == "broken" or decided.count(name) >= 18


@pytest.mark.parametrize("curve", [flat(0.3), lambda x: 0.2 + 0.08 * (x - 8), logistic(10.7, 0.2, 0.1, 0.8)])
def test_no_break_and_no_turn_is_decided_where_there_is_none(curve: Curve) -> None:
    laws = measured(curve).hard.forms
    assert not {laws.decided(i) for i in range(20)} & {"broken", "non-monotone"}
    assert np.mean(laws.weight[:, NAMES.index("non-monotone")]) < 0.15


def test_the_drawn_curve_of_a_score_that_turns_turns() -> None:
    drawn = draw(measured(hump, 4, n=5000)).fit["hard"]
    middle = drawn.shape[-1] // 2
    assert (drawn[..., middle] > drawn[..., 0] + 0.15).all()
    assert (drawn[..., middle] > drawn[..., -1] + 0.15).all()
