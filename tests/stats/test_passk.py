"""Rates from repeated samples: the estimators against enumeration and planted laws."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom

from saltus.stats.passk import bend, exact_interval, pass_at_k, pass_until


@pytest.mark.parametrize(("samples", "passed"), [(6, 0), (6, 1), (6, 3), (6, 6)])
@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_pass_at_k_is_the_share_of_subsets_with_a_pass(samples: int, passed: int, k: int) -> None:
    answers = [1] * passed + [0] * (samples - passed)
    subsets = list(combinations(answers, k))
    assert pass_at_k(samples, passed, k) == pytest.approx(np.mean([any(s) for s in subsets]))


def test_pass_at_k_is_unknown_with_fewer_samples_than_k() -> None:
    assert np.isnan(pass_at_k(5, 2, 6))


def test_exact_interval_inverts_the_binomial_test() -> None:
    low, high = exact_interval(50, 7)
    assert binom.sf(6, 50, low) == pytest.approx(0.025)
    assert binom.cdf(7, 50, high) == pytest.approx(0.025)


def test_nothing_passed_is_a_bound_of_three_over_k() -> None:
    low, high = exact_interval(1000, 0)
    assert low == 0
    assert high == pytest.approx(3 / 1000, rel=0.01)


def test_pass_until_is_unbiased_and_covers() -> None:
    rng = np.random.default_rng(3)
    found = [pass_until(rng.random(4000) < 0.01, passes=4) for _ in range(800)]
    kept = [f for f in found if f is not None]
    assert len(kept) == 800
    assert np.mean([f.unbiased for f in kept]) == pytest.approx(0.01, rel=0.05)
    assert np.mean([f.rate for f in kept]) > 0.0115  # r/K overshoots, by r/(r − 1)
    assert np.mean([f.low <= 0.01 <= f.high for f in kept]) >= 0.93


def test_pass_until_says_nothing_before_enough_passes() -> None:
    assert pass_until([0, 1, 0, 0], passes=2) is None


def planted(curve: float, rng: np.random.Generator, instances: int = 60, samples: int = 40):  # type: ignore[no-untyped-def]
    """Instances of their own level and slope, one bend for all."""
    u = np.linspace(-1, 1, 6)
    level, slope = rng.normal(1.0, 1.0, instances), rng.normal(-1.0, 0.3, instances)
    f = level[:, None] + slope[:, None] * u - curve * (u**2 - 1)
    return 8 + 1.5 * (u + 1), rng.binomial(samples, np.exp(-np.exp(f))), np.full(f.shape, samples)


@pytest.mark.parametrize(("curve", "law"), [(1.0, "accelerated"), (0.0, "standard"), (-1.0, "sub-scaling")])
def test_a_planted_bend_is_found(curve: float, law: str) -> None:
    found = [bend(*planted(curve, np.random.default_rng(seed))) for seed in range(20)]
    assert [f.law for f in found].count(law) == 20
    assert np.mean([f.low <= curve <= f.high for f in found]) >= 0.8
    assert np.mean([f.bend for f in found]) == pytest.approx(curve, abs=0.1)


def test_pooling_before_the_logarithm_would_bend_a_straight_law() -> None:
    x, passed, samples = planted(0.0, np.random.default_rng(1), instances=200)
    pooled = np.log(-np.log(passed.sum(axis=0) / samples.sum(axis=0)))
    middle = pooled[2:4].mean() - np.interp(0.0, [-1, 1], pooled[[0, -1]])
    assert abs(middle) > 2 * abs(bend(x, passed, samples).bend)


def test_too_little_is_undecided_with_a_reason() -> None:
    x, passed, samples = planted(1.0, np.random.default_rng(0), instances=3)
    assert bend(x, passed, samples).law == "undecided"
    assert "instances" in bend(x, passed, samples).why
    assert "scales" in bend(x[:2], passed[:, :2], samples[:, :2]).why
