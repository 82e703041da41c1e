"""Reads logs of Inspect, `.json` and `.eval`: item-level scores where samples are logged, else their aggregates.

A log is one model on one task. Epochs are repeats; `C`, `P`, `I`, `N` become 1, ½, 0, 0 as in Inspect's own metrics; a
scorer that gives several values gives as many metrics, so soft twins logged that way arrive as such. Written answers
judged by comparison with their target gain the twins of `kit.text_twins`. Where the model stands is read from
`metadata` (params, tokens, step, seed …), then from its name and revision. Known limits: scores that are lists are left
out; reducers other than the mean (`pass_at_k`) come from the aggregates; edited scores count as edited.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.metrics import lookup
from saltus.results.chance import nominal_floor
from saltus.results.formats.base import Alone, Document, Read
from saltus.results.formats.detect import load_json
from saltus.results.formats.inspect_words import COMPARING, SYMBOLS
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
)
from saltus.results.placing import place

if sys.version_info >= (3, 14):
    import zipfile

    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError, zipfile

KNOWN = (2,)
_ERRORS = frozenset({"stderr", "bootstrap_stderr", "std", "var", "ci", "ci_lower", "ci_upper"})
_SHOTS = ("fewshot", "num_fewshot", "n_shot", "n_shots", "few_shot", "shots")


@refusing("an Inspect log")
def read(path: Path) -> Read:
    """One log as rows, and notes. Raises UserError for another version or a damaged file."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"PK"
    if not packed:
        log = load_json(path)
        return _read(log, log.get("samples") or (), [], path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _Entries(archive, path)
            return _read(entries.header(), entries.samples(), [], path)
    except (zipfile.BadZipFile, OSError) as error:
        raise _broken(path, error) from error


@dataclass(frozen=True)
class _Entries:
    """An open `.eval` archive. Entries are packed with Zstandard, which zipfile opens from Python 3.14 on."""

    archive: zipfile.ZipFile
    path: Path

    def header(self) -> Mapping[str, Any]:
        names = set(self.archive.namelist())
        if "header.json" in names:
            return self._json("header.json")
        if "_journal/start.json" in names:
            return {"status": "started", **self._json("_journal/start.json")}
        raise UserError(
            "an archive without `header.json`", where=str(self.path), wanted="an Inspect log (.eval)", do="leave it out"
        )

    def samples(self) -> Iterator[Mapping[str, Any]]:
        for name in sorted(self.archive.namelist()):
            if name.startswith("samples/") and name.endswith(".json"):
                yield self._json(name)

    def _json(self, name: str) -> Any:
        """An entry. No more is unpacked than the archive says there is, whatever is packed; its checksum is checked."""
        size = self.archive.getinfo(name).file_size
        try:
            with self.archive.open(name) as entry:
                data = entry.read(size)
        except (zipfile.BadZipFile, ZstdError, zlib.error, OSError, EOFError, RuntimeError) as error:
            raise _broken(self.path, f"{name}: {error}") from error  # RuntimeError: encrypted, or packed by other means
        return json.loads(data)


def _broken(path: Path, why: object) -> UserError:
    return UserError(
        f"broken archive: {why}", where=str(path), wanted="a whole file", do="copy it again, or leave it out"
    )


def _read(log: Mapping[str, Any], samples: Iterable[Mapping[str, Any]], notes: list[str], path: Path) -> Read:
    notes += version_notes(
        "Inspect log",
        log.get("version", KNOWN[0]),
        known=KNOWN,
        oldest=KNOWN,
        where=path,
        do="convert it with `inspect log convert` of the installed inspect-ai, or update saltus",
    )
    spec = mapping(log.get("eval"))
    if not spec.get("task") or not spec.get("model"):
        raise UserError(
            "an Inspect log that names no task or no model", where=str(path), wanted="`eval.task` and `eval.model`"
        )
    shared = _shared(spec)
    items, remarks = _items(samples, spec, log, shared)
    rows = [{**shared, **row} for row in _aggregates(log)]
    rows, disagree = items_over_aggregates(rows, items)
    status = log.get("status")
    if status != "success":
        why = mapping(log.get("error")).get("message")
        notes.append(f"status `{status}`{f' ({why})' if why else ''}: what was scored before is used")
    return Read(frame(rows + items, _model(spec, log), path), notes + remarks + disagree)


def _model(spec: Mapping[str, Any], log: Mapping[str, Any]) -> Row:
    args = mapping(spec.get("model_args"))
    stated = {**mapping(log.get("metadata")), **mapping(spec.get("metadata"))}
    local = args.get("model_path")
    name = str(local) if isinstance(local, str) and local else str(spec["model"])
    tags = [str(t) for t in spec.get("tags") or () if isinstance(t, str)]
    tags += [str(v) for v in (args.get("adapter_path"), args.get("peft"), spec.get("model_base_url")) if v]
    row = place(name, revision=str(args.get("revision") or ""), stated=stated, tags=tags, arguments=args)
    row["model_args"] = ",".join(dict.fromkeys([row["model_args"], *tags]))
    dtype = stated.get("dtype") or args.get("dtype") or args.get("torch_dtype")
    limit = mapping(spec.get("config")).get("limit")
    packages = mapping(spec.get("packages"))
    return {
        **row,
        "dtype": text(dtype),
        "asked_on": text(spec.get("created")),
        "limit": number(limit),
        "harness": text(packages.get("inspect_ai")),
        "transformers": text(packages.get("transformers")),
    }


def _shared(spec: Mapping[str, Any]) -> Row:
    """Task, shots and version. Arguments given to the task make it another variant, the shots aside."""
    given = mapping(spec.get("task_args_passed"))
    args = {**mapping(spec.get("task_args")), **given}
    shots = next((args[k] for k in _SHOTS if k in args), None)
    passed = ", ".join(f"{k}={v}" for k, v in sorted(given.items()) if k not in _SHOTS)
    row: Row = {
        "task": str(spec["task"]).rsplit("/", 1)[-1],
        "task_version": text(spec.get("task_version")),
        "n_shot": shots if isinstance(shots, int) and not isinstance(shots, bool) else None,
    }
    return {**row, "variant": passed} if passed else row


def _items(
    samples: Iterable[Mapping[str, Any]], spec: Mapping[str, Any], log: Mapping[str, Any], shared: Row
) -> tuple[list[Row], list[str]]:
    """One row per sample, epoch and metric; a sample without a score is a row with the reason."""
    averaged = _averaged(spec, log)
    epochs = int(mapping(spec.get("config")).get("epochs") or 1)
    rows: list[Row] = []
    lost: list[Row] = []
    lists = 0
    for sample in samples:
        base = {**shared, "item_id": str(sample["id"]), "format": _format(sample)}
        if epochs > 1:
            base["repeat"] = int(sample.get("epoch") or 1)
        why = _why_lost(sample)
        if why:
            lost.append({**base, "why_missing": why})
            continue
        for scorer, score in mapping(sample.get("scores")).items():
            lists += isinstance(score["value"], list)
            for metric, value in _values(scorer, score["value"], averaged):
                rows.append({**base, "_scorer": scorer, "metric": metric, **_value(value), **_chance(sample, metric)})
            if scorer in COMPARING and not sample.get("choices"):
                rows += [{**base, "_scorer": scorer, "metric": m, "value": v} for m, v in _twins(sample, score)]
    _tell_apart(rows)
    names = sorted({r["metric"] for r in rows})
    rows += [{**row, "metric": m, "value": None} for row in lost for m in names]
    notes = [f"{len(lost)} samples have no score (first: {lost[0]['why_missing']})"] if lost else []
    return rows, notes + ([f"{lists} scores are lists and were left out"] if lists else [])


def _averaged(spec: Mapping[str, Any], log: Mapping[str, Any]) -> frozenset[str]:
    """Scorers whose score is a share of right answers: Inspect's `accuracy` is taken over them."""
    declared = {s["name"]: s.get("metrics") for s in spec.get("scorers") or () if isinstance(s, Mapping)}
    named = {
        name
        for name, metrics in declared.items()
        if isinstance(metrics, list) and any(str(mapping(m).get("name")).endswith("accuracy") for m in metrics)
    }
    scores = mapping(log.get("results")).get("scores") or ()
    return frozenset(named | {s["name"] for s in scores if "accuracy" in s["metrics"]})


def _format(sample: Mapping[str, Any]) -> str:
    return "letters" if sample.get("choices") else "generate"


def _why_lost(sample: Mapping[str, Any]) -> str | None:
    if sample.get("invalidation"):
        return "invalidated in the log"
    error = mapping(sample.get("error")).get("message")
    if error or not sample.get("scores"):
        return f"the sample failed: {error}" if error else "the sample was not scored"
    return None


def _values(scorer: str, value: Any, averaged: frozenset[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif not isinstance(value, list):
        yield ("accuracy" if scorer in averaged else scorer), value


def _value(value: Any) -> Row:
    if isinstance(value, str):
        found = SYMBOLS.get(value, SYMBOLS.get(value.lower(), number(value)))
        return {"value": found, "why_missing": None if found is not None else f"the score `{value}` is no number"}
    if value is None:
        return {"value": None, "why_missing": "the scorer gave no value"}
    return {"value": float(value), "why_missing": None}


def _chance(sample: Mapping[str, Any], metric: str) -> Row:
    choices = sample.get("choices") or ()
    if not choices or lookup(metric).role != "hard":
        return {}
    return {"nominal_floor": len(_targets(sample)) / len(choices)}


def _targets(sample: Mapping[str, Any]) -> Sequence[str]:
    target = sample["target"]
    return [str(t) for t in target] if isinstance(target, list) else [str(target)]


def _twins(sample: Mapping[str, Any], score: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    answer = score.get("answer")
    if not isinstance(answer, str):
        answer = str(mapping(sample.get("output")).get("completion") or "")
    return text_twins(answer, _targets(sample))


def _tell_apart(rows: list[Row]) -> None:
    """`accuracy` of two scorers becomes `accuracy,match` and `accuracy,choice`; drops the helper key."""
    pairs = Counter(metric for metric, _ in {(r["metric"], r["_scorer"]) for r in rows})
    for row in rows:
        scorer = row.pop("_scorer")
        if pairs[row["metric"]] > 1:
            row["metric"] = f"{row['metric']},{scorer}"


def _aggregates(log: Mapping[str, Any]) -> Iterator[Row]:
    rows: list[Row] = []
    results = mapping(log.get("results"))
    epochs = int(mapping(mapping(log.get("eval")).get("config")).get("epochs") or 1)
    done = int(results.get("completed_samples") or 0) // epochs or None
    for entry in results.get("scores") or ():
        metrics = {name: mapping(m).get("value") for name, m in entry["metrics"].items()}
        error = number(metrics.get("stderr", metrics.get("bootstrap_stderr")))
        reducer = entry.get("reducer")
        for name, value in metrics.items():
            repeats = name == "mean" and "accuracy" in metrics
            if name in _ERRORS or repeats or number(value) is None:
                continue
            metric = entry["name"] if name == "mean" else name
            if reducer not in (None, "mean"):
                metric = f"{metric},{reducer}"
            rows.append(
                {
                    "_scorer": entry.get("scorer") or entry["name"],
                    "metric": metric,
                    "value": number(value),
                    "stderr": error if name in ("accuracy", "mean") else None,
                    "n_items": entry.get("scored_samples") or done,
                }
            )
    _tell_apart(rows)
    task = str(mapping(log.get("eval")).get("task")).rsplit("/", 1)[-1]
    for row in rows:
        hard = lookup(row["metric"]).role == "hard"
        yield {**row, "nominal_floor": nominal_floor(task) if hard else None}


def _recognises(d: Document) -> bool:
    """Archives have a header or a journal; one cut short has no list of entries, so its name decides."""
    if d.kind == "archive":
        return bool(d.names & {"header.json", "_journal/start.json"}) or (not d.names and d.path.suffix == ".eval")
    return d.kind == "json" and ({"eval", "status"} <= d.names or {"eval", "plan"} <= d.names)


FORMAT = Alone("Inspect log", _recognises, read)
