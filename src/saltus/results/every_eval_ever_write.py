"""Writes the results table as Every Eval Ever 0.3.0: one record per model and checkpoint, samples beside it.

The schema has no checkpoint axis, so a model keeps its id, its place (step, tokens, parameters, flops, loss, seed) goes
as text into `model_info.additional_details` and into the `evaluation_id`, which keeps checkpoints apart; conditions and
shots go into `generation_config.additional_details`. Everything is derived from the table, so the same table gives the
same bytes under the same names. What the schema cannot hold is counted by reason, never dropped in silence: a
result without a value, a sample whose question is not known or whose right-or-wrong is not.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from saltus.errors import UserError
from saltus.hashing import canonical
from saltus.metrics import Metric, base_name
from saltus.records import Item
from saltus.results.cleaning import metric_of
from saltus.results.every_eval_ever import METRIC_IDS, VERSION
from saltus.results.table import COLUMNS, IDENTITY

SCHEMA = ".".join(map(str, VERSION))
_PLACE = {"params": "num_parameters", "tokens": "train_tokens", "flops": "train_flops", "step": "step", "loss": "loss",
          "date": "model_date", "seed": "seed", "series": "series", "family": "family", "variant": "variant",
          "dtype": "dtype", "bos": "bos", "template": "template", "model_identity": "model_identity"}  # fmt: skip
"""Column → key in the details of the model."""
_ASKED = ("condition", "condition_level", "format", "elicitation", "slice", "skill")
_TOLD = ("floor", "floor_stderr", "floor_source", "nominal_floor", "target_tokens", "role")
_METADATA = ("group", "difficulty", "parent_id", "relation", "repeat", "rater")


_POINT = [c for c in IDENTITY if c not in ("item_id", "repeat", "rater")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a record must say that no table knows. Times are seconds since 1970."""

    organization: str
    """Who publishes the numbers."""
    evaluated: int
    retrieved: int
    collection: str = "saltus"
    relationship: Literal["first_party", "third_party", "collaborative", "other"] = "third_party"
    developer: str = "unknown"
    """Who made the models, where their names do not say it."""
    library: tuple[str, str] = ("saltus", "unknown")
    deployment: Literal["self_deployed", "externally_managed", "unknown"] = "unknown"
    availability: Literal["open_weights", "closed_weights", "unknown"] = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written and what was not."""

    files: tuple[Path, ...]
    results: int
    samples: int
    left_out: Mapping[str, int] = field(default_factory=dict)


def write(
    table: pl.DataFrame,
    folder: Path,
    source: Provenance,
    *,
    items: pl.DataFrame | None = None,
    known: Mapping[str, Item] | None = None,
) -> Written:
    """Writes `folder/data/COLLECTION/DEVELOPER/MODEL/UUID.json`, and `UUID_samples.jsonl` where there are items.

    table: aggregated rows of the results table; rows with an item_id in it count as items too. items: item-level rows,
    with a column `answer` where the model's words are known. known: item_hash (or item_id) → Item, for questions and
    right answers. Raises UserError where there is nothing to write or the folder cannot be written.
    """
    whole, single = _split(table, items)
    left: Counter[str] = Counter()
    files: list[Path] = []
    n_results = n_samples = 0
    metrics = {m: metric_of(whole, m) for m in whole["metric"].unique().drop_nulls()}
    place = [c for c in ("model", *_PLACE) if c in whole.columns]
    for rows in whole.sort(place, nulls_last=True).partition_by(place, maintain_order=True):
        model = rows.row(0, named=True)
        results = [
            r
            for row in rows.iter_rows(named=True)
            if (r := _result(row, metrics, left)) is not None
        ]
        if not results:
            continue
        record = _record(model, results, source)
        mine = _of(single, model, place)
        lines = _samples(mine, record, metrics, (known or {}, left))
        files += _save(folder, record, lines, source)
        n_results += len(results)
        n_samples += len(lines)
    if not files:
        raise UserError(
            "no result has a value", where=str(folder), wanted="aggregated rows of the results table",
            do="run the study first; reasons: " + (", ".join(left) or "the table is empty"),
        )  # fmt: skip
    return Written(files=tuple(files), results=n_results, samples=n_samples, left_out=dict(left))


def _split(table: pl.DataFrame, items: pl.DataFrame | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(aggregated rows, item-level rows), every schema column there."""
    missing = [
        pl.lit(None, c.dtype).alias(c.name) for c in COLUMNS.values() if c.name not in table.columns
    ]
    table = table.with_columns(missing)
    single = table.filter(pl.col("item_id").is_not_null())
    parts = [p for p in (single, items) if p is not None and p.height]
    both = pl.concat(parts, how="diagonal_relaxed") if parts else table.clear()
    whole = table.filter(pl.col("item_id").is_null())
    alone = single.join(whole, on=_POINT, how="anti", nulls_equal=True)
    return pl.concat(
        [whole, _means(alone)], how="diagonal_relaxed"
    ) if alone.height else whole, both


