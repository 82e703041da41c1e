"""Checks beside the verdict: their needs are looked up for them, what goes wrong costs their own evidence alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from saltus.checks.base import View
from saltus.judging.beside import attach
from saltus.judging.judge import judge
from saltus.records import Evidence

from helpers.item_views import at, table, view


@dataclass
class Asked:
    """A check that keeps what it was called with."""

    answer: Any = None
    name: str = "asked"
    needs: frozenset[str] = frozenset({"value"})
    sees: str = "curves"
    seen: Any = None
    draw: float = 0.0

    def __call__(self, given: Any, rng: np.random.Generator) -> Any:
        self.seen, self.draw = given, float(rng.random())
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        return [Evidence(name=self.name, question="?", why="counted")] * len(getattr(given, "curves", given))


@pytest.fixture(scope="module")
def judged() -> View:
    rng = np.random.default_rng(2)
    frame = table({"baseline": lambda x, _i: 0.1 if x < 8.5 else 0.8, "typos": lambda _x, _i: 0.3}, rng=rng)
    seen = view(frame, resamples=2, draws=20)
    return replace(seen, findings=judge(seen.curves, seen.analysis, rng))


def evidence(found: Any, name: str) -> list[Evidence]:
    return [e for f in found.findings for e in f.evidence if e.name == name]


def test_a_check_gets_curves_or_the_view_as_it_says(judged: View) -> None:
    old, new = Asked(), Asked(name="new", sees="view")
    attach(judged, [old, new], np.random.default_rng(0))
    assert old.seen is judged.curves
    assert new.seen is judged
    assert new.seen.items.collect().height > 0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (RuntimeError("oh dear"), "asked raised RuntimeError: oh dear"),
        ([Evidence(name="asked", question="?")], "asked returned 1 Evidence for 2 curves"),
        ([1.0, 2.0], "asked returned a float"),
        (7, "asked raised TypeError"),
    ],
)
def test_a_broken_check_costs_its_own_evidence_and_nothing_else(judged: View, answer: Any, why: str) -> None:
    found = attach(judged, [Asked(answer), Asked(name="good")], np.random.default_rng(0))
    broken = evidence(found, "asked")
    assert len(broken) == len(judged.findings)
    assert all(e.passed is None and why in e.why for e in broken)
    assert [why in c for c in found.cautions] == [True]
    assert [e.why for e in evidence(found, "good")] == ["counted"] * 2
    assert [f.verdict for f in found.findings] == [f.verdict for f in judged.findings]


def test_none_means_that_the_question_does_not_arise(judged: View) -> None:
    one = Evidence(name="asked", question="?", why="here")
    found = attach(judged, [Asked([None, one])], np.random.default_rng(0))
    before = [len(f.evidence) for f in judged.findings]
    assert [len(f.evidence) for f in found.findings] == [before[0], before[1] + 1]
    assert found.cautions == ()


def test_a_column_that_the_results_do_not_have_is_named(judged: View) -> None:
    for column in ("parent_id", "loss"):
        check = Asked(needs=frozenset({"value", column}))
        found = attach(judged, [check], np.random.default_rng(0))
        assert all(e.passed is None and f"`{column}`" in e.why for e in evidence(found, "asked"))


def test_without_items_a_check_over_items_is_told_so(judged: View) -> None:
    check = Asked(needs=frozenset({"item_id"}), sees="view")
    found = attach(replace(judged, items=None), [check], np.random.default_rng(0))
    assert check.seen is None
    assert all("`item_id`" in e.why for e in evidence(found, "asked"))


def test_a_column_that_one_curve_lacks_is_named_for_that_curve() -> None:
    rng = np.random.default_rng(3)
    frame = table({"baseline": lambda _x, _i: 0.5, "typos": lambda _x, _i: 0.5}, rng=rng)
    frame = frame.with_columns(
        parent_id=pl.when(pl.col("condition") == "typos").then(pl.concat_str(pl.lit("p"), pl.col("item_id")))
    )
    seen = view(frame, resamples=2, draws=20)
    seen = replace(seen, findings=judge(seen.curves, seen.analysis, rng))
    found = attach(seen, [Asked(needs=frozenset({"parent_id"}), sees="view")], rng)
    by = {i: e for i, f in enumerate(found.findings) for e in f.evidence if e.name == "asked"}
    assert by[at(seen, "typos")].why == "counted"
    assert "`parent_id`" in by[at(seen, "baseline")].why


def test_one_more_check_changes_no_other_ones_randomness(judged: View) -> None:
    alone, beside = Asked(), Asked()
    attach(judged, [alone], np.random.default_rng(5))
    attach(judged, [beside, Asked(name="more")], np.random.default_rng(5))
    assert alone.draw == beside.draw
