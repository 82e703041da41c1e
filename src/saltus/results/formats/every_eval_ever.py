"""Reads Every Eval Ever 0.3: an aggregate `.json` per model, and the `_samples.jsonl` beside it.

The schema has no axis for checkpoints: step, tokens, parameters and seed are read from `additional_details` of the
model, under any name the results table knows, then from its name. Metrics are named by `metric_name`, `metric_id` or,
in records made before those, the description. Values on 0–100 whose metric is a share are divided by 100. Known
limit: records of leaderboards (`documentation`) hold what somebody reported, so a note says how many there are.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.metrics import KNOWN, base_name, lookup
from saltus.results.chance import nominal_floor
from saltus.results.formats.base import Alone, Document, Left, Read
from saltus.results.formats.detect import load_json
from saltus.results.formats.kit import (
    Row,
    frame,
    items_over_aggregates,
    mapping,
    number,
    refusing,
    text,
    text_twins,
    version_notes,
    whole,
)
from saltus.results.placing import place

VERSION = (0, 3, 0)
METRIC_IDS = {
    "acc": "accuracy",
    "exact_match": "exact-match",
    "em": "exact-match",
    "pass@1": "pass-at-1",
    "pass@10": "pass-at-10",
    "pass@100": "pass-at-100",
}
"""Our names of metrics that have a global id in the standard."""
_FROM_IDS = {
    "exact-match": "exact_match",
    "pass-at-1": "pass@1",
    "pass_at_1": "pass@1",
    "pass-at-10": "pass@10",
    "pass-at-100": "pass@100",
}
_CONDITIONS = ("condition", "condition_level", "format", "elicitation", "slice", "skill")


@refusing("an Every Eval Ever record")
def read(path: Path) -> Read:
    """One record as rows, its samples if they lie beside it, notes. Raises UserError for another version."""
    document = load_json(path)
    notes = version_notes(
        "Every Eval Ever record",
        document.get("schema_version"),
        known=VERSION,
        oldest=(0, 1),
        where=path,
        do="validate it with the package every-eval-ever, or update saltus",
    )
    info = mapping(document.get("model_info"))
    name = info.get("id") or info.get("name")
    if not name or not isinstance(document.get("evaluation_results"), list):
        raise UserError(
            "an Every Eval Ever record that names no model or has no list of results",
            where=str(path),
            wanted="`model_info.id` and `evaluation_results`",
        )
    results = [_result(r) for r in document["evaluation_results"]]
    found, remarks = _samples(path, document, results)
    rows, disagree = items_over_aggregates([r for r, _ in results], found)
    kind = mapping(document.get("source_metadata")).get("source_type")
    if kind == "documentation":
        notes.append(f"{len(rows)} reported numbers, not a run's own")
    return Read(frame(rows + found, _model(document, str(name)), path), notes + remarks + disagree)


def samples_of(path: Path, document: Mapping[str, Any]) -> Path | None:
    """The samples of an aggregate record: the file it names, or NAME_samples.jsonl, in the same folder."""
    named = mapping(document.get("detailed_evaluation_results")).get("file_path")
    names = ([Path(str(named)).name] if named else []) + [f"{path.stem}_samples.jsonl"]
    return next((f for n in names if (f := path.with_name(n)).is_file()), None)


def aggregate_of(samples: Path) -> Path | None:
    """The aggregate record of a file of samples, where it lies beside it."""
    record = samples.with_name(samples.name.removesuffix("_samples.jsonl") + ".json")
    return record if record != samples and record.is_file() else None


def _model(document: Mapping[str, Any], name: str) -> Row:
    info = mapping(document.get("model_info"))
    details = mapping(info.get("additional_details"))
    row = place(name, revision=str(details.get("revision") or ""), stated=details, tags=[str(info.get("id") or "")])
    return {**row, "dtype": text(details.get("dtype")), "asked_on": text(document.get("evaluation_timestamp"))}


def _result(result: Mapping[str, Any]) -> tuple[Row, float]:
    """(row, what its value was divided by) of one aggregate result."""
    config, score = mapping(result["metric_config"]), mapping(result["score_details"])
    asked = mapping(mapping(result.get("generation_config")).get("additional_details"))
    shown = mapping(score.get("details"))
    uncertainty = mapping(score.get("uncertainty"))
    metric = _metric(config, mapping(config.get("additional_details")))
    known = lookup(metric)
    per_cent = number(config.get("max_score")) == 100.0 and known.high == 1.0 and not known.guessed
    by = 100.0 if per_cent else 1.0
    error = number(mapping(uncertainty.get("standard_error")).get("value"))
    task = str(asked.get("task") or result["evaluation_name"])
    size = uncertainty.get("num_samples") or mapping(result.get("source_data")).get("samples_number")
    row: Row = {
        "task": task,
        "metric": metric,
        "value": float(score["score"]) / by,
        "stderr": None if error is None else error / by,
        "n_items": size if isinstance(size, int) else None,
        "n_shot": whole(asked.get("num_fewshot")),
        "higher_is_better": not config["lower_is_better"],
        "low": _bound(config.get("min_score"), by),
        "high": _bound(config.get("max_score"), by),
        "nominal_floor": _first(
            number(shown.get("nominal_floor")), nominal_floor(task) if known.role == "hard" else None
        ),
        "floor": number(shown.get("floor")),
        "floor_stderr": number(shown.get("floor_stderr")),
        "floor_source": text(shown.get("floor_source")),
        "target_tokens": number(shown.get("target_tokens")),
        "role": text(shown.get("role")),
        "repeat": whole(asked.get("repeat")),
        **{c: text(asked.get(c)) for c in _CONDITIONS},
    }
    return row, by


def _bound(stated: Any, by: float) -> float | None:
    """A limit of the score that the record states, in the unit of the value; None where it states none."""
    found = number(stated)
    return None if found is None or not math.isfinite(found) else found / by


def _first(*values: float | None) -> float | None:
    return next((v for v in values if v is not None), None)


def _metric(config: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    given = [
        details.get("saltus_metric"),
        config.get("metric_name"),
        config.get("metric_id"),
        str(config.get("evaluation_description") or "").partition(" (")[0],
    ]
    given += [str(g).partition(" on ")[0] for g in given if g and " on " in str(g)]  # "Accuracy on IFEval"
    names = [_FROM_IDS.get(str(n).strip(), str(n).strip()) for n in given if n]
    known = [n for n in names for n in (n, n.lower()) if base_name(n) in KNOWN]
    if not names:
        raise ValueError("a result names no metric")
    return str(known[0] if known else names[0])


def _samples(path: Path, document: Mapping[str, Any], results: list[tuple[Row, float]]) -> tuple[list[Row], list[str]]:
    shown = mapping(document.get("detailed_evaluation_results"))
    file = samples_of(path, document)
    if file is None:
        return [], ["the samples it names are not beside it"] if shown.get("file_path") else []
    checksum = str(shown.get("checksum") or "")
    how = str(shown.get("hash_algorithm") or "sha256")
    if checksum and hashlib.new(how, file.read_bytes()).hexdigest() != checksum:
        return [], [f"{file.name}: its {how} is not the one in the record; not read"]
    by_id: dict[str, tuple[Row, float]] = {}
    by_name: dict[str, list[tuple[Row, float]]] = {}
    for result, found in zip(document["evaluation_results"], results):
        if result.get("evaluation_result_id"):
            by_id[str(result["evaluation_result_id"])] = found
        by_name.setdefault(str(result["evaluation_name"]), []).append(found)
    rows: list[Row] = []
    lost = 0
    for sample in _lines(file):
        same = by_name.get(str(sample.get("evaluation_name")), [])
        joined = by_id.get(str(sample.get("evaluation_result_id"))) or (same[0] if len(same) == 1 else None)
        if joined is None:
            lost += 1
            continue
        rows += _sample(sample, *joined)
    wanted = shown.get("total_rows")
    notes = [f"{file.name}: {lost} samples belong to no result of the record"] if lost else []
    n = lost + len({(r["item_id"], r["metric"], r["task"]) for r in rows if not r.get("_twin")})
    if isinstance(wanted, int) and wanted != n and not lost:
        notes.append(f"{file.name}: {n} samples where the record says {wanted}")
    return [{k: v for k, v in r.items() if k != "_twin"} for r in rows], notes


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    with open(file, encoding="utf-8") as lines:
        for count, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(
                    f"broken JSON: {error}",
                    where=f"{file}, line {count}",
                    do="copy the file again, or remove it: the record beside it can be read without",
                ) from error


def _sample(sample: Mapping[str, Any], result: Row, by: float) -> Iterator[Row]:
    asked, given = mapping(sample["input"]), mapping(sample.get("output"))
    details = mapping(sample.get("metadata"))
    choices = asked.get("choices") or ()
    shared = {k: v for k, v in result.items() if k not in ("value", "stderr", "n_items")}
    shared |= {
        "item_id": str(sample["sample_id"]),
        "group": text(details.get("group")),
        "difficulty": number(details.get("difficulty")),
        "parent_id": text(details.get("parent_id")),
        "relation": text(details.get("relation")),
    }
    if details.get("repeat") is not None:
        shared["repeat"] = whole(details["repeat"])
    hard = lookup(result["metric"]).role == "hard"
    if hard and choices:
        shared["nominal_floor"] = len(asked["reference"]) / len(choices)
    if sample.get("error"):
        yield {**shared, "value": None, "why_missing": f"the sample failed: {sample['error']}"}
        return
    yield {**shared, "value": float(sample["evaluation"]["score"]) / by}
    ends = [a for a in sample.get("answer_attribution") or () if a.get("is_terminal")]
    answers = [str(a["extracted_value"]) for a in ends] or [str(t) for t in given.get("raw") or ()]
    if hard and not choices and answers:
        for metric, value in text_twins(answers[-1], [str(r) for r in asked["reference"]]):
            yield {**shared, "metric": metric, "value": value, "nominal_floor": None, "_twin": True}


def _recognises(d: Document) -> bool:
    return d.kind == "json" and "evaluation_results" in d.names


def _companions(path: Path) -> list[Path]:
    samples = samples_of(path, mapping(load_json(path)))
    return [samples] if samples else []


FORMAT = Alone("Every Eval Ever record", _recognises, read, _companions)
SAMPLES = Left(
    "Every Eval Ever samples",
    lambda d: d.kind == "lines" and {"evaluation_id", "sample_id", "evaluation"} <= d.names,
    "the .json record of the same name beside it",
    "give the folder or the record; its samples are picked up by themselves",
    aggregate_of,
)
