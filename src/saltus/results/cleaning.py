"""Judges the numbers of a normalised table: what can be used, what cannot and why, per cent made shares.

A row that cannot be used keeps its place with `value` null and the reason in `why_missing`. What would make the whole
column ambiguous (0–1 and 0–100 mixed) is refused with file, column and row.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

import polars as pl

from saltus.errors import UserError
from saltus.metrics import Metric, base_name, lookup
from saltus.results.chance import CHOICE_METRICS, nominal_floor
from saltus.results.left_out import Place, left_out, refuse_floors
from saltus.results.metric_of import metric_of
from saltus.results.names import family_in, shots_in
from saltus.results.table import AXES, IDENTITY

SLACK = 1e-3
"""Values read off figures leave the range by less than this; they are put on its edge."""

UNNAMED = "unnamed"
"""The series of results that name neither model nor series."""


Percent = Callable[..., bool]
"""Whether the user says that what goes by these names (task, metric) is in per cent."""


def _guess(*_: str | None) -> bool:
    return False


def clean(table: pl.DataFrame, place: Place, percent: Percent = _guess) -> tuple[pl.DataFrame, list[str]]:
    """The table with unusable values set aside, shares in [0, 1], names filled in; and notes on what was changed.

    percent: what the user says is in per cent; the rest is decided by its values.

    Raises UserError for mixed scales and for floors that contradict each other.
    """
    where = place.where
    table = before = _names(table)
    table, notes = _unusable_as_unknown(table, place)
    table, divided = _stated_percent(table, percent, where)
    table, stated = _stated_range(table, place)
    notes += divided + stated
    table = _set_aside(table, pl.col("value").is_null(), "no value")
    table = _set_aside(table, pl.col("value").is_nan(), "value is NaN")
    table = _set_aside(table, pl.col("value").is_infinite(), "value is infinite")
    table = _set_aside(table, pl.col("n_items") <= 0, "no items behind it")
    for name in table["metric"].unique(maintain_order=True).drop_nulls().to_list():
        table, remarks = _one_metric(table, name, place)
        notes += remarks
    table, remarks = _known_chance(table, where)
    notes += remarks
    table = _set_aside(table, pl.col("task").is_null() | pl.col("metric").is_null(), "no task or no metric")
    names = table["metric"].unique().drop_nulls().to_list()
    refuse_floors(table, {name: metric_of(table, name) for name in names}, place)
    return table, left_out(before, table, place) + notes


def _stated_percent(table: pl.DataFrame, percent: Percent, where: str) -> tuple[pl.DataFrame, list[str]]:
    """What the user says is in per cent, divided by 100."""
    names = table.select("task", "metric").unique()
    bounded = {m: lookup(m, high=100.0) for m in names["metric"].drop_nulls().unique().to_list()}
    mine = [
        (task, metric)
        for task, metric in names.iter_rows()
        if metric is not None and (bounded[metric].high == 1.0 or bounded[metric].guessed) and percent(task, metric)
    ]
    if not mine:
        return table, []
    hit = pl.struct("task", "metric").is_in([{"task": t, "metric": m} for t, m in mine])
    columns = ("value", "stderr", "floor", "nominal_floor")
    table = table.with_columns(pl.when(hit).then(pl.col(c) / 100).otherwise(c).alias(c) for c in columns)
    shown = ", ".join(sorted({m for _, m in mine})[:4])
    return table, [f"{where}: {table.filter(hit).height} values of {shown} were divided by 100, as --percent says"]


def _stated_range(table: pl.DataFrame, place: Place) -> tuple[pl.DataFrame, list[str]]:
    """Records that state the range of their scores: brought to 0–1 where it is 0–100; a score outside it is none."""
    if not {"low", "high"} <= set(table.columns) or table["high"].null_count() == table.height:
        return table, []
    value, low, high = pl.col("value"), pl.col("low"), pl.col("high")
    outside = ((value < low - SLACK) | (value > high + SLACK)).fill_null(False)
    notes = []
    if count := table.filter(outside).height:
        notes.append(f"{place.where}: {count} scores lie outside the range their record states and were left out")
    table = _set_aside(table, outside, "value outside the range that its record states (a sign for: not run)")
    hundred = ((low == 0) & (high == 100)).fill_null(False)
    scaled = [pl.when(hundred).then(pl.col(c) / 100).otherwise(c).alias(c) for c in ("value", "stderr", "floor")]
    table = table.with_columns(*scaled, high=pl.when(hundred).then(1.0).otherwise("high"))
    return table, notes


def _unusable_as_unknown(table: pl.DataFrame, place: Place) -> tuple[pl.DataFrame, list[str]]:
    """Negative and infinite places and errors become unknown, and the notes say which."""
    notes = []
    for column in ("stderr", *AXES):
        cell = pl.col(column)
        fits = cell.is_finite() & ((cell >= 0) | pl.lit(column in ("loss", "date")))
        lost = table.select((cell.is_not_nan() & ~fits).fill_null(False)).to_series()
        if lost.any():
            count = int(lost.sum())
            notes.append(
                f"{place.of(column, int(lost.arg_max() or 0))}: negative or infinite in {count} "
                f"{'row, which counts' if count == 1 else 'rows, which count'} as unknown"
            )
        table = table.with_columns(pl.when(fits).then(column).alias(column))
    return table, notes


def collapse(table: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The table without rows that say the same number of the same thing twice, and how many went.

    Of two identical rows the one whose source agrees with its shots stays, then the first source by name,
    so the order of the input does not matter. Rows that contradict each other all stay: see guards.
    """
    key = pl.struct(*IDENTITY, "value", "why_missing").hash()
    doubled = table.select(key.is_duplicated()).to_series()
    if not doubled.any():
        return table, 0
    once, twice = table.filter(~doubled), table.filter(doubled)
    twice = (
        twice.with_columns(_lies=shots_disagree(twice), _row=pl.int_range(pl.len()))
        .sort("_lies", "source", "stderr", "n_items", nulls_last=True)
        .unique(subset=[*IDENTITY, "value", "why_missing"], keep="first", maintain_order=True)
        .sort("_row")
        .drop("_lies", "_row")
    )
    return pl.concat([once, twice]), table.height - once.height - twice.height


