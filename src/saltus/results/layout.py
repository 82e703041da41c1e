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
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from saltus.errors import UserError
from saltus.metrics import KNOWN, lookup
from saltus.results.chance import is_benchmark
from saltus.results.names import shots_in
from saltus.results.table import column_mapping, unit_of

SCORE = "leaderboard_score"
"""The metric of a column named after a benchmark, where nothing says which metric it is."""
_PREFIXES = frozenset({"eval", "evals", "metrics", "test", "val", "validation", "results", "downstream", "lm_eval"})
_AGGREGATES = re.compile(r"(the\s)?(avg|average|mean|overall|total|macro[ _-]?avg)\W*", re.IGNORECASE)
_BOOKKEEPING = frozenset(
    [
        "_runtime",
        "_timestamp",
        "runtime",
        "timestamp",
        "epoch",
        "lr",
        "learning_rate",
        "grad_norm",
        "rank",
        "likes",
        "index",
        "id",
        "hub_likes",
    ]
)
_HOLD_SCORES = frozenset({"metrics", "metric", "scores", "results", "score_dict"})
_MAIN = frozenset({"primary_metric", "primary_score"})
"""Keys that say another key's number once more."""
_PANEL = re.compile(r"(?P<run>.+?) - (?P<path>.+?)(?P<bound>__MIN|__MAX)?")
_NUMBER = re.compile(r"\s*([-+]?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?|nan|NaN)\s*(%?)\s*(?:(?:±|\+/?-).*)?")
_DIALECT = {
    "incontextlearningmultiplechoiceaccuracy": "accuracy",
    "incontextlearninglmaccuracy": "accuracy",
    "incontextlearningqaaccuracy": "accuracy",
    "incontextlearninggenerationexactmatchaccuracy": "exact_match",
    "accuracy_norm": "acc_norm",
    "length_normalized_accuracy": "acc_norm",
    "em": "em",
}
"""Metric names of other tools, lower case → ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What the user says of tables."""

    wide: str | None = None
    """Every numeric column that is no known one is a task, scored in this metric; "" is `leaderboard_score`."""
    metric: str | None = None
    """The metric of a table that has none."""
    percent: frozenset[str] | None = None
    """Columns, tasks or metrics that are in per cent; empty is all shares."""
    better: Mapping[str, bool] = field(default_factory=dict)
    """Metric → whether higher is better, where the results do not say it."""

    def is_percent(self, *names: str | None) -> bool:
        return self.percent is not None and (not self.percent or bool(self.percent & set(names)))


class Column(NamedTuple):
    """A column that holds scores, and of what."""

    name: str
    task: str | None
    metric: str
    n_shot: int | None = None
    model: str | None = None


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
    chosen = chosen or _columns(frame, rename, where, given, have)
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


def _columns(frame: pl.DataFrame, rename: Mapping[str, str], where: str, given: Tables, have: set[str]) -> list[Column]:
    """The columns that hold scores."""
    mapped = set(column_mapping(frame.columns, rename, where))
    free = [c for c in frame.columns if c not in mapped and c not in rename]
    errors = {f"{c}_stderr" for c in frame.columns} & set(frame.columns)
    paths = [p for c in free if c not in errors and (p := _path(c)) and _numbers(frame[c]) is not None]
    if paths:
        return paths
    metrics = [c for c in free if metric_name(c) and c not in errors]
    if metrics and "task" in have:
        return [Column(c, None, metric_name(c) or c) for c in metrics]
    numeric = [c for c in free if c not in errors and not _beside(c) and _numbers(frame[c]) is not None]
    if given.wide is not None:
        return [_task(c, given.wide or given.metric or SCORE) for c in numeric]
    if "task" in have:
        return []
    tasks = [_task(c, given.metric or SCORE) for c in numeric]
    tasks = [c for c in tasks if is_benchmark(c.task or "")]
    return tasks if have & {"model", "series", "step", "tokens"} else []


def metric_name(column: str) -> str | None:
    """The metric a column is named after, in our words; None where it is named after none."""
    bare, _, filtered = _bare(column).partition(",")
    name = next((n for n in (bare, bare.lower(), bare.lower().replace(" ", "_")) if n in KNOWN), None)
    name = name or _DIALECT.get(bare.lower())
    return f"{name},{filtered}" if name and filtered not in ("", "none") else name


