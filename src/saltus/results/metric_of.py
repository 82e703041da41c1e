"""What a metric of a table means: known by its name, or guessed from the values the table holds."""

from __future__ import annotations

import polars as pl

from saltus.metrics import Metric, lookup


def metric_of(table: pl.DataFrame, name: str) -> Metric:
    """The metric, guessed from the table's values where its name is unknown."""
    rows = table.filter(pl.col("metric") == name)
    low, high = rows["value"].min(), rows["value"].max()
    if {"low", "high"} <= set(rows.columns):  # the range that records state
        low = rows["low"].min() if rows["low"].null_count() < rows.height else low
        high = rows["high"].max() if rows["high"].null_count() < rows.height else high
    better = rows["higher_is_better"].drop_nulls()
    return lookup(
        name,
        low=0.0 if low is None else float(low),  # type: ignore[arg-type]
        high=1.0 if high is None else float(high),  # type: ignore[arg-type]
        higher_is_better=bool(better[0]) if len(better) else None,
    )