def shots_disagree(table: pl.DataFrame) -> pl.Series:
    """True where the source's path names a number of shots and the row has another one."""
    pairs = table.select("source", "n_shot").unique()
    lies = [
        bool(remarks := shots_in(source or "")) and shots is not None and shots not in remarks
        for source, shots in pairs.iter_rows()
    ]
    pairs = pairs.with_columns(_lies=pl.Series(lies, dtype=pl.Boolean))
    return table.select("source", "n_shot").join(
        pairs, on=["source", "n_shot"], how="left", nulls_equal=True, maintain_order="left"
    )["_lies"]


def _names(table: pl.DataFrame) -> pl.DataFrame:
    """series, family and model filled from each other; a family that nobody names is read from the model's name."""
    known = table["model"].unique().drop_nulls().to_list()
    families = {m: family_in(m) for m in known}
    guess = pl.col("model").replace_strict(families, default=None, return_dtype=pl.String)
    family = pl.coalesce("family", pl.when(pl.col("series").is_null()).then(guess))
    series = pl.coalesce("series", family, "model", pl.lit(UNNAMED))
    table = table.with_columns(family=family, series=series)
    return table.with_columns(model=pl.coalesce("model", "series"))


def _set_aside(table: pl.DataFrame, bad: pl.Expr, why: str) -> pl.DataFrame:
    hit = bad.fill_null(False) & pl.col("why_missing").is_null()
    return table.with_columns(
        why_missing=pl.when(hit).then(pl.lit(why)).otherwise("why_missing"),
        value=pl.when(hit).then(None).otherwise("value"),
    )


