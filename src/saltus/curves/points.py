"""From rows to points: values oriented so that higher is better, items and repeats averaged, errors estimated.

One point is one model's score on one metric of one task under one condition. Item-level rows give errors of their own,
clustered where items share a group (Miller 2024, arXiv 2411.00640), and can be paired between models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from saltus.metrics import Metric
from saltus.results.metric_of import metric_of
from saltus.results.table import EVIDENCE, SHARES, WORDS
from saltus.stats.clustered import clustered_means

PLACE = ("params", "tokens", "flops", "step", "loss", "date")
BASE = ("series_label", "run", "seed", "task", "condition", "slice", "skill", "format", "elicitation")
IDENTITY = (*BASE, *PLACE, "metric")
DIFFICULTY_SLICES = 3


def oriented(table: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, Metric]]:
    """The usable rows with `y`, `se` (oriented value and error), `base`, `nominal` (oriented floors), `role`."""
    metrics = {m: metric_of(table, m) for m in sorted(table["metric"].unique().to_list())}
    names = pl.DataFrame(
        {
            "metric": list(metrics),
            "transform": [m.transform for m in metrics.values()],
            "known_role": [m.role for m in metrics.values()],
            "known_floor": [m.nominal_floor for m in metrics.values()],
        },
        schema={"metric": pl.String, "transform": pl.String, "known_role": pl.String, "known_floor": pl.Float64},
    )
    table = table.join(names, on="metric", how="left", maintain_order="left").with_columns(
        role=pl.coalesce("role", "known_role"), nominal_floor=pl.coalesce("nominal_floor", "known_floor")
    )
    logged = pl.col("transform").is_in(["log", "neg_log"])
    return table.with_columns(
        y=_transformed("value"),
        se=pl.when(logged).then(pl.col("stderr") / pl.col("value")).otherwise("stderr"),
        base=_transformed("floor"),
        base_se=pl.when(logged).then(pl.col("floor_stderr") / pl.col("floor")).otherwise("floor_stderr"),
        nominal=_transformed("nominal_floor"),
    ).drop("transform", "known_role", "known_floor"), metrics


def _transformed(column: str) -> pl.Expr:
    value, how = pl.col(column), pl.col("transform")
    positive = pl.when(value > 0).then(value)
    return (
        pl.when(how == "negate")
        .then(-value)
        .when(how == "complement")
        .then(1.0 - value)
        .when(how == "log")
        .then(positive.log())
        .when(how == "neg_log")
        .then(-positive.log())
        .otherwise(value)
    )


def sliced(table: pl.DataFrame, slices: Sequence[str]) -> pl.DataFrame:
    """The table with the item-level rows once more per slice: by `group`, or by thirds of `difficulty`."""
    items = table.filter(pl.col("item_id").is_not_null())
    parts = [table]
    for name in slices if items.height else ():
        if items[name].null_count() == items.height:
            continue
        rows = items.filter(pl.col(name).is_not_null())
        if name == "difficulty":
            rank = pl.col("difficulty").rank("dense").over("task")
            share = (rank - 1) / pl.max_horizontal(rank.max().over("task") - 1, pl.lit(1))
            third = (share * DIFFICULTY_SLICES).floor().clip(0, DIFFICULTY_SLICES - 1).cast(pl.Int64)
            level = third.replace_strict({0: "low", 1: "middle", 2: "high"}, return_dtype=pl.String)
        else:
            level = pl.col(name).cast(pl.String)
        parts.append(rows.with_columns(slice=pl.concat_str([pl.lit(f"{name}="), level])))
    return pl.concat(parts) if len(parts) > 1 else table


def as_enums(rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The rows with text columns as enumerations in the order of their words: joins and sorts become fast."""
    return rows.with_columns(pl.col(c).cast(pl.Enum(rows[c].drop_nulls().unique().sort())) for c in columns)


def per_item(rows: pl.DataFrame) -> pl.DataFrame:
    """Item-level rows with repeats and raters averaged: one row per point and item, `pid` naming the point."""
    y = pl.col("y")
    meant = pl.col("repeat").is_not_null().any() | pl.col("rater").is_not_null().any()
    return rows.group_by("pid", "item_id").agg(
        y.mean(),
        pl.col("group").first(),
        pl.when(meant).then(0.0).otherwise(y.max() - y.min()).alias("apart"),
        y.n_unique().alias("readings"),
    )


