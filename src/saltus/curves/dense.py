"""Curves with more places than any verdict can use are averaged: a million checkpoints cost as much as a thousand.

Statistics cannot distinguish places closer than 1/64 of the range, so averages over a thousandth of it lose nothing.
The error of an average is taken as that of one point: neighbouring checkpoints answer the same items. What the scatter
then shows to be too careful, the estimated dispersion corrects.
"""

from __future__ import annotations

import polars as pl

from saltus.curves.points import PLACE
from saltus.results.table import EVIDENCE, SHARES

MOST = 2000
"""Places of one curve from which on they are averaged."""
PLACES = 1000
CURVE = ("curve_series", "axis")
_MEANS = ("y", "value", "se", "n", "base", "base_se", "nominal", "target_tokens")


def averaged(placed: pl.DataFrame) -> tuple[pl.DataFrame, dict[tuple[str, str], str]]:
    """The points of `axes.read_curves` with dense curves averaged; and (curve_series, axis) → what was done."""
    trained = placed.filter(~pl.col("untrained"))
    counts = trained.group_by(*CURVE).agg(
        pl.col("x").n_unique().alias("places"), pl.col("x").min().alias("first"), pl.col("x").max().alias("last")
    )
    dense = counts.filter(pl.col("places") > MOST)
    if not dense.height:
        return placed, {}
    log = ~pl.col("axis").cast(pl.String).is_in(["loss", "date"])
    rows = trained.join(dense, on=CURVE, how="inner")

    def scale(column: str) -> pl.Expr:
        return pl.when(log).then(pl.col(column).log()).otherwise(column)

    share = (scale("x") - scale("first")) / (scale("last") - scale("first"))
    rows = rows.with_columns(_bin=(share * PLACES).floor().clip(0, PLACES - 1).cast(pl.Int64))
    rows = _one_place(rows, log).drop("places", "first", "last")
    caveats = {
        (series, axis): f"{places:,} places were averaged into at most {PLACES:,}: nothing narrower is ever decided"
        for series, axis, places in dense.select(pl.col(CURVE).cast(pl.String), "places").iter_rows()
    }
    merged = _mean_points(rows).select(placed.columns)
    kept = placed.join(dense, on=CURVE, how="anti")
    untrained = placed.filter("untrained").join(dense, on=CURVE, how="semi")
    return pl.concat([kept, untrained, merged], how="vertical_relaxed"), caveats


def _one_place(rows: pl.DataFrame, log: pl.Expr) -> pl.DataFrame:
    """All rows of a bin at one place and of one run, whatever their metric, so that twins stay together."""
    cell = [*CURVE, "seed", "_bin"]
    x = pl.col("x")
    middle = pl.when(log).then(x.log().mean().over(cell).exp()).otherwise(x.mean().over(cell))
    return rows.with_columns(
        *[pl.col(c).mean().over(cell) for c in PLACE], x=middle, run=pl.col("run").min().over(cell)
    )


def _mean_points(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per cell of bin, metric and everything else that distinguishes points."""
    same = [
        c
        for c in (
            *CURVE,
            "series_label",
            "seed",
            "task",
            "condition",
            "slice",
            "skill",
            "format",
            "elicitation",
            "metric",
            "_bin",
            "x",
            "run",
            *PLACE,
        )
        if c in rows.columns
    ]
    means = [pl.col(c).mean() for c in _MEANS]
    most = [pl.col(c).max() for c in ("spread", "readings", *SHARES) if c in rows.columns]
    sums = [pl.col("rows").sum(), pl.col("pid").min(), pl.col("lies").any()]
    done = {*same, *_MEANS, "spread", "readings", *SHARES, "rows", "pid", "lies"}
    rest = [_first(c) for c in rows.columns if c not in done]
    return rows.group_by(same, maintain_order=True).agg(*means, *most, *sums, *rest)


def _first(column: str) -> pl.Expr:
    return pl.col(column).drop_nulls().min() if column in EVIDENCE else pl.col(column).first()
