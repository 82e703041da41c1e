"""Batches keep to their budgets; sampling follows the distribution it is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from saltus.models.decoding import draw
from saltus.models.packing import Row, plan
from saltus.records import Settings


@dataclass
class Case:
    budget: int
    head_rows: int


@pytest.mark.parametrize("case", [Case(1, 10**6), Case(64, 10**6), Case(10**6, 20), Case(200, 30)])
def test_every_row_is_planned_once_within_both_budgets(case: Case) -> None:
    rng = np.random.default_rng(0)
    rows = [
        Row(i, tuple(range(int(rng.integers(1, 60)))), tuple(range(int(rng.integers(1, 9)))))
        for i in range(200)
    ]
    batches = list(plan(rows, case.budget, case.head_rows))
    assert sorted(r.index for b in batches for r in b) == list(range(200))
    for batch in batches:
        cells = len(batch) * max(r.length for r in batch)
        head = sum(len(r.continuation) for r in batch)
        assert len(batch) == 1 or (cells <= case.budget and head <= case.head_rows)
    padding = sum(len(b) * max(r.length for r in b) for b in batches) / sum(r.length for r in rows)
    assert padding < 1.1


def test_draws_follow_the_tempered_distribution() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    uniform = (np.arange(20_000) + 0.5) / 20_000
    for temperature in (1.0, 0.5):
        wanted = np.array([0.5, 0.3, 0.15, 0.05]) ** (1 / temperature)
        settings = Settings(temperature=temperature)
        counts = np.bincount([draw(logits, settings, u) for u in uniform], minlength=4) / 20_000
        assert counts == pytest.approx(wanted / wanted.sum(), abs=1e-3)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = np.log([0.15, 0.5, 0.05, 0.3])
    uniform = (np.arange(1000) + 0.5) / 1000

    def kept(top_p: float) -> set[int]:
        return {draw(logits, Settings(temperature=1.0, top_p=top_p), u) for u in uniform}

    assert kept(0.4) == {1}
    assert kept(0.6) == {1, 3}
    assert kept(0.9) == {0, 1, 3}
    assert kept(1.0) == {0, 1, 2, 3}
    assert draw(logits, Settings(temperature=1.0), 1 - 1e-17) in range(4)
