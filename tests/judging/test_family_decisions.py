"""What the family and the guards decide, from numbers given by hand: thresholds, integrity, axes that contradict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from saltus.judging import judge as stage
from saltus.judging.share import Short
from saltus.records import Guard, Integrity
from saltus.stats.batch import CurveBatch, Suspect
from saltus.stats.multiplicity import q_values

from helpers.planted import batch, logistic
from helpers.report_examples import finding

# multiplicity


def threshold(p: list[float], families: str, alpha: float = 0.05) -> list[float]:
    names = list(families)
    values = np.array(p)
    return [float(v) for v in stage._threshold(values, q_values(values, names), names, alpha)]


def test_the_threshold_of_a_family_is_its_largest_accepted_p_value() -> None:
    """Benjamini–Hochberg accepts 0.001, 0.02 and 0.03 of four (0.03 · 4/3 < 0.05), though 0.03 > 0.05 / 4."""
    assert threshold([0.001, 0.02, 0.03, 0.9], "aaaa") == [0.03] * 4
    assert threshold([0.001, 0.02, 0.04, 0.9], "aaaa") == [0.02] * 4


def test_where_nothing_is_accepted_the_threshold_is_alpha_over_the_size_of_the_family() -> None:
    assert threshold([0.5, 0.9, 0.7, np.nan], "aaaa") == [0.05 / 4] * 4
    assert threshold([0.5, 0.9], "aa", alpha=0.01) == [0.005] * 2


def test_families_have_thresholds_of_their_own() -> None:
    assert threshold([0.04, 0.5, 0.9], "abb") == [0.05, 0.025, 0.025]
    assert threshold([0.01, 0.5, 0.04, 0.03], "abab") == [0.04, 0.025, 0.04, 0.025], "0.04 is the second of two"


def keyed(*changes: dict[str, Any]) -> CurveBatch:
    curves = batch([[logistic(10.5, 1.0, 0.1, 0.8)]] * len(changes), None, rng=np.random.default_rng(1))
    keys = [replace(curves.keys[0], **c) for c in changes]
    return replace(curves, keys=tuple(keys))


def test_findings_on_the_same_items_in_one_family_depend_on_each_other() -> None:
    assert stage._share_items(keyed({}, {"metric_hard": "acc_norm"}))
    assert stage._share_items(keyed({}, {"condition": "typos"}))
    assert stage._share_items(keyed({}, {"slice": "group=a"}))
    for apart in ({"task": "u"}, {"series": "r"}, {"axis": "loss"}, {"family": "registered"}):
        assert not stage._share_items(keyed({}, apart))


# guards

POINTS = 12


def short(verdict: str = "sharp", onset: float = 5.0, low: float = 4.0, high: float = 6.0) -> Short:
    return Short(verdict, onset, low, high)  # type: ignore[arg-type]


def guarded(
    after: Short | None,
    *,
    before: Short | None = None,
    severity: str = "disqualifying",
    suspected: int = 1,
    least: int = 6,
) -> tuple[Integrity, Guard]:
    """One suspect over the first points of one seed of twelve; `after`: the curve without them."""
    mask = np.zeros((1, POINTS), dtype=bool)
    mask[0, :suspected] = True
    bad = Suspect("stale answers", severity, "why", mask)  # type: ignore[arg-type]
    curves = replace(batch([[logistic(10.5, 1.0, 0.1, 0.8)]], None, rng=np.random.default_rng(1)), suspects=((bad,),))
    found = stage._guards(curves, [before or short()], {} if after is None else {(0, 0): after}, least)
    integrity, (guard,) = found[0]
    return integrity, guard


def test_a_suspect_that_changes_nothing_is_acquitted() -> None:
    integrity, guard = guarded(short(onset=5.5))
    assert (integrity, guard.fired, guard.changes) == ("ok", False, "nothing changes")


def test_a_verdict_that_rests_on_suspected_points_is_defective_or_suspect_by_severity() -> None:
    integrity, guard = guarded(short("smooth"))
    assert (integrity, guard.fired, guard.changes) == ("defective", True, "sharp becomes smooth")
    assert guarded(short("smooth"), severity="caution")[0] == "suspect"


@pytest.mark.parametrize(("onset", "moved"), [(4.0, False), (6.0, False), (3.9, True), (6.1, True)])
def test_an_onset_that_leaves_its_interval_has_moved(onset: float, moved: bool) -> None:
    integrity, guard = guarded(short(onset=onset, low=0, high=9))
    assert integrity == ("defective" if moved else "ok")
    assert ("moves from 5 to" in str(guard.changes)) is moved


@pytest.mark.parametrize("verdict", ["flat", "unresolved", "irregular"])
def test_what_has_no_onset_has_none_that_moves(verdict: str) -> None:
    assert guarded(short(verdict, onset=99.0), before=short(verdict))[0] == "ok"


@pytest.mark.parametrize(("suspected", "emptied"), [(6, False), (7, True), (8, True)])
def test_a_verdict_that_rests_on_too_few_points_that_are_sound_is_defective(suspected: int, emptied: bool) -> None:
    """Six points are enough to judge; most of twelve are seven."""
    integrity, guard = guarded(short(), suspected=suspected)
    assert integrity == ("defective" if emptied else "ok")
    assert (guard.changes == "too few points are left to judge") is emptied


def test_few_points_left_convict_only_if_most_are_suspected() -> None:
    assert guarded(short(), suspected=5, least=8)[0] == "ok", "7 of 12 left, which is less than 8, but 5 is not most"
    assert guarded(short(), suspected=6, least=8)[0] == "ok"
    assert guarded(short(), suspected=7, least=8)[0] == "defective"


def test_a_suspicion_of_the_whole_curve_is_a_caution_however_severe() -> None:
    """Without suspected points nothing can be judged again."""
    integrity, guard = guarded(None, suspected=0)
    assert (integrity, guard.fired, guard.changes) == ("suspect", True, None)


def test_the_worst_of_several_suspects_decides_and_each_is_reported() -> None:
    mask = np.zeros((1, POINTS), dtype=bool)
    mask[0, 3] = True
    several = tuple(Suspect(n, s, "why", mask) for n, s in (("a", "caution"), ("b", "disqualifying"), ("c", "caution")))  # type: ignore[arg-type]
    curves = batch([[logistic(10.5, 1.0, 0.1, 0.8)]], None, rng=np.random.default_rng(1))
    after = {(0, 0): short("smooth"), (0, 1): short("flat"), (0, 2): short()}
    (integrity, guards) = stage._guards(replace(curves, suspects=(several,)), [short()], after, 6)[0]
    assert integrity == "defective"
    assert [g.fired for g in guards] == [True, True, False]
    assert guards[0].points == (f"0 @ {curves.raw_x[0, 0, 3]:g}",)


def test_curves_without_suspects_are_sound() -> None:
    curves = replace(batch([[logistic(10.5, 1.0, 0.1, 0.8)]], None, rng=np.random.default_rng(1)), suspects=((),))
    assert stage._guards(curves, [short()], {}, 6) == [("ok", ())]


# axes


def test_a_verdict_that_changes_with_the_axis_says_so_on_both() -> None:
    found = [finding(axis="tokens", verdict="sharp"), finding(axis="loss", verdict="smooth")]
    tokens, loss = stage._compare_axes(found)
    assert tokens.caveats == ("The verdict changes with the axis: sharp along tokens, smooth along loss.",)
    assert loss.caveats == ("The verdict changes with the axis: smooth along loss, sharp along tokens.",)


def test_equal_verdicts_and_other_curves_are_not_compared() -> None:
    one = finding(axis="tokens", verdict="sharp")
    for other in (
        finding(axis="loss", verdict="sharp"),
        *(
            finding(axis="loss", verdict="smooth", **{k: v})
            for k, v in (("task", "u"), ("series", "r"), ("condition", "c"), ("metric_hard", "m"), ("slice", "s"))
        ),
    ):
        assert [f.caveats for f in stage._compare_axes([one, other])] == [(), ()]
