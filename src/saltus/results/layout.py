"""Tables with one column per score made long: papers, leaderboards, W&B exports, cells that hold a dict of metrics.

What is melted without being asked is what can be nothing else: columns named like known metrics (`acc`), paths that
end in one (`eval/arc_easy/acc`), and columns named like well-known benchmarks. Everything understood is returned as
sentences.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from saltus.errors import UserError
from saltus.metrics import lookup
from saltus.results.table import column_mapping, unit_of
from saltus.results.wide import PANEL, Column, Tables, columns_of_scores, is_beside, metric_name, numbers_in

_HOLD_SCORES = frozenset({"metrics", "metric", "scores", "results", "score_dict"})
_MAIN = frozenset({"primary_metric", "primary_score"})
"""Keys that say another key's number once more."""


class Long(NamedTuple):
    """A table with one row per number."""

    frame: pl.DataFrame
    notes: list[str]
    """What was understood."""
    scaled: bool = False
    """Per cent is settled, column by column."""


def to_long(frame: pl.DataFrame, where: str, rename: Mapping[str, str], given: Tables) -> Long:
    """The frame with one row per number. Raises UserError for scales that cannot be known."""
    frame, packed, notes = _unpacked(_scaled(_filtered(frame), rename))
    have = set(column_mapping(frame.columns, rename, where).values())
    if "value" in have and (percent := _in_percent_by_name(frame, rename, where)):
        frame = frame.with_columns(pl.col(percent).cast(pl.Float64, strict=False) / 100)
        notes.append(f"{where}: `{percent}` is in per cent, as it says, and was divided by 100")
        if "metric" not in have and given.metric:
            frame = frame.with_columns(pl.lit(given.metric).alias("metric"))
        return Long(frame, notes, scaled=True)
    if "value" in have:
        if "metric" not in have and given.metric:
            frame = frame.with_columns(pl.lit(given.metric).alias("metric"))
        return Long(frame, notes)
    if "metric" in have:
        return Long(frame, notes)
    chosen = [Column(c, None, metric_name(c) or c) for c in packed] if "task" in have else []
    chosen = chosen or columns_of_scores(frame, rename, where, given, have)
    if not chosen:
        return Long(frame, notes)
    long, scales = _melted(frame, chosen, where, given)
    of_tasks = any(c.task is not None for c in chosen)
    return Long(long, [*notes, *_understood(frame, chosen, where, rename), *scales], scaled=of_tasks)


def _in_percent_by_name(frame: pl.DataFrame, rename: Mapping[str, str], where: str) -> str | None:
    """The column of values, where its header says per cent and it holds plain numbers."""
    found = next(c for c, to in column_mapping(frame.columns, rename, where).items() if to == "value")
    return (
        found if re.search(r"%|\bper ?cent|\bpct\b|_pct$", found.lower()) and frame[found].dtype.is_numeric() else None
    )


def _filtered(frame: pl.DataFrame) -> pl.DataFrame:
    """lm-eval's printed columns Version and Filter: the filter belongs to the metric's name, as in its files."""
    by_name = {c.lower(): c for c in frame.columns}
    names, metric = {"version": "task_version"}, by_name.get("metric")
    frame = frame.rename({by_name[k]: v for k, v in names.items() if k in by_name and v not in frame.columns})
    filtered = by_name.get("filter")
    if metric and filtered and frame[filtered].dtype == pl.String:
        kept = pl.col(filtered).fill_null("none").is_in(["none", ""])
        joined = pl.concat_str([pl.col(metric), pl.lit(","), pl.col(filtered)])
        frame = frame.with_columns(pl.when(kept).then(pl.col(metric)).otherwise(joined).alias(metric)).drop(filtered)
    return frame


def _scaled(frame: pl.DataFrame, rename: Mapping[str, str]) -> pl.DataFrame:
    """Numbers under a header with a unit, such as `#Params (B)`, in the plain unit."""
    for name in frame.columns:
        factor = unit_of(name)
        if factor is None or (name in rename and not frame[name].dtype.is_numeric()):
            continue
        if frame[name].dtype.is_numeric():
            frame = frame.with_columns(pl.col(name).cast(pl.Float64) * factor)
    return frame


def _unpacked(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str], list[str]]:
    """Cells that hold a dict of numbers become a column per key: the frame, the keys that are scores, and notes."""
    notes, scores = [], list[str]()
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pl.Struct):
            dicts: list[Any] = column.to_list()
        elif column.dtype == pl.String and _first(column).startswith("{"):
            dicts = [_dict(cell) for cell in column.to_list()]
        else:
            continue
        if not all(d is None or isinstance(d, Mapping) for d in dicts) or not any(dicts):
            continue
        rows = [{k: v for k, v in (d or {}).items() if _plain(v)} for d in dicts]
        keys = list(dict.fromkeys(k for row in rows for k in row if k not in frame.columns))
        if not keys:
            continue
        if name.strip().lower() in _HOLD_SCORES:
            scores += [k for k in keys if k not in _MAIN] or keys
        new = [pl.Series(k, [None if r.get(k) is None else float(r[k]) for r in rows], dtype=pl.Float64) for k in keys]
        frame = frame.drop(name).with_columns(new)
        notes.append(f"the cells of `{name}` hold {len(keys)} numbers each: {', '.join(keys[:6])}")
    return frame, scores, notes


