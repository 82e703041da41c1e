"""From stored answers to the results table of `results.table`: item by item, or one row per number.

Beside the schema's columns come every other coordinate of a model and `model_identity, location, dtype, bos,
template, task_version`; in item rows `state, ask_id, place, item_hash, label, why_no_soft`; in aggregated rows
`n_clusters, n_missing, missing, n_refused, item_set, why_no_soft`. A missing answer is a row without a value. A mean
is over the items that have one, `missing` says why the rest have none; a condition's refusals are counted
apart, for they are no failures. The standard error is clustered by the items' groups where they have some.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from saltus.metrics import KNOWN
from saltus.results.table import COLUMNS, schema
from saltus.store.base import Store
from saltus.store.contents import Contents, Gap, ModelRecord, ref_key
from saltus.store.floors import floors
from saltus.store.scores import Scorer, missing_rows
from saltus.store.selection import (
    Asked,
    asked_of,
    current_asks,
    gap_frame,
    gaps_of,
    model_frame,
    models_of,
)

_LEVEL = r"^[^+\[]+\[[^=\]]*=([^\]]+)\]$"
_ASK = ["model", "task", "condition", "repeat"]


@dataclass(frozen=True)
class _Source:
    """What both tables start from."""

    store: Store
    asked: Asked
    found: Contents
    models: list[ModelRecord]
    asks: pl.DataFrame
    scorer: Scorer
    floors: pl.DataFrame


def item_rows(store: Store, what: Any, *, rescore: bool = False) -> pl.LazyFrame:
    """One row per model × task × condition × repeat × item × metric."""
    source = _source(store, what, rescore)
    rows = _with_items(source).with_columns(
        why_missing=pl.when(pl.col("value").is_null()).then(pl.col("why_missing")),
    )
    return _dressed(source, rows)


def results(store: Store, what: Any, *, rescore: bool = False) -> pl.LazyFrame:
    """One row per number; models that could not be asked are rows without one."""
    source = _source(store, what, rescore)
    rows = _means(_with_items(source).collect()).join(_item_sets(source.asks), on=_ASK, how="left")
    rows = rows.join(_early_ends(source), on="model", how="left").with_columns(
        missing=pl.concat_str("missing", "_early", separator="; ", ignore_nulls=True).replace(
            "", None
        ),
        item_id=pl.lit(None, pl.String),
    )
    known = _dressed(source, rows.drop("_early").lazy())
    gaps = _gap_rows(source)
    return pl.concat([known, gaps.lazy()], how="diagonal") if gaps.height else known


def _source(store: Store, what: Any, rescore: bool) -> _Source:
    asked, found = asked_of(what), store.contents()
    models = models_of(found, asked.study_id)
    asks = current_asks(store, asked, models)
    scorer = Scorer(store, found, rescore)
    tasks = {task.name: task for task in asked.tasks}
    return _Source(store, asked, found, models, asks, scorer, floors(scorer, asks, tasks))


def _with_items(source: _Source) -> pl.LazyFrame:
    """Current asks with their scores; failures and refusals with the primary metrics and a reason."""
    scores = source.scorer.scores({m.identity for m in source.models}, source.asked.tasks)
    asks = source.asks.lazy().drop("keys", "time", "study_seed", "index")
    done = asks.filter(pl.col("state") == "done").join(scores, on=["model", "ask_id"], how="inner")
    blank = [
        {"task": task.name, "metric": row[0], "role": row[1]}
        for task in source.asked.tasks
        for row in missing_rows(task.primary, "")
    ]
    left = asks.filter(pl.col("state") != "done").join(pl.LazyFrame(blank), on="task")
    left = left.with_columns(why_missing=pl.concat_str("state", pl.lit(": "), "why"))
    return pl.concat([done, left], how="diagonal").drop("why").with_columns(_role())


def _role() -> pl.Expr:
    """Where metrics.py does not know the name: soft if any value leaves [0, 1], else hard."""
    inside = pl.col("value").is_between(0, 1).all().over("task", "metric")
    guess = pl.when(inside).then(pl.lit("hard")).otherwise(pl.lit("soft"))
    return pl.coalesce("role", guess).alias("role")


_NUMBER = [*_ASK, "task_version", "metric"]


def _means(items: pl.DataFrame) -> pl.DataFrame:
    """One row per number: value, standard error, counts, and what is missing."""
    items = items.filter(pl.col("label").is_null())
    missing = pl.col("value").is_null() & (pl.col("state") != "refused")
    reasons = pl.col("why_missing").filter(missing).drop_nulls().unique(maintain_order=True)
    same_shots = pl.col("n_shot").min() == pl.col("n_shot").max()
    counts = items.group_by(_NUMBER).agg(
        pl.col("role").first(), pl.col("target_tokens").mean(),
        pl.when(same_shots).then(pl.col("n_shot").min()).alias("n_shot"),
        pl.col("value").count().cast(pl.Int64).alias("n_items"),
        missing.sum().cast(pl.Int64).alias("n_missing"),
        (pl.col("state") == "refused").sum().cast(pl.Int64).alias("n_refused"),
        reasons.head(3).str.join("; ").alias("missing"),
        pl.col("why_missing").filter(pl.col("value").is_null()).first().alias("_first"),
        pl.col("why_no_soft").drop_nulls().first(),
    )  # fmt: skip
    rows = counts.join(_clustered(items), on=_NUMBER, how="left", nulls_equal=True)
    return rows.with_columns(
        missing=pl.when(pl.col("n_missing") > 0).then(pl.col("missing")),
        why_missing=pl.when(pl.col("value").is_null()).then(pl.col("_first")),
    ).drop("_first")


def _clustered(items: pl.DataFrame) -> pl.DataFrame:
    """Mean and its standard error, items clustered by group, one without a group being its own cluster.

    sqrt(G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))²) / n (Liang & Zeger 1986), which is s/√n where every cluster is one
    item; null for G < 2. Added up by numpy in a fixed order, so that a table is the same to the last digit
    whatever the threads and segments were.
    """
    group = pl.concat_str(pl.lit("g"), "group")
    items = items.with_columns(_cluster=pl.coalesce(group, pl.concat_str(pl.lit("i"), "item_id")))
    seen = items.filter(pl.col("value").is_not_null()).sort(
        [*_NUMBER, "_cluster", "item_id", "place"]
    )
    if not seen.height:
        kinds = {"value": pl.Float64, "stderr": pl.Float64, "n_clusters": pl.Int64}
        return seen.select(*_NUMBER, *(pl.lit(None, kind).alias(n) for n, kind in kinds.items()))
    number = seen.select(pl.struct(_NUMBER).rle_id()).to_series().to_numpy()
    cluster = seen.select(pl.struct([*_NUMBER, "_cluster"]).rle_id()).to_series().to_numpy()
    value = seen["value"].to_numpy()
    n = np.bincount(number)
    mean = np.bincount(number, weights=value) / n
    sums = np.bincount(cluster, weights=value - mean[number])
    of_cluster = number[np.unique(cluster, return_index=True)[1]]
    clusters = np.bincount(of_cluster)
    squares = np.bincount(of_cluster, weights=sums**2)
    stderr = np.sqrt(squares * clusters / np.maximum(clusters - 1, 1)) / n
    return seen.select(_NUMBER).unique(maintain_order=True).with_columns(
        pl.Series("value", mean),
        pl.Series("stderr", np.where(clusters > 1, stderr, np.nan)).fill_nan(None),
        pl.Series("n_clusters", clusters, pl.Int64),
    )  # fmt: skip


def _item_sets(asks: pl.DataFrame) -> pl.DataFrame:
    """One short hash per model × task × condition × repeat over what was asked, item by item."""
    done = asks.filter(pl.col("state") == "done").sort("item_hash")
    sets = done.group_by(_ASK).agg(pl.col("item_hash").str.join("\n"))
    digests = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in sets["item_hash"]]
    return sets.drop("item_hash").with_columns(pl.Series("item_set", digests, pl.String))


def _dressed(source: _Source, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Adds model coordinates, floors, and what belongs to task, condition and metric; schema columns first."""
    rows = rows.join(source.floors.lazy(), on=["task", "condition", "metric"], how="left")
    rows = rows.rename({"model": "model_identity"})
    rows = rows.join(model_frame(source.models).lazy(), on="model_identity", how="inner")
    order = ["series", "location", "task", "condition", "repeat", "item_id", "metric"]
    return _in_schema(source, rows).sort(order, nulls_last=True, maintain_order=True)


