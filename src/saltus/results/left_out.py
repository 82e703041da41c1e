"""What was left out of a table, as sentences that name file, column and row, what was expected and what to do.

Rows are counted from 1, the header aside. Tables that were put together from files of other tools have no rows a user
could find; their sentences name the file alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from saltus.errors import UserError
from saltus.metrics import Metric

CONFLICT = 0.05
"""Floors of one curve further apart than this contradict each other: presence would hang on which one is right."""
_CURVE = (
    "series",
    "task",
    "skill",
    "format",
    "elicitation",
    "condition",
    "condition_level",
    "n_shot",
    "slice",
    "metric",
    "variant",
)
_EXPECTED = {
    "no value": "a number was expected",
    "value is NaN": "a number was expected",
    "value is infinite": "a finite number was expected",
    "no items behind it": "at least one item was expected, or an empty cell where the number is not known",
    "no task or no metric": "both were expected",
}


@dataclass(frozen=True)
class Place:
    """Where a table's cells can be found. `called` is canonical column → its name in the file."""

    where: str
    rows: bool = True
    called: Mapping[str, str] = field(default_factory=dict)

    def of(self, column: str, row: int) -> str:
        """File, column and row of a cell; row from 0."""
        if not self.rows:
            return self.where
        return f"{self.where}, column `{self.called.get(column, column)}`, row {row + 1}"


def left_out(before: pl.DataFrame, after: pl.DataFrame, place: Place) -> list[str]:
    """One sentence per reason for which rows of `before` lost their value in `after`, which has the same rows."""
    lost = after["why_missing"].is_not_null() & before["why_missing"].is_null()
    if "label" in before.columns:  # a scorer that says something in words never had a value
        lost &= before["label"].is_null()
    if not lost.any():
        return []
    rows = pl.DataFrame(
        {"why": after["why_missing"], "row": pl.int_range(after.height, eager=True), "value": before["value"]}
    ).filter(lost)
    out = []
    for why, row, value, count in (
        rows.group_by("why", maintain_order=True)
        .agg(pl.col("row").first(), pl.col("value").first(), pl.len())
        .iter_rows()
    ):
        column = {"no items behind it": "n_items", "no task or no metric": "task"}.get(why, "value")
        shown = f"{value:g}: " if why.startswith("value outside") else ""
        expected = _EXPECTED.get(why)
        what = f"{why}; {expected}" if expected else why
        many = f"{count} rows are" if count > 1 else "1 row is"
        out.append(f"{place.of(column, row)}: {shown}{what}. {many} left out: fix or delete")
    return out


def refuse_floors(table: pl.DataFrame, metrics: Mapping[str, Metric], place: Place) -> None:
    """Raises UserError for floors that leave their metric's range, or contradict each other within one curve.

    Items may have floors of their own (two choices here, four there): a curve's is their mean.
    """
    rows = table.with_row_index("_row").filter(pl.col("item_id").is_null())
    for column in ("floor", "nominal_floor"):
        given = rows.filter(pl.col(column).is_not_null())
        if not given.height:
            continue
        for name, metric in metrics.items():
            if metric.guessed or metric.role != "hard":  # one column may serve all metrics of a row
                continue
            outside = given.filter((pl.col("metric") == name) & ~pl.col(column).is_between(metric.low, metric.high))
            if outside.height:
                row, value = outside.select("_row", column).row(0)
                raise UserError(
                    f"{value:g} is no floor of `{name}`, whose values go from {metric.low:g} to {metric.high:g}",
                    where=place.of(column, row),
                    wanted="floors on the scale of the values",
                    do="divide by 100, or fix the cell",
                )
        _refuse_conflict(given, column, place)


def _refuse_conflict(given: pl.DataFrame, column: str, place: Place) -> None:
    low, high = pl.col(column).min(), pl.col(column).max()
    curves = given.group_by(_CURVE).agg(low.alias("low"), high.alias("high"))
    bad = curves.filter(pl.col("high") - pl.col("low") > CONFLICT)
    if not bad.height:
        return
    mine = given.join(bad, on=_CURVE, nulls_equal=True).sort("_row")
    first = mine.row(0, named=True)
    same = [pl.col(c).eq_missing(first[c]) for c in _CURVE]
    away = (pl.col(column) - first[column]).abs()
    other = mine.filter(*same).sort(away, descending=True, maintain_order=True).row(0, named=True)
    here = f" in row {first['_row'] + 1}" if place.rows else f" ({first['source']})"
    raise UserError(
        f"two floors for task `{first['task']}`, metric `{first['metric']}`: {other[column]:g}, and "
        f"{first[column]:g}{here}",
        where=place.of(column, other["_row"]) + ("" if place.rows else f" ({other['source']})"),
        wanted="one floor for all points of a curve",
        do="fix the cells, or empty the column where the floor is not known",
    )


def unread_columns(columns: list[str], read: Mapping[str, str], place: Place) -> list[str]:
    """A sentence on the columns that mean nothing to saltus, with the known name that each may stand for."""
    from difflib import get_close_matches

    from saltus.results.table import COLUMNS, EVIDENCE, SHARES

    known = {alias: c.name for c in COLUMNS.values() for alias in (c.name, *c.also)}
    free = [c for c in columns if c not in read and c not in {*EVIDENCE, *SHARES, *COLUMNS, "label"}]
    if not free:
        return []
    named = []
    for column in free:
        near = get_close_matches(column.strip().lower(), known, n=1, cutoff=0.75)
        target = known[near[0]] if near else ""
        hint = target and target not in read.values()
        named.append(f"`{column}`" + (f" (--rename {column}={target}, if it is that)" if hint else ""))
    return [f"{place.where}: columns that are not read: {', '.join(named)}"]


def refuse_no_curve(files: list[str], rows: int, left: Mapping[str, int], notes: list[str]) -> None:
    """Raises UserError where the rows of some files make no curve at all, with the reasons and the first places."""
    reasons = ", ".join(f"{why} ({n})" for why, n in sorted(left.items(), key=lambda item: -item[1]))
    raise UserError(
        f"no curve can be made of {rows} row(s){f': {reasons}' if reasons else ''}",
        where=", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else ""),
        wanted="scores of right answers at two or more places on an axis, of one series",
        do="; ".join([*notes[:3], "add checkpoints or models, or name the columns that tell series apart: --series"]),
    )
