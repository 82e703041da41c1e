"""The two readings of points as curves: each run along its training, each series across its models.

Design.md section 5: step, tokens and, within one run, flops are one test with several onset units; params, flops across
models and loss are different tests. Untrained points (axis at 0) leave the fit and feed the floor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from saltus.curves.points import as_enums

MIN_POINTS = 6
"""A model with so many points in training is a series of its own."""
TRAINING = ("tokens", "step", "flops")
ACROSS = ("flops", "params")
LINEAR = ("loss", "date")
CURVE = ("curve_series", "task", "condition", "slice", "skill", "format", "elicitation", "axis")


@dataclass
class Readings:
    """Points placed on curves: their columns, CURVE, `x` (raw), `untrained`, `within` (along one run); and the rest."""

    placed: pl.DataFrame
    left_out: dict[str, int] = field(default_factory=dict)
    caveats: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """(curve_series, axis) → what a reader of that curve has to know."""


Asked = Mapping[str, Collection[str]]
"""Axis → series that a registered hypothesis is about along it."""


def read_curves(points: pl.DataFrame, axis: Sequence[str], asked: Asked | None = None) -> Readings:
    """Both readings of the points; axis restricts, () means each that the points have. asked are never left out.

    points needs series_label, run, seed, family, the axes and `rows`.
    """
    zero = pl.any_horizontal(*[(pl.col(c) == 0).fill_null(False) for c in TRAINING])
    points = _compute(points).with_columns(untrained=zero)
    runs = _runs(points)
    empty = points.clear().with_columns(
        curve_series=pl.lit(None, pl.String), axis=pl.lit(None, pl.String), x=pl.lit(None, pl.Float64), within=False
    )
    out = Readings(placed=empty)
    parts = _within(points, runs, axis, asked or {}) + _across(points, runs, axis, asked or {}, out)
    parts = [p for p in parts if p.height]
    used = pl.concat([p.select("pid") for p in parts]).unique() if parts else points.select("pid").clear()
    _count_unused(points.join(used, on="pid", how="anti"), runs, out)
    if parts:
        out.placed = as_enums(pl.concat(parts, how="vertical"), ("curve_series", "axis"))
    return out


def _compute(points: pl.DataFrame) -> pl.DataFrame:
    """flops filled by 6 × params × tokens where only these are known (Kaplan et al. 2020); 0 before training."""
    computed = 6.0 * pl.col("params") * pl.col("tokens")
    known = pl.when(computed.is_finite()).then(computed)
    given = pl.col("flops").is_not_null()
    return points.with_columns(flops=pl.coalesce("flops", known), flops_given=given)


def _runs(points: pl.DataFrame) -> pl.DataFrame:
    """One row per run: its training axis, how many places it has there, and whether it is judged along them."""
    trained = points.filter(~pl.col("untrained"))
    known = {a: pl.col(a).count().alias(f"{a}_known") for a in TRAINING}
    places = {a: pl.col(a).n_unique().alias(f"{a}_places") for a in TRAINING}
    runs = trained.group_by("series_label", "run").agg(
        *known.values(),
        *places.values(),
        pl.len().alias("points"),
        pl.col("family").drop_nulls().first().alias("named_family"),
    )
    best = pl.max_horizontal(*[f"{a}_known" for a in TRAINING])
    choice = pl.coalesce([pl.when((pl.col(f"{a}_known") == best) & (best > 0)).then(pl.lit(a)) for a in TRAINING])
    runs = runs.with_columns(train_axis=choice).with_columns(
        places=pl.coalesce(
            [
                pl.when(pl.col("train_axis") == a).then(
                    pl.col(f"{a}_places") - (pl.col(f"{a}_known") < pl.col("points"))
                )
                for a in TRAINING
            ]
        ).fill_null(1)
    )
    siblings = pl.len().over("series_label")
    alone = (siblings == 1) & (pl.col("places") > 1)
    return runs.with_columns(siblings=siblings, within=(pl.col("places") >= MIN_POINTS) | alone).sort(
        "series_label", "run"
    )


def _within(points: pl.DataFrame, runs: pl.DataFrame, axis: Sequence[str], asked: Asked) -> list[pl.DataFrame]:
    """Runs along their training, and along loss where it is known."""
    chosen = runs.filter("within").select("series_label", "run", "train_axis", "named_family", "siblings")
    several = (pl.col("siblings") > 1) | pl.col("named_family").is_not_null()
    label, run = pl.col("series_label").cast(pl.String), pl.col("run").cast(pl.String)
    own = run == label
    member = pl.concat_str([pl.when(label != "").then(label), run], separator="/", ignore_nulls=True)
    rows = points.join(chosen, on=["series_label", "run"], how="inner").with_columns(
        curve_series=pl.when(several & ~own).then(member).otherwise(label), within=True
    )
    parts = []
    wanted = [a for a in axis if a in TRAINING] if axis else [""]
    for name in wanted[:1]:
        wished = [pl.when(pl.col("curve_series").is_in(list(asked.get(a, ())))).then(pl.lit(a)) for a in TRAINING]
        which = pl.lit(name) if name else pl.coalesce(*wished, "train_axis")
        x = pl.coalesce([pl.when(which == a).then(pl.col(a)) for a in TRAINING])
        parts.append(_place(rows.with_columns(axis=which, x=x)))
    for name in LINEAR:
        if (not axis and name == "loss") or name in axis:
            measured = rows.filter(pl.col(name).is_not_null() | pl.col("untrained"))
            enough = (
                measured.filter(~pl.col("untrained"))
                .group_by("curve_series")
                .agg(pl.col(name).n_unique().alias("k"))
                .filter(pl.col("k") > 1)
            )
            measured = measured.join(enough.select("curve_series"), on="curve_series", how="semi")
            parts.append(_place(measured.with_columns(axis=pl.lit(name), x=pl.col(name))))
    return parts


def _across(
    points: pl.DataFrame, runs: pl.DataFrame, axis: Sequence[str], asked: Asked, out: Readings
) -> list[pl.DataFrame]:
    """Series of several models, each model's last point; untrained points come along for the floor."""
    many = runs.filter(pl.col("siblings") > 1)
    rows = points.join(
        many.select("series_label", "run", "train_axis"), on=["series_label", "run"], how="inner"
    ).with_columns(curve_series=pl.col("series_label").cast(pl.String), within=False)
    if not rows.height:
        return []
    order = pl.coalesce([pl.when(pl.col("train_axis") == a).then(pl.col(a)) for a in TRAINING])
    rows = rows.with_columns(place=order.fill_null(0.0))
    last = pl.col("place") == pl.col("place").max().over("series_label", "run", "seed")
    rows = rows.filter(last | pl.col("untrained")).drop("place")
    facts = _facts(rows.filter(~pl.col("untrained")))
    parts = []
    for name in (*ACROSS, *LINEAR, "tokens"):
        wished = pl.col("series_label").cast(pl.String).is_in(list(asked.get(name, ())))
        picked = facts.filter(_judged_along(name, axis) | wished & (pl.col(f"{name}_values") > 1))
        mine = rows.join(picked.select("series_label"), on="series_label", how="semi")
        if not mine.height:
            continue
        lacking = mine.filter(pl.col(name).is_null() & ~pl.col("untrained"))
        short = lacking.group_by("series_label").agg(pl.col("run").n_unique())
        for label, models in short.iter_rows():
            caveat = f"models without {name}, not on this axis: {models}"
            out.caveats.setdefault((label, name), []).append(caveat)
        parts.append(_place(mine.with_columns(axis=pl.lit(name), x=pl.col(name))))
        for row in picked.filter("unequal").iter_rows(named=True):
            caveat = f"models were trained on unequal numbers of tokens ({row['fewest']:.3g} to {row['most']:.3g})"
            out.caveats.setdefault((row["series_label"], name), []).append(caveat)
    return parts


