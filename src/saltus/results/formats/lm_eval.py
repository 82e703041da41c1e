"""Reads results JSON of lm-evaluation-harness, the old layout and the new, with the samples that lie beside it.

Model, step, size, seed, shots and date come from the file's own content; only where it names no model does the path
speak. Aggregates of metrics whose items are known are replaced by those items (`lm_eval_samples`): the harness's
errors ignore clusters, and its soft metrics are partly unusable. Known limits: chance is known for
common tasks only (`chance.py`), or from the choices in the samples; group rows stay beside their members.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.metrics import base_name, lookup
from saltus.results.chance import nominal_floor
from saltus.results.formats import lm_eval_samples
from saltus.results.formats.base import Alone, Document, Left, Read
from saltus.results.formats.detect import load_json
from saltus.results.formats.kit import Row, frame, items_over_aggregates, number, place, refusing, text
from saltus.results.units import tokens_in

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.-]+\d")
_NAME_KEYS = ("peft", "delta", "pretrained", "model", "path", "engine")
_QUANTISED = ("load_in_8bit", "load_in_4bit", "gptq", "autogptq")


@refusing("lm-eval results")
def read(path: Path) -> Read:
    """One results file and the samples beside it as rows of the results table, and notes. Raises UserError."""
    document = load_json(path)
    results = _results(document, path)
    model = _model(document, path)
    rows = [r for task, found in results.items() for r in _task_rows(document, task, found)]
    if not rows:
        raise UserError("the file has no numbers", where=str(path), wanted="metrics under `results`", do="leave it out")
    samples, notes = [], list[str]()
    for file in samples_of(path):
        task = _task_of(file, results)
        if task is None:
            notes.append(f"{file.name}: its task is not in {path.name}; not read")
            continue
        items, said = lm_eval_samples.read(file, path)
        shared = {k: r for k, r in _shared(document, task).items() if k != "n_items"}
        items = [{**shared, **i} for i in items]
        rows, disagreements = items_over_aggregates(rows, items)
        samples += items
        notes += [f"{file}: {s}" for s in (*said, *disagreements)]
    return Read(frame(rows + samples, model, path), notes)


def samples_of(path: Path) -> list[Path]:
    """The sample files written with this results file: same folder, same date in the name."""
    date = _DATE.search(path.name)
    if date:
        return sorted(path.parent.glob(f"samples_*{date[0]}.jsonl"))
    others = [p for p in path.parent.glob("*.json") if p != path]
    return [] if others else sorted(path.parent.glob("samples_*.jsonl"))


def _task_of(file: Path, results: Mapping[str, Any]) -> str | None:
    stem = re.sub(r"^samples_|\.jsonl$", "", _DATE.sub("", file.name)).strip("_")
    return stem if stem in results else None


def _results(document: Mapping[str, Any], path: Path) -> dict[str, Mapping[str, Any]]:
    found = document["results"]
    if isinstance(found, list):  # the prompt-level layout of the BigScience fork
        found = {f"{r.get('task_name')}+{r.get('prompt_name')}": r for r in found if isinstance(r, Mapping)}
    if not isinstance(found, Mapping) or not all(isinstance(v, Mapping) for v in found.values()):
        raise UserError(
            "`results` is not a mapping from task to metrics",
            where=str(path),
            wanted="lm-eval results JSON",
            do="leave the file out, or turn it into a table",
        )
    return dict(found)


def _model(document: Mapping[str, Any], path: Path) -> Row:
    """Series, model, params, tokens, step, seed, variant and dtype of the model that was asked."""
    config = document.get("config") or {}
    args = _arguments(config.get("model_args"))
    name = _name(document, args) or path.stem
    revision = str(args.get("revision") or config.get("model_revision") or "")
    row = {**place(name, revision=revision), "tokens": tokens_in(revision)}
    if args.get("iteration") is not None:  # GPT-NeoX names the checkpoint here alone
        row["step"] = float(args["iteration"])
    counted = number(config.get("model_num_parameters"))
    if counted and counted > 0:
        row["params"] = counted
    return {
        **row,
        "variant": ", ".join(_edits(document, args)) or None,
        "dtype": text(config.get("model_dtype") or args.get("dtype") or args.get("precision")),
        "asked_on": text(document.get("date")) or (m[0] if (m := _DATE.search(path.name)) else None),
        "limit": config.get("limit"),
    }


def _name(document: Mapping[str, Any], args: Mapping[str, Any]) -> str:
    """What the model is called: by the file, by its arguments, by GPT-NeoX's configuration, by its kind; or nothing."""
    stated = [document.get("model_name"), *(args.get(k) for k in _NAME_KEYS)]
    if "eval_results_prefix" in args:
        stated += [args.get(k) for k in ("eval_results_prefix", "save", "load")]
    return next((str(s) for s in [*stated, document.get("model_source")] if s), "")


