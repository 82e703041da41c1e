"""What counts as a leap at a place, how many of them make one format, and the control of false discoveries: by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from saltus.records import Analysis
from saltus.stats.batch import CurveKey
from saltus.stats.family import CHANCE, Onsets, chance, gathered, onsets, scopes
from saltus.stats.multiplicity import q_values
from saltus.stats.shape import FLAT, GRADUAL, UNKNOWN

from helpers.by_hand import leap

# onsets of measured curves


def of(changes: dict[str, Any] | None = None, *, significant: bool = True, analysis: Analysis | None = None) -> Onsets:
    return onsets(leap(changes), np.array([significant]), analysis or Analysis())


def test_a_jump_has_leapt_if_it_counts_in_its_family_and_rose_in_any_case() -> None:
    found = of()
    assert (found.leapt[0], found.rose[0], found.climbed[0], found.judged[0]) == (True, True, False, True)
    assert (of(significant=False).leapt[0], of(significant=False).rose[0]) == (False, True)


@pytest.mark.parametrize(("p", "width", "rose"), [(0.0099, 0.199, True), (0.01, 0.199, False), (0.0099, 0.201, False)])
def test_a_rise_of_unknown_shape_witnesses_a_place_known_to_within_a_jump(p: float, width: float, rose: bool) -> None:
    """`limits.narrow` is 0.2 of this range."""
    unknown = {
        "hard.shape.code": UNKNOWN,
        "hard.trend.rise_p": p,
        "hard.shape.onset_low": 0.4,
        "hard.shape.onset_high": 0.4 + width,
    }
    assert (bool(of(unknown).rose[0]), bool(of(unknown).leapt[0])) == (rose, False)
    assert not of(unknown | {"hard.shape.code": FLAT}).rose[0]


def test_a_gradual_rise_climbs_and_short_curves_are_not_judged() -> None:
    found = of({"hard.shape.code": GRADUAL})
    assert (found.leapt[0], found.rose[0], found.climbed[0]) == (False, False, True)
    assert of(analysis=Analysis(min_points=12)).judged[0]
    assert not of(analysis=Analysis(min_points=13)).judged[0]


def test_places_are_in_units_of_the_axis() -> None:
    """From 8 to 13 on a logarithmic axis."""
    found = of({"hard.shape.onset": 0.5, "hard.shape.onset_low": 0.4, "hard.shape.onset_high": 0.6})
    assert (found.at[0], found.low[0], found.high[0]) == pytest.approx((10.5, 10.0, 11.0))
    assert found.limit[0] == pytest.approx(1.0)
    # eleven equal cells; two before and one after cannot hold a jump
    assert found.room[0] == pytest.approx(8 * 5 / 11)


def test_parts_are_gathered_in_the_order_of_the_whole() -> None:
    parts = [of({"hard.shape.onset": at}) for at in (0.2, 0.4, 0.6)]
    whole = gathered([(np.array([2]), parts[0]), (np.array([0]), parts[1]), (np.array([1]), parts[2])])
    assert whole.at == pytest.approx([10.0, 11.0, 9.0])


# formats


def keys(skills: int, forms: Sequence[str] = ("mc", "rc"), **changes: Any) -> list[CurveKey]:
    return [
        CurveKey("s", f"t{i}_{f}", "baseline", "tokens", "acc", None, skill=f"t{i}", **{"format": f, **changes})
        for f in forms
        for i in range(skills)
    ]


def at(
    inside: Sequence[float], others: Sequence[float | None], *, width: float = 0.02, climbed: Sequence[int] = ()
) -> Onsets:
    """Leaps at places (None: none), known to within `width`, where a jump is at most 1 wide and the room is 4."""
    places = np.array([np.nan if p is None else p for p in (*inside, *others)], dtype=float)
    there = np.isfinite(places)
    place = np.where(there, places, 0.0)
    climbs = np.isin(np.arange(len(place)), climbed)
    one = np.ones(len(place))
    return Onsets(
        leapt=there & ~climbs,
        rose=there & ~climbs,
        climbed=climbs,
        judged=one > 0,
        at=place,
        low=place - width / 2,
        high=place + width / 2,
        limit=one,
        room=4 * one,
    )


def scope(inside: Sequence[float], others: Sequence[float | None], **more: Any) -> list[str]:
    skills = len(inside)
    return scopes(keys(skills), at(inside, others, **more))[0]


def test_three_skills_at_one_place_are_one_format_and_two_are_not() -> None:
    assert scope([10.0] * 3, [None] * 3) == ["format"] * 3 + ["unknown"] * 3
    assert scope([10.0] * 2, [None] * 2) == ["unknown"] * 4


def test_two_in_five_may_leap_there_in_other_formats() -> None:
    assert scope([10.0] * 5, [10.0, 10.0, None, None, None])[:5] == ["format"] * 5
    assert scope([10.0] * 5, [10.0, 10.0, 10.0, None, None])[:5] == ["general"] * 5


def test_three_in_five_of_what_rises_have_to_rise_there() -> None:
    apart = [10.0, 10.0, 10.0, 8.0]
    assert scope([*apart, 12.0], [None] * 5)[:3] == ["format"] * 3
    assert scope([*apart, 12.0, 13.0], [None] * 6) == ["unknown"] * 12
    climbing = scope([*apart, 12.0, 13.0], [None] * 6, climbed=[4, 5])
    assert climbing == ["unknown"] * 12, "a gradual rise elsewhere counts as much"


def test_intervals_of_one_place_lie_within_a_fifth_of_a_jump() -> None:
    assert scope([10.0, 10.0, 10.0, 10.21], [None] * 4)[3] == "format"
    assert scope([10.0, 10.0, 10.0, 10.23], [None] * 4)[3] == "unknown"


def test_agreement_that_chance_would_give_is_none() -> None:
    """Three places within half a decade of four: 3 · (0.5 / 3.33)² = 0.07."""
    assert scope([9.8, 10.0, 10.3], [None] * 3, width=0.6) == ["unknown"] * 6


def test_the_bound_on_chance_is_that_of_the_smallest_range_of_even_places() -> None:
    """C(m, k) · k · (d/R)^(k−1)."""
    assert chance(3, 3, 0.1, 1.0) == pytest.approx(3 * 0.01)
    assert chance(5, 3, 0.1, 1.0) == pytest.approx(10 * 3 * 0.01)
    assert chance(5, 4, 0.2, 2.0) == pytest.approx(5 * 4 * 0.001)
    assert chance(3, 3, 0.1, 0.0) == 1.0
    assert pytest.approx(0.01) == CHANCE


def test_series_conditions_axes_and_slices_are_families_of_their_own() -> None:
    found = at([10.0] * 3, [None] * 3)
    plain = keys(3)
    assert scopes(plain, found)[0][:3] == ["format"] * 3
    for change in ({"series": "other"}, {"condition": "typos"}, {"axis": "loss"}, {"slice": "x"}):
        moved = [CurveKey(**{**plain[0].__dict__, **change}), *plain[1:]]
        assert scopes(moved, found)[0][:3] == ["unknown"] * 3, "two are left"


def test_what_is_bound_to_an_elicitation_is_named_so() -> None:
    some = [
        CurveKey("s", f"t{i}_{e}", "baseline", "tokens", "acc", None, skill=f"t{i}", elicitation=e)
        for e in ("cot", "direct")
        for i in range(3)
    ]
    scope, why = scopes(some, at([10.0] * 3, [None] * 3))
    assert scope[:3] == ["elicitation"] * 3
    assert "elicitation `cot`" in why[0]


# multiplicity


def test_q_values_are_benjamini_hochbergs() -> None:
    """Sorted: 0.005 · 4, 0.01 · 4/2, 0.03 · 4/3, 0.04."""
    q = q_values(np.array([0.01, 0.04, 0.03, 0.005]), ["a"] * 4)
    assert q == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_under_dependence_they_are_harsher_by_the_harmonic_sum() -> None:
    q = q_values(np.array([0.01, 0.04, 0.03, 0.005]), ["a"] * 4, dependent=True)
    assert q == pytest.approx(np.array([0.02, 0.04, 0.04, 0.02]) * (1 + 1 / 2 + 1 / 3 + 1 / 4))


def test_families_are_apart_and_what_has_no_p_value_counts_for_nothing() -> None:
    p = np.array([0.01, np.nan, 0.01, 0.02, 1.0000001])
    q = q_values(p, ["a", "a", "b", "b", "c"])
    assert np.isnan(q[1])
    assert q[[0, 2, 3, 4]] == pytest.approx([0.01, 0.02, 0.02, 1.0])
