"""What becomes of hypotheses: words that keep, refute or settle nothing, whose finding counts, where the loss falls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from saltus.analysis.hypotheses import loss_falls, settle, statement
from saltus.page.context import Hypothesis as Settled
from saltus.records import Verdict
from saltus.stats.batch import CurveBatch
from saltus.study.document import Hypothesis

from helpers.planted import batch, logistic
from helpers.report_examples import finding

WORDS = get_args(Verdict)


def hypothesis(**changes: Any) -> Hypothesis:
    """That copying leaps in induction-2l along tokens."""
    base = {"id": "H1", "task": "copying", "series": "induction-2l", "axis": "tokens", "expect": "leap"}
    return Hypothesis(**(base | changes))


def settled(
    h: Hypothesis, *findings: dict[str, Any], falls: dict[tuple[str, str], tuple[float, float]] | None = None
) -> Settled:
    (one,) = settle([h], [finding(**changes) for changes in findings], falls or {})
    return one


# words


@pytest.mark.parametrize("word", WORDS)
def test_a_leap_is_kept_by_sharp_and_transition_alone(word: str) -> None:
    kept, open_ = {"sharp", "transition"}, {"unresolved", "defective"}
    outcome = "kept" if word in kept else "undecided" if word in open_ else "refuted"
    assert settled(hypothesis(expect="leap"), {"verdict": word}).outcome == outcome


@pytest.mark.parametrize("word", WORDS)
def test_no_leap_is_kept_by_what_is_flat_smooth_irregular_or_the_metrics_doing(word: str) -> None:
    kept, open_ = {"flat", "smooth", "artefact", "irregular"}, {"unresolved", "defective"}
    outcome = "kept" if word in kept else "undecided" if word in open_ else "refuted"
    assert settled(hypothesis(expect="no-leap"), {"verdict": word}).outcome == outcome


@pytest.mark.parametrize("expected", ["flat", "transition", "sharp", "smooth", "split", "bound"])
@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_kept_by_itself_alone(expected: str, word: str) -> None:
    outcome = "kept" if word == expected else "undecided" if word in ("unresolved", "defective") else "refuted"
    assert settled(hypothesis(expect=expected), {"verdict": word}).outcome == outcome


def test_the_outcome_names_its_finding_verdict_and_weight() -> None:
    found = settled(hypothesis(), {"verdict": "sharp", "verdict_weights": {"sharp": 0.876, "smooth": 0.124}})
    assert found.finding_id == "induction-2l|copying|baseline|tokens"
    assert "`sharp`" in found.why
    assert "0.88" in found.why
    assert "weight" not in settled(hypothesis(), {"verdict": "sharp", "verdict_weights": {}}).why


# whose finding


@pytest.mark.parametrize(
    "other",
    [
        {"primary": False},
        {"slice": "difficulty=low"},
        {"axis": "loss"},
        {"condition": "typos[rate=0.1]"},
        {"task": "addition"},
        {"task": "copying2"},
        {"series": "induction-1l"},
    ],
)
def test_a_finding_about_anything_else_settles_nothing(other: dict[str, Any]) -> None:
    found = settled(hypothesis(), other)
    assert (found.outcome, found.finding_id) == ("undecided", None)
    assert "no finding" in found.why
    both = settled(hypothesis(), other | {"verdict": "flat"}, {"verdict": "sharp"})
    assert both.outcome == "kept", "the one it is about is found among others"


def test_a_task_is_meant_by_its_name_with_or_without_options() -> None:
    assert settled(hypothesis(), {"task": "copying[n=16]"}).outcome == "kept"
    assert settled(hypothesis(task="copying[n=16]"), {"task": "copying[n=16]"}).outcome == "kept"
    assert settled(hypothesis(task="copying[n=32]"), {"task": "copying[n=16]"}).outcome == "undecided"


def test_a_condition_is_asked_about_by_name() -> None:
    shots = hypothesis(condition="shots[k=5]")
    assert settled(shots, {"verdict": "flat"}, {"condition": "shots[k=5]"}).outcome == "kept"


# where the loss falls

FALLS = {("induction-2l", "copying"): (400_000.0, 800_000.0)}
"""The finding's own onset lies in 467,000 to 860,000."""


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (467e3, 860e3, "kept"),
        (800e3, 900e3, "kept"),
        (801e3, 900e3, "refuted"),
        (100e3, 400e3, "kept"),
        (100e3, 399e3, "refuted"),
        (500e3, 600e3, "kept"),
        (100e3, 9e6, "kept"),
    ],
)
def test_an_onset_at_the_fall_of_the_loss_overlaps_it(low: float, high: float, outcome: str) -> None:
    at_fall = hypothesis(onset_at="loss-fall")
    place = {"onset": (low + high) / 2, "onset_low": low, "onset_high": high}
    assert settled(at_fall, place, falls=FALLS).outcome == outcome
    assert settled(hypothesis(), place, falls=FALLS).outcome == "kept", "not asked, not compared"


