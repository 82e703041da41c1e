"""From the results table to curves: which rows make a curve, along which axis, with which twin and floor.

Follows design.md section 5. Everything is joined and grouped as columns, so a table of some hundred thousand
numbers takes seconds. Rows that take no part are counted by reason, never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from saltus.curves.arrays import Cells, build
from saltus.curves.axes import CURVE, Readings, read_curves
from saltus.curves.dense import averaged
from saltus.curves.guards import GUARDS, View, guarded, suspects
from saltus.curves.item_view import item_view
from saltus.curves.pairing import Curve, Pairing, Primary
from saltus.curves.points import BASE, PLACE, as_enums, oriented, points, sliced
from saltus.curves.series import with_factors, with_series
from saltus.errors import UserError, nearest
from saltus.metrics import Metric
from saltus.results.cleaning import collapse, shots_disagree
from saltus.results.table import AXES, SHARES
from saltus.stats.batch import CurveBatch, CurveKey, Promise


@dataclass(frozen=True)
class Assembled:
    """The curves of a table and the account of what is in them."""

    batch: CurveBatch
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason → rows of the table that are in no curve."""
    notes: tuple[str, ...] = ()
    items: pl.LazyFrame | None = None
    """The item-level rows behind the curves, as `item_view` gives them; None where there are only aggregates."""
    columns: frozenset[str] = frozenset()
    """Columns of the table that hold anything."""
    points: pl.DataFrame = field(default_factory=pl.DataFrame)
    """One row per point with its place on the axes and how it was made."""

    def promising(self, promises: Mapping[str, Promise]) -> Assembled:
        """The same, with condition → what a sound model does under it; other conditions promise nothing."""
        keys = tuple(replace(key, promise=promises.get(key.condition)) for key in self.batch.keys)
        return replace(self, batch=replace(self.batch, keys=keys))


def assemble(
    table: pl.DataFrame,
    *,
    axis: str | Sequence[str] | None = None,
    series: Sequence[str] | None = None,
    twin: Mapping[str, str] | None = None,
    factor: str | Mapping[str, str] | None = None,
    slices: Sequence[str] = (),
    primary: Primary = None,
    registered: Sequence[Any] = (),
) -> Assembled:
    """All curves of a canonical results table (`results.read.read`, or a store's table).

    axis: restrict to these axes. series: columns that distinguish series. twin: hard metric → its soft twin.
    factor: column → pattern with groups skill, format, elicitation. slices: "group", "difficulty". primary: the
    (hard, soft) pair of the study, or task → pair. registered: hypotheses with task, series and axis, whose curves form
    the registered family. Raises UserError.
    """
    axes = _axes(axis)
    left: dict[str, int] = {}
    rows = with_series(with_factors(_once(_intact(_whole(table), left), left), factor), series)
    unusable = rows.filter(pl.col("value").is_null() & _is_number(rows))
    for why, count in unusable.group_by("why_missing").len().sort("why_missing").iter_rows():
        left[why or "no value"] = count
    rows = rows.filter(pl.col("value").is_not_null())
    rows, metrics = oriented(sliced(rows, slices))
    rows = _only_scores(_with_rates(rows.with_columns(lies=shots_disagree(rows))), left)
    found, items, answers = points(as_enums(rows, (*BASE, "metric")))
    placed = read_curves(found, axes, _asked(registered))
    placed.placed, dense = averaged(placed.placed)
    for curve, caveat in dense.items():
        placed.caveats.setdefault(curve, []).append(caveat)
    left.update(placed.left_out)
    pairing = Pairing(metrics, _roles(found), dict(twin or {}), primary)
    curves = _curves(placed, pairing)
    cells = Cells.of(placed.placed, curves, items)
    _count_beside(placed.placed, cells, left)
    keys = _keys(curves, placed, unusable, registered, metrics)
    batch = build(keys, cells, metrics)
    batch = guarded(batch, suspects(View(batch, cells.trained, cells.untrained, cells.items), GUARDS))
    return Assembled(
        batch=batch,
        left_out=left,
        notes=_notes(metrics),
        items=item_view(answers, cells.trained),
        columns=frozenset(c for c in table.columns if table[c].null_count() < table.height),
        points=placed.placed,
    )


def _axes(axis: str | Sequence[str] | None) -> tuple[str, ...]:
    given = (axis,) if isinstance(axis, str) else tuple(axis or ())
    for name in given:
        if name not in AXES:
            raise UserError(f"no axis `{name}`", where="--axis", wanted=nearest(name, AXES))
    return given


