"""From stored answers to the results table of `results.table`: item by item, or one row per number.

Beside the schema's columns come every other coordinate of a model and `model_identity, location, dtype, bos,
template, weights_hash, tokenizer, trainer_step, changed_answers, task_version`; in item rows `state, ask_id, place,
item_hash, label, why_no_soft` and the signs of `signs.SIGNS`; in aggregated rows
`n_clusters, n_missing, missing, n_refused, item_set, why_no_soft`. A missing answer is a row without a value. A mean
is over the items that have one, `missing` says why the rest have none; a condition's refusals are counted
apart, for they are no failures. The standard error is clustered by the items' groups where they have some.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

import polars as pl

from saltus.metrics import KNOWN
from saltus.results.table import COLUMNS, schema
from saltus.store.base import Segments
from saltus.store.contents import Contents, ModelRecord
from saltus.store.floors import floors
from saltus.store.means import ASK, means
from saltus.store.scores import Scorer, missing_rows
from saltus.store.selection import (
    Asked,
    What,
    asked_of,
    coded,
    current_asks,
    gap_frame,
    model_frame,
    model_order,
    models_of,
    standing_gaps,
)
from saltus.store.signs import changed_answers

_LEVEL = r"^[^+\[]+\[[^=\]]*=([^\]]+)\]$"


@dataclass(frozen=True)
class _Source:
    """What both tables start from."""

    store: Segments
    asked: Asked
    found: Contents
    models: list[ModelRecord]
    asks: pl.DataFrame
    doubled: bool
    """Some ask stands in two segments."""
    scorer: Scorer
    floors: pl.DataFrame


def item_rows(store: Segments, what: What, *, rescore: bool = False) -> pl.LazyFrame:
    """One row per model × task × condition × repeat × item × metric."""
    source = _source(store, what, rescore)
    return _dressed(source, _with_items(source))


def results(store: Segments, what: What, *, rescore: bool = False) -> pl.LazyFrame:
    """One row per number; models that could not be asked are rows without one."""
    source = _source(store, what, rescore)
    rows = means(_with_items(source).collect())
    rows = rows.join(_item_sets(source.asks), on=ASK, how="left")
    rows = rows.join(_early_ends(source), on="model", how="left").with_columns(
        missing=pl.concat_str("missing", "_early", separator="; ", ignore_nulls=True).replace("", None),
        item_id=pl.lit(None, pl.String),
    )
    known = _dressed(source, rows.drop("_early").sort(*ASK, "metric").lazy())
    gaps = _gap_rows(source)
    return pl.concat([known, gaps.lazy()], how="diagonal") if gaps.height else known


def _source(store: Segments, what: What, rescore: bool) -> _Source:
    asked, found = asked_of(what), store.contents()
    models = models_of(found, asked.study_id)
    asks, doubled = current_asks(store, asked, models)
    scorer = Scorer(store, found, rescore)
    tasks = {task.name: task for task in asked.tasks}
    floor = floors(scorer, asks, tasks)
    return _Source(store, asked, found, models, asks, doubled, scorer, floor)


def _with_items(source: _Source) -> pl.LazyFrame:
    """Current asks with their scores; failures and refusals with the primary metrics and a reason."""
    order = model_order(source.models)
    scores = source.scorer.scores(order.keys(), source.asked.tasks)
    scores = scores.with_columns(coded("model", order).alias("_model")).drop("model")
    if source.doubled:
        scores = scores.unique(["_model", "ask_id", "place"], keep="any").sort("place")
    asks = source.asks.lazy().drop("time", "study_seed")
    done = asks.filter(pl.col("state") == "done").join(
        scores, on=["_model", "ask_id"], how="inner", maintain_order="left_right"
    )
    blank = [
        {"task": task.name, "metric": row[0], "role": row[1], "place": place}
        for task in source.asked.tasks
        for place, row in enumerate(missing_rows(task.primary, ""))
    ]
    left = asks.filter(pl.col("state") != "done").join(pl.LazyFrame(blank), on="task", maintain_order="left_right")
    left = left.with_columns(why_missing=pl.concat_str("state", pl.lit(": "), "why"))
    return pl.concat([done, left], how="diagonal").drop("why").with_columns(_role())


def _role() -> pl.Expr:
    """Where metrics.py does not know the name: soft if any value leaves [0, 1], else hard."""
    inside = pl.col("value").is_between(0, 1).all().over("task", "metric")
    guess = pl.when(inside).then(pl.lit("hard")).otherwise(pl.lit("soft"))
    return pl.coalesce("role", guess).alias("role")


def _item_sets(asks: pl.DataFrame) -> pl.DataFrame:
    """One short hash per model × task × condition × repeat over the items asked, in their order."""
    done = asks.filter(pl.col("state") == "done")
    sets = done.group_by(ASK, maintain_order=True).agg(pl.col("item_hash").str.join("\n"))
    digests = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in sets["item_hash"]]
    return sets.drop("item_hash").with_columns(pl.Series("item_set", digests, pl.String))


def _dressed(source: _Source, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Adds model coordinates, floors, and what belongs to task, condition and metric; keeps the order."""
    keep: dict[str, Any] = {"maintain_order": "left"}
    rows = rows.join(source.floors.lazy(), on=["task", "condition", "metric"], how="left", **keep)
    models = model_frame(source.models)
    models = models.with_columns(coded("model_identity", model_order(source.models)).alias("_model"))
    changed = changed_answers(source.store, source.found, models["model_identity"].to_list())
    models = models.join(changed, on="model_identity", how="left")
    rows = rows.drop("model").join(models.lazy(), on="_model", how="inner", **keep)
    return _in_schema(source, rows.drop("_model", "_task", "_condition", "index", strict=False))


def _in_schema(source: _Source, rows: pl.LazyFrame) -> pl.LazyFrame:
    tasks = pl.LazyFrame(
        [{"task": t.name, "_skill": t.skill, "_format": t.format} for t in source.asked.tasks],
        schema={"task": pl.String, "_skill": pl.String, "_format": pl.String},
    )
    better = {m.name: m.higher_is_better for m in KNOWN.values()}
    rows = rows.join(tasks, on="task", how="left", maintain_order="left")
    present = rows.collect_schema().names()
    own = {
        name: pl.coalesce(name, f"_{name}") if name in present else pl.col(f"_{name}") for name in ("skill", "format")
    }
    rows = rows.with_columns(
        **own,
        condition_level=pl.col("condition").str.extract(_LEVEL, 1),
        higher_is_better=pl.col("metric").replace_strict(better, default=None, return_dtype=pl.Boolean),
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


def _early_ends(source: _Source) -> pl.DataFrame:
    """Why a model was not asked everything, to stand beside what it was asked."""
    rows = [
        (identity, f"its run ended early: {gap.why}")
        for gap, identity in standing_gaps(source.found, source.asked.study_id)
        if identity is not None and gap.task is None
    ]
    schema = {"model": pl.String, "_early": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").unique("model", keep="last")


def _gap_rows(source: _Source) -> pl.DataFrame:
    """Rows without a value for what a model was never asked, with the reason its last run gave."""
    there = set(source.asks.select("model", "task", "condition").unique().iter_rows())
    conditions = sorted(source.asked.conditions or {"baseline"})
    rows: list[pl.DataFrame] = []
    for gap, identity in standing_gaps(source.found, source.asked.study_id):
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
