"""Two planted groups are found, one is not split, and a seed without points is nobody."""

from __future__ import annotations

import numpy as np
import pytest

from saltus.stats.mixture import two_against_one


def preferred(levels: list[np.ndarray], error: float) -> float:
    """Share of sets for which two laws are preferred by more than 6."""
    found = [two_against_one(x, np.full(len(x), error)).bic for x in levels]
    return float(np.mean([b > 6 for b in found if b is not None]))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_two_groups_far_apart_are_two_laws(seeds: int) -> None:
    rng = np.random.default_rng(1)
    place = np.r_[0.1, np.full(seeds - 1, 0.8)]
    assert preferred([place + rng.normal(0, 0.02, seeds) for _ in range(100)], 0.02) >= 0.95


@pytest.mark.parametrize("seeds", [5, 10])
def test_one_group_is_seldom_two_whatever_its_spread(seeds: int) -> None:
    rng = np.random.default_rng(2)
    for spread in (0.0, 0.05):
        sets = [0.5 + rng.normal(0, np.hypot(0.02, spread), seeds) for _ in range(200)]
        assert preferred(sets, 0.02) <= 0.05


def test_the_smaller_group_is_named_and_missing_seeds_do_not_count() -> None:
    level = np.array([0.8, np.nan, 0.1, 0.82, 0.79])
    found = two_against_one(level, np.full(5, 0.02))
    assert found.lower == 1
    assert found.bic is not None
    assert found.bic > 6
    assert two_against_one(level[:3], np.full(3, 0.02)).bic is None