def points(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(points, items, answers): one row per point, sorted, with `pid`; the averaged items behind those that have any;
    and the item-level rows as they are, repeats apart.

    A point has y, se, n (items), rows (numbers behind it), spread (largest difference between contradicting
    aggregates of it), base, nominal, and the columns of EVIDENCE, SHARES and WORDS that there are.
    """
    evidence = [c for c in EVIDENCE if c in rows.columns]
    if "item_set" in evidence and rows["item_id"].null_count() < rows.height:
        evidence.remove("item_set")  # the items themselves say it
    keys = rows.select(*IDENTITY).unique().sort(*IDENTITY, nulls_last=True).with_row_index("pid")
    rows = rows.join(keys, on=IDENTITY, how="left", nulls_equal=True)
    # of two readings of a point, one whose source names other shots is dropped; the guard still sees it
    honest = ~(pl.col("lies") & (~pl.col("lies")).any().over("pid"))
    aggregated = rows.filter(pl.col("item_id").is_null() & honest)
    itemised = rows.filter(pl.col("item_id").is_not_null() & honest)
    items = per_item(itemised)
    parts = [_from_aggregates(aggregated, itemised)] + ([_from_items(items)] if items.height else [])
    numbers = pl.concat(parts, how="diagonal_relaxed")
    rest = rows.group_by("pid").agg(
        pl.col("role").first(),
        pl.col("model").min(),
        pl.col("family").drop_nulls().min(),
        pl.col("series").min(),
        pl.col("base").mean(),
        pl.col("base_se").mean(),
        pl.col("floor_source").drop_nulls().first(),
        pl.col("nominal").mean(),
        pl.col("target_tokens").mean(),
        pl.col("source").min(),
        pl.col("lies").any(),
        pl.len().alias("rows"),
        *[pl.col(c).cast(pl.String).drop_nulls().min().alias(c) for c in evidence],
        *[pl.col(c).cast(pl.Float64).mean().alias(c) for c in SHARES if c in rows.columns],
        *[pl.col(c).drop_nulls().mode().max().alias(c) for c in WORDS if c in rows.columns],
    )
    table = keys.join(numbers, on="pid", how="left").join(rest, on="pid", how="left").sort("pid")
    return table.with_columns(_binomial_error()), items, itemised


def _from_aggregates(rows: pl.DataFrame, itemised: pl.DataFrame) -> pl.DataFrame:
    """Aggregates of points that have no items: repeats are averaged, contradictions averaged and measured.

    The error of a mean over repeats is that of one: they share their items.
    """
    if itemised.height:
        rows = rows.join(itemised.select("pid").unique(), on="pid", how="anti")
    return rows.group_by("pid").agg(
        pl.col("y").mean(),
        pl.col("value").mean(),
        pl.col("se").mean(),
        pl.col("n_items").mean().alias("n"),
        pl.when(pl.col("repeat").null_count() == pl.len())
        .then(pl.col("y").max() - pl.col("y").min())
        .otherwise(0.0)
        .alias("spread"),
        pl.col("y").n_unique().alias("readings"),
    )


def _from_items(items: pl.DataFrame) -> pl.DataFrame:
    """Mean, error and number of items; clustered where items share groups."""
    plain = items.group_by("pid").agg(
        pl.col("y").mean(),
        pl.col("y").mean().alias("value"),
        (pl.col("y").std() / pl.len().sqrt()).alias("se"),
        pl.len().cast(pl.Float64).alias("n"),
        pl.col("apart").mean().alias("spread"),
        pl.col("readings").max(),
        pl.col("item_id").hash().sum().cast(pl.String).alias("item_set"),
    )
    if items["group"].null_count() == items.height:
        return plain
    return (
        plain.join(clustered(items, ["pid"]), on="pid", how="left")
        .with_columns(se=pl.coalesce("clustered", "se"))
        .drop("clustered")
    )


def clustered(items: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """by… and `clustered`: the error of the mean of y, items of a group being one cluster (`stats.clustered`)."""
    own = pl.col("group").fill_null(pl.concat_str([pl.lit("item "), pl.col("item_id")]))
    rows = items.select(*by, "y", own.alias("_own")).sort(*by, "_own", maintain_order=True)
    group = rows.select(pl.struct(by).rle_id().cast(pl.Int64)).to_series().to_numpy()
    cluster = rows.select(pl.struct(*by, "_own").rle_id().cast(pl.Int64)).to_series().to_numpy()
    found = clustered_means(rows["y"].to_numpy(), group, cluster)
    first = np.unique(group, return_index=True)[1]
    return rows.select(by)[first].with_columns(pl.Series("clustered", found.stderr).fill_nan(None))


def _binomial_error() -> pl.Expr:
    """Where no error is known but items are: that of a share with half a success and half a failure added."""
    share = ((pl.col("y") * pl.col("n") + 0.5) / (pl.col("n") + 1)).clip(0.0, 1.0)
    unknown = pl.col("se").is_null() & (pl.col("role") == "hard") & pl.col("n").is_not_null()
    inside = pl.col("y").is_between(0.0, 1.0)
    return pl.when(unknown & inside).then((share * (1 - share) / pl.col("n")).sqrt()).otherwise("se").alias("se")
