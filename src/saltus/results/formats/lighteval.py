"""Reads lighteval: `results_DATE.json`, and the details of each task that were saved with it as Parquet.

Details of 0.10 and later (columns doc, model_response, metric) give log-likelihoods of the choices, hence soft twins;
those before (choices, gold_index, predictions, metrics) give the scores of each item alone, because their predictions
are of several kinds that the file does not tell apart. lighteval's own averages over tasks are left out, and its
standard errors of metrics that are no plain means understate (it divides a bootstrap's spread by √B). `model_size` is
memory, not parameters, so parameters come from the model's name. Known limit: details have no ids of their own
in some versions; then the position counts.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from saltus.errors import UserError
from saltus.metrics import lookup
from saltus.results.chance import nominal_floor
from saltus.results.formats.base import Alone, Document, Left, Read
from saltus.results.formats.detect import load_json
from saltus.results.formats.kit import (
    Row,
    choice_twins,
    frame,
    items_over_aggregates,
    mapping,
    number,
    refusing,
    text,
    text_twins,
)
from saltus.results.placing import place

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.-]+\d")
_NEW = ("doc", "model_response", "metric")
_NAMES = {"loglikelihood_acc": "acc", "loglikelihood_acc_norm": "acc_norm"}


@refusing("lighteval results")
def read(path: Path) -> Read:
    """One results file and its details as rows, and notes. Raises UserError."""
    document = load_json(path)
    config = mapping(document.get("config_general"))
    results = mapping(document.get("results"))
    name = _name(config)
    if not name or not all(isinstance(v, Mapping) for v in results.values()):
        raise UserError(
            "lighteval results without a model's name, or without metrics by task",
            where=str(path),
            wanted="`config_general.model_name` and `results` as lighteval writes them",
        )
    tasks = {key: found for key, found in results.items() if key != "all" and "_average" not in key}
    rows = [row for key, found in tasks.items() for row in _aggregates(document, key, found)]
    items: list[Row] = []
    notes: list[str] = []
    files = details_of(path, str(name))
    for key in tasks:
        file = next((f for f in files if _plain(_task_of(f)) == _plain(key)), None)
        if file is None:
            continue
        found, stated = _items(file, _shared(document, key))
        items += found
        notes += [f"{file.name}: {s}" for s in stated]
    rows, disagree = items_over_aggregates(rows, items)
    if len(tasks) < len(results):
        notes.append(f"{len(results) - len(tasks)} averages over tasks are left out")
    return Read(frame(rows + items, _model(config, str(name)), path), notes + disagree)


def details_of(path: Path, model: str) -> list[Path]:
    """The details saved with this results file: same date, in `details/MODEL/DATE` beside `results`, or below it."""
    date = _DATE.search(path.name)
    if not date:
        return []
    places = [path.parent, path.parent / date[0]]
    places += [up / "details" / model.strip("/") / date[0] for up in list(path.parents)[:6]]
    found = (p for folder in places if folder.is_dir() for p in sorted(folder.glob("details_*.parquet")))
    return [p for p in found if date[0] in p.name]


def _task_of(file: Path) -> str:
    return re.sub(r"^details_|\.parquet$", "", _DATE.sub("", file.name)).strip("_")


def _plain(task: str) -> str:
    """Task names with `|`, `:` and `/` are written differently from one file system to another."""
    return re.sub(r"[^A-Za-z0-9]+", "_", task).strip("_")


def _model(config: Mapping[str, Any], name: str) -> Row:
    of_model = mapping(config.get("model_config"))
    revision = str(of_model.get("revision") or "")
    dtype = of_model.get("dtype") or config.get("model_dtype")
    return {
        **place(name, revision=revision, arguments=of_model),
        "dtype": text(dtype),
        "limit": number(config.get("max_samples")),
    }


def _shared(document: Mapping[str, Any], key: str) -> Row:
    """`suite|task|shots` or `task|shots`: the task without suite, its shots, version and size."""
    parts = key.split("|")
    shots = next((int(p) for p in reversed(parts) if p.isdigit()), None)
    named = [p for p in parts if not p.isdigit()]
    of_task = mapping(document.get("config_tasks"))
    config = mapping(of_task.get(key) or of_task.get(key.rpartition("|")[0]) or of_task.get("|".join(named)))
    size = config.get("effective_num_docs")
    return {
        "task": named[-1] if named else key,
        "n_shot": shots,
        "task_version": text(mapping(document.get("versions")).get(key)),
        "n_items": size if isinstance(size, int) and size > 0 else None,
        "_better": {
            m["metric_name"]: m.get("higher_is_better")
            for m in config.get("metrics") or config.get("metric") or ()
            if isinstance(m, Mapping) and isinstance(m.get("metric_name"), str)
        },
    }


def _aggregates(document: Mapping[str, Any], key: str, found: Mapping[str, Any]) -> Iterator[Row]:
    shared = _shared(document, key)
    better = shared.pop("_better")
    for name, value in found.items():
        if name.endswith("_stderr") or number(value) is None:
            continue
        error = number(found.get(f"{name}_stderr"))
        metric = _NAMES.get(name, name)
        hard = lookup(metric).role == "hard"
        yield {
            **shared,
            "metric": metric,
            "value": float(value),
            "higher_is_better": better.get(name),
            "stderr": error if error is None or math.isfinite(error) else None,
            "nominal_floor": nominal_floor(shared["task"].replace(":", "_")) if hard else None,
        }


def _items(file: Path, shared: Row) -> tuple[list[Row], list[str]]:
    try:
        details = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(
            f"cannot be read as Parquet: {str(error).splitlines()[0]}",
            where=str(file),
            do="copy it again, or remove it: the results beside it can be read without",
        ) from error
    details = details.rename({f"__{c}__": c for c in (*_NEW, "metric") if f"__{c}__" in details.columns})
    base = {k: v for k, v in shared.items() if k not in ("n_items", "_better")}
    rows: list[Row] = []
    lost = 0
    if set(_NEW) <= set(details.columns):
        score = _new_item
    elif "metrics" in details.columns:
        score = _old_item
    else:
        return [], [f"neither the columns {', '.join(_NEW)} nor `metrics`; the aggregates stand"]
    for i, detail in enumerate(details.iter_rows(named=True)):
        try:
            rows += [{**base, "item_id": str(i), **row} for row in score(detail)]
        except (ValueError, SyntaxError, KeyError, TypeError, IndexError):
            lost += 1
    return rows, [f"{lost} of {details.height} items are not understood and left out"] if lost else []


def _new_item(detail: Mapping[str, Any]) -> Iterator[Row]:
    doc, response, metrics = (_value(detail[c]) for c in _NEW)
    identity = {"item_id": str(doc["id"])} if doc.get("id") not in (None, "") else {}
    cut = {"truncated": float((response.get("truncated_tokens_count") or 0) > 0)}
    gold = doc["gold_index"] if isinstance(doc["gold_index"], Sequence) else [doc["gold_index"]]
    choices = [str(c) for c in doc.get("choices") or ()]
    totals = [float(v) for v in response.get("logprobs") or ()]
    ranked = len(totals) == len(choices) > 1 and _asked_for(doc, "LOGPROBS")
    floor = {"nominal_floor": len(gold) / len(choices)} if ranked else {}
    rows: dict[str, float] = dict(_scores(metrics))
    if ranked:
        rows = {**{m: v for m, v in choice_twins(totals, gold) if m != "acc" or "acc" not in rows}, **rows}
    elif response.get("text") and any(lookup(m).role == "hard" for m in rows):
        answers = response.get("text_post_processed") or response["text"]
        golds = [choices[g] for g in gold if 0 <= g < len(choices)]
        rows.update(text_twins(str(answers[0]), golds))
    for metric, value in rows.items():
        chance = floor if lookup(metric).role == "hard" else {}
        yield {**identity, **cut, **chance, "metric": metric, "value": value}


def _asked_for(doc: Mapping[str, Any], method: str) -> bool:
    methods = doc.get("sampling_methods")
    return not methods or any(method in str(m).upper() for m in methods)


def _old_item(detail: Mapping[str, Any]) -> Iterator[Row]:
    metrics = _value(detail["metrics"])
    choices, gold = (_value(detail.get(c)) or [] for c in ("choices", "gold_index"))
    chance = len(gold) / len(choices) if len(choices) > 1 and gold else None
    lengths = _value(detail.get("truncated")) or []
    cut = {"truncated": float(any(n > 0 for n in lengths))} if isinstance(lengths, list) else {}
    for metric, value in _scores(metrics):
        floor = {"nominal_floor": chance} if lookup(metric).role == "hard" else {}
        yield {**cut, **floor, "metric": metric, "value": value}


def _scores(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The plain numbers among an item's metrics; corpus metrics keep parts there that are no scores."""
    for name, value in metrics.items():
        if isinstance(value, bool | int | float) and math.isfinite(value):
            yield _NAMES.get(name, name), float(value)


def _value(cell: Any) -> Any:
    """A cell as it was before some versions wrote everything as text."""
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return ast.literal_eval(cell)


def _name(config: Mapping[str, Any]) -> Any:
    return config.get("model_name") or mapping(config.get("model_config")).get("model_name")


def _recognises(d: Document) -> bool:
    return d.kind == "json" and {"config_general", "results"} <= d.names


def _companions(path: Path) -> list[Path]:
    return details_of(path, str(_name(mapping(mapping(load_json(path)).get("config_general"))) or ""))


def _details(d: Document) -> bool:
    plain = {c.strip("_") for c in d.names}
    old = {"full_prompt", "gold_index", "metrics", "predictions"}
    return d.kind == "parquet" and ({"doc", "model_response", "metric"} <= plain or old <= plain)


FORMAT = Alone("lighteval results", _recognises, read, _companions)
DETAILS = Left(
    "lighteval details",
    _details,
    "the results_….json of the same run and date",
    "give the output folder of the run; its details are picked up by themselves",
)