def _first(column: pl.Series) -> str:
    found = column.drop_nulls()
    return str(found[0]).strip() if len(found) else ""


def _dict(cell: str | None) -> Any:
    if cell is None or not cell.strip():
        return None
    try:
        return json.loads(cell)
    except ValueError:
        return _python(cell)


def _python(cell: str) -> Any:
    """A dict as Python prints it; the text itself where it is none."""
    try:
        return ast.literal_eval(cell) if len(cell) < 100_000 else cell
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cell


def _plain(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _melted(frame: pl.DataFrame, chosen: Sequence[Column], where: str, given: Tables) -> tuple[pl.DataFrame, list[str]]:
    taken = {c.name for c in chosen}
    taken |= {f"{c}_stderr" for c in taken} | {c for c in frame.columns if (p := PANEL.fullmatch(c)) and p["bound"]}
    keep = [c for c in frame.columns if c not in taken]
    values = {c.name: numbers_in(frame[c.name]) for c in chosen}
    divided = _in_percent(chosen, values, where, given)
    parts = []
    for column in chosen:
        value = values[column.name]
        error = f"{column.name}_stderr"
        stderr = numbers_in(frame[error]) if error in frame.columns else None
        by = 100.0 if column.name in divided else 1.0
        extra = {"task": column.task, "n_shot": column.n_shot, "model": column.model}
        parts.append(
            frame.select(keep)
            .with_columns(
                *[pl.lit(v).alias(k) for k, v in extra.items() if v is not None],
                pl.lit(column.metric).alias("metric"),
                (value / by if value is not None else pl.Series([None] * frame.height, dtype=pl.Float64)).alias(
                    "value"
                ),
                (stderr / by if stderr is not None else pl.Series([None] * frame.height, dtype=pl.Float64)).alias(
                    "stderr"
                ),
            )
            .filter(pl.col("value").is_not_null())
        )
    scales = [f"{len(divided)} columns are in per cent and were divided by 100: {', '.join(list(divided)[:5])}"]
    return pl.concat(parts, how="diagonal_relaxed"), scales * bool(divided)


def _in_percent(
    chosen: Sequence[Column], values: Mapping[str, pl.Series | None], where: str, given: Tables
) -> list[str]:
    """Columns of shares that are in per cent: one column has one scale. Raises UserError where that leaves doubt."""
    shares = [c for c in chosen if lookup(c.metric).high == 1.0 and not lookup(c.metric).guessed]
    if all(c.task is None for c in chosen):  # a tidy table with a column per metric: see cleaning
        shares = []
    highest = {c.name: float(v.max() or 0.0) for c in shares if (v := values[c.name]) is not None}  # type: ignore[arg-type]
    sure = [n for n, high in highest.items() if 1.001 < high <= 100.001 or "%" in n]
    named = [c.name for c in shares if given.is_percent(c.name, c.task, c.metric)]
    doubtful = [n for n, high in highest.items() if sure and 0 < high <= 1.001 and n not in sure and n not in named]
    if doubtful and given.percent is None:
        raise UserError(
            f"columns in per cent beside columns up to 1: {', '.join(doubtful[:5])}",
            where=where,
            wanted="one scale, or which columns are in per cent",
            do=f"--percent where all are, or --percent {shlex.quote(','.join(sure))} where only these are",
        )
    return list(dict.fromkeys([*sure, *named]))


def _understood(frame: pl.DataFrame, chosen: Sequence[Column], where: str, rename: Mapping[str, str]) -> list[str]:
    if all(c.task is None for c in chosen):
        return []
    mapped = column_mapping(frame.columns, rename, where)
    beside = [f"`{found}` as {canonical}" for found, canonical in mapped.items() if canonical not in ("task", "value")]
    tasks = list(dict.fromkeys(c.task or "" for c in chosen))
    metrics = sorted({c.metric for c in chosen})
    scores = {c.name for c in chosen}
    left = [
        c
        for c in frame.columns
        if c not in mapped and c not in scores and not is_beside(c) and numbers_in(frame[c]) is not None
    ]
    notes = [
        f"{where}: read as {len(tasks)} tasks in columns ({', '.join(tasks[:6])}{', …' * (len(tasks) > 6)}), metric "
        f"{', '.join(metrics)}; {', '.join(beside) or 'no other column known'}"
    ]
    if left:
        notes.append(f"{where}: columns that may be tasks: {', '.join(left[:8])} (--wide METRIC reads them as such)")
    return notes
