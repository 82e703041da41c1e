"""Answers that hold their own target are found where none is scored right, and babble is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saltus.analysis.held import holding, holds, with_corrected, with_held
from saltus.curves.assemble import assemble
from saltus.judging.judge import judge
from saltus.records import Analysis, Answer, Item, Score
from saltus.runner.loop import run
from saltus.store import Store
from saltus.testing import ToyTask

from helpers.small_study import SmallStudy

LETTERS = list("abcdefghijklmnopqrstuvwxyz")


def babble(rng: np.random.Generator, words: Sequence[str], count: int, length: int) -> list[str]:
    return [" ".join(rng.choice(words, size=length)) for _ in range(count)]


@pytest.mark.parametrize(
    "kind", ["letters", "digits", "words"], ids=["one-letter targets", "one-digit targets", "rare words"]
)
def test_babblers_are_not_suspected(kind: str) -> None:
    """400 models that say anything, over few and many items: at most 12 are suspected."""
    rng = np.random.default_rng(7)
    words = {"letters": LETTERS[:4], "digits": [str(k) for k in range(10)], "words": [f"w{k}" for k in range(50)]}[kind]
    fired = 0
    for k in range(400):
        n = int(rng.integers(8, 60))
        targets = [(str(t),) for t in rng.choice(words, size=n)]
        texts = babble(rng, [*words, "the", "is"], n, int(rng.integers(1, 25)))
        fired += holding(texts, targets, k).fires
    assert fired <= 12


def test_wrapped_answers_are_found_and_right_letters_in_every_text_are_not() -> None:
    rng = np.random.default_rng(3)
    numbers = [str(k) for k in rng.integers(10, 99, size=40)]
    wrapped = holding([f"The answer is {t}." for t in numbers], [(t,) for t in numbers], 1)
    assert wrapped.fires
    assert wrapped.own == 1.0
    assert wrapped.others < 0.1
    menu = holding(["A, B, C or D"] * 40, [(t,) for t in "ABCD" * 10], 1)
    assert not menu.fires
    assert menu.own == 1.0


def test_a_target_is_held_as_whole_words_only() -> None:
    assert holds("it is 12.", ("12",))
    assert not holds("it is 512", ("12",))
    assert holds("in new york city", ("New  York",))
    assert not holds("anything", ("",))


@dataclass(frozen=True, kw_only=True)
class Unread(ToyTask):
    """Generation whose scorer never reads an answer right."""

    format: str = "generate"

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        return [Score(metric_hard="exact_match", hard=0.0, why_no_soft="text alone was asked for")]


@pytest.mark.parametrize(("task", "fires"), [(Unread(), True), (ToyTask(format="generate"), False)])
def test_a_study_whose_answers_are_read_wrong_is_defective(task: ToyTask, fires: bool, tmp_path: Path) -> None:
    study: Any = SmallStudy((task,), points=10, limit=60)
    run(study, store := Store(tmp_path / "store"))
    items = with_held(store, store.item_table(study).collect())
    batch = assemble(items, axis="tokens", series=("series",)).batch
    (finding,) = with_corrected(judge(batch, Analysis(draws=99, resamples=2), np.random.default_rng(0)), items)
    if not fires:
        assert "held_targets" not in items.columns
        assert finding.integrity == "ok"
        return
    assert finding.verdict == "defective"
    (guard,) = (g for g in finding.guards if g.name == "held_targets")
    assert guard.fired
    assert guard.why.count("is right") == 3
    (evidence,) = (e for e in finding.evidence if e.name == "held_targets")
    curve = evidence.detail["curve"]
    assert len(curve) == finding.n_points
    assert curve[0]["corrected"] < 0.1
    assert curve[-1]["corrected"] > 0.8
    assert all(point["hard"] == 0 for point in curve)
