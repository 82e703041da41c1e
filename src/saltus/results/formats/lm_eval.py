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
from saltus.hashing import content_hash
from saltus.metrics import base_name, lookup
from saltus.results.chance import nominal_floor
from saltus.results.formats import lm_eval_samples
from saltus.results.formats.base import Alone, Document, Left, Read
from saltus.results.formats.detect import load_json
from saltus.results.formats.kit import Row, frame, items_over_aggregates, mapping, number, refusing, text
from saltus.results.placing import place

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.-]+\d")
_NAME_KEYS = ("peft", "delta", "pretrained", "model", "path", "engine")
_PROMPT = (
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "description",
    "target_delimiter",
    "fewshot_delimiter",
    "gen_prefix",
)
GROUPS = frozenset(
    {
        "mmlu",
        "bbh",
        "blimp",
        "agieval",
        "mgsm",
        "xnli",
        "ceval-valid",
        "cmmlu",
        "hendrycks_math",
        "super-glue-lm-eval-v1",
    }
)
"""Groups of old files, which list no members."""
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
        items, remarks = lm_eval_samples.read(file, path)
        shared = {k: r for k, r in _shared(document, task).items() if k != "n_items"}
        items = [{**shared, **i} for i in items]
        rows, disagreements = items_over_aggregates(rows, items)
        samples += items
        notes += [f"{file}: {s}" for s in (*remarks, *disagreements)]
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
    found = document.get("results", document.get("table_results"))
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
    """Series, model, params, tokens, step, seed, variant and dtype of the model that was asked, and by what."""
    config = mapping(document.get("config"))
    args = {**_arguments(config.get("model_args")), **_arguments(document.get("model_args"))}
    name = _name(document, args) or path.stem
    revision = str(args.get("revision") or config.get("model_revision") or "")
    tags = [str(args[k]) for k in ("subfolder", *_NAME_KEYS, "base_url") if args.get(k) and str(args[k]) != name]
    plain = {k: v for k, v in args.items() if not isinstance(v, Mapping | list)}
    row = place(name, revision=revision, tags=tags, arguments=plain)
    if number(args.get("iteration")) is not None:  # GPT-NeoX names the checkpoint here alone
        row["step"] = number(args["iteration"])
    counted = number(config.get("model_num_parameters"))
    if counted and counted > 0:
        row["params"] = counted
    stated = [row["variant"]] if row["variant"] else []
    return {
        **row,
        "variant": ", ".join(stated + _edits(document, args)) or None,
        "dtype": text(config.get("model_dtype") or args.get("dtype") or args.get("precision")),
        "bos": text(args.get("add_bos_token")),
        "template": _template(document),
        "harness": text(document.get("lm_eval_version") or document.get("git_hash")),
        "transformers": text(document.get("transformers_version")),
        "asked_on": text(document.get("date")) or (m[0] if (m := _DATE.search(path.name)) else None),
        "limit": number(config.get("limit")),
    }


def _template(document: Mapping[str, Any]) -> str | None:
    """What was put around the questions: a chat template, a system instruction, turns."""
    parts = {
        "chat template": document.get("chat_template_sha") or document.get("chat_template"),
        "system instruction": document.get("system_instruction_sha") or document.get("system_instruction"),
        "turns": document.get("fewshot_as_multiturn") or None,
    }
    return ", ".join(f"{name} {content_hash(str(v))[7:15]}" for name, v in parts.items() if v) or None


def _name(document: Mapping[str, Any], args: Mapping[str, Any]) -> str:
    """What the model is called: by the file, by its arguments, by GPT-NeoX's configuration, by its kind; or nothing."""
    stated = [document.get("model_name"), *(args.get(k) for k in _NAME_KEYS)]
    if "eval_results_prefix" in args:
        stated += [args.get(k) for k in ("eval_results_prefix", "save", "load")]
    files = list(mapping(args.get("config_files")))  # GPT-NeoX: the configuration's name
    return next((str(s) for s in [*stated, *files[:1], document.get("model_source")] if s), "")


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
    config = mapping(document.get("config"))
    of_task = mapping(mapping(document.get("configs")).get(task))
    counts = mapping(document.get("n-samples")).get(task) or {}
    version = (document.get("versions") or {}).get(task)
    kind = str(of_task.get("output_type") or "")
    return {
        "task": task,
        "n_shot": _shots(document, task),
        "n_items": counts.get("effective") if isinstance(counts, Mapping) else None,
        "task_version": text(version),
        "nominal_floor": nominal_floor(task, kind),
        "format": {"multiple_choice": "choices", "generate_until": "generate", "loglikelihood": "cloze"}.get(kind),
        "prompt_text": _prompt(of_task),
        "filter": _filter(of_task),
        "prompt_hash": None if config.get("limit") else text((document.get("task_hashes") or {}).get(task)),
    }


def _shots(document: Mapping[str, Any], task: str) -> int | None:
    """Worked examples. Of a group those of its subtasks: some versions print 0 for the group itself."""
    counts, configs = mapping(document.get("n-shot")), mapping(document.get("configs"))
    for member in _members(document, task):
        found = number(counts.get(member, mapping(configs.get(member)).get("num_fewshot")))
        if found is not None:
            return int(found)
    stated = mapping(configs.get(task)).get("num_fewshot", mapping(document.get("config")).get("num_fewshot"))
    found = number(counts.get(task, stated))
    return None if found is None else int(found)


def _members(document: Mapping[str, Any], task: str) -> list[str]:
    """Subtasks of a group, as the file lists them or by the group's name at their beginning."""
    listed = mapping(document.get("group_subtasks")).get(task)
    if listed:
        return [m for m in listed if isinstance(m, str)]
    if task not in mapping(document.get("groups")) and task not in GROUPS:
        return []
    return sorted(t for t in mapping(document.get("results")) if t.startswith(f"{task}_"))


def _prompt(of_task: Mapping[str, Any]) -> str | None:
    """The beginning of the prompt's template, and a hash of all that makes the prompt; addresses of functions aside."""
    parts = {
        k: re.sub(r" at 0x[0-9a-f]+", "", str(of_task[k])) for k in _PROMPT if of_task.get(k) not in (None, "", [])
    }
    if not parts:
        return None
    return f"{parts.get('doc_to_text', '')[:60]} #{content_hash(parts)[7:15]}".strip()


def _filter(of_task: Mapping[str, Any]) -> str | None:
    """What was done to an answer before it was scored: names of the filters, and a hash of their settings."""
    filters = of_task.get("filter_list")
    if not filters:
        return None
    names = [str(f.get("name", "")) for f in filters if isinstance(f, Mapping)]
    return f"{'+'.join(names)} #{content_hash(re.sub(r' at 0x[0-9a-f]+', '', str(filters)))[7:15]}"


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
    if d.kind != "json":
        return False
    fork = "table_results" in d.names and "model_args" in d.names  # the BigScience fork's short layout
    return fork or ("results" in d.names and bool({"config", "versions", "configs"} & d.names))


FORMAT = Alone("lm-eval results", _recognises, read, samples_of)
SAMPLES = Left(
    "lm-eval samples",
    lambda d: d.kind == "lines" and "doc_id" in d.names and bool({"resps", "filtered_resps"} & d.names),
    "the results_….json that lm-eval wrote beside it",
    "give the folder or the results file; its samples are picked up by themselves",
)
