"""Conditions against baseline, paired by item: repeats and seeds are averaged, groups are clusters, promises decide."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import t as student

from saltus.checks.robustness import check, verdict
from saltus.stats.batch import Promise

from helpers.item_views import at, table, view

INVARIANT = {"typos": Promise("invariant")}


def right(chance: float):
    return lambda _x, _item: chance


def planted(baseline, changed, **how):
    rng = np.random.default_rng(7)
    return table({"baseline": baseline, "typos": changed}, rng=rng, **how)


def test_the_difference_is_that_of_the_pairs_at_the_last_model() -> None:
    base = [1, 1, 1, 0, 1, 1, 0, 1]
    changed = [1, 0, 1, 0, 0, 1, 0, 1]
    frame = planted(lambda x, i: base[i] if x > 11.9 else 1 - base[i], lambda _x, i: changed[i], items=8)
    seen = view(frame, INVARIANT)
    found = check(seen, np.random.default_rng(0))[at(seen, "typos")]
    gaps = np.array(changed) - np.array(base)
    reach = student.ppf(0.975, 7) * gaps.std(ddof=1) / np.sqrt(8)
    assert found.value == pytest.approx(-0.25)
    assert (found.low, found.high) == (pytest.approx(-0.25 - reach), pytest.approx(-0.25 + reach))
    assert (found.detail["baseline"], found.detail["changed"], found.detail["items"]) == (0.75, 0.5, 8)
    assert len(found.detail["places"]) == 7


def test_the_baseline_itself_is_not_asked() -> None:
    seen = view(planted(right(0.5), right(0.5)))
    assert check(seen, np.random.default_rng(0))[at(seen, "baseline")] is None


def test_sixteen_repeats_of_forty_items_are_forty_items() -> None:
    """Items differ, repeats of one do not: the interval is that of forty pairs, four times wider than of 640."""
    rng = np.random.default_rng(3)
    flips = rng.random(40) < 0.3
    base, changed = (lambda _x, _i: 1.0), (lambda _x, i: 0.0 if flips[i] else 1.0)
    once = view(planted(base, changed, repeats=1), INVARIANT)
    often = view(planted(base, changed, repeats=16), INVARIANT)
    one, many = (check(v, rng)[at(v, "typos")] for v in (once, often))
    assert many.value == pytest.approx(one.value)
    assert (many.low, many.high) == (pytest.approx(one.low), pytest.approx(one.high))
    assert many.detail["items"] == 40


def test_items_of_a_group_are_one_cluster() -> None:
    """Four groups that move together say as much as four items."""
    base, changed = (lambda _x, _i: 1.0), (lambda _x, i: float(i % 4 != 0))
    alone = view(planted(base, changed, items=40), INVARIANT)
    grouped = view(planted(base, changed, items=40, groups=4), INVARIANT)
    narrow, wide = (check(v, np.random.default_rng(0))[at(v, "typos")] for v in (alone, grouped))
    gaps = np.array([-1.0, 0, 0, 0])
    assert wide.high - wide.low == pytest.approx(2 * student.ppf(0.975, 3) * gaps.std(ddof=1) / 2)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    assert wide.detail["clusters"] == 4


def test_seeds_are_paired_by_their_names_and_averaged() -> None:
    frame = planted(right(1.0), right(0.0), seeds=3)
    lacking = frame.filter(~((pl.col("condition") == "baseline") & (pl.col("seed") == "1")))
    seen = view(lacking, INVARIANT)
    found = check(seen, np.random.default_rng(0))[at(seen, "typos")]
    assert found.value == -1.0
    assert found.detail["items"] == 40


def test_intervals_cover_the_true_difference() -> None:
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        level = rng.beta(2, 2, 60)
        rates = {"baseline": lambda _x, i, p=level: p[i], "typos": lambda _x, i, p=level: max(0.0, p[i] - 0.1)}
        seen = view(table(rates, rng=rng, items=60, tokens=(1e6, 1e7, 1e8)))
        found = check(seen, rng)[at(seen, "typos")]
        held += found.low <= np.mean(np.maximum(0, level - 0.1) - level) <= found.high
    assert 180 <= held <= 200


@pytest.mark.parametrize(
    ("low", "high", "passed"), [(-0.04, 0.05, True), (-0.2, -0.06, False), (-0.2, 0.0, None), (0.06, 0.2, False)]
)
def test_an_invariant_promise_is_kept_inside_the_margin_and_broken_outside(low, high, passed) -> None:
    assert verdict(Promise("invariant"), low, high, 0.05)[0] is passed


@pytest.mark.parametrize(
    ("direction", "low", "high", "passed"),
    [
        (-1, -0.6, -0.3, True),
        (-1, -0.1, 0.05, True),
        (-1, -0.1, 0.2, None),
        (-1, 0.06, 0.2, False),
        (1, 0.3, 0.6, True),
        (1, -0.2, -0.06, False),
        (1, -0.2, 0.2, None),
    ],
)
def test_a_directional_promise_is_broken_only_the_other_way(direction, low, high, passed) -> None:
    assert verdict(Promise("directional", direction), low, high, 0.05)[0] is passed


def test_without_a_promise_or_an_interval_nothing_is_passed() -> None:
    assert verdict(None, -0.5, -0.4, 0.05)[0] is None
    assert verdict(Promise("none"), -0.5, -0.4, 0.05)[0] is None
    assert verdict(Promise("invariant"), None, None, 0.05)[0] is None
