"""Hartigan's dip: exact by another road, honest on one mode, and as strong as its docstring says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from saltus import plugins
from saltus.stats.dip import dip, dip_p, dip_test, null_dips

from helpers.planted import batch, flat

RNG = np.random.default_rng


def by_definition(values: np.ndarray) -> float:
    """The least distance to a distribution that is convex up to one of the points and concave from there on."""
    x, count = np.unique(values, return_counts=True)
    top = np.cumsum(count) / count.sum()
    return min(_to_mode(x, top - count / count.sum(), top, m) for m in range(len(x)))


def _to_mode(x: np.ndarray, bottom: np.ndarray, top: np.ndarray, mode: int) -> float:
    """Unknowns: the distribution at every point, before and after the mode's jump, and the distance."""
    k = len(x)
    rows, limits = [], []

    def at_most(terms: dict[int, float], limit: float) -> None:
        row = np.zeros(k + 2)
        for place, factor in terms.items():
            row[place] += factor
        rows.append(row)
        limits.append(limit)

    for i in range(k):
        if i >= mode:
            at_most({i + 1: -1, k + 1: -1}, -top[i])
        if i <= mode:
            at_most({i: 1, k + 1: -1}, bottom[i])
        if i < mode:
            at_most({i: -1, k + 1: -1}, -top[i])
        if i > mode:
            at_most({i + 1: 1, k + 1: -1}, bottom[i])
    for i in range(k):
        at_most({i: 1, i + 1: -1}, 0)
    for i in (j for j in range(1, k - 1) if j != mode):
        left, right = 1 / (x[i] - x[i - 1]), 1 / (x[i + 1] - x[i])
        sign, at = (1, i) if i < mode else (-1, i + 1)
        at_most({at - 1: -sign * left, at: sign * (left + right), at + 1: -sign * right}, 0)
    goal = np.zeros(k + 2)
    goal[-1] = 1
    return float(linprog(goal, A_ub=np.array(rows), b_ub=limits, bounds=(0, 1)).fun)


@pytest.mark.parametrize("ties", [False, True])
def test_the_dip_is_the_distance_to_the_nearest_distribution_with_one_mode(ties: bool) -> None:
    rng = RNG(1)
    for n in rng.integers(3, 10, 12):
        two = np.concatenate([rng.normal(0, 0.2, n // 2), rng.normal(1, 0.2, n - n // 2)])
        for values in (rng.random(n), two):
            values = np.round(values * 5) / 5 if ties else values
            assert dip(values) == pytest.approx(by_definition(values), abs=1e-6)


def test_published_quantiles_of_the_uniform_come_back() -> None:
    """The 95 % quantiles at n = 4, 5, 10 in the table of R's diptest package (a million draws each)."""
    for n, published in ((4, 0.2073), (5, 0.1864), (10, 0.1396)):
        assert np.quantile(null_dips(n), 0.95) == pytest.approx(published, abs=0.003)


def test_one_mode_is_rarely_called_two() -> None:
    for n in (4, 5, 10):
        p = [dip_p(dip(v), n) for v in RNG(n).normal(size=(400, n))]
        assert np.mean(np.array(p) < 0.05) <= 0.06


@pytest.mark.parametrize(
    ("n", "apart", "deviations", "power"),
    [
        (5, 2, 12, 0.46),
        (5, 2, 30, 0.88),
        (10, 5, 12, 1.0),
        (10, 4, 12, 0.95),
        (10, 3, 12, 0.14),
        (5, 1, 30, 0.0),
        (10, 1, 30, 0.0),
    ],
)
def test_its_power_is_what_its_docstring_says(n: int, apart: int, deviations: float, power: float) -> None:
    values = RNG([n, apart]).normal(size=(400, n))
    values[:, :apart] += deviations
    found = np.mean([dip_p(dip(v), n) < 0.05 for v in values])
    assert found == pytest.approx(power, abs=0.06)


def test_three_seeds_get_a_reason_and_no_number() -> None:
    assert dip([0.1, 0.2, 0.9]) == pytest.approx(dip([0.1, 0.5, 0.9]))
    none = dip_test(np.array([0.1, 0.2, np.nan, 0.9]))
    assert (none.value, none.p) == (None, None)
    assert "3 seeds" in (none.why or "")


def test_the_replication_evidence_reports_it_and_says_why_not() -> None:
    seeds = [flat(0.1)] * 3 + [flat(0.8)] * 3
    curves = batch([seeds, [flat(0.1)] * 6], None, n=2000, rng=RNG(4))
    check = plugins.load("checks", "replication")
    two, one = (e.detail["dip"] for e in check(curves, RNG(0)))
    assert two["p"] < 0.05 < one["p"]
    three = replace(curves, seen=curves.seen & (np.arange(6) < 3)[:, None])
    told = check(three, RNG(0))[0].detail["dip"]
    assert told["value"] is None
    assert told["why_null"]
