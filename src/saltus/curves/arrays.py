"""Fills the arrays of a `CurveBatch` from placed points: which point goes where, floors, paired errors, other axes.

A cell is one number at curve `cid`, seed `s`, point `p`, channel hard or soft. Floors: the higher of what untrained
points score and what was computed or declared, since a trivial guesser may beat an untrained network; else
nominal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from saltus.curves.axes import CURVE, LINEAR
from saltus.curves.points import PLACE, clustered
from saltus.metrics import Metric
from saltus.stats.batch import Channel, CurveBatch, CurveKey, Floats

CHANNELS = ("hard", "soft")


@dataclass(frozen=True)
class Cells:
    """Long frames: points with cid, channel, s, p; untrained points with cid, channel; seeds per curve."""

    trained: pl.DataFrame
    untrained: pl.DataFrame
    items: pl.DataFrame

    @classmethod
    def of(cls, placed: pl.DataFrame, curves: pl.DataFrame, items: pl.DataFrame) -> Cells:
        """placed: points of all readings; curves: one row per curve with cid, CURVE, hard, soft."""
        parts = []
        for channel in CHANNELS:
            wanted = curves.filter(pl.col(channel).is_not_null()).select(
                "cid", *CURVE, pl.col(channel).cast(placed.schema["metric"]).alias("metric")
            )
            rows = placed.join(wanted, on=[*CURVE, "metric"], how="inner", nulls_equal=True)
            parts.append(rows.with_columns(channel=pl.lit(channel)))
        rows = pl.concat(parts).with_columns(seed=pl.col("seed").cast(pl.String).fill_null(""))
        trained = rows.filter(~pl.col("untrained"))
        log = ~pl.col("axis").is_in(LINEAR)
        fit = pl.when(log).then(pl.col("x").log10()).when(pl.col("axis") == "loss").then(-pl.col("x"))
        trained = trained.with_columns(fit=fit.otherwise("x"))
        place = ["cid", "seed", "fit", "run", *PLACE]
        seats = trained.select(place).unique().sort(place, nulls_last=True)
        seats = seats.with_columns(
            s=pl.col("seed").rank("dense").over("cid").cast(pl.Int64) - 1, p=pl.int_range(pl.len()).over("cid", "seed")
        )
        trained = trained.join(seats, on=place, how="left", nulls_equal=True)
        return cls(trained, rows.filter(pl.col("untrained")), items)


def build(keys: Sequence[CurveKey], cells: Cells, metrics: Mapping[str, Metric]) -> CurveBatch:
    """The batch; keys in the order of cid. Floors, seeds and token lengths are written into the keys."""
    trained = cells.trained
    shape = (
        len(keys),
        int(trained["s"].max() or 0) + 1 if trained.height else 1,  # type: ignore[operator, arg-type]
        int(trained["p"].max() or 0) + 1 if trained.height else 1,  # type: ignore[operator, arg-type]
    )
    hard, hard_floor = _channel(keys, cells, metrics, "hard", shape)
    soft, soft_floor = _channel(keys, cells, metrics, "soft", shape)
    seen = np.zeros(shape, dtype=bool)
    seen[_index(trained)] = True
    seeds = dict(trained.group_by("cid").agg(pl.col("seed").unique().sort()).iter_rows())
    sources = dict(trained.group_by("cid").agg(pl.col("source").unique().sort()).iter_rows())
    lengths = dict(trained.group_by("cid").agg(pl.col("target_tokens").mean()).iter_rows())
    pooled = _pooled(trained)
    keys = [
        replace(
            key,
            floor_source=hard_floor[i][0],
            seeds=tuple(seeds.get(i, [""])),
            source=_source(sources.get(i, [])),
            pooled=i in pooled,
            token_length=lengths.get(i),
            caveats=(*key.caveats, *hard_floor[i][1], *soft_floor[i][1]),
        )
        for i, key in enumerate(keys)
    ]
    return CurveBatch(
        keys=tuple(keys),
        x=_fill(trained, "fit", shape),
        raw_x=_fill(trained, "x", shape),
        seen=seen,
        log_axis=np.array([k.axis not in LINEAR for k in keys], dtype=bool),
        hard=hard,
        soft=soft,
        has_soft=np.array([k.metric_soft is not None for k in keys], dtype=bool),
        other_axes=_other_axes(trained, shape),
        point_names=_names(trained, len(keys)),
    )


def _index(rows: pl.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(rows[c].to_numpy() for c in ("cid", "s", "p"))


def _fill(rows: pl.DataFrame, column: str, shape: tuple[int, int, int]) -> Floats:
    array = np.full(shape, np.nan)
    array[_index(rows)] = rows[column].cast(pl.Float64).to_numpy()
    return array


def _channel(
    keys: Sequence[CurveKey], cells: Cells, metrics: Mapping[str, Metric], name: str, shape: tuple[int, int, int]
) -> tuple[Channel, list[tuple[str, list[str]]]]:
    rows = cells.trained.filter(pl.col("channel") == name)
    n = _fill(rows, "n", shape)
    known = [metrics.get((k.metric_hard if name == "hard" else k.metric_soft) or "") for k in keys]
    floor = np.full((3, shape[0]), np.nan)
    of_floor: list[tuple[str, list[str]]] = [("unknown", [])] * shape[0]
    for cid, value, error, nominal, source, lines in _floors(cells, name):
        floor[:, cid] = value, error, nominal
        of_floor[cid] = (source, lines)
    counted = np.isfinite(n).any(axis=(1, 2))
    channel = Channel(
        value=_fill(rows, "y", shape),
        stderr=_fill(rows, "se", shape),
        n=n,
        binomial=np.array([bool(m and m.binomial) for m in known], dtype=bool) & counted,
        floor=floor[0],
        floor_stderr=np.where(np.isfinite(floor[0]), np.nan_to_num(floor[1]), np.nan),
        nominal_floor=floor[2],
        ceiling=np.array([m.ceiling if m else np.inf for m in known]),
        bottom=np.array([m.bottom if m else -np.inf for m in known]),
        step_stderr=_paired(cells, name, shape),
    )
    return channel, of_floor


def _floors(cells: Cells, name: str) -> list[tuple[int, float, float, float, str, list[str]]]:
    """(cid, floor, its error, nominal floor, source, caveats) per curve of the channel."""
    mine = pl.col("channel") == name
    declared = (
        cells.trained.filter(mine)
        .group_by("cid")
        .agg(
            pl.col("base").mean(),
            (pl.col("base").max() - pl.col("base").min()).alias("base_apart"),
            pl.col("base_se").mean(),
            pl.col("floor_source").drop_nulls().min(),
            pl.col("nominal").mean(),
            (pl.col("nominal").max() - pl.col("nominal").min()).alias("nominal_apart"),
        )
    )
    k = pl.col("y").count()
    apart = pl.col("y").std() / k.sqrt()
    own = (pl.col("se").pow(2).sum() / pl.col("se").count()).sqrt() / k.sqrt()
    untrained = (
        cells.untrained.filter(mine)
        .group_by("cid")
        .agg(
            pl.col("y").mean().alias("seen"),
            pl.when(k >= 3).then(pl.max_horizontal(apart, own)).otherwise(own).alias("seen_se"),
        )
    )
    out = []
    for row in declared.join(untrained, on="cid", how="left").iter_rows(named=True):
        seen, base, nominal = row["seen"], row["base"], row["nominal"]
        lines = [
            f"the {what} floors of this curve differ by {row[key]:.3g}; their mean is used"
            for what, key in (("declared", "base_apart"), ("nominal", "nominal_apart"))
            if (row[key] or 0.0) > 1e-6
        ]
        if seen is not None and (base is None or seen >= base):
            floor = (seen, row["seen_se"] or 0.0, "untrained points")
        elif base is not None:
            given = row["floor_source"]
            floor = (base, row["base_se"] or 0.0, f"computed: {given}" if given else "declared")
        elif nominal is not None:
            floor = (nominal, 0.0, "nominal")
        else:
            floor = (np.nan, np.nan, "unknown")
        out.append((row["cid"], floor[0], floor[1], np.nan if nominal is None else nominal, floor[2], lines))
    return out


def _paired(cells: Cells, name: str, shape: tuple[int, int, int]) -> Floats | None:
    """Error of the difference to the point before, from the items both answered; None without items."""
    if not cells.items.height:
        return None
    seats = cells.trained.filter(pl.col("channel") == name).select("pid", "cid", "s", "p")
    rows = cells.items.join(seats, on="pid", how="inner").sort("cid", "s", "item_id", "p")
    same = ["cid", "s", "item_id"]
    rows = rows.with_columns(
        y=pl.col("y") - pl.col("y").shift(1).over(same), gap=pl.col("p") - pl.col("p").shift(1).over(same)
    ).filter(pl.col("gap") == 1)
    by = ["cid", "s", "p"]
    errors = rows.group_by(by).agg((pl.col("y").std() / pl.len().sqrt()).alias("error"))
    if rows["group"].null_count() < rows.height:
        errors = errors.join(clustered(rows, by), on=by, how="left").with_columns(
            error=pl.coalesce("clustered", "error")
        )
    return _fill(errors, "error", shape)


def _other_axes(rows: pl.DataFrame, shape: tuple[int, int, int]) -> dict[str, Floats]:
    """Raw values of the axes that are onset units of the same test, and the loss of a run."""
    within = pl.col("within")
    out = {}
    for axis in ("params", "tokens", "step", "flops", "loss"):
        fits = within & pl.lit(axis != "params") | ~within & pl.lit(axis in ("params", "flops"))
        some = rows.filter(fits & (pl.col("axis") != axis) & pl.col(axis).is_not_null())
        if some.height:
            out[axis] = _fill(some, axis, shape)
    return out


def _names(rows: pl.DataFrame, curves: int) -> tuple[tuple[tuple[str, ...], ...], ...]:
    cells = rows.select("cid", "s", "p", "model").unique(["cid", "s", "p"]).sort("cid", "s", "p")
    lists = cells.group_by("cid", "s", maintain_order=True).agg("model")
    names: list[list[tuple[str, ...]]] = [[] for _ in range(curves)]
    for cid, _, models in lists.iter_rows():
        names[cid].append(tuple(models))
    return tuple(tuple(n) for n in names)


def _pooled(rows: pl.DataFrame) -> set[int]:
    """Curves across models on which several families lie."""
    family = pl.coalesce(pl.col("family"), pl.col("series")).n_unique()
    counts = rows.filter(~pl.col("within")).group_by("cid").agg(family.alias("families"))
    return set(counts.filter(pl.col("families") > 1)["cid"].to_list())


def _source(sources: list[str]) -> str | None:
    return sources[0] if len(sources) == 1 else f"{len(sources)} files, first {sources[0]}" if sources else None