def _means(items: pl.DataFrame) -> pl.DataFrame:
    """The aggregates of items that have none: mean, its standard error without clusters, and how many."""
    value = pl.col("value")
    rest = pl.exclude(*_POINT, "value", "stderr", "n_items", *_METADATA, "item_id").first()
    rows = items.filter(value.is_not_null()).group_by(_POINT, maintain_order=True)
    return rows.agg(
        rest, value.mean(), stderr=value.std() / pl.len().sqrt(), n_items=pl.len().cast(pl.Int64)
    )


def _of(single: pl.DataFrame, model: Mapping[str, Any], place: Sequence[str]) -> pl.DataFrame:
    for column in place:
        if column in single.columns:
            single = single.filter(pl.col(column).eq_missing(pl.lit(model[column])))
    return single


def _result(
    row: Mapping[str, Any], metrics: Mapping[str, Metric], left: Counter[str]
) -> dict[str, Any] | None:
    value = row["value"]
    if value is None or not math.isfinite(value):
        left[f"result without a value: {row['why_missing'] or 'not finite'}"] += 1
        return None
    metric = metrics[row["metric"]]
    if not metric.low <= value <= metric.high:
        left[f"result outside the range of `{row['metric']}`"] += 1
        return None
    asked = {"task": row["task"], "num_fewshot": row["n_shot"], **{c: row[c] for c in _ASKED}}
    size = None if row["n_items"] is None else int(row["n_items"])
    uncertainty = _known({
        "standard_error": None if row["stderr"] is None else {"value": row["stderr"]}, "num_samples": size,
    })  # fmt: skip
    result: dict[str, Any] = {
        "evaluation_result_id": _result_id(row),
        "evaluation_name": _name(row),
        "source_data": {"dataset_name": row["task"], "source_type": "other",
                        "additional_details": {"note": "task of a saltus study or table"}},
        "metric_config": _metric_config(metric),
        "score_details": _known({"score": value, "uncertainty": uncertainty or None,
                                 "details": _texts({c: row[c] for c in _TOLD}) or None}),
        "generation_config": {"additional_details": _texts(asked)},
    }  # fmt: skip
    return result


def _name(row: Mapping[str, Any]) -> str:
    """The task, with the condition and the slice that keep its numbers apart."""
    condition = "" if row["condition"] in (None, "baseline") else f"/{row['condition']}"
    return f"{row['task']}{condition}" + (f"[{row['slice']}]" if row["slice"] else "")


def _result_id(row: Mapping[str, Any]) -> str:
    parts = [_name(row), row["metric"], *(f"{c}={row[c]}" for c in ("n_shot", "format", "elicitation", "repeat")
                                          if row[c] is not None)]  # fmt: skip
    return "/".join(map(str, parts))


def _metric_config(metric: Metric) -> dict[str, Any]:
    base = base_name(metric.name)
    share = (metric.low, metric.high) == (0.0, 1.0)
    return {
        "evaluation_description": metric.about or metric.name,
        "metric_id": METRIC_IDS.get(base, base if base in ("accuracy", "f1", "perplexity") else f"saltus.{base}"),
        "metric_name": metric.name,
        **({"metric_unit": "proportion"} if share else {}),
        "lower_is_better": not metric.higher_is_better,
        "score_type": "continuous",
        "min_score": _bound(metric.low), "max_score": _bound(metric.high),
        "additional_details": {"saltus_metric": metric.name, "role": metric.role},
    }  # fmt: skip


def _bound(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _record(
    model: Mapping[str, Any], results: list[dict[str, Any]], source: Provenance
) -> dict[str, Any]:
    name = str(model["model"] or model["series"] or "unnamed")
    known = name if "/" in name else f"{source.developer}/{name}"
    place = _texts({key: model.get(column) for column, key in _PLACE.items()})
    spot = hashlib.sha256(canonical({"model": known, **place})).hexdigest()[:12]
    names, version = source.library
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{source.collection}/{known.replace('/', '_')}/{spot}/{source.evaluated}",
        "evaluation_timestamp": str(source.evaluated),
        "retrieved_timestamp": str(source.retrieved),
        "source_metadata": {
            "source_name": "saltus", "source_type": "evaluation_run",
            "source_organization_name": source.organization, "evaluator_relationship": source.relationship,
        },
        "eval_library": {"name": names, "version": version},
        "model_info": {
            "name": name, "id": known, "developer": known.split("/", 1)[0],
            "additional_details": {
                "deployment_type": source.deployment, "model_availability": source.availability, **place,
            },
        },
        "evaluation_results": results,
    }  # fmt: skip