def _whole(table: pl.DataFrame) -> pl.DataFrame:
    """The table with every column of the schema, baseline named, levels joined to their condition."""
    from saltus.results.table import schema

    absent = [pl.lit(None, dtype=t).alias(c) for c, t in schema().items() if c not in table.columns]
    casts = [pl.col(c).cast(t) for c, t in schema().items() if c in table.columns and table.schema[c] != t]
    table = table.with_columns(*absent, *casts)
    named = pl.col("condition").fill_null("baseline")
    apart = pl.col("condition_level").is_not_null() & ~named.str.contains("[", literal=True)
    leveled = pl.concat_str([named, pl.lit("["), pl.col("condition_level").fill_null(""), pl.lit("]")])
    return table.with_columns(condition=pl.when(apart).then(leveled).otherwise(named))


def _intact(table: pl.DataFrame, left: dict[str, int]) -> pl.DataFrame:
    """The table without rows of edited networks: they give effects, never findings of their own."""
    edited = pl.col("edit").fill_null("") != ""
    count = int(table.select(edited.sum()).item())
    if not count:
        return table
    left["an edited network: an effect, not a finding"] = count
    return table.filter(~edited)


def _once(table: pl.DataFrame, left: dict[str, int]) -> pl.DataFrame:
    """The table without aggregates that are there twice; items are averaged anyway."""
    single = pl.col("item_id").is_null()
    kept, repeated = collapse(table.filter(single))
    if not repeated:
        return table
    left["repeats another row exactly"] = repeated
    return pl.concat([kept, table.filter(~single)])


def _is_number(rows: pl.DataFrame) -> pl.Expr:
    """False for rows in which a scorer says something in words: they never had a value."""
    return pl.col("label").is_null() if "label" in rows.columns else pl.lit(True)


def _with_rates(rows: pl.DataFrame) -> pl.DataFrame:
    """Rates at which answers went wrong, where results give them as metrics, beside the scores of the same answers."""
    place = ["series_label", "run", "seed", "task", "condition", "slice", *PLACE]
    for name in SHARES:
        mine = rows.filter(pl.col("metric") == name)
        if mine.height and name not in rows.columns:
            rates = mine.group_by(place).agg(pl.col("value").mean().alias(name))
            rows = rows.join(rates, on=place, how="left", nulls_equal=True)
    return rows


def _only_scores(rows: pl.DataFrame, left: dict[str, int]) -> pl.DataFrame:
    beside = rows.filter(~pl.col("role").is_in(["hard", "soft"]) | pl.col("y").is_null())
    for name, count in beside.group_by("metric").len().sort("metric").iter_rows():
        left[f"`{name}` is not a score of right answers"] = count
    return rows.filter(pl.col("role").is_in(["hard", "soft"]) & pl.col("y").is_not_null())


def _roles(found: pl.DataFrame) -> dict[str, str]:
    return dict(found.group_by("metric").agg(pl.col("role").min()).iter_rows())


def _curves(placed: Readings, pairing: Pairing) -> pl.DataFrame:
    """One row per curve: `cid`, the CURVE columns, hard, soft, primary, why_no_soft; sorted, so order never matters."""
    trained = placed.placed.filter(~pl.col("untrained"))
    bases = trained.group_by(*CURVE).agg(pl.col("metric").unique().sort().alias("names")).sort(*CURVE, nulls_last=True)
    out: list[dict[str, Any]] = []
    memory: dict[tuple[str, tuple[str, ...]], list[Curve]] = {}
    for row in bases.iter_rows(named=True):
        names = tuple(row.pop("names"))
        key = (row["task"], names)
        if key not in memory:
            memory[key] = pairing.curves(row["task"], names)
        whole = row["slice"] is None
        for curve in memory[key]:
            out.append(
                {
                    **row,
                    "hard": curve.hard,
                    "soft": curve.soft,
                    "primary": curve.primary and whole,
                    "why_no_soft": _why_no_soft(curve.soft, names),
                }
            )
    text = dict.fromkeys(("hard", "soft", "why_no_soft"), pl.String)
    kinds = {c: trained.schema[c] for c in CURVE}
    schema: dict[str, Any] = {**kinds, **text, "primary": pl.Boolean}
    return pl.DataFrame(out, schema=schema, strict=False).with_row_index("cid")