def _in_schema(source: _Source, rows: pl.LazyFrame) -> pl.LazyFrame:
    tasks = pl.LazyFrame(
        [{"task": t.name, "_skill": t.skill, "_format": t.format} for t in source.asked.tasks],
        schema={"task": pl.String, "_skill": pl.String, "_format": pl.String},
    )
    better = {m.name: m.higher_is_better for m in KNOWN.values()}
    rows = rows.join(tasks, on="task", how="left")
    present = rows.collect_schema().names()
    own = {name: pl.coalesce(name, f"_{name}") if name in present else pl.col(f"_{name}")
           for name in ("skill", "format")}  # fmt: skip
    rows = rows.with_columns(
        **own,
        condition_level=pl.col("condition").str.extract(_LEVEL, 1),
        higher_is_better=pl.col("metric").replace_strict(
            better, default=None, return_dtype=pl.Boolean
        ),
        elicitation=pl.when(pl.col("template").is_in(["none"]).not_()).then(
            pl.concat_str(pl.lit("template "), "template")
        ),
        source=pl.lit(source.store.place.url.rsplit("/", 1)[-1]),
    ).drop("_skill", "_format")
    present = rows.collect_schema().names()
    columns = [
        pl.col(name).cast(kind) if name in present else pl.lit(None, kind).alias(name)
        for name, kind in schema().items()
    ]
    return rows.select(*columns, *(name for name in present if name not in COLUMNS))