def _samples(
    rows: pl.DataFrame,
    record: Mapping[str, Any],
    metrics: Mapping[str, Metric],
    account: tuple[Mapping[str, Item], Counter[str]],
) -> list[dict[str, Any]]:
    """One line per item and result. A soft score is called correct where the item's first hard score is 1."""
    known, left = account
    there = {r["evaluation_result_id"]: r["evaluation_name"] for r in record["evaluation_results"]}
    found = list(rows.iter_rows(named=True))
    right: dict[tuple[Any, ...], bool] = {}
    for row in found:
        metric = metrics.get(row["metric"])
        if metric is not None and metric.role == "hard" and row["value"] is not None:
            right.setdefault(_question(row), row["value"] == metric.high)
    lines = []
    for row in found:
        whose = next(
            (w for w in (_result_id(row), _result_id({**row, "repeat": None})) if w in there), None
        )
        item = known.get(str(row.get("item_hash"))) or known.get(str(row["item_id"]))
        correct = right.get(_question(row))
        if row["value"] is None or not math.isfinite(row["value"]):
            left[f"sample without a value: {row['why_missing'] or 'not finite'}"] += 1
        elif whose is None:
            left["sample whose result is not in the table"] += 1
        elif item is None:
            left["sample whose question is not known"] += 1
        elif correct is None:
            left["sample that nothing calls right or wrong"] += 1
        else:
            lines.append(
                _line(row, item, correct, {**record, "whose": whose, "name": there[whose]})
            )
    return lines


def _question(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[c] for c in ("task", "condition", "n_shot", "item_id", "repeat"))


def _line(
    row: Mapping[str, Any], item: Item, correct: bool, record: Mapping[str, Any]
) -> dict[str, Any]:
    targets = [item.target] if isinstance(item.target, str) else list(item.target)
    golds = [item.choices[g] for g in item.gold] or targets
    asked = {"raw": "\n".join(p for p in (item.context, item.question) if p), "reference": golds,
             "choices": list(item.choices) or None}  # fmt: skip
    said = [row["answer"]] if row.get("answer") else []
    same = hashlib.sha256(canonical([asked["raw"], golds])).hexdigest()
    details = _texts({c: row.get(c) for c in _METADATA})
    return {
        "schema_version": SCHEMA, "evaluation_id": record["evaluation_id"],
        "model_id": record["model_info"]["id"], "evaluation_name": record["name"],
        "evaluation_result_id": record["whose"], "sample_id": str(row["item_id"]), "sample_hash": same,
        "interaction_type": "single_turn", "input": asked, "output": {"raw": said},
        "answer_attribution": [
            {"turn_idx": 0, "source": "output.raw", "extracted_value": s, "extraction_method": "none",
             "is_terminal": True} for s in said
        ],
        "evaluation": {"score": row["value"], "is_correct": correct},
        **({"metadata": details} if details else {}),
    }  # fmt: skip


def _save(
    folder: Path, record: dict[str, Any], lines: list[dict[str, Any]], source: Provenance
) -> list[Path]:
    identity = hashlib.sha256(record["evaluation_id"].encode()).digest()[:16]
    stem = str(uuid.UUID(bytes=identity, version=4))
    developer, _, model = record["model_info"]["id"].partition("/")
    inside = Path("data", source.collection, _portable(developer), _portable(model))
    files = [folder / inside / f"{stem}.json"]
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        if lines:
            name = f"{stem}_samples.jsonl"
            data = "".join(
                json.dumps(x, ensure_ascii=False, allow_nan=False) + "\n" for x in lines
            ).encode()
            (folder / inside / name).write_bytes(data)
            files.append(folder / inside / name)
            record = {**record, "detailed_evaluation_results": {
                "format": "jsonl", "file_path": (inside / name).as_posix(), "hash_algorithm": "sha256",
                "checksum": hashlib.sha256(data).hexdigest(), "total_rows": len(lines),
            }}  # fmt: skip
        files[0].write_text(
            json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
        )
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(folder)) from error
    return files


def _portable(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in name).strip(".") or "unknown"


def _known(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in parts.items() if v is not None}


def _texts(parts: Mapping[str, Any]) -> dict[str, str]:
    """Values as the text the schema wants: 512.0 as 512, the rest as Python writes it."""
    whole = {
        k: int(v) if isinstance(v, float) and v.is_integer() else v
        for k, v in _known(parts).items()
    }
    return {k: str(v) for k, v in whole.items()}
