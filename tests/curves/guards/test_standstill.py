"""Scores that stand still, checkpoints that hold another's weights, and gaps in items: fault or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import assemble
from saltus.judging.judge import judge
from saltus.records import Analysis, Finding

STEPS = [2.0**k for k in range(6, 19)]
QUICK = Analysis(draws=99, resamples=2)


def rows(values: Sequence[float], task: str = "t", metric: str = "acc", n: int = 1000, **columns: Any) -> pl.DataFrame:
    k = len(values)
    given = {"series": "S", "model": "m", "step": STEPS[:k], "task": task, "metric": metric, "value": values}
    hard = {"n_items": n, "nominal_floor": 0.25} if metric == "acc" else {"n_items": n}
    return pl.DataFrame({**given, **hard, **columns}, strict=False)


def judged(*frames: pl.DataFrame) -> list[Finding]:
    return judge(assemble(pl.concat(frames, how="diagonal_relaxed")).batch, QUICK, np.random.default_rng(0))


def guard(finding: Finding, name: str) -> list[str]:
    return [g.why for g in finding.guards if g.name == name and g.fired]


# constant answers


@pytest.mark.parametrize(("letter", "right"), [("A", 3222), ("B", 3462), ("C", 3582), ("D", 3776)])
def test_one_letter_for_all_of_mmlu_is_named(letter: str, right: int) -> None:
    for value in (right / 14042, round(right / 14042, 4)):
        (found,) = judged(rows([value] * 13, "mmlu", n=14042))
        assert (found.verdict, found.integrity) == ("flat", "ok")
        assert f"as if it always answered {letter}" in guard(found, "constant_answer")[0]
        assert found.caveats[0].endswith(f"as if it always answered {letter}.")


def test_a_standstill_of_unknown_making_is_said_without_a_letter() -> None:
    (found,) = judged(rows([0.237] * 13))
    assert found.integrity == "ok"
    assert guard(found, "constant_answer")[0].endswith(
        "0.237 at all 13 points, to the last digit, as if it always gave one answer"
    )


def test_two_tasks_that_stand_still_are_suspect_and_explained_ones_are_not() -> None:
    several = judged(rows([0.237] * 13, "one"), rows([0.241] * 13, "two"))
    assert {f.integrity for f in several} == {"suspect"}
    share = 3222 / 14042
    explained = judged(rows([share] * 13, "mmlu", n=14042), rows([0.22] * 13, "mmlu_virology"), rows([0.241] * 13))
    assert {f.integrity for f in explained} == {"ok"}


def test_a_graded_score_that_stands_still_too_is_no_innocent_answer() -> None:
    both = judged(rows([0.237] * 13), rows([0.2503127] * 13, metric="choice_prob"))
    assert {f.integrity for f in both} <= {"suspect", "defective"}
    assert "the graded score stands still too" in guard(both[0], "constant_answer")[0]


def test_few_items_that_repeat_a_score_are_not_a_standstill() -> None:
    assert guard(judged(rows([0.25] * 4, n=20))[0], "constant_answer") == []
    moving = [0.237] * 12 + [0.238]
    assert guard(judged(rows(moving))[0], "constant_answer") == []


# checkpoints that hold another's weights


def leaps(tasks: int, seed: int, stray: int | None = None, at: int = 9) -> list[pl.DataFrame]:
    rng = np.random.default_rng(seed)
    out = []
    for k in range(tasks):
        values = rng.binomial(1000, [0.25] * at + [rng.uniform(0.5, 0.9)] * (13 - at)) / 1000
        if stray is not None:
            values[stray] = values[12]
        out.append(rows(values.tolist(), f"t{k}"))
    return out


def test_final_weights_before_the_leap_are_left_out() -> None:
    found = judged(*leaps(5, 1, stray=4))
    assert {f.verdict for f in found} == {"sharp"}
    for f in found:
        (why,) = guard(f, "stale_answers")
        assert "5 of 5 comparisons" in why
        assert "chance" in why
        (one,) = (g for g in f.guards if g.name == "stale_answers")
        assert one.points == (f"S @ {STEPS[4]:g}",)
        assert one.changes == "the verdict is given without it"
        assert f.integrity == "suspect"
        assert f.n_points == 12


@pytest.mark.parametrize("tasks", [1, 2])
def test_few_tasks_that_agree_prove_nothing(tasks: int) -> None:
    assert not any(guard(f, "stale_answers") for f in judged(*leaps(tasks, 1, stray=4)))


def test_true_leaps_have_no_stray_points() -> None:
    for seed in range(40):
        batch = assemble(pl.concat(leaps(5, seed))).batch
        assert not any(s.guard == "stale_answers" for several in batch.suspects for s in several)


# gaps in items


def answers(sets: Sequence[Sequence[int]], seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    level = np.linspace(0.05, 0.9, len(sets))
    frames = [
        pl.DataFrame(
            {
                "series": "S",
                "model": "m",
                "step": STEPS[p],
                "task": "t",
                "metric": "acc",
                "value": (rng.random(len(own)) < level[p]).astype(float),
                "item_id": [f"i{j}" for j in own],
            }
        )
        for p, own in enumerate(sets)
    ]
    return pl.concat(frames)


def gaps(rng: np.random.Generator, items: int, share: float, points: int = 13) -> list[list[int]]:
    return [np.flatnonzero(rng.random(items) >= share).tolist() for _ in range(points)]


@pytest.mark.parametrize("share", [0.15, 0.3])
def test_gaps_at_random_are_a_caution(share: float) -> None:
    rng = np.random.default_rng(5)
    convicted = 0
    for seed in range(60):
        several = assemble(answers(gaps(rng, 60, share), seed)).batch.suspects[0]
        convicted += any(s.guard == "mixed_items" and s.severity == "disqualifying" for s in several)
    assert convicted <= 1
    (found,) = judged(answers(gaps(rng, 400, share)))
    assert found.verdict == "smooth"
    assert found.integrity == "suspect"
    assert "as if at random" in guard(found, "mixed_items")[0]


@pytest.mark.parametrize(
    "sets",
    [
        [range(100)] * 12 + [range(20, 120)],
        [range(100)] * 7 + [range(15, 115)] * 6,
        [range(8 * p, 100 + 8 * p) for p in range(13)],
    ],
    ids=["one odd point", "another half", "a window that moves"],
)
def test_sets_that_differ_by_design_are_another_set(sets: list[range]) -> None:
    several = assemble(answers(sets)).batch.suspects[0]
    assert any(s.guard == "mixed_items" and s.severity == "disqualifying" for s in several)


def test_samples_drawn_anew_from_a_large_pool_are_another_set() -> None:
    rng = np.random.default_rng(2)
    sets = [rng.choice(2000, 100, replace=False).tolist() for _ in range(13)]
    several = assemble(answers(sets)).batch.suspects[0]
    assert any(s.guard == "mixed_items" and s.severity == "disqualifying" for s in several)
