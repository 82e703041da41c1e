"""Writes the results table as Every Eval Ever 0.3.0: one record per model and checkpoint, samples beside it.

Everything is derived from the table, so the same table gives the same bytes under the same names. What the schema
cannot hold is counted by reason, never dropped in silence: a result without a value, a sample whose question is not
known or whose right-or-wrong is not.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from saltus.errors import UserError
from saltus.metrics import Metric
from saltus.page.text import without_home
from saltus.records import Item
from saltus.results.formats.every_eval_ever_record import (
    METADATA,
    PLACE,
    Provenance,
    line_of,
    record_of,
    result_id,
    result_of,
)
from saltus.results.metric_of import metric_of
from saltus.results.table import COLUMNS, IDENTITY

_POINT = [c for c in IDENTITY if c not in ("item_id", "repeat", "rater")]


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
    place = [c for c in ("model", *PLACE) if c in whole.columns]
    same = [c for c in place if c in single.columns and single[c].null_count() < single.height]
    of_model = single.partition_by(same, as_dict=True) if same else {}
    for rows in whole.sort(place, nulls_last=True).partition_by(place, maintain_order=True):
        model = rows.row(0, named=True)
        results = _results(rows, metrics, source, left)
        if not results:
            continue
        record = record_of(model, results, source)
        mine = of_model.get(tuple(model[c] for c in same), single.clear())
        lines = _samples(mine, record, metrics, (known or {}, left))
        files += _save(folder, record, lines, source)
        n_results += len(results)
        n_samples += len(lines)
    if not files:
        raise UserError(
            "no result has a value",
            where=str(folder),
            wanted="aggregated rows of the results table",
            do="run the study first; reasons: " + (", ".join(left) or "the table is empty"),
        )
    return Written(files=tuple(files), results=n_results, samples=n_samples, left_out=dict(left))


def _split(table: pl.DataFrame, items: pl.DataFrame | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(aggregated rows, item-level rows), every schema column there."""
    table = _whole_schema(table)
    single = table.filter(pl.col("item_id").is_not_null())
    whole = table.filter(pl.col("item_id").is_null())
    alone = single.join(whole, on=_POINT, how="anti", nulls_equal=True)
    if alone.height:
        whole = pl.concat([whole, _means(alone)], how="diagonal_relaxed")
    if items is not None:
        single = pl.concat([single, _whole_schema(items)], how="diagonal_relaxed")
    return whole, single


def _whole_schema(table: pl.DataFrame) -> pl.DataFrame:
    absent = [c for c in COLUMNS.values() if c.name not in table.columns]
    return table.with_columns(pl.lit(None, c.dtype).alias(c.name) for c in absent)


def _means(items: pl.DataFrame) -> pl.DataFrame:
    """The aggregates of items that have none: mean, its standard error without clusters, and how many."""
    value = pl.col("value")
    rest = pl.exclude(*_POINT, "value", "stderr", "n_items", *METADATA, "item_id").first()
    rows = items.filter(value.is_not_null()).group_by(_POINT, maintain_order=True)
    return rows.agg(rest, value.mean(), stderr=value.std() / pl.len().sqrt(), n_items=pl.len().cast(pl.Int64))


def _results(
    rows: pl.DataFrame, metrics: Mapping[str, Metric], source: Provenance, left: Counter[str]
) -> list[dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    for row in rows.iter_rows(named=True):
        result = result_of(row, metrics, source.origins)
        if isinstance(result, str):
            left[result] += 1
        elif result["evaluation_result_id"] in results:
            left["second reading of one result"] += 1
        else:
            results[result["evaluation_result_id"]] = result
    return list(results.values())


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
        whose = next((w for w in (result_id(row), result_id({**row, "repeat": None})) if w in there), None)
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
            lines.append(line_of(row, item, correct, {**record, "whose": whose, "name": there[whose]}))
    return lines


def _question(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[c] for c in ("task", "condition", "n_shot", "item_id", "repeat"))


def _save(folder: Path, record: dict[str, Any], lines: list[dict[str, Any]], source: Provenance) -> list[Path]:
    identity = hashlib.sha256(record["evaluation_id"].encode()).digest()[:16]
    stem = str(uuid.UUID(bytes=identity, version=4))
    developer, _, model = record["model_info"]["id"].partition("/")
    inside = Path("data", source.collection, _portable(developer), _portable(model))
    files = [folder / inside / f"{stem}.json"]
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        if lines:
            name = f"{stem}_samples.jsonl"
            data = "".join(json.dumps(x, ensure_ascii=False, allow_nan=False) + "\n" for x in lines).encode()
            (folder / inside / name).write_bytes(data)
            files.append(folder / inside / name)
            record = {
                **record,
                "detailed_evaluation_results": {
                    "format": "jsonl",
                    "file_path": (inside / name).as_posix(),
                    "hash_algorithm": "sha256",
                    "checksum": hashlib.sha256(data).hexdigest(),
                    "total_rows": len(lines),
                },
            }
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        files[0].write_text(without_home(text) + "\n", "utf-8")
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(folder)) from error
    return files


def _portable(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in name).strip(".") or "unknown"
