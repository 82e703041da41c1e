"""Caveats and what to add: each is said on its side of its threshold, with its numbers, and on the other not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saltus.judging.caveats import caveats, next_data
from saltus.records import Analysis, Facts

from helpers.by_hand import judged

LEAPT = ("sharp", "transition", "bound", "split")
OTHERS = ("flat", "smooth", "artefact", "irregular", "unresolved", "defective")


def facts(**changes: Any) -> Facts:
    """A replicated leap, changed."""
    base: dict[str, Any] = {
        "presence": "present",
        "shape_hard": "jump",
        "shape_soft": "jump",
        "predicted": "no",
        "twin": "agrees",
        "n_points": 12,
        "n_seeds": 3,
        "n_sharp": 3,
        "onsets_together": True,
    }
    return Facts(**(base | changes))


def message(
    verdict: str, changes: dict[str, Any] | None = None, *, of: dict[str, Any] | None = None, **more: Any
) -> str:
    """All caveats as one text; changes: of measurements, of: of facts."""
    return "\n".join(caveats(judged(changes, **more), 0, facts(**(of or {})), verdict))


def wanted(
    verdict: str, changes: dict[str, Any] | None = None, *, of: dict[str, Any] | None = None, **more: Any
) -> str:
    return "\n".join(next_data(judged(changes, **more), 0, facts(**(of or {})), verdict))


# caveats


def test_a_replicated_leap_with_its_twin_needs_no_caveat() -> None:
    assert message("transition") == ""


def test_what_the_assembler_said_comes_first() -> None:
    found = caveats(judged(caveats=("tokens are unequal",)), 0, facts(presence="below_floor"), "flat")
    assert found[0] == "tokens are unequal"
    assert "ABOUT TO APPEAR" in found[1].upper()
    assert "ABOUT TO APPEAR" not in message("flat", of={"presence": "absent"}).upper()


@pytest.mark.parametrize("verdict", LEAPT + OTHERS)
def test_leaps_without_a_twin_or_without_three_seeds_say_so_and_other_words_do_not(verdict: str) -> None:
    text = message(verdict, of={"twin": "missing", "n_seeds": 1})
    assert ("no soft twin" in text) == (verdict in LEAPT)
    assert ("replication is not known" in text) == (verdict in LEAPT)


def test_replication_counts_seeds_and_needs_as_many_as_the_study_says() -> None:
    assert "Seen in one run:" in message("sharp", of={"n_seeds": 1})
    assert "Seen in 2 seeds:" in message("sharp", of={"n_seeds": 2})
    assert "replication" not in message("transition", of={"n_seeds": 3})
    assert "Seen in 3 seeds:" in message("sharp", analysis=Analysis(transition_seeds=4))


def test_a_sharp_curve_of_several_seeds_says_what_its_replication_lacks() -> None:
    assert "one seed rises gradually or not at all" in message(
        "sharp", of={"contradicting": True, "onsets_together": False}
    )
    assert "different places" in message("sharp", of={"onsets_together": False})
    assert "1 of 3 seeds are sharp by themselves; 60% are needed" in message("sharp", of={"n_sharp": 1})
    assert "different places" not in message("transition", of={"onsets_together": False})


def test_a_gradual_rise_that_nobody_foresaw_says_so() -> None:
    assert "not foreseen" in message("smooth", of={"shape_hard": "gradual", "predicted": "no"})
    assert "not foreseen" not in message("smooth", of={"shape_hard": "gradual", "predicted": "yes"})
    assert "not foreseen" not in message("transition")


@pytest.mark.parametrize(
    ("p", "expected"),
    [(0.0019, "beyond noise"), (0.002, "noise is possible"), (0.0099, "noise is possible"), (0.01, "")],
)
def test_a_fall_after_a_rise_is_told_with_its_size_and_its_certainty(p: float, expected: str) -> None:
    fall = {"hard.trend.fall_p": p, "hard.trend.fall": 0.15, "hard.trend.spread": 0.6}
    text = message("sharp", fall)
    assert ("falls by 25% of its range" in text) == bool(expected)
    assert expected in text
    assert "falls by" not in message("irregular", fall), "the word says it"
    assert "falls by" not in message("flat", fall, of={"presence": "absent", "shape_hard": "flat"})


def test_a_soft_score_that_turns_is_pointed_at_unless_the_word_says_it() -> None:
    for shape in ("falling", "non_monotone"):
        assert "soft score falls or turns" in message("sharp", of={"shape_soft": shape})
        assert "soft score falls or turns" not in message("irregular", of={"shape_soft": shape})
        assert "soft score falls or turns" not in message("sharp", of={"shape_soft": shape}, soft=False)
    assert "falls or turns" not in message("sharp", of={"shape_soft": "gradual"})


def test_scatter_beyond_three_times_what_the_items_allow_is_told() -> None:
    text = message("transition", {"hard.shape.dispersion": 3.1})
    assert "Scatter is 3.1 times what 500 items allow" in text
    assert "Scatter" not in message("transition", {"hard.shape.dispersion": 3.0})
    unknown = {"hard.shape.dispersion": 9.0, "hard.series.known": False}
    assert "Scatter" not in message("transition", unknown), "where errors are unknown the scatter is the error"
    bare = {"hard.shape.dispersion": 9.0, "hard.series.n": np.nan}
    assert "times what the items allow" in message("transition", bare)


def test_a_score_that_starts_off_its_floor_rose_before_the_series() -> None:
    assert "before the series" in message("unresolved", of={"shape_hard": "flat"})
    assert "before the series" not in message("flat", of={"shape_hard": "flat", "presence": "absent"})


def test_pooled_families_that_disagree_are_named_with_their_numbers() -> None:
    pool = {"apart.models": 20, "apart.off": 5, "apart.steepest": [1e9, 0.8, 7e10, 0.3]}
    sure = message("irregular", pool | {"apart.disagree": 2})
    assert "5 of 20 models stand against the rest (one scores 0.8 at tokens 1e+09, another 0.3 at 7e+10)" in sure
    assert "may be noise" not in sure
    assert "may be noise" in message("unresolved", pool | {"apart.disagree": 1})
    assert "models stand against" not in message("unresolved", pool | {"apart.disagree": 0})


# what to add


def test_a_replicated_leap_needs_nothing_more() -> None:
    assert wanted("transition") == ""


def test_too_few_points_are_counted() -> None:
    assert "2 more points at least: there are 4." in wanted("unresolved", of={"n_points": 4})
    assert "more points at least" not in wanted("unresolved", of={"n_points": 6})


def test_items_are_asked_for_by_the_square_of_the_effect() -> None:
    """500 items find 0.3; to find 0.2 takes (0.3 / 0.2)² as many."""
    unknown = {"presence": "unknown"}
    text = wanted("unresolved", {"presence.mde": 0.3}, of=unknown)
    assert "About 1125 items instead of 500" in text
    assert "effect found now is 0.3" in text
    assert "A floor" in wanted("unresolved", {"presence.mde": np.inf}, of=unknown)
    assert "A floor" in wanted("unresolved", {"presence.mde": 0.3, "hard.series.n": np.nan}, of=unknown)


def test_a_lone_point_needs_two_more() -> None:
    assert "two points beyond" in wanted("unresolved", of={"lone_point": True})
    assert "finer series" not in wanted("unresolved", of={"lone_point": True}), "and nothing of its shape"


def test_seeds_are_asked_for_up_to_a_transition() -> None:
    assert "2 more seeds" in wanted("sharp", of={"n_seeds": 1})
    assert "1 more seeds" in wanted("sharp", of={"n_seeds": 2})
    assert "more seeds" not in wanted("sharp", of={"n_seeds": 3})
    assert "more seeds" not in wanted("smooth", of={"n_seeds": 1})


def test_what_is_flat_is_flat_up_to_the_effect_that_could_have_been_seen() -> None:
    assert "nothing above 0.047 is there" in wanted("flat", {"presence.mde": 0.0474}, of={"presence": "absent"})


def test_an_unknown_shape_asks_for_points_where_they_lack() -> None:
    """Five decades: a jump is at most one of them, the rise between 0.5 and 2."""
    shape = {"hard.shape.before": 1, "hard.shape.after": 1, "hard.shape.width_low": 0.1, "hard.shape.width_high": 0.4}
    unknown = {"shape_hard": "unknown"}
    text = wanted("unresolved", shape, of=unknown)
    assert "2 more points before the rise." in text
    assert "1 more points after it." in text
    assert "0.33 decades apart or closer: its width is somewhere between 0.5 and 2 decades." in text
    enough = shape | {"hard.shape.before": 3, "hard.shape.after": 2, "hard.shape.width_high": 0.2}
    assert wanted("unresolved", enough, of=unknown) == "A finer series around the rise, with the same items."
    endless = shape | {"hard.shape.width_high": np.inf}
    assert "apart or closer" not in wanted("unresolved", endless, of=unknown)


def test_a_jump_that_is_not_surprising_asks_for_what_lies_before_it() -> None:
    for predicted, asks in (("no", False), ("yes", True), ("unknown", True)):
        assert ("before the onset" in wanted("unresolved", of={"predicted": predicted})) is asks


def test_an_unknown_soft_shape_asks_for_items_and_a_flat_hard_one_for_earlier_points() -> None:
    unknown = {"shape_soft": "unknown"}
    assert "soft score with less noise" in wanted("unresolved", of=unknown)
    assert "soft score with less noise" not in wanted("unresolved", of=unknown, soft=False)
    assert "Earlier points" in wanted("unresolved", of={"shape_hard": "flat"})
    assert wanted("unresolved", of={"presence": "absent"}) == "", "shape is asked for only of what is there"
