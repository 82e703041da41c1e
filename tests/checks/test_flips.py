"""Items that flip at the onset are counted by where they were right before and after it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from saltus.checks.flips import bracket, check

from helpers.item_views import at, table, view

BEFORE, AFTER = 1e8, 1e9


def finding(low: float | None = BEFORE, high: float | None = AFTER, axis: str = "tokens") -> Any:
    return SimpleNamespace(onset_low=low, onset_high=high, slice=None, axis=axis)


def planted(repeats: int = 1):
    """Items 0–19 learnt between the two places, 20–24 forgotten, the rest wrong throughout."""

    def rate(x: float, item: int) -> float:
        late = x > 8.5
        return float(late) if item < 20 else float(not late) if item < 25 else 0.0

    return view(table({"baseline": rate}, rng=np.random.default_rng(1), repeats=repeats))


def test_gained_and_lost_items_are_counted_and_named() -> None:
    seen = replace(planted(), findings=[finding()])
    (found,) = check(seen, np.random.default_rng(0))
    assert (found.detail["gained"], found.detail["lost"], found.detail["items"]) == (20, 5, 40)
    assert found.value == 0.5
    assert found.detail["gained_items"] == [f"i{i:04d}" for i in range(20)]
    assert found.detail["lost_items"] == [f"i{i:04d}" for i in range(20, 25)]
    assert (found.detail["before"], found.detail["after"]) == (BEFORE, AFTER)


def test_an_item_that_changes_its_mind_within_a_place_is_no_flip() -> None:
    """Half right at the later place in every repeat but one."""
    rng = np.random.default_rng(4)
    frame = table({"baseline": lambda x, _i: 0.0 if x < 8.5 else 0.5}, rng=rng, repeats=12)
    seen = replace(view(frame), findings=[finding()])
    (found,) = check(seen, rng)
    assert found.detail["gained"] <= 1


def test_without_an_onset_there_is_nothing_to_flip() -> None:
    seen = replace(planted(), findings=[finding(None, None)])
    assert check(seen, np.random.default_rng(0)) == [None]


def test_an_onset_that_reaches_beyond_the_points_has_no_two_sides() -> None:
    seen = planted()
    assert bracket(seen.curves, at(seen, "baseline"), finding(BEFORE, 1e15)) is None
    assert bracket(seen.curves, at(seen, "baseline"), finding(1e3, AFTER)) is None


def test_called_without_findings_it_says_nothing() -> None:
    assert check(planted(), np.random.default_rng(0)) == [None]
