"""Facts: measurements with one number set by hand, on both sides of every threshold that turns it into a word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from saltus.records import Analysis, Facts
from saltus.stats.facts import FactArrays, fact_arrays, facts_of, overlap
from saltus.stats.shape import FALLING, FLAT, GRADUAL, JUMP, NON_MONOTONE, UNKNOWN

from helpers.by_hand import leap

APART = {"soft.shape.onset": 0.9, "soft.shape.onset_low": 0.85, "soft.shape.onset_high": 0.95}
"""The soft score rises where the hard one (0.53 of the range) does not."""


def facts(
    changes: dict[str, Any] | None = None,
    *,
    seeds: int = 3,
    soft: bool = True,
    present: bool = True,
    significant: bool = True,
    analysis: Analysis | None = None,
) -> Facts:
    """The facts of a clear replicated leap, changed as asked."""
    m = leap(changes, seeds=seeds, soft=soft)
    found = fact_arrays(m, np.array([present]), np.array([significant]), analysis or Analysis())
    return facts_of(tuple(found.rows()[0].tolist()), scope="general", integrity="ok")


def test_a_replicated_leap_in_both_channels_has_all_facts_of_one() -> None:
    assert facts() == Facts(
        presence="present",
        shape_hard="jump",
        shape_soft="jump",
        predicted="no",
        twin="agrees",
        scope="general",
        n_points=12,
        n_seeds=3,
        n_sharp=3,
        contradicting=False,
        onsets_together=True,
        two_populations=False,
        lone_point=False,
    )


def test_codes_and_words_stand_for_each_other() -> None:
    codes = (0, 4, 3, 2, 1, 7, 2, 1, 1, -1, 0, 1)
    assert facts_of(codes, scope="format", integrity="suspect") == Facts(
        presence="absent",
        shape_hard="non_monotone",
        shape_soft="falling",
        predicted="unknown",
        twin="explains",
        n_points=7,
        n_seeds=2,
        n_sharp=1,
        contradicting=True,
        onsets_together=None,
        two_populations=False,
        lone_point=True,
        scope="format",
        integrity="suspect",
    )
    columns = FactArrays(*(np.array([code]) for code in codes))
    assert columns.rows().tolist() == [list(codes)]


# presence


@pytest.mark.parametrize(
    ("effect", "word"), [(0.0501, "present"), (0.05, "absent"), (-0.0501, "present"), (-0.05, "absent")]
)
def test_present_is_more_than_the_margin_away_from_the_floor_on_either_side(effect: float, word: str) -> None:
    assert facts({"presence.effect": effect, "soft.trend.rise_p": 0.5}).presence == word


def test_what_the_family_does_not_accept_is_not_present_however_large() -> None:
    assert facts({"soft.trend.rise_p": 0.5}, present=False).presence == "absent"
    assert facts({"presence.effect": np.nan, "soft.trend.rise_p": 0.5}).presence == "absent"


@pytest.mark.parametrize(
    ("mde", "word"), [(0.2, "absent"), (0.2001, "unknown"), (np.inf, "unknown"), (np.nan, "unknown")]
)
def test_absence_needs_the_power_to_have_seen_it(mde: float, word: str) -> None:
    assert facts({"presence.mde": mde, "soft.trend.rise_p": 0.5}, present=False).presence == word
    assert facts({"presence.mde": mde}).presence == "present", "what is seen needs no power"


@pytest.mark.parametrize(("p", "word"), [(0.0009, "below_floor"), (0.001, "absent")])
def test_a_soft_rise_below_the_floor_announces_and_a_doubtful_one_does_not(p: float, word: str) -> None:
    assert facts({"soft.trend.rise_p": p}, present=False).presence == word
    assert facts({"soft.trend.rise_p": p}, present=False, soft=False).presence == "absent", "no twin announces nothing"
    assert facts({"soft.trend.rise_p": p, "presence.mde": 0.3}, present=False).presence == "unknown"


# shapes


@pytest.mark.parametrize("code", [JUMP, GRADUAL, FLAT, UNKNOWN])
def test_only_a_jump_has_to_be_significant_in_its_family(code: int) -> None:
    words = {JUMP: "jump", GRADUAL: "gradual", FLAT: "flat", UNKNOWN: "unknown"}
    assert facts({"hard.shape.code": code}).shape_hard == words[code]
    assert facts({"hard.shape.code": code}, significant=False).shape_hard == words[UNKNOWN if code == JUMP else code]


def test_pooled_families_that_disagree_leave_no_jump_and_surely_disagreeing_ones_no_order_at_all() -> None:
    assert facts({"apart.disagree": 1}).shape_hard == "unknown"
    assert facts({"apart.disagree": 1, "hard.shape.code": GRADUAL}).shape_hard == "gradual"
    assert facts({"apart.disagree": 2}).shape_hard == "non_monotone"
    assert facts({"apart.disagree": 2, "hard.shape.code": GRADUAL}).shape_hard == "non_monotone"


@pytest.mark.parametrize(("code", "word"), [(FALLING, "falling"), (NON_MONOTONE, "non_monotone")])
def test_what_never_leaves_its_floor_does_not_turn(code: int, word: str) -> None:
    turns = {"hard.shape.code": code}
    assert facts(turns).shape_hard == word
    assert facts(turns, present=False).shape_hard == "flat", "below its floor"
    assert facts(turns | {"soft.trend.rise_p": 0.5}, present=False).shape_hard == "flat", "absent"
    assert facts(turns | {"presence.mde": 0.3}, present=False).shape_hard == word, "whether it is there is not known"


def test_without_a_soft_twin_its_shape_is_unknown() -> None:
    assert facts({"soft.shape.code": GRADUAL}, soft=False).shape_soft == "unknown"


# predicted


@pytest.mark.parametrize(("p", "word"), [(0.0099, "no"), (0.01, "yes"), (0.9, "yes"), (np.nan, "unknown")])
def test_unpredicted_is_a_surprise_below_the_studys_level_in_the_soft_channel(p: float, word: str) -> None:
    assert facts({"soft.surprise.p": p, "hard.surprise.p": 0.5}).predicted == word
    assert facts({"soft.surprise.p": 0.5, "hard.surprise.p": p}, soft=False).predicted == word
    assert facts({"soft.surprise.p": 0.02}, analysis=Analysis(surprise=0.05)).predicted == "no"


# twin


@pytest.mark.parametrize("soft", [JUMP, NON_MONOTONE])
def test_two_jumps_agree_where_their_onset_intervals_meet(soft: int) -> None:
    assert facts({"soft.shape.code": soft}).twin == "agrees"
    assert facts({"soft.shape.code": soft, **APART}).twin == "contradicts"


def test_a_gradual_soft_score_explains_a_jump_only_if_it_rises_and_predicts_it() -> None:
    gradual = {"soft.shape.code": GRADUAL, "link.covers": True, "soft.trend.rise_p": 0.009}
    assert facts(gradual).twin == "explains"
    assert facts(gradual | {"link.covers": False}).twin == "contradicts"
    assert facts(gradual | {"soft.trend.rise_p": 0.01}).twin == "contradicts"
    assert facts(gradual | {"soft.shape.code": FLAT}).twin == "contradicts"


def test_a_soft_rise_of_unknown_shape_agrees_with_a_jump_at_its_place() -> None:
    unknown = {"soft.shape.code": UNKNOWN, "soft.trend.rise_p": 0.009}
    assert facts(unknown).twin == "agrees"
    assert facts(unknown | APART).twin == "contradicts"
    assert facts(unknown | {"soft.trend.rise_p": 0.01}).twin == "contradicts"


@pytest.mark.parametrize(
    ("hard", "soft", "rank", "word"),
    [
        (GRADUAL, GRADUAL, 0.31, "agrees"),
        (GRADUAL, GRADUAL, 0.3, "contradicts"),
        (GRADUAL, UNKNOWN, 0.31, "agrees"),
        (GRADUAL, JUMP, 0.9, "contradicts"),
        (GRADUAL, GRADUAL, np.nan, "contradicts"),
        (FALLING, FALLING, 0.31, "agrees"),
        (NON_MONOTONE, FLAT, 0.3, "contradicts"),
        (FLAT, FLAT, -0.29, "agrees"),
        (FLAT, FLAT, -0.3, "contradicts"),
        (FLAT, FLAT, np.nan, "agrees"),
        (UNKNOWN, GRADUAL, -0.31, "contradicts"),
    ],
)
def test_shapes_without_a_jump_agree_by_rank(hard: int, soft: int, rank: float, word: str) -> None:
    changes = {"hard.shape.code": hard, "soft.shape.code": soft, "link.rank": rank}
    assert facts(changes).twin == word
    assert facts(changes, soft=False).twin == "missing"


def test_onset_intervals_overlap_where_they_touch_or_lie_within_the_slack() -> None:
    first = leap({"hard.shape.onset": 0.4, "hard.shape.onset_low": 0.35, "hard.shape.onset_high": 0.45}).hard.shape

    def meets(low: float, high: float, slack: float = 0.0) -> bool:
        at = np.array([(low + high) / 2])
        other = replace(first, onset=at, onset_low=np.array([low]), onset_high=np.array([high]))
        ways = [bool(overlap(a, b, np.array([slack]))[0]) for a, b in ((first, other), (other, first))]
        assert ways[0] == ways[1]
        return ways[0]

    assert meets(0.45, 0.5)
    assert meets(0.1, 0.9)
    assert not meets(0.46, 0.5)
    assert not meets(0.2, 0.34)
    assert meets(0.46, 0.5, slack=0.0801)
    assert not meets(0.46, 0.5, slack=0.0799)


# seeds


def test_onsets_are_together_within_the_width_of_a_jump() -> None:
    """`limits.narrow` is 0.2 of this range."""
    assert facts({"hard.seed_shape.onset": [0.4, 0.5, 0.6]}).onsets_together is True
    assert facts({"hard.seed_shape.onset": [0.4, 0.5, 0.601]}).onsets_together is False
    one = {"hard.seed_shape.code": [JUMP, GRADUAL, UNKNOWN], "hard.seed_shape.onset": [0.1, 0.5, 0.9]}
    assert facts(one).onsets_together is None, "one jump is nowhere together"
    two = {"hard.seed_shape.code": [JUMP, JUMP, UNKNOWN], "hard.seed_shape.onset": [0.4, 0.5, 0.9]}
    assert facts(two).onsets_together is True, "a seed without a jump has no say"


def test_a_seed_is_sharp_if_it_jumps_unforeseen_with_its_twin_and_has_leapt() -> None:
    assert facts({"hard.seed_shape.code": [JUMP, GRADUAL, JUMP]}).n_sharp == 2
    assert facts({"seeds.leapt_seed": [[True, False, True]]}).n_sharp == 2
    assert facts({"soft.surprise.p_seed": [[0.0099, 0.01, np.nan]]}).n_sharp == 1
    assert facts({"soft.seed_shape.code": [JUMP, NON_MONOTONE, GRADUAL]}).n_sharp == 2
    away = {f"soft.seed_shape.{k}": [v, 0.53, 0.53] for k, v in (("onset", 0.9), ("onset_low", 0.85))}
    assert facts(away | {"soft.seed_shape.onset_high": [0.95, 0.55, 0.55]}).n_sharp == 2


def test_without_a_twin_the_hard_score_alone_makes_a_seed_sharp() -> None:
    assert facts({"soft.seed_shape.code": GRADUAL}, soft=False).n_sharp == 3
    assert facts({"hard.surprise.p_seed": [[0.0099, 0.01, 0.5]]}, soft=False).n_sharp == 1


def test_a_seed_contradicts_if_it_rises_gradually_or_stays_and_had_the_points_to_show_it() -> None:
    assert facts({"hard.seed_shape.code": [JUMP, GRADUAL, JUMP]}).contradicting
    assert facts({"seeds.leapt_seed": [[True, True, False]]}).contradicting
    assert not facts({"hard.seed_shape.code": [JUMP, UNKNOWN, JUMP]}).contradicting
    stays = {"seeds.leapt_seed": [[True, True, False]]}
    assert facts(stays, analysis=Analysis(min_points=12)).contradicting
    assert not facts(stays, analysis=Analysis(min_points=13)).contradicting, "too short to speak"


def test_populations_are_asked_of_three_seeds_and_more() -> None:
    two = {"seeds.two": True}
    assert facts(two).two_populations is True
    assert facts(two, analysis=Analysis(transition_seeds=4)).two_populations is None
    assert facts(two, seeds=2).two_populations is None


def test_a_curve_without_a_measured_seed_counts_as_one_and_a_lone_point_is_told() -> None:
    assert facts({"seeds.count": 0}).n_seeds == 1
    assert facts({"presence.lone": True}).lone_point
    short = {"hard.series.ok": np.arange(12) < np.array([4, 7, 5])[:, None]}
    assert facts(short).n_points == 7, "the longest seed's"
