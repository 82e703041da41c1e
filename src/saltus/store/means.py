"""The mean of every metric over items, with a standard error that respects their groups."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from saltus.stats.clustered import clustered_means

ASK = ["_model", "_task", "_condition", "model", "task", "condition", "repeat"]
_CODES = ["_model", "_task", "_condition", "repeat", "_metric"]
_LABELS = ["model", "task", "condition", "task_version", "metric"]


def means(items: pl.DataFrame) -> pl.DataFrame:
    """One row per number: value, standard error, counts, and what is missing.

    items: rows of `tables`, in the order of `selection.QUESTION`. What a scorer says in words has no mean.
    """
    items = items.filter(pl.col("label").is_null())
    items = items.with_columns(pl.col("metric").rank("dense").cast(pl.Int32).alias("_metric"))
    missing = pl.col("value").is_null() & (pl.col("state") != "refused")
    reasons = pl.col("why_missing").filter(missing).drop_nulls().unique(maintain_order=True)
    same_shots = pl.col("n_shot").min() == pl.col("n_shot").max()
    counts = items.group_by(_CODES).agg(
        pl.col(*_LABELS, "role").first(),
        pl.col("target_tokens").mean(),
        pl.when(same_shots).then(pl.col("n_shot").min()).alias("n_shot"),
        pl.col("value").count().cast(pl.Int64).alias("n_items"),
        missing.sum().cast(pl.Int64).alias("n_missing"),
        (pl.col("state") == "refused").sum().cast(pl.Int64).alias("n_refused"),
        reasons.head(3).str.join("; ").alias("missing"),
        pl.col("why_missing").filter(pl.col("value").is_null()).first().alias("_first"),
        pl.col("why_no_soft").drop_nulls().first(),
    )
    rows = counts.join(_clustered(items), on=_CODES, how="left")
    return rows.with_columns(
        missing=pl.when(pl.col("n_missing") > 0).then(pl.col("missing")),
        why_missing=pl.when(pl.col("value").is_null()).then(pl.col("_first")),
    ).drop("_first", "_metric")


def _clustered(items: pl.DataFrame) -> pl.DataFrame:
    """Mean and its standard error, items clustered by group, one without a group being its own cluster."""
    alone = -1 - pl.col("index")
    group = pl.col("group").rank("dense").cast(pl.Int64)
    seen = items.filter(pl.col("value").is_not_null()).select(
        *_CODES, "value", pl.coalesce(group, alone).alias("_cluster")
    )
    if not seen.height:
        kinds = {"value": pl.Float64, "stderr": pl.Float64, "n_clusters": pl.Int64}
        return seen.select(*_CODES, *(pl.lit(None, kind).alias(n) for n, kind in kinds.items()))
    seen = seen.sort([*_CODES, "_cluster"], maintain_order=True)
    number = _runs(seen.select(_CODES))
    cluster = _runs(seen.select(*_CODES, "_cluster"))
    found = clustered_means(seen["value"].to_numpy(), number, cluster)
    first = np.unique(number, return_index=True)[1]
    return seen.select(_CODES)[first].with_columns(
        pl.Series("value", found.mean),
        pl.Series("stderr", found.stderr).fill_nan(None),
        pl.Series("n_clusters", found.clusters, pl.Int64),
    )


def _runs(keys: pl.DataFrame) -> NDArray[np.int64]:
    """Per row the number of the run of equal keys it is in."""
    changed = np.zeros(keys.height, dtype=bool)
    for column in keys.iter_columns():
        values = column.to_numpy()
        changed[1:] |= values[1:] != values[:-1]
    return np.cumsum(changed)
