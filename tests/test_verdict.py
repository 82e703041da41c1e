"""`decide` gives one word for every combination of facts, and the words keep their promises."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import get_args

import pytest

from saltus.records import Analysis, Facts, Integrity, Predicted, Presence, Scope, Shape, Twin, Verdict
from saltus.verdict import CLAIMS_LEAP, TABLE, decide, row_of

POINTS = (0, 5, 6, 30)
SEEDS = ((1, 0), (1, 1), (2, 2), (3, 1), (3, 2), (5, 3), (5, 2))


def every_combination():
    """The product of all discrete facts; n_points and (n_seeds, n_sharp) at both sides of each threshold."""
    shapes = get_args(Shape)
    names = (
        "integrity",
        "presence",
        "shape_hard",
        "shape_soft",
        "predicted",
        "twin",
        "scope",
        "n_points",
        "contradicting",
        "onsets_together",
        "two_populations",
        "lone_point",
    )
    values = (
        ("ok", "defective"),
        get_args(Presence),
        shapes,
        shapes,
        get_args(Predicted),
        get_args(Twin),
        ("general", "format", "memory"),
        (5, 6),
        (False, True),
        (None, True),
        (None, True),
        (False, True),
    )
    for combination in itertools.product(*values):
        yield dict(zip(names, combination))


def promises(f: Facts, word: Verdict) -> bool:
    """What each word guarantees about the facts it was given for."""
    jumped = f.shape_hard == "jump"
    turned = {"falling", "non_monotone"}
    resolvable = f.n_points >= 6 and f.presence != "unknown" and not f.lone_point
    return (
        (word == "defective") == (f.integrity == "defective")
        and {
            "defective": True,
            "unresolved": True,
            "split": f.n_seeds >= 3 and f.two_populations is True,
            "irregular": f.shape_hard in turned or (f.shape_soft in turned and f.presence == "present"),
            "flat": f.presence in ("absent", "below_floor") and f.shape_hard not in turned,
            "artefact": jumped and f.shape_soft == "gradual" and f.twin == "explains",
            "bound": jumped and f.scope in ("format", "elicitation"),
            "transition": jumped
            and f.twin == "agrees"
            and f.predicted == "no"
            and f.n_seeds >= 3
            and f.n_sharp / f.n_seeds >= 0.6
            and not f.contradicting
            and f.onsets_together is True,
            "sharp": jumped and f.predicted == "no" and f.twin in ("agrees", "missing"),
            "smooth": f.shape_hard == "gradual" and f.shape_soft in ("gradual", "unknown"),
        }[word]
        and (resolvable or word in ("unresolved", "defective"))
    )


@pytest.mark.parametrize("seeds", [(1, 1), (3, 1), (3, 2)])
def test_every_combination_gets_one_word_that_keeps_its_promise(seeds):
    n_seeds, n_sharp = seeds
    seen: Counter[str] = Counter()
    for facts in every_combination():
        given = Facts(**facts, n_seeds=n_seeds, n_sharp=n_sharp)
        word = decide(given)
        assert promises(given, word), (given, word)
        seen[word] += 1
    assert sum(seen.values()) > 100_000
    unreachable = {"split", "transition"} if n_seeds < 3 else {"transition"} if n_sharp < 2 else set()
    assert set(seen) == set(get_args(Verdict)) - unreachable


@pytest.mark.parametrize(("n_seeds", "n_sharp"), SEEDS)
def test_seed_counts_separate_sharp_from_transition(n_seeds, n_sharp):
    word = decide(leap(n_seeds=n_seeds, n_sharp=n_sharp))
    assert word == ("transition" if n_seeds >= 3 and n_sharp / n_seeds >= 0.6 else "sharp")


def leap(**changes) -> Facts:
    """A replicated leap in both channels, as changed."""
    facts = {
        "presence": "present",
        "shape_hard": "jump",
        "shape_soft": "jump",
        "predicted": "no",
        "twin": "agrees",
        "scope": "general",
        "n_points": 12,
        "n_seeds": 3,
        "n_sharp": 3,
        "onsets_together": True,
        "two_populations": False,
    }
    return Facts(**(facts | changes))


def climb(**changes) -> Facts:
    """A gradual rise in both channels, as changed."""
    return leap(**({"shape_hard": "gradual", "shape_soft": "gradual", "n_sharp": 0} | changes))


ORACLE = [
    (leap(), "transition"),
    (leap(n_seeds=1, n_sharp=1), "sharp"),
    (leap(twin="missing", shape_soft="unknown"), "sharp"),
    (leap(contradicting=True), "sharp"),
    (leap(onsets_together=False), "sharp"),
    (leap(onsets_together=None), "sharp"),
    (leap(two_populations=True), "split"),
    (leap(two_populations=True, n_seeds=2), "sharp"),
    (leap(predicted="yes"), "unresolved"),
    (leap(predicted="unknown"), "unresolved"),
    (leap(scope="format"), "bound"),
    (leap(scope="elicitation", twin="missing", shape_soft="unknown"), "bound"),
    (leap(scope="memory"), "transition"),
    (leap(shape_soft="gradual", twin="explains"), "artefact"),
    (leap(shape_soft="gradual", twin="explains", scope="format"), "artefact"),
    (leap(shape_soft="gradual", twin="contradicts"), "unresolved"),
    (leap(shape_soft="jump", twin="explains"), "unresolved"),
    (leap(shape_soft="non_monotone"), "transition"),
    (leap(shape_soft="non_monotone", twin="contradicts"), "unresolved"),
    (leap(shape_hard="unknown"), "unresolved"),
    (leap(lone_point=True), "unresolved"),
    (leap(n_points=5), "unresolved"),
    (leap(integrity="suspect"), "transition"),
    (leap(integrity="defective"), "defective"),
    (leap(integrity="defective", n_points=3), "defective"),
    (climb(), "smooth"),
    (climb(predicted="yes"), "smooth"),
    (climb(twin="missing", shape_soft="unknown"), "smooth"),
    (climb(shape_soft="jump", twin="contradicts"), "unresolved"),
    (climb(shape_soft="unknown"), "unresolved"),
    (climb(shape_hard="falling"), "irregular"),
    (climb(shape_soft="non_monotone"), "irregular"),
    (climb(shape_hard="flat"), "unresolved"),
    (climb(scope="format"), "smooth"),
    (climb(presence="absent", shape_hard="flat", shape_soft="flat"), "flat"),
    (climb(presence="absent", shape_hard="flat", shape_soft="falling"), "flat"),
    (climb(presence="absent", shape_hard="unknown", shape_soft="falling"), "flat"),
    (climb(presence="below_floor", shape_hard="flat"), "flat"),
    (climb(presence="absent", shape_hard="falling"), "irregular"),
    (climb(presence="unknown", shape_hard="flat"), "unresolved"),
    (Facts(), "unresolved"),
]


@pytest.mark.parametrize(("facts", "word"), ORACLE)
def test_representative_cases(facts, word):
    assert decide(facts) == word


def test_thresholds_come_from_the_study():
    assert decide(leap(n_points=8), Analysis(min_points=9)) == "unresolved"
    assert decide(leap(), Analysis(transition_seeds=4)) == "sharp"
    assert decide(leap(n_sharp=1), Analysis(transition_share=0.3)) == "transition"


def test_the_row_that_decides_says_why():
    assert "no row" in row_of(leap(predicted="yes")).when
    assert "too few points" in row_of(leap(n_points=2)).when
    assert {row.verdict for row in TABLE} == set(get_args(Verdict))
    assert {"sharp", "transition", "split"} == CLAIMS_LEAP


def test_facts_outside_the_product_do_not_move_the_word():
    for integrity, scope in itertools.product(get_args(Integrity), get_args(Scope)):
        if integrity not in ("defective", "doubtful") and scope not in ("format", "elicitation"):
            assert decide(leap(integrity=integrity, scope=scope)) == "transition"
    for points in POINTS:
        assert (decide(leap(n_points=points)) == "unresolved") == (points < 6)