def _one_metric(table: pl.DataFrame, name: str, place: Place) -> tuple[pl.DataFrame, list[str]]:
    metric, where = metric_of(table, name), place.where
    mine = pl.col("metric") == name
    rows = table.with_row_index("_row").filter(mine & pl.col("value").is_not_null())
    if metric.guessed and rows.height:
        return table, [f"{where}: metric `{name}` is unknown, taken as {metric.role}, range guessed from its values"]
    notes = []
    if metric.high == 1.0 and rows.height and float(rows["value"].max()) > 1.0 + SLACK:  # type: ignore[arg-type]
        percent = _is_percent(rows, metric, place)
        if percent:
            table = table.with_columns(
                value=pl.when(mine).then(pl.col("value") / 100).otherwise("value"),
                stderr=pl.when(mine).then(pl.col("stderr") / 100).otherwise("stderr"),
            )
            table = _percent_floors(table, mine)
            notes.append(f"{where}: `{name}` is in per cent in {rows.height} rows and was divided by 100")
    value = pl.col("value")
    outside = mine & ((value < metric.low - SLACK) | (value > metric.high + SLACK))
    edge = mine & ((value < metric.low) | (value > metric.high)) & ~outside
    n_edge = table.filter(edge).height
    if n_edge:
        notes.append(
            f"{where}: {n_edge} values of `{name}` lay outside its range by < {SLACK} and were put on its edge"
        )
        table = table.with_columns(value=pl.when(edge).then(value.clip(metric.low, metric.high)).otherwise("value"))
    table = _set_aside(table, outside, f"value outside the range {metric.low:g} to {metric.high:g} of `{name}`")
    open_log = metric.transform in ("log", "neg_log") and metric.low <= 0
    return _set_aside(table, mine & (value <= 0), "no logarithm of 0") if open_log else table, notes


def _known_chance(table: pl.DataFrame, where: str) -> tuple[pl.DataFrame, list[str]]:
    """Nominal chance of common tasks where the results do not give it, for shares of right choices."""
    metrics = table["metric"].unique().drop_nulls().to_list()
    choices = [m for m in metrics if base_name(m) in CHOICE_METRICS]
    tasks = table["task"].unique().drop_nulls().to_list()
    known = {t: c for t in tasks if (c := nominal_floor(t)) is not None}
    here = pl.col("task").is_in(list(known)) & pl.col("metric").is_in(choices)
    lacking = pl.col("nominal_floor").is_null() & here
    filled = table.filter(lacking)["task"].unique().sort().to_list()
    if not filled:
        return table, []
    chance = pl.col("task").replace_strict(known, default=None, return_dtype=pl.Float64)
    floor = pl.when(lacking).then(chance).otherwise("nominal_floor")
    remarks = f"{where}: nominal chance of {len(filled)} common tasks filled in (first {filled[0]})"
    return table.with_columns(nominal_floor=floor), [remarks]


def _percent_floors(table: pl.DataFrame, mine: pl.Expr) -> pl.DataFrame:
    """Floors above 1 beside per-cent values are per cent too."""
    return table.with_columns(
        pl.when(mine & (pl.col(c) > 1)).then(pl.col(c) / 100).otherwise(c).alias(c) for c in ("floor", "nominal_floor")
    )


def _is_percent(rows: pl.DataFrame, metric: Metric, place: Place) -> bool:
    """Whether the whole column is in per cent. False when values leave 0–100 too; raises where scales are mixed.

    A value in (0, 1] among larger ones is a small percentage if it is a whole number of items as one, a
    foreign share otherwise.
    """
    big = rows.filter(pl.col("value") > 1 + SLACK)
    if float(big["value"].max()) > 100 + SLACK:  # type: ignore[arg-type]
        return False
    small = rows.filter((pl.col("value") > 0) & (pl.col("value") <= 1 + SLACK))
    if metric.either_scale or not small.height:
        return True
    items = pl.col("value") / 100 * pl.col("n_items")
    foreign = small.filter(~((items - items.round()).abs() < 0.02).fill_null(False))
    if not foreign.height:
        return True
    few = foreign if foreign.height <= big.height else big
    row, value, task = few.select("_row", "value", "task").row(0)
    raise UserError(
        f"`{metric.name}` mixes shares and per cent: {foreign.height} values up to 1 beside {big.height} above;"
        f" task `{task}` has {value:g}",
        where=place.of("value", row),
        wanted=f"one scale for all of `{metric.name}`: 0 to 1, or 0 to 100",
        do=f"--percent {shlex.quote(metric.name)} where all of it is in per cent; else bring the rows to one scale",
    )