def _edits(document: Mapping[str, Any], args: Mapping[str, Any]) -> list[str]:
    """What makes it another variant of the model: a chat template, quantised weights."""
    chat = ["chat template"] if document.get("chat_template") else []
    return chat + [q for q in _QUANTISED if str(args.get(q, "False")) not in ("False", "None", "")]


def _arguments(given: Any) -> dict[str, Any]:
    """`pretrained=…,revision=…` or a mapping."""
    if isinstance(given, Mapping):
        return dict(given)
    parts = (part.split("=", 1) for part in str(given or "").split(",") if "=" in part)
    return {key.strip(): value.strip() for key, value in parts}


def _shared(document: Mapping[str, Any], task: str) -> Row:
    """What all numbers of a task share: shots, items, version, chance."""
    config = document.get("config") or {}
    of_task = (document.get("configs") or {}).get(task) or {}
    shots = (document.get("n-shot") or {}).get(task, of_task.get("num_fewshot", config.get("num_fewshot")))
    counts = (document.get("n-samples") or {}).get(task) or {}
    version = (document.get("versions") or {}).get(task)
    kind = str(of_task.get("output_type") or "")
    return {
        "task": task,
        "n_shot": int(shots) if isinstance(shots, int | float) else None,
        "n_items": counts.get("effective") if isinstance(counts, Mapping) else None,
        "task_version": text(version),
        "nominal_floor": nominal_floor(task, kind),
        "format": {"multiple_choice": "choices", "generate_until": "generate", "loglikelihood": "cloze"}.get(kind),
        "prompt_hash": None if config.get("limit") else text((document.get("task_hashes") or {}).get(task)),
    }


def _task_rows(document: Mapping[str, Any], task: str, found: Mapping[str, Any]) -> Iterator[Row]:
    """One row per metric of a task; `acc,none` is `acc`, other filters stay in the name."""
    shared = _shared(document, task)
    better = (document.get("higher_is_better") or {}).get(task) or {}
    for key, value in found.items():
        name, _, filtered = key.partition(",")
        if name.endswith("_stderr") or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if name in ("sample_len", "sample_count", "alias"):
            continue
        error = found.get(f"{name}_stderr,{filtered}" if filtered else f"{name}_stderr")
        error = float(error) if isinstance(error, int | float) else None
        metric = name if filtered in ("", "none") else key
        items = shared["n_items"] or _items_from(metric, float(value), error)
        floor = shared["nominal_floor"] if lookup(metric).role == "hard" else None
        yield {
            **shared,
            "metric": metric,
            "value": float(value),
            "stderr": error,
            "n_items": items,
            "higher_is_better": better.get(base_name(name)),
            "nominal_floor": floor,
        }


def _items_from(metric: str, value: float, error: float | None) -> int | None:
    """Items behind a share, from its error: lm-eval's is √(p(1−p)/(n−1)). None where that is no whole number."""
    if not error or not math.isfinite(error) or not lookup(metric).binomial or not 0 < value < 1:
        return None
    n = value * (1 - value) / error**2 + 1
    right = n * value
    whole = abs(n - round(n)) < 1e-3 * max(1.0, n / 1000) and abs(right - round(right)) < 1e-2
    return round(n) if whole else None


def _recognises(d: Document) -> bool:
    return d.kind == "json" and "results" in d.names and bool({"config", "versions", "configs"} & d.names)


FORMAT = Alone("lm-eval results", _recognises, read, samples_of)
SAMPLES = Left(
    "lm-eval samples",
    lambda d: d.kind == "lines" and "doc_id" in d.names and bool({"resps", "filtered_resps"} & d.names),
    "the results_….json that lm-eval wrote beside it",
    "give the folder or the results file; its samples are picked up by themselves",
)