def _facts(last: pl.DataFrame) -> pl.DataFrame:
    """Per series: how many models have each axis, whether their tokens differ, and whether flops and params differ.

    Where log flops is a linear function of log params (r² > 0.998: tokens equal, or in proportion to params) the two
    axes are one test.
    """
    axes = (*ACROSS, *LINEAR, "tokens")
    models = last.group_by("series_label", "run").agg(
        *[pl.col(a).drop_nulls().first() for a in axes], pl.col("flops_given").any().alias("given")
    )
    return models.group_by("series_label").agg(
        *[pl.col(a).drop_nulls().n_unique().alias(f"{a}_values") for a in axes],
        *[pl.col(a).count().alias(f"{a}_known") for a in axes],
        pl.col("given").any(),
        pl.col("tokens").min().alias("fewest"),
        pl.col("tokens").max().alias("most"),
        (pl.col("tokens").max() > 1.05 * pl.col("tokens").min()).fill_null(False).alias("unequal"),
        (pl.corr(pl.col("flops").log(), pl.col("params").log()) ** 2 < 0.998).fill_null(False).alias("apart"),
    )


def _judged_along(name: str, axis: Sequence[str]) -> pl.Expr:
    """Which series are judged across models along that axis.

    By default flops where results give it for as many models as params, else params; both where they are different
    tests; loss where it is known.
    """
    varies = pl.col(f"{name}_values") > 1
    if axis:
        return varies & pl.lit(name in axis)
    by_flops = (pl.col("flops_known") >= pl.col("params_known")) & (pl.col("flops_values") > 1)
    by_flops = by_flops & (pl.col("given") | pl.col("apart") | (pl.col("params_values") < 2))
    if name == "flops":
        return varies & by_flops
    if name == "params":
        return varies & (~by_flops | pl.col("apart"))
    return varies & pl.lit(name == "loss")


def _place(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that have a place on their axis, or are untrained."""
    placed = rows.filter((pl.col("x") > 0) | pl.col("untrained") | (pl.col("axis") == "date"))
    return placed.drop([c for c in ("train_axis", "named_family", "siblings") if c in placed.columns])


def _count_unused(unused: pl.DataFrame, runs: pl.DataFrame, out: Readings) -> None:
    if not unused.height:
        return
    facts = unused.join(runs, on=["series_label", "run"], how="left")
    no_place = pl.all_horizontal(*[pl.col(a).is_null() for a in (*TRAINING, "params", *LINEAR)])
    earlier = (pl.col("siblings") > 1) & (pl.col("places") > 1)
    why = (
        pl.when(pl.col("siblings").is_null())
        .then(pl.lit("untrained model without trained points"))
        .when(no_place)
        .then(pl.lit("no place on any axis"))
        .when("within")
        .then(pl.lit("no place on the axis along which the rest of its run is judged"))
        .when(earlier)
        .then(pl.lit(f"earlier point of a model with fewer than {MIN_POINTS} points in training"))
        .when(pl.col("siblings") > 1)
        .then(pl.lit("its series is not spread along any axis asked for"))
        .otherwise(pl.lit("the only point of its series"))
    )
    counts = facts.group_by(why.alias("why")).agg(pl.col("rows").sum()).sort("why")
    out.left_out.update({reason: int(count) for reason, count in counts.iter_rows()})
