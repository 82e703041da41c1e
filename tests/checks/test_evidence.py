"""What the checks answer, from measurements set by hand: passed, failed or not judged, and the numbers beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saltus.checks import presence, replication, shape, surprise, twin
from saltus.records import Analysis, Evidence
from saltus.stats.shape import FALLING, FLAT, GRADUAL, JUMP, UNKNOWN

from helpers.by_hand import judged

# presence


def present(changes: dict[str, Any] | None = None, **more: Any) -> tuple[Evidence, Evidence]:
    first, second = presence.records(judged(changes, **more), 0)
    return first, second


@pytest.mark.parametrize(
    ("q", "effect", "mde", "passed"),
    [
        (0.049, 0.051, 0.9, True),
        (0.049, -0.051, 0.9, True),
        (0.05, 0.9, 0.2, False),
        (0.049, 0.05, 0.2, False),
        (0.05, 0.9, 0.201, None),
        (0.05, 0.9, np.inf, None),
    ],
)
def test_presence_is_a_significant_effect_beyond_the_margin_and_absence_needs_power(
    q: float, effect: float, mde: float, passed: bool | None
) -> None:
    changes = {"presence.effect": effect, "presence.mde": mde, "presence.p": 1e-4}
    found, _ = present(changes, presence_q=np.array([q]))
    assert found.passed is passed
    assert found.value == effect
    alone, _ = present(changes | {"presence.p": q})
    assert alone.passed is passed, "without a family the p-value itself"


def test_the_studys_own_numbers_are_used() -> None:
    changes = {"presence.effect": 0.08, "presence.p": 0.03}
    assert present(changes)[0].passed is True
    assert present(changes, analysis=Analysis(alpha=0.01, max_mde=0.2))[0].passed is False
    assert present(changes, analysis=Analysis(present_margin=0.1))[0].passed is False
    assert (
        present(changes | {"presence.mde": 0.1, "presence.p": 0.5}, analysis=Analysis(max_mde=0.05))[0].passed is None
    )


def test_without_a_floor_presence_is_not_judged() -> None:
    (found,) = presence.records(judged({"floor.value": np.nan}), 0)
    assert (found.passed, found.value) == (None, None)
    assert "no floor is known" in found.why


def test_a_guessed_floor_says_how_far_it_may_lie() -> None:
    assert "a floor up to 0.12 above the earliest points" in present({"floor.slack": 0.12})[0].why
    assert "allowed for" not in present()[0].why


def test_the_interval_of_the_last_level_stands_only_beside_the_last_level() -> None:
    last = {"presence.last": 0.7, "presence.low": 0.68, "presence.high": 0.72}
    assert (present(last | {"presence.effect": 0.7})[0].low, present(last | {"presence.effect": 0.8})[0].low) == (
        0.68,
        None,
    )


def test_a_score_of_zero_throughout_is_told_as_a_bound() -> None:
    assert "the bound 0.006 (3/n)" in present({"presence.zero_bound": 0.006})[0].why


def test_a_lone_point_fails_only_where_something_is_there() -> None:
    lone = {"presence.lone": True, "presence.off": 1}
    assert present(lone)[1].passed is False
    assert present()[1].passed is True
    assert present(lone | {"presence.p": 0.5})[1].passed is None


# shape


def shapes(changes: dict[str, Any] | None = None, **more: Any) -> dict[str, Evidence]:
    return {e.name: e for e in shape.records(judged(changes, **more), 0)}


@pytest.mark.parametrize(
    ("code", "passed"), [(JUMP, True), (GRADUAL, False), (FLAT, False), (UNKNOWN, None), (FALLING, None)]
)
def test_a_jump_passes_a_gradual_or_no_rise_fails_and_the_rest_is_open(code: int, passed: bool | None) -> None:
    found = shapes({"hard.shape.code": code})["width hard"]
    assert found.passed is passed
    assert (found.value is None) == (code in (FLAT, FALLING))


def test_widths_are_told_in_decades() -> None:
    """Of a range of five."""
    width = {"hard.shape.width_low": 0.02, "hard.shape.width": 0.1, "hard.shape.width_high": 0.18}
    found = shapes(width)["width hard"]
    assert (found.low, found.value, found.high, found.unit) == (pytest.approx(0.1), 0.5, pytest.approx(0.9), "decades")
    assert "a jump is at most 1, a gradual rise at least 1.25" in found.why


@pytest.mark.parametrize(("q", "passed"), [(0.049, True), (0.05, False), (np.nan, None)])
def test_sharper_than_smooth_is_asked_over_the_family(q: float, passed: bool | None) -> None:
    found = shapes(sharp_p=np.array([1e-4]), sharp_q=np.array([q]))["sharper than smooth"]
    assert (found.passed, found.value) == (passed, 1e-4)
    assert shapes()["sharper than smooth"].passed is None


@pytest.mark.parametrize(("p", "free"), [(0.0019, False), (0.002, True)])
def test_a_fall_beyond_noise_is_found_in_either_channel(p: float, free: bool) -> None:
    for channel in ("hard", "soft"):
        fall = {f"{channel}.trend.fall_p": p, f"{channel}.trend.fall": 0.15, f"{channel}.trend.spread": 0.6}
        found = shapes(fall)[f"fall {channel}"]
        assert found.passed is free
        assert "25% of the range" in found.why
        assert found.value == 0.15


def test_families_are_compared_where_they_are_pooled() -> None:
    pool = {"apart.models": 20, "apart.off": 5}
    assert "models agree" not in shapes(pool)
    for state, passed in ((0, True), (1, None), (2, False)):
        found = shapes(pool | {"apart.disagree": state}, pooled=True)["models agree"]
        assert (found.passed, found.value) == (passed, 5)


def test_the_soft_channel_is_told_of_where_there_is_one() -> None:
    assert "width soft" in shapes()
    assert not any("soft" in name for name in shapes(soft=False))


# surprise


@pytest.mark.parametrize(("p", "passed"), [(0.0099, False), (0.01, True), (np.nan, None)])
def test_what_followed_was_foreseen_unless_it_was_as_unlikely_as_the_study_says(p: float, passed: bool | None) -> None:
    for channel, place in (("soft", 0), ("hard", 1)):
        found = surprise.records(judged({f"{channel}.surprise.p": p}), 0)[place]
        assert (found.name, found.passed) == (f"surprise {channel}", passed)
    alone = surprise.records(judged({"hard.surprise.p": p}, soft=False), 0)
    assert [(e.name, e.passed) for e in alone] == [("surprise hard", passed)]


# twin


def test_a_twin_that_covers_the_jump_passes_and_what_was_not_asked_is_open() -> None:
    for covers in (True, False):
        (found,) = twin.records(judged({"link.covers": covers, "link.share": 0.8, "link.worst": 1.5}), 0)
        assert (found.passed, found.value) == (covers, 0.8)
        assert ("covered by" in found.why) is covers
    (silent,) = twin.records(judged({"link.worst": np.nan}), 0)
    assert (silent.passed, silent.value) == (None, None)
    (none,) = twin.records(judged(soft=False, why_no_soft="the log holds accuracies only"), 0)
    assert (none.passed, none.why) == (None, "the log holds accuracies only")


# replication


def seeds(leapt: list[bool], *, two: bool = False, onset: tuple[float, float, float] = (0.4, 0.5, 0.6)) -> Evidence:
    changes = {
        "seeds.leapt_seed": [leapt],
        "seeds.leapt": sum(leapt),
        "seeds.two": two,
        "hard.seed_shape.onset": list(onset),
    }
    return replication.records(judged(changes), 0)[0]


@pytest.mark.parametrize(
    ("leapt", "two", "passed"),
    [
        ([True, True, True], False, True),
        ([False, False, False], False, True),
        ([True, False, True], False, False),
        ([True, True, True], True, False),
    ],
)
def test_seeds_do_the_same_where_all_or_none_leapt_and_they_are_one_population(
    leapt: list[bool], two: bool, passed: bool
) -> None:
    found = seeds(leapt, two=two)
    assert (found.passed, found.value) == (passed, pytest.approx(sum(leapt) / 3))


def test_the_onsets_of_those_that_leapt_are_told_in_the_unit_of_the_axis() -> None:
    """From 8 to 13: 0.4 and 0.6 of the range lie at 10 and 11, a decade apart."""
    found = seeds([True, False, True], onset=(0.6, 0.9, 0.4))
    assert found.detail["onset_spread"] == pytest.approx(1.0)
    assert found.detail["leapt_by"] == [pytest.approx([10.0, 1 / 3]), pytest.approx([11.0, 2 / 3])]
    assert seeds([True, False, False]).detail["onset_spread"] is None


def test_one_run_says_nothing_of_the_next() -> None:
    (found,) = replication.records(judged(seeds=1), 0)
    assert (found.passed, found.value) == (None, None)
