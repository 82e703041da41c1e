"""Conditions against baseline, paired by item: the difference and its interval are those of the pairs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from saltus.analysis.flips import robustness


def items(base: np.ndarray, changed: np.ndarray) -> pl.DataFrame:
    """Answers of one model at two places, the last of which is the one to compare at."""
    rows: list[dict[str, Any]] = []
    for tokens, shift in ((1e6, 1.0), (1e9, 0.0)):
        for condition, values in (("baseline", base), ("typos[rate=0.1]", changed)):
            rows += [
                {
                    "series": "s",
                    "seed": "0",
                    "model_identity": f"m{tokens}",
                    "model": "m",
                    "task": "t",
                    "metric": "acc",
                    "repeat": 0,
                    "item_id": str(i),
                    "condition": condition,
                    "tokens": tokens,
                    "step": None,
                    "params": None,
                    "value": float(abs(shift - v)),
                }
                for i, v in enumerate(values)
            ]
    return pl.DataFrame(rows, schema_overrides={"step": pl.Float64, "params": pl.Float64})


FINDING: Any = SimpleNamespace(series="s", task="t", metric_hard="acc", primary=True)


def test_the_difference_is_that_of_the_pairs_at_the_last_model() -> None:
    base, changed = np.array([1, 1, 1, 0, 1, 1, 0, 1]), np.array([1, 0, 1, 0, 0, 1, 0, 1])
    (row,) = robustness(items(base, changed), [FINDING])
    error = (changed - base).std(ddof=1) / np.sqrt(len(base))
    assert row.difference.value == pytest.approx(-0.25)
    assert row.difference.low == pytest.approx(-0.25 - 1.96 * error)
    assert (row.baseline, row.changed, row.pairs) == (0.75, 0.5, 8)


def test_a_clear_loss_fails_and_no_change_passes() -> None:
    right, wrong = np.ones(50), np.r_[np.zeros(30), np.ones(20)]
    assert robustness(items(right, wrong), [FINDING])[0].passed is False
    assert robustness(items(right, right), [FINDING])[0].passed is True
