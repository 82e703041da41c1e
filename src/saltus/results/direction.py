"""Which way is better, where neither the results nor the metric's name say it: asked for, never guessed.

An unknown metric that rises is taken as a score, as the notes say; one that falls may be an error rate or a failing
skill, and its rows are left out until the user says which.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import polars as pl

from saltus.metrics import direction_known

FALLS = -0.5
"""Median rank correlation of a metric with its place, over curves of four points or more, from which on it falls."""
_CURVE = ("series", "family", "model", "seed", "task", "condition", "n_shot", "slice", "variant")


def with_direction(table: pl.DataFrame, better: Mapping[str, bool]) -> tuple[pl.DataFrame, list[str]]:
    """The table with what the user says of directions, and rows set aside whose direction nobody knows.

    better: metric → whether higher is better.
    """
    for name, higher in better.items():
        hit = pl.col("metric") == name
        table = table.with_columns(higher_is_better=pl.when(hit).then(higher).otherwise("higher_is_better"))
    names = table.filter(pl.col("higher_is_better").is_null())["metric"].drop_nulls().unique().sort().to_list()
    doubtful = [n for n in names if not direction_known(n) and _falls(table.filter(pl.col("metric") == n))]
    if not doubtful:
        return table, []
    hit = pl.col("metric").is_in(doubtful) & pl.col("value").is_not_null()
    why = pl.format("nobody says which way `{}` is better, and it falls", pl.col("metric"))
    table = table.with_columns(
        why_missing=pl.when(hit).then(why).otherwise("why_missing"), value=pl.when(hit).then(None).otherwise("value")
    )
    return table, [
        f"`{n}` falls, and neither the results nor its name say which way is better: it is left out until you say "
        f"--lower-is-better {shlex.quote(n)} or --higher-is-better {shlex.quote(n)}"
        for n in doubtful
    ]


def _falls(rows: pl.DataFrame) -> bool:
    place = pl.coalesce("tokens", "step", "flops", "params", "date")
    seen = rows.with_columns(_at=place).filter(pl.col("_at").is_not_null() & pl.col("value").is_not_null())
    by_model = seen["_at"].n_unique() > 1 and all(
        seen[c].null_count() == seen.height for c in ("tokens", "step", "flops")
    )
    curve = [c for c in _CURVE if not (by_model and c in ("model", "family"))]
    points = seen.group_by(*curve, "_at").agg(pl.col("value").mean())
    found = (
        points.group_by(curve)
        .agg(pl.corr("_at", "value", method="spearman").alias("r"), pl.len().alias("points"))
        .filter((pl.col("points") >= 4) & pl.col("r").is_finite())
    )
    return found.height > 0 and float(found["r"].median()) < FALLS  # type: ignore[arg-type]
