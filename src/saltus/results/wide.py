"""Which columns of a table hold scores, of what task and metric, read from their headers.

Without being asked only columns are taken that can be nothing else: named like known metrics (`acc`), paths that end in
one (`eval/arc_easy/acc`), and columns named like well-known benchmarks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from saltus.metrics import KNOWN
from saltus.results.chance import is_benchmark
from saltus.results.names import shots_in
from saltus.results.table import column_mapping

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
PANEL = re.compile(r"(?P<run>.+?) - (?P<path>.+?)(?P<bound>__MIN|__MAX)?")
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


def columns_of_scores(
    frame: pl.DataFrame, rename: Mapping[str, str], where: str, given: Tables, have: set[str]
) -> list[Column]:
    """The columns that hold scores."""
    mapped = set(column_mapping(frame.columns, rename, where))
    free = [c for c in frame.columns if c not in mapped and c not in rename]
    errors = {f"{c}_stderr" for c in frame.columns} & set(frame.columns)
    paths = [p for c in free if c not in errors and (p := _path(c)) and numbers_in(frame[c]) is not None]
    if paths:
        return paths
    metrics = [c for c in free if metric_name(c) and c not in errors]
    if metrics and "task" in have:
        return [Column(c, None, metric_name(c) or c) for c in metrics]
    numeric = [c for c in free if c not in errors and not is_beside(c) and numbers_in(frame[c]) is not None]
    if given.wide is not None:
        return [task_of(c, given.wide or given.metric or SCORE) for c in numeric]
    if "task" in have:
        return []
    tasks = [task_of(c, given.metric or SCORE) for c in numeric]
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
    panel = PANEL.fullmatch(column)
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


def task_of(column: str, metric: str) -> Column:
    shots = shots_in(column)
    bare = re.sub(r"\(?\b\d+[- ]?shots?\b\)?", "", _bare(column)).strip() if shots else _bare(column)
    return Column(column, bare or column, metric, next(iter(shots)) if len(shots) == 1 else None)


def _bare(column: str) -> str:
    """The header without arrows, units in brackets and white space around."""
    return re.sub(r"\s*\(\s*(%|acc|acc_norm|em|↑|↓)\s*\)|[^\w\s.,:+()/-]", "", column).strip()


def is_beside(column: str) -> bool:
    bare = _bare(column)
    return bool(_AGGREGATES.fullmatch(bare)) or bare.lower() in _BOOKKEEPING or bool(re.search(r"stderr$", bare))


def numbers_in(column: pl.Series) -> pl.Series | None:
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