def _count_beside(placed: pl.DataFrame, cells: Cells, left: dict[str, int]) -> None:
    """Counts the placed rows that no curve took: soft metrics beside the chosen twin, and lone untrained points."""
    taken = pl.concat([cells.trained.select("pid"), cells.untrained.select("pid")]).unique()
    beside = placed.unique("pid").join(taken, on="pid", how="anti")
    for name, rows in beside.group_by("metric").agg(pl.col("rows").sum()).sort("metric").iter_rows():
        left[f"`{name}` has another soft metric of its task before it (--twin chooses)"] = rows


def _why_no_soft(soft: str | None, names: tuple[str, ...]) -> str | None:
    return None if soft else f"the results hold no graded twin, only {', '.join(names)}"


def _keys(
    curves: pl.DataFrame,
    placed: Readings,
    unusable: pl.DataFrame,
    registered: Sequence[Any],
    metrics: Mapping[str, Metric],
) -> list[CurveKey]:
    lost = _lost(unusable, placed)
    keys = []
    for row in curves.iter_rows(named=True):
        caveats = list(placed.caveats.get((row["curve_series"], row["axis"]), ()))
        caveats += [
            f"{n} rows left out: {why}" for why, n in lost.get((row["curve_series"], row["task"], row["condition"]), ())
        ]
        caveats += [
            f"`{m}` is unknown to saltus; taken as {metrics[m].role}"
            for m in (row["hard"], row["soft"])
            if m and metrics[m].guessed
        ]
        keys.append(
            CurveKey(
                series=row["curve_series"],
                task=row["task"],
                condition=row["condition"],
                axis=row["axis"],
                metric_hard=row["hard"],
                metric_soft=row["soft"],
                slice=row["slice"],
                primary=row["primary"],
                family="registered" if _is_registered(row, registered) else "exploration",
                skill=row["skill"],
                format=row["format"],
                elicitation=row["elicitation"],
                why_no_soft=row["why_no_soft"],
                caveats=tuple(caveats),
            )
        )
    return keys


def _lost(unusable: pl.DataFrame, placed: Readings) -> dict[tuple[str, str, str], list[tuple[str, int]]]:
    """(curve_series, task, condition) → why rows of it could not be used, and how many."""
    if not unusable.height or not placed.placed.height:
        return {}
    where = placed.placed.select("series_label", "run", "curve_series").unique().cast(pl.String)
    counts = (
        unusable.with_columns(pl.col("condition").fill_null("baseline"))
        .group_by("series_label", "run", "task", "condition", "why_missing")
        .len()
        .join(where, on=["series_label", "run"])
        .group_by("curve_series", "task", "condition", "why_missing")
        .agg(pl.col("len").sum())
        .sort("curve_series", "task", "condition", "why_missing")
    )
    out: dict[tuple[str, str, str], list[tuple[str, int]]] = {}
    for curve, task, condition, why, count in counts.iter_rows():
        out.setdefault((curve, task, condition), []).append((why or "no value", count))
    return out


def _is_registered(row: Mapping[str, Any], registered: Sequence[Any]) -> bool:
    """A hypothesis names task, series and axis; step, tokens and flops of one run are one test."""
    training = {"tokens", "step", "flops"}
    for hypothesis in registered:
        wish = {k: _of(hypothesis, k) for k in ("task", "series", "axis", "condition")}
        same_axis = wish["axis"] in (None, row["axis"]) or {wish["axis"], row["axis"]} <= training
        if (
            row["primary"]
            and same_axis
            and wish["task"] in (None, row["task"])
            and wish["series"] in (None, row["curve_series"])
            and wish["condition"] in (None, row["condition"])
        ):
            return True
    return False


def _asked(registered: Sequence[Any]) -> dict[str, list[str]]:
    """Axis → series that some hypothesis is about along it."""
    asked: dict[str, list[str]] = {}
    for hypothesis in registered:
        axis, series = _of(hypothesis, "axis"), _of(hypothesis, "series")
        if axis and series:
            asked.setdefault(axis, []).append(series)
    return asked


def _of(hypothesis: Any, name: str) -> Any:
    return hypothesis.get(name) if isinstance(hypothesis, Mapping) else getattr(hypothesis, name, None)


def _notes(metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    return tuple(
        f"metric `{m.name}` is unknown; read as {m.role}, {m.transform}" for m in metrics.values() if m.guessed
    )
