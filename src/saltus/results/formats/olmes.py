"""Reads OLMES: `task-NNN-NAME-metrics.json`, one task of one model in each file, and `metrics.json` with all tasks.

Known limit: predictions beside them are not read; their scores are in the metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.metrics import lookup
from saltus.results.chance import nominal_floor
from saltus.results.formats.base import Alone, Document, Left, Read
from saltus.results.formats.detect import load_json
from saltus.results.formats.kit import ROWS, frame, mapping, number, refusing, text, whole
from saltus.results.placing import Row, place

_MAIN = ("primary_score", "primary_metric")


@refusing("OLMES metrics")
def read(path: Path) -> Read:
    """Every metric of every task as rows of the results table. Raises UserError."""
    document = load_json(path)
    listed = document.get("tasks")
    tasks = [t for t in listed if isinstance(t, Mapping)] if isinstance(listed, list) else [document]
    rows = [row for task in tasks for row in _task(task)]
    if not rows:
        raise UserError("the file has no numbers", where=str(path), wanted="numbers under `metrics`", do="leave it out")
    model = mapping(document.get("model_config") or mapping(tasks[0]).get("model_config"))
    return Read(frame(rows, _model(model, path), path).select(list(ROWS)))


def _model(config: Mapping[str, Any], path: Path) -> Row:
    name = str(config.get("model_path") or config.get("model") or path.parent.name)
    plain = {k: v for k, v in config.items() if not isinstance(v, Mapping | list)}
    row = place(name, revision=str(config.get("revision") or ""), arguments=plain)
    return {**row, "dtype": text(config.get("dtype") or config.get("torch_dtype"))}


def _task(task: Mapping[str, Any]) -> Iterator[Row]:
    config, metrics = mapping(task.get("task_config")), mapping(task.get("metrics"))
    name = str(task.get("task_name") or config.get("task_name") or task.get("alias"))
    chosen = config.get("primary_metric")
    found = {k: v for k, v in metrics.items() if number(v) is not None and not isinstance(v, str)}
    if chosen in found or len(found) > len(set(_MAIN) & set(found)):
        found = {k: v for k, v in found.items() if k not in _MAIN}  # the same number again
    for metric, value in found.items():
        hard = lookup(metric).role == "hard"
        yield {
            "task": name,
            "metric": metric,
            "value": number(value),
            "n_items": whole(task.get("num_instances")),
            "n_shot": whole(config.get("num_shots")),
            "limit": number(config.get("limit")),
            "task_version": text(mapping(config.get("metadata")).get("version") or config.get("version")),
            "nominal_floor": nominal_floor(name.split(":")[0]) if hard else None,
            "slice": None,
        }


def _recognises(d: Document) -> bool:
    if d.kind != "json" or isinstance(d.value, list):
        return False
    single = {"task_name", "metrics", "task_config"} <= d.names
    return single or ({"tasks", "all_primary_scores"} <= d.names)


FORMAT = Alone("OLMES metrics", _recognises, read)
PREDICTIONS = Left(
    "OLMES predictions",
    lambda d: d.kind == "lines" and {"doc_id", "metrics", "model_output"} <= d.names,
    "the …-metrics.json beside it",
    "give the folder; its metrics are read",
)
