"""What no skill scores, per task and condition, over the items that were asked; kept under `derived/`."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from typing import Any

import polars as pl

from saltus.hashing import content_hash
from saltus.records import Floor
from saltus.store.rows import version_of
from saltus.store.scores import Scorer
from saltus.tasks.base import Task

MOST_ITEMS = 20_000
"""A floor is computed over at most so many items, the first ones."""

FLOOR_SCHEMA: dict[str, Any] = {
    "task": pl.String,
    "condition": pl.String,
    "metric": pl.String,
    "floor": pl.Float64,
    "floor_stderr": pl.Float64,
    "floor_source": pl.String,
    "nominal_floor": pl.Float64,
}


def floors(scorer: Scorer, asks: pl.DataFrame, tasks: dict[str, Task]) -> pl.DataFrame:
    """One row per task, condition and primary metric of the done asks given."""
    rows: list[dict[str, Any]] = []
    asked = asks.filter(pl.col("state") == "done").unique(["task", "condition", "index"], keep="any")
    for (name, condition), part in asked.sort("index").group_by("task", "condition"):
        task = tasks[str(name)]
        hashes = part["item_hash"].head(MOST_ITEMS).to_list()
        floor = _kept(scorer, task, hashes)
        hard, soft = task.primary
        place = {"task": name, "condition": condition, "floor_source": floor.source}
        rows.append(
            {
                **place,
                "metric": hard,
                "floor": floor.value,
                "floor_stderr": floor.stderr,
                "nominal_floor": floor.nominal,
            }
        )
        if soft is not None:
            rows.append({**place, "metric": soft, "floor": floor.soft})
    return pl.DataFrame(rows, schema=FLOOR_SCHEMA, orient="row")


def _kept(scorer: Scorer, task: Task, hashes: list[str]) -> Floor:
    by = content_hash([task.name, version_of(task), hashes])[7:39]
    name, place = f"derived/floors/{by}.json", scorer.store.place
    if not scorer.rescore:
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
            return Floor(**json.loads(place.read(name)))
    items = scorer.items(list(dict.fromkeys(hashes)))
    try:
        floor = task.floor([items[digest] for digest in hashes if digest in items])
    except Exception as error:  # noqa: BLE001 — a plug-in's floor must not end the table
        why = f"not known: computing it failed: {type(error).__name__}: {error}"
        return Floor(value=float("nan"), source=why, why_no_soft=why)
    if not scorer.rescore:
        place.write(name, json.dumps(asdict(floor)).encode())
    return floor