def _standing_gaps(source: _Source) -> list[tuple[Gap, str | None]]:
    """Gaps that no later run of the model has closed, with the model's identity where it was opened."""
    opened = {ref_key(m.ref): m for m in source.models}
    found = [(g, opened.get(ref_key(g.ref))) for g in gaps_of(source.found, source.asked.study_id)]
    return [(g, m.identity if m else None) for g, m in found if m is None or m.time <= g.time]


def _early_ends(source: _Source) -> pl.DataFrame:
    """Why a model was not asked everything, to stand beside what it was asked."""
    rows = [
        (identity, f"its run ended early: {gap.why}")
        for gap, identity in _standing_gaps(source)
        if identity is not None and gap.task is None
    ]
    schema = {"model": pl.String, "_early": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").unique("model", keep="last")


def _gap_rows(source: _Source) -> pl.DataFrame:
    """Rows without a value for what a model was never asked, with the reason its last run gave."""
    there = set(source.asks.select("model", "task", "condition").unique().iter_rows())
    conditions = sorted(source.asked.conditions or {"baseline"})
    rows: list[pl.DataFrame] = []
    for gap, identity in _standing_gaps(source):
        wanted = [
            {"task": task.name, "condition": condition, "metric": metric, "role": role}
            for task, condition in itertools.product(source.asked.tasks, conditions)
            if gap.task in (None, task.name) and (identity, task.name, condition) not in there
            for metric, role, *_ in missing_rows(task.primary, "")
        ]
        facts = gap_frame([gap]).drop("task").rename({"what": "_what", "why": "_why"})
        if wanted:
            rows.append(facts.join(pl.DataFrame(wanted), how="cross"))
    if not rows:
        return pl.DataFrame()
    frame = pl.concat(rows, how="diagonal").lazy()
    why = pl.concat_str("_what", pl.lit(": "), "_why")
    frame = frame.with_columns(why_missing=why, n_items=0, repeat=0).drop("_what", "_why")
    return _in_schema(source, frame).collect()