def test_an_onset_that_cannot_be_compared_leaves_a_hypothesis_undecided() -> None:
    at_fall = hypothesis(onset_at="loss-fall")
    assert settled(at_fall, {}).outcome == "undecided"
    assert settled(at_fall, {}, falls={("induction-1l", "copying"): (1.0, 2.0)}).outcome == "undecided"
    assert settled(at_fall, {"onset_low": None}, falls=FALLS).outcome == "undecided"
    assert settled(at_fall, {"onset_high": None}, falls=FALLS).outcome == "undecided"


def test_the_place_is_compared_only_where_the_word_itself_is_kept() -> None:
    at_fall = hypothesis(onset_at="loss-fall")
    assert settled(at_fall, {"verdict": "flat"}, falls=FALLS).outcome == "refuted"
    assert settled(at_fall, {"verdict": "unresolved"}, falls=FALLS).outcome == "undecided"
    message = settled(at_fall, {}, falls=FALLS).why
    assert "onset" in message
    assert "loss falls" in message


def falling(*losses: list[float], axis: str = "tokens", x: list[float] | None = None) -> CurveBatch:
    """One curve whose seeds have these losses at 1, 2, 3 …"""
    points = len(losses[0])
    raw = np.array(x or [1.0 + k for k in range(points)])
    curves = batch([[logistic(0.3, 0.2, 0.1, 0.8)] * len(losses)], None, x=np.log10(raw), rng=np.random.default_rng(1))
    keys = tuple(replace(k, axis=axis) for k in curves.keys)
    return replace(curves, keys=keys, raw_x=np.broadcast_to(raw, curves.shape), other_axes={"loss": np.array([losses])})


def test_the_loss_falls_from_a_tenth_to_nine_tenths_between_the_points_that_bracket_it() -> None:
    """Of a fall from 4 to 2: 3.8 is a tenth (first below it at 4), 2.2 nine tenths (first at 6)."""
    assert loss_falls(falling([4.0, 3.9, 3.9, 3.5, 2.5, 2.1, 2.0, 2.0])) == {("s", "task0"): (3.0, 6.0)}


def test_a_tenth_and_nine_tenths_count_as_reached_where_they_are_reached_exactly() -> None:
    assert loss_falls(falling([10.0, 9.5, 9.0, 5.0, 1.0, 0.0])) == {("s", "task0"): (2.0, 5.0)}


def test_a_loss_that_rises_again_has_fallen_to_its_lowest() -> None:
    """A bump on the way changes nothing: what counts is the lowest loss so far."""
    assert loss_falls(falling([4.0, 4.0, 2.5, 3.9, 2.0, 9.0])) == {("s", "task0"): (2.0, 5.0)}
    assert loss_falls(falling([4.0, 5.0, 6.0, 7.0])) == {}, "and one that never falls has no place"


def test_a_fall_at_the_first_step_begins_at_the_first_point() -> None:
    assert loss_falls(falling([4.0, 2.0, 2.0, 2.0])) == {("s", "task0"): (1.0, 2.0)}


def test_seeds_are_joined_and_gaps_and_short_seeds_left_out() -> None:
    early, late = [4.0, 4.0, 2.0, 2.0, 2.0, 2.0], [4.0, 4.0, 4.0, 4.0, 2.0, 2.0]
    assert loss_falls(falling(early, late)) == {("s", "task0"): (2.0, 5.0)}
    nan = float("nan")
    assert loss_falls(falling([4.0, nan, 4.0, 2.0, nan, 2.0])) == {("s", "task0"): (3.0, 4.0)}
    assert loss_falls(falling(early, [4.0, nan, nan, nan, nan, 2.0])) == {("s", "task0"): (2.0, 3.0)}
    assert loss_falls(falling([4.0, nan, 2.0, nan])) == {}


@pytest.mark.parametrize(("axis", "there"), [("tokens", True), ("step", True), ("params", False), ("loss", False)])
def test_the_loss_falls_along_training(axis: str, there: bool) -> None:
    assert bool(loss_falls(falling([4.0, 4.0, 2.0, 2.0], axis=axis))) is there


def test_without_losses_nothing_falls() -> None:
    assert loss_falls(replace(falling([4.0, 2.0, 2.0]), other_axes={})) == {}


# in words


def test_a_hypothesis_reads_as_a_sentence() -> None:
    assert statement(hypothesis()) == "copying in induction-2l leaps along tokens"
    assert statement(hypothesis(expect="no-leap")) == "copying in induction-2l does not leap along tokens"
    assert statement(hypothesis(expect="smooth", condition="typos")) == (
        "copying in induction-2l is `smooth` along tokens under typos"
    )
    assert "where the training loss falls" in statement(hypothesis(onset_at="loss-fall"))
