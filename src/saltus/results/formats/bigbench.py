"""Reads scores of BIG-bench as its repository publishes them: one task of one model, with shots and subtasks.

The range of every score is stated beside it, so per cent and shares need no guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.results.formats.base import Alone, Document, Read
from saltus.results.formats.detect import load_json
from saltus.results.formats.kit import frame, mapping, number, refusing, whole
from saltus.results.placing import Row, place


@refusing("BIG-bench scores")
def read(path: Path) -> Read:
    """Every score as rows of the results table. Raises UserError."""
    document = load_json(path)
    task = str(mapping(document["task"]).get("task_name") or path.parent.name)
    rows = [row for entry in document["scores"] for row in _scores(mapping(entry), task)]
    if not rows:
        raise UserError("the file has no numbers", where=str(path), wanted="numbers under `scores`", do="leave it out")
    return Read(frame(rows, _model(mapping(document["model"])), path))


def _model(model: Mapping[str, Any]) -> Row:
    family, name = str(model.get("model_family") or ""), str(model.get("model_name") or "")
    stated = {"family": family, "params": model.get("total_params") or model.get("non_embedding_params")}
    whole_name = f"{family} {name}".strip() if family and family not in name else name
    return place(whole_name, stated={k: v for k, v in stated.items() if v})


def _scores(entry: Mapping[str, Any], task: str) -> Iterator[Row]:
    """One row per metric. A subtask is a task of its own; the preferred metric's range is the one stated."""
    part = str(entry.get("subtask_description") or "").strip()
    name = task if not part or part == task else f"{task}:{part}"
    for metric, value in mapping(entry.get("score_dict")).items():
        if number(value) is None:
            continue
        stated = metric == entry.get("preferred_score")
        low, high = number(entry.get("low_score")), number(entry.get("high_score"))
        yield {
            "task": name,
            "metric": metric,
            "value": number(value),
            "n_shot": whole(entry.get("number_of_shots")),
            "nominal_floor": low if stated and metric == "multiple_choice_grade" else None,
            "low": 0.0 if stated and high in (1.0, 100.0) else None,
            "high": high if stated and high in (1.0, 100.0) else None,
        }


def _recognises(d: Document) -> bool:
    if d.kind != "json" or not {"task", "model", "scores"} <= d.names or not isinstance(d.value["scores"], list):
        return False
    return all(isinstance(s, Mapping) and "score_dict" in s for s in d.value["scores"])


FORMAT = Alone("BIG-bench scores", _recognises, read)
