"""The item-level rows behind the curves, each with its place in the batch: what checks that look at items read."""

from __future__ import annotations

import polars as pl

COLUMNS = (
    "curve",
    "seed_index",
    "point_index",
    "item_id",
    "parent_id",
    "relation",
    "group",
    "condition",
    "condition_level",
    "repeat",
    "metric",
    "role",
    "value",
    "n_tokens",
)
"""`curve`, `seed_index`, `point_index` are indices into the batch. `value` is oriented as in the curves: higher is
better. Repeats of an item are rows of their own. Untrained points have no place and are not here."""
_LEVEL = r"\[[^=\]]*=?([^\]]+)\]$"


def item_view(answers: pl.DataFrame, trained: pl.DataFrame) -> pl.LazyFrame | None:
    """answers: item-level rows with `pid`; trained: cells with pid, cid, s, p. None where there are no items."""
    if not answers.height:
        return None
    seats = trained.select("pid", "cid", "s", "p", "channel").lazy()
    named = pl.col("condition").cast(pl.String)
    rows = answers.lazy().join(seats, on="pid", how="inner")
    return rows.select(
        pl.col("cid").cast(pl.Int64).alias("curve"),
        pl.col("s").alias("seed_index"),
        pl.col("p").alias("point_index"),
        "item_id",
        "parent_id",
        "relation",
        "group",
        named.alias("condition"),
        pl.coalesce("condition_level", named.str.extract(_LEVEL, 1)).alias("condition_level"),
        "repeat",
        pl.col("metric").cast(pl.String),
        pl.col("channel").alias("role"),
        pl.col("y").alias("value"),
        pl.col("target_tokens").alias("n_tokens"),
    )
