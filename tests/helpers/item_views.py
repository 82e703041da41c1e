"""Views of item-level answers of known truth, made the way saltus makes them: a table, assembled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from saltus.checks.base import View
from saltus.curves.assemble import assemble
from saltus.records import Analysis
from saltus.results.cleaning import clean
from saltus.results.left_out import Place
from saltus.results.table import normalise
from saltus.stats.batch import Promise

Rate = Callable[[float, int], float]
"""(log10 tokens, item) → chance of a right answer."""


def table(
    rates: Mapping[str, Rate],
    *,
    tokens: Iterable[float] = (1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12),
    items: int = 40,
    seeds: int = 1,
    repeats: int = 1,
    groups: int | None = None,
    rng: np.random.Generator,
    same_repeats: bool = False,
) -> pl.DataFrame:
    """One row per answer; rates: condition → chance of being right, "baseline" among them."""
    rows: list[dict[str, Any]] = []
    for condition, rate in rates.items():
        for seed in range(seeds):
            for at in tokens:
                for item in range(items):
                    draws = rng.random(repeats) < rate(float(np.log10(at)), item)
                    for repeat, right in enumerate(draws):
                        rows.append(
                            {
                                "series": "s",
                                "model": f"m-step{at:.0f}",
                                "seed": str(seed),
                                "tokens": at,
                                "task": "t",
                                "metric": "acc",
                                "value": float(draws[0] if same_repeats else right),
                                "condition": condition,
                                "repeat": repeat,
                                "item_id": f"i{item:04d}",
                                "group": None if groups is None else f"g{item % groups}",
                                "floor": 0.1,
                            }
                        )
    frame = pl.DataFrame(rows, schema_overrides={"group": pl.String})
    cleaned, _ = clean(normalise(frame, "planted")[0], Place("planted"))
    return cleaned


def view(frame: pl.DataFrame, promises: Mapping[str, Promise] | None = None, **analysis: Any) -> View:
    """What checks see of it."""
    found = assemble(frame, axis="tokens", series=("series",)).promising(promises or {})
    return View(found.batch, found.items, found.columns, (), Analysis(**analysis))


def at(of: View, condition: str) -> int:
    """Index of the curve under a condition."""
    return next(i for i, k in enumerate(of.curves.keys) if k.condition == condition)