def _path(column: str) -> Column | None:
    """`eval/arc_easy/acc`, `metrics/piqa/5-shot/…Accuracy`, `run - eval/arc_easy/acc`: the task and its metric."""
    panel = _PANEL.fullmatch(column)
    if panel and panel["bound"]:
        return None
    parts = [p for p in re.split(r"[/|]", panel["path"] if panel else column) if p]
    while len(parts) > 2 and parts[0].lower() in _PREFIXES:
        parts = parts[1:]
    if len(parts) == 1 and not panel:
        return _suffixed(column)
    metric = metric_name(parts[-1]) if len(parts) > 1 else None
    of_no_task = len(parts) == 2 and parts[0].lower() in {*_PREFIXES, "train"}
    if metric is None or (of_no_task and not panel):
        return None
    shots = shots_in("/".join(parts[:-1]))
    task = [p for p in parts[:-1] if not re.fullmatch(r"\d+-shot", p)]
    return Column(
        column, "/".join(task), metric or "", next(iter(shots)) if len(shots) == 1 else None, panel and panel["run"]
    )


def _suffixed(column: str) -> Column | None:
    """`arc_easy_acc_norm`, `PIQA acc`: a benchmark's name and a metric behind it."""
    for metric in sorted((m for m in KNOWN if KNOWN[m].role == "hard"), key=len, reverse=True):
        match = re.fullmatch(rf"(.+?)[_ .:-]{re.escape(metric)}", _bare(column), re.IGNORECASE)
        if match and is_benchmark(match[1]):
            return Column(column, match[1], metric)
    return None


def _task(column: str, metric: str) -> Column:
    shots = shots_in(column)
    bare = re.sub(r"\(?\b\d+[- ]?shots?\b\)?", "", _bare(column)).strip() if shots else _bare(column)
    return Column(column, bare or column, metric, next(iter(shots)) if len(shots) == 1 else None)


def _bare(column: str) -> str:
    """The header without arrows, units in brackets and white space around."""
    return re.sub(r"\s*\(\s*(%|acc|acc_norm|em|↑|↓)\s*\)|[^\w\s.,:+()/-]", "", column).strip()


def _beside(column: str) -> bool:
    bare = _bare(column)
    return bool(_AGGREGATES.fullmatch(bare)) or bare.lower() in _BOOKKEEPING or bool(re.search(r"stderr$", bare))


def _numbers(column: pl.Series) -> pl.Series | None:
    """The column's numbers, per-cent signs and errors behind ± read; None where a cell holds anything else."""
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype != pl.String:
        return None
    out: list[float | None] = []
    for cell in column.to_list():
        text = (cell or "").strip()
        if text.lower() in ("", "-", "–", "—", "n/a", "na", "none", "null", "nan"):
            out.append(None)
            continue
        match = _NUMBER.fullmatch(text.replace("*", "").replace("†", ""))
        if match is None:
            return None
        out.append(float(match[1].replace("_", "")) / (100 if match[2] else 1))
    return pl.Series(column.name, out, dtype=pl.Float64) if any(v is not None for v in out) else None


def _melted(frame: pl.DataFrame, chosen: Sequence[Column], where: str, given: Tables) -> tuple[pl.DataFrame, list[str]]:
    taken = {c.name for c in chosen}
    taken |= {f"{c}_stderr" for c in taken} | {c for c in frame.columns if (p := _PANEL.fullmatch(c)) and p["bound"]}
    keep = [c for c in frame.columns if c not in taken]
    values = {c.name: _numbers(frame[c.name]) for c in chosen}
    divided = _in_percent(chosen, values, where, given)
    parts = []
    for column in chosen:
        value = values[column.name]
        error = f"{column.name}_stderr"
        stderr = _numbers(frame[error]) if error in frame.columns else None
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
        if c not in mapped and c not in scores and not _beside(c) and _numbers(frame[c]) is not None
    ]
    notes = [
        f"{where}: read as {len(tasks)} tasks in columns ({', '.join(tasks[:6])}{', …' * (len(tasks) > 6)}), metric "
        f"{', '.join(metrics)}; {', '.join(beside) or 'no other column known'}"
    ]
    if left:
        notes.append(f"{where}: columns that may be tasks: {', '.join(left[:8])} (--wide METRIC reads them as such)")
    return notes
