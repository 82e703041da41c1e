"""Which of the stored asks a study is about: its models, tasks, conditions, seed, and its first items.

A store may hold answers of many versions of a study. Of a model and a task, asks of the task's present version are
current, or where there is none those of the latest; and of each question one that is done before a failure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import polars as pl

from saltus.hashing import content_hash
from saltus.records import edit_label
from saltus.store.base import Segments
from saltus.store.contents import Contents, Gap, ModelRecord, ref_key
from saltus.store.rows import version_of
from saltus.tasks.base import Task


@dataclass(frozen=True, slots=True)
class Asked:
    """What a study asks, as far as a table needs it; None selects everything stored."""

    tasks: Sequence[Task]
    study_id: str | None = None
    conditions: frozenset[str] | None = None
    seed: int | None = None
    repeats: int | None = None
    limit: int | None = None


class StudyLike(Protocol):
    """What a table needs to know of a study."""

    @property
    def study_id(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def repeats(self) -> int: ...

    @property
    def limit(self) -> int | None: ...

    def tasks(self) -> Sequence[Task]: ...

    def conditions(self) -> Sequence[Any]:
        """Each is what `condition_id` takes."""
        ...

    def condition_id(self, conditions: Any) -> str: ...


What = StudyLike | Sequence[Task] | Asked
"""What a table is about."""


def asked_of(what: What) -> Asked:
    """From a study, a list of tasks, or an Asked."""
    if isinstance(what, Asked):
        return what
    if isinstance(what, Sequence):
        return Asked(tasks=what)
    conditions = frozenset(what.condition_id(c) for c in what.conditions())
    return Asked(what.tasks(), what.study_id, conditions, what.seed, what.repeats, what.limit)


def models_of(found: Contents, study_id: str | None) -> list[ModelRecord]:
    """The latest record of every model that runs of the study opened; of all models where it never ran."""
    mine = [m for m in found.models if m.study_id == study_id]
    latest = {ref_key(m.ref): m for m in mine or found.models}
    return list(latest.values())


def standing_gaps(found: Contents, study_id: str | None) -> list[tuple[Gap, str | None]]:
    """Per model and task the last reason why it was not asked, with its identity where it was opened.

    Those that a later run of the model has closed are left out.
    """
    mine = [g for g in found.gaps if g.study_id == study_id]
    last = {(ref_key(g.ref), g.task): g for g in mine or found.gaps}
    opened = {ref_key(m.ref): m for m in models_of(found, study_id)}
    pairs = [(gap, opened.get(ref_key(gap.ref))) for gap in last.values()]
    return [(g, m.identity if m else None) for g, m in pairs if m is None or m.time <= g.time]


QUESTION = ["_model", "_task", "_condition", "repeat", "index"]
"""One question to one model, in small numbers: places in the sorted lists of models, tasks and conditions."""


def current_asks(store: Segments, asked: Asked, models: Sequence[ModelRecord]) -> tuple[pl.DataFrame, bool]:
    """(the current ask of every question in the order of QUESTION, whether any stands twice in the store).

    Columns of `rows.SCHEMAS["asks"]` without `keys`, and those of QUESTION.
    """
    versions = {task.name: version_of(task) for task in asked.tasks}
    order = model_order(models)
    rows = store.asks().filter(
        pl.col("model").is_in(list(order)), pl.col("task").is_in(list(versions)), *_bounds(asked)
    )
    asks = rows.select(pl.exclude("keys")).collect()
    conditions = sorted(asks["condition"].unique())
    asks = asks.with_columns(
        coded("model", order).alias("_model"),
        coded("task", {name: i for i, name in enumerate(sorted(versions))}).alias("_task"),
        coded("condition", {name: i for i, name in enumerate(conditions)}).alias("_condition"),
    )
    asks = _of_one_version(asks, versions)
    doubled = asks.select(pl.struct(QUESTION).n_unique()).item() < asks.height
    if doubled:
        better = asks.with_columns(_failed=pl.col("state") == "failed")
        better = better.sort(["_failed", "time"], descending=[False, True])
        asks = better.unique(QUESTION, keep="first", maintain_order=True).drop("_failed")
    return asks.sort(QUESTION), doubled


def _of_one_version(asks: pl.DataFrame, versions: Mapping[str, str]) -> pl.DataFrame:
    """Of each model and task only the present version, or where it was never asked the last one."""
    by = ["_model", "_task", "task_version", "study_seed"]
    found = asks.group_by(by).agg(pl.col("time").max())
    pairs = pl.col("_task").replace_strict(
        {i: versions[name] for i, name in enumerate(sorted(versions))}, return_dtype=pl.String
    )
    best = found.with_columns(_present=pairs == pl.col("task_version"))
    best = best.sort(["_present", "time"], descending=True)
    best = best.unique(["_model", "_task"], keep="first", maintain_order=True)
    return asks if best.height == found.height else asks.join(best, on=by, how="semi")


def model_order(models: Sequence[ModelRecord]) -> dict[str, int]:
    """Identity → place among the models sorted by series and location."""
    ordered = sorted(models, key=lambda m: (m.ref.series, m.ref.location, m.ref.revision or ""))
    return {identity: i for i, identity in enumerate(dict.fromkeys(m.identity for m in ordered))}


def coded(column: str, codes: Mapping[str, int]) -> pl.Expr:
    """The column as small numbers, which sort and join many times faster than long text."""
    if not codes:  # polars cannot tell the type of an empty mapping
        return pl.lit(None, pl.Int32).alias(column)
    return pl.col(column).replace_strict(codes, return_dtype=pl.Int32)


def _bounds(asked: Asked) -> list[pl.Expr]:
    bounds = []
    if asked.conditions is not None:
        bounds.append(pl.col("condition").is_in(sorted(asked.conditions)))
    if asked.seed is not None:
        bounds.append(pl.col("study_seed") == asked.seed)
    if asked.repeats is not None:
        bounds.append(pl.col("repeat") < asked.repeats)
    if asked.limit is not None:
        bounds.append(pl.col("index") < asked.limit)
    return bounds


AXIS_COLUMNS: Mapping[str, Any] = {
    "params": pl.Float64,
    "tokens": pl.Float64,
    "flops": pl.Float64,
    "step": pl.Float64,
    "loss": pl.Float64,
    "date": pl.Float64,
    "seed": pl.String,
    "variant": pl.String,
}


def model_frame(records: Sequence[ModelRecord]) -> pl.DataFrame:
    """One row per model record: identity as `model_identity`, label, coordinates, how it was asked."""
    rows = [{**_model_row(m.identity, m.ref, m.describe), "environment": _environment(m)} for m in records]
    return pl.DataFrame(rows, schema=_model_schema(rows), orient="row")


def _model_schema(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "model_identity": pl.String,
        "series": pl.String,
        "model": pl.String,
        **AXIS_COLUMNS,
        "location": pl.String,
        "dtype": pl.String,
        "bos": pl.String,
        "template": pl.String,
        "weights_hash": pl.String,
        "tokenizer": pl.String,
        "trainer_step": pl.Float64,
        "edit": pl.String,
        "environment": pl.String,
    }
    return schema | {k: pl.String for row in rows for k in row if k not in schema}


def gap_frame(gaps: Sequence[Gap]) -> pl.DataFrame:
    """The same columns for models that could not be asked, identity null, and `task`, `what`, `why`."""
    rows = [{**_model_row(None, g.ref, {}), "task": g.task, "what": g.what, "why": g.why} for g in gaps]
    return pl.DataFrame(rows, schema=_model_schema(rows), orient="row")


def _model_row(identity: str | None, ref: Any, describe: Mapping[str, Any]) -> dict[str, Any]:
    coords = dict(ref.coords)
    row: dict[str, Any] = {
        "model_identity": identity,
        "series": ref.series,
        "model": str(coords.pop("model", None) or ref.location),
        "location": ref.location,
        "dtype": _dtype(describe),
        "bos": _bos(describe.get("bos"), describe),
        "template": _plain(describe.get("template")),
        "edit": edit_label(ref.edits) or None,
        **_of_files(ref, describe),
    }
    for name, value in coords.items():
        wanted = AXIS_COLUMNS.get(name, pl.String)
        row[name] = _number(value) if wanted == pl.Float64 else _text(value)
    return row


def _environment(record: ModelRecord) -> str | None:
    """Where it was asked: device or processor, and the library that computed."""
    machine, versions = record.host, record.describe.get("versions") or {}
    device = str(record.describe.get("device") or "")
    where = device if device.startswith("cuda") else machine.get("cpu")
    with_ = next((f"{name} {versions[name]}" for name in ("torch", "inspect_ai", "aiohttp") if name in versions), None)
    return ", ".join(part for part in (where, with_) if part) or None


def _dtype(describe: Mapping[str, Any]) -> str | None:
    """`float32`, or `float32 of Q4_K_M` where the weights were quantised before."""
    dtype, before = _text(describe.get("dtype")), describe.get("quantisation")
    return f"{dtype} of {before}" if before else dtype


def _bos(stated: Any, describe: Mapping[str, Any]) -> str | None:
    """The policy, or what went wrong under it: "missing" where the tokenizer itself would have put one."""
    if describe.get("double_bos"):
        return "double"
    own = isinstance(stated, Mapping) and stated.get("tokenizer_prepends")
    return "missing" if own and stated.get("prepended") is False else _plain(stated)


def _of_files(ref: Any, describe: Mapping[str, Any]) -> dict[str, Any]:
    """What checkpoints of a series differ by, and what they have to share."""
    weights, words = describe.get("weights_hash"), describe.get("tokenizer")
    edited = f" edited {content_hash(ref.edits)[7:15]}" if ref.edits else ""
    return {
        "weights_hash": f"{weights}{edited}" if weights else None,
        "tokenizer": words.get("fingerprint") if isinstance(words, Mapping) else None,
        "trainer_step": _number(ref.recipe.get("trainer_step")),
    }


def _plain(value: Any) -> str | None:
    """What `describe` says in one word; a mapping's policy."""
    return _text(value.get("policy") if isinstance(value, Mapping) else value)


def _text(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    """A coordinate as a number: `160M` and dates (in years) are read as published tables write them."""
    from saltus.results.units import parse_quantity

    if not isinstance(value, str):
        return None if value is None else float(value)
    with contextlib.suppress(ValueError):
        day = date.fromisoformat(value)
        return day.year + (day - date(day.year, 1, 1)).days / 365.25
    return parse_quantity(value)
