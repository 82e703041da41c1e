"""How surprising it is that two measurements give the same numbers: the arithmetic behind two guards.

Two measurements of n right-or-wrong items agree by chance with about the density of their difference at 0; a real
number with d significant digits with about 10^(3 − d). The bound on the chance of all agreements seen is
log C(m, k) + Σ log q over the k agreements among m comparisons.
"""

from __future__ import annotations

import polars as pl

DECIDED_ADJACENT = -12.0
"""log of the chance below which equality of neighbours is no accident (6e-6)."""
DECIDED_APART = -20.0
"""The same for two checkpoints anywhere in a run, of which there are many pairs (2e-9)."""
SHARED = 0.15
"""Variance of the difference of neighbouring checkpoints over twice the binomial; 0.16 to 0.22 on cloze tasks."""
MOVED = 4.0
"""Errors by which a score has to differ from the first one to count as moved."""


def weigh(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Per group: `compared`, `same`, `share`, `log_p` (bound on the log chance of as much equality).

    rows has y, value, n, role and the Boolean `same`. Exact 0 and 1 are left out: they agree for a reason.
    """
    inside = rows.filter((pl.col("value") != 0) & (pl.col("value") != 1))
    weighed = inside.group_by(by).agg(
        pl.len().alias("compared"), pl.col("same").sum(), (_log_chance() * pl.col("same")).sum().alias("log_q")
    )
    share = pl.col("same") / pl.col("compared")
    choices = (_xlogx(share) + _xlogx(1 - share)) * pl.col("compared") * -1.0
    return weighed.with_columns(share=share, log_p=pl.col("log_q") + choices)


def _xlogx(p: pl.Expr) -> pl.Expr:
    return pl.when(p > 0).then(p * p.log()).otherwise(0.0)


def _log_chance() -> pl.Expr:
    """log of the chance that one comparison agrees by accident."""
    p = pl.col("value").clip(0.0, 1.0)
    variance = 2 * SHARED * pl.col("n") * p * (1 - p)
    counted = 1.0 / (2 * 3.141592653589793 * variance + 1).sqrt()
    text = pl.col("value").cast(pl.String).str.replace(r"e.*$", "").str.replace_all(r"[^0-9]", "")
    digits = text.str.strip_chars_start("0").str.len_chars().cast(pl.Float64)
    real = (10.0 ** (3 - digits)).clip(1e-8, 0.3)
    is_count = (pl.col("role") == "hard") & pl.col("n").is_not_null()
    return pl.when(is_count).then(counted).otherwise(real).log()


def equal_pairs(points: pl.DataFrame) -> pl.DataFrame:
    """Pairs of checkpoints of a run that share numbers: weighed, with `earlier` (axis), `adjacent`, `moved`, `pids`.

    `moved` is False while the run is still in its first state at the later one: an optimiser's first steps
    change next to nothing. `pids` are the later points whose number equals the earlier one (`pids_earlier`), `off` and
    `off_earlier` by how many errors the two lie outside their own neighbours, in the middle of the comparisons.
    """
    run = ["series_label", "run", "seed"]
    rows = points.filter(pl.col("within") & pl.col("slice").is_null())
    rows = rows.with_columns(at=pl.coalesce("tokens", "step", "flops"))
    rows = rows.filter(pl.col("at").is_not_null() & (pl.col("value") != 0) & (pl.col("value") != 1))
    grid = rows.select(*run, "at").unique().with_columns(k=pl.col("at").rank("dense").over(run).cast(pl.Int64))
    rows = rows.join(grid, on=[*run, "at"], nulls_equal=True)
    cell = [*run, "task", "condition", "slice", "metric"]
    rows = rows.with_columns(off=_off(cell))
    columns = [*cell, "pid", "at", "k", "y", "value", "n", "role", "off"]
    equal = (
        rows.select(columns)
        .join(
            rows.select(*cell, "y", pl.col("at").alias("earlier"), pl.col("k").alias("k_earlier")),
            on=[*cell, "y"],
            nulls_equal=True,
        )
        .filter(pl.col("k_earlier") < pl.col("k"))
    )
    pair = [*run, "k_earlier", "k"]
    cells = rows.group_by(*run, "k").agg(pl.len().alias("cells"))
    several = (
        equal.group_by(pair)
        .agg(pl.len().alias("agreements"), pl.col("earlier").first())
        .join(cells, on=[*run, "k"], nulls_equal=True)
        .filter(pl.col("agreements") > 0.3 * pl.col("cells"))
    )
    compared = (
        rows.select(columns)
        .join(several.drop("cells"), on=[*run, "k"], nulls_equal=True)
        .join(
            rows.select(*cell, *(pl.col(c).alias(f"{c}_earlier") for c in ("k", "y", "pid", "off"))),
            on=[*cell, "k_earlier"],
            nulls_equal=True,
        )
        .with_columns(same=pl.col("y") == pl.col("y_earlier"))
    )
    same = compared.filter("same").group_by(pair)
    later = same.agg(
        pl.col("pid").alias("pids"),
        pl.col("pid_earlier").alias("pids_earlier"),
        pl.col("earlier", "at").first(),
        pl.col("off", "off_earlier").median(),
    )
    return (
        weigh(compared, pair)
        .join(later, on=pair, nulls_equal=True)
        .join(_moved(rows, run), on=[*run, "k"], how="left", nulls_equal=True)
        .with_columns(adjacent=pl.col("k") - pl.col("k_earlier") == 1, moved=pl.col("moved").fill_null(True))
        .sort(pair, nulls_last=True)
    )


def _off(cell: list[str]) -> pl.Expr:
    """By how many errors a point lies outside the span of its two neighbours; null where one is missing."""
    before, y, after = (pl.col("y").shift(k).over(cell, order_by="k") for k in (1, 0, -1))
    outside = pl.max_horizontal(y - pl.max_horizontal(before, after), pl.min_horizontal(before, after) - y)
    there = before.is_not_null() & after.is_not_null()
    return pl.when(there).then(outside.clip(0) / (pl.col("se") * 1.5**0.5))


def _moved(rows: pl.DataFrame, run: list[str]) -> pl.DataFrame:
    """Per checkpoint of a run: had any score clearly left its first value at it or before."""
    cell = [*run, "task", "condition", "slice", "metric"]
    rows = rows.sort("k")
    first, error = pl.col("y").first().over(cell), pl.col("se").first().over(cell)
    far = (pl.col("y") - first).abs() > MOVED * (pl.col("se") ** 2 + error**2).sqrt()
    share = rows.with_columns(far=far).group_by(*run, "k").agg(pl.col("far").mean()).sort("k")
    return share.select(*run, "k", moved=(pl.col("far") > 0.02).fill_null(True).cast(pl.Int8).cum_max().over(run) > 0)
