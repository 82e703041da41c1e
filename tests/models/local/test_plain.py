"""Plain batches keep to their budgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from saltus.models.local.plain import plan
from saltus.models.local.rows import Row


@dataclass
class Case:
    budget: int
    head_rows: int


@pytest.mark.parametrize("case", [Case(1, 10**6), Case(64, 10**6), Case(10**6, 20), Case(200, 30)])
def test_every_row_is_planned_once_within_both_budgets(case: Case) -> None:
    rng = np.random.default_rng(0)
    rows = [Row(i, tuple(range(int(rng.integers(1, 60)))), tuple(range(int(rng.integers(1, 9))))) for i in range(200)]
    batches = list(plan(rows, case.budget, case.head_rows))
    assert sorted(r.index for b in batches for r in b) == list(range(200))
    for batch in batches:
        cells = len(batch) * max(r.length for r in batch)
        head = sum(len(r.continuation) for r in batch)
        assert len(batch) == 1 or (cells <= case.budget and head <= case.head_rows)
    padding = sum(len(b) * max(r.length for r in b) for b in batches) / sum(r.length for r in rows)
    assert padding < 1.1
