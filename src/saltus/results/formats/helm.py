"""Reads a run of HELM: `run_spec.json` names model and task, `per_instance_stats.json` and `stats.json` hold numbers.

Metrics are taken, bookkeeping (tokens, runtimes, energy, finish reasons) is not. Numbers on perturbed items are a
condition named after the perturbation, items keep their id so that they pair; `original` and `worst` are other
groupings of the same answers and stay out. The test split is the result, other splits are slices. Known limits:
log-probabilities are those of what the model wrote, so they are a soft twin only where HELM scores given text
(language modelling); HELM's spreads are over trials, never over items, so they give no standard error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saltus.errors import UserError
from saltus.results.chance import nominal_floor
from saltus.results.formats.base import Alone, Document, Left, Read
from saltus.results.formats.detect import load_json
from saltus.results.formats.kit import Row, frame, items_over_aggregates, mapping, refusing
from saltus.results.placing import place

SPEC, ITEMS, STATS = "run_spec.json", "per_instance_stats.json", "stats.json"
_BOOKKEEPING = re.compile(
    r"num_|training_|inference_|batch_size|finish_reason|prompt_truncated|max_prob|estimated_num_tokens|.*_cost$"
)
_LIKELIHOOD = frozenset({"logprob", "logprob_per_byte", "bits_per_byte", "perplexity"})
_RUN_ARGUMENTS = frozenset(
    {
        "model",
        "model_deployment",
        "method",
        "data_augmentation",
        "max_train_instances",
        "max_eval_instances",
        "num_train_trials",
        "num_outputs",
        "groups",
    }
)
_NAMES = {"f1_score": "f1", "rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL", "bleu_4": "bleu"}
_EXACT = frozenset({"exact_match", "quasi_exact_match"})
_FORMATS = {"multiple_choice_joint": "letters", "generation": "generate", "language_modeling": "cloze"}


@refusing("a HELM run")
def read(path: Path) -> Read:
    """The run of this run_spec.json, from the files of numbers beside it, and notes. Raises UserError."""
    spec = load_json(path)
    adapter = mapping(spec.get("adapter_spec"))
    if not adapter.get("model") or not spec.get("name"):
        raise UserError(
            "a HELM run that names no model or has no name",
            where=str(path),
            wanted="`name` and `adapter_spec.model`",
            do="leave it out: a run of another version of HELM may look like this",
        )
    shared = _shared(spec, adapter)
    files = numbers_of(path)
    if not files:
        raise UserError("no numbers beside it", where=str(path), wanted=f"{ITEMS} or {STATS} in the same folder")
    notes: list[str] = []
    items: list[Row] = []
    rows: list[Row] = []
    for file in files:
        found = load_json(file)
        if not isinstance(found, list):
            raise UserError("no list of statistics", where=str(file), wanted="the file as HELM writes it")
        if file.name == ITEMS:
            items, stated = _items(found, shared, adapter)
        else:
            rows, stated = _stats(found, shared, adapter)
        notes += [f"{file.name}: {s}" for s in stated]
    notes += _main_split(items + rows)
    rows, disagree = items_over_aggregates(rows, items)
    return Read(
        frame(rows + items, place(str(adapter["model"]), tags=[str(adapter.get("model_deployment") or "")]), path),
        notes + disagree,
    )


def _shared(spec: Mapping[str, Any], adapter: Mapping[str, Any]) -> Row:
    """Task, shots, elicitation. The run's name without what says how it was run is the task."""
    name, _, given = str(spec["name"]).partition(":")
    kept = [a for a in given.split(",") if a and a.partition("=")[0] not in _RUN_ARGUMENTS]
    method = str(adapter.get("method") or "")
    shots = adapter.get("max_train_instances")
    return {
        "task": f"{name}:{','.join(kept)}" if kept else name,
        "n_shot": shots if isinstance(shots, int) else None,
        "elicitation": method or None,
        "format": _FORMATS.get(method, "cloze" if method.startswith("multiple_choice_separate") else None),
    }


def _items(found: Sequence[Mapping[str, Any]], shared: Row, adapter: Mapping[str, Any]) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    away = short = 0
    trials = int(adapter.get("num_train_trials") or 1)
    for instance in found:
        perturbation = mapping(instance.get("perturbation"))
        stats = [(s, mapping(s["name"])) for s in instance["stats"]]
        known = {n.get("name"): _mean(s) for s, n in stats}
        short += (known.get("num_train_instances") or 0.0) < (shared["n_shot"] or 0)
        base = {
            **shared,
            "item_id": str(instance["instance_id"]),
            "_choices": known.get("num_references"),
            "truncated": known.get("prompt_truncated"),
            **_changed(perturbation),
        }
        if trials > 1:
            base["repeat"] = int(instance.get("train_trial_index") or 0)
        for stat, name in stats:
            if mapping(name.get("perturbation")).get("computed_on", "perturbed") != "perturbed":
                away += 1
                continue
            row = _row(stat, name, base, adapter)
            if row is not None:
                rows.append(row | ({} if perturbation else _changed(mapping(name.get("perturbation")))))
    fewer = [f"{short} of {len(found)} items were asked with fewer than {shared['n_shot']} examples"]
    return rows, _left(away) + (fewer if short else [])


def _stats(found: Sequence[Mapping[str, Any]], shared: Row, adapter: Mapping[str, Any]) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    away = 0
    sizes = _sizes(found)
    for stat in found:
        name = mapping(stat["name"])
        perturbation = mapping(name.get("perturbation"))
        if perturbation.get("computed_on", "perturbed") != "perturbed":
            away += 1
            continue
        row = _row(stat, name, {**shared, **_changed(perturbation)}, adapter)
        if row is not None:
            size = sizes.get((name.get("split"), name.get("sub_split"), json.dumps(perturbation)))
            rows.append({**row, "n_items": size})
    return rows, _left(away)


def _sizes(found: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], int]:
    """Items per split, where the run counted them (InstancesPerSplitMetric)."""
    names = [(s, mapping(s["name"])) for s in found]
    return {
        (n.get("split"), n.get("sub_split"), json.dumps(mapping(n.get("perturbation")))): int(s["mean"])
        for s, n in names
        if n.get("name") == "num_instances" and s.get("mean")
    }


def _left(away: int) -> list[str]:
    if not away:
        return []
    return [f"{away} statistics over the originals or the worst of perturbed items are left out"]


def _changed(perturbation: Mapping[str, Any]) -> Row:
    """The condition a perturbation is; its parameters, where it has any, are the level."""
    if not perturbation:
        return {}
    plain = ("name", "robustness", "fairness", "computed_on", "seed")
    level = ", ".join(f"{k}={v}" for k, v in sorted(perturbation.items()) if k not in plain)
    name = str(perturbation["name"])
    return {
        "condition": f"{name}[{level}]" if level else name,
        "condition_level": level or None,
        "relation": "perturbed",
    }


def _row(stat: Mapping[str, Any], name: Mapping[str, Any], base: Row, adapter: Mapping[str, Any]) -> Row | None:
    """One statistic as a row; None for bookkeeping and for what was never counted."""
    known = str(name["name"])
    written = known in _LIKELIHOOD and adapter.get("method") != "language_modeling"
    value = _mean(stat)
    if _BOOKKEEPING.match(known) or written or value is None:
        return None
    metric = _NAMES.get(known, known)
    parts = [f"{k}={name[k]}" for k in ("split", "sub_split") if name.get(k)]
    known_parts = {k: v for k, v in base.items() if k != "_choices"}
    return {
        **known_parts,
        "metric": metric,
        "value": value,
        "slice": ", ".join(parts) or None,
        "nominal_floor": _chance(metric, base),
        "parent_id": base.get("item_id") if base.get("relation") else None,
    }


def _chance(metric: str, base: Row) -> float | None:
    """1/k of k choices, for the one metric that is the share of right choices."""
    if metric not in _EXACT:
        return None
    choices = base.get("_choices")
    chosen = str(base["elicitation"]).startswith("multiple_choice")
    return 1.0 / choices if chosen and choices else nominal_floor(base["task"].partition(":")[0])


def _mean(stat: Mapping[str, Any]) -> float | None:
    count = stat["count"]
    return float(stat["sum"]) / count if count else None


def _main_split(rows: Sequence[Row]) -> list[str]:
    """Makes the test split, else the only one, the whole: its slice becomes empty."""
    splits = {s for r in rows if (s := r["slice"]) and "sub_split" not in s}
    main = "split=test" if "split=test" in splits else next(iter(splits)) if len(splits) == 1 else None
    for row in rows:
        if row["slice"] == main:
            row["slice"] = None
    others = sorted(splits - {main})
    stated = [f"the result is over `{main}`"] if main and main != "split=test" else []
    return stated + ([f"{', '.join(f'`{o}`' for o in others)} are slices of their own"] if others else [])


def spec_beside(path: Path) -> Path | None:
    """The run_spec.json of a file of statistics, where it lies beside it."""
    spec = path.with_name(SPEC)
    return spec if spec.is_file() else None


def numbers_of(spec: Path) -> list[Path]:
    """The files of numbers beside a run_spec.json."""
    return [f for f in (spec.with_name(ITEMS), spec.with_name(STATS)) if f.is_file()]


def _recognises(d: Document) -> bool:
    return d.kind == "json" and {"adapter_spec", "name"} <= d.names


def _statistics(d: Document) -> bool:
    first = d.value[0] if d.kind == "json" and isinstance(d.value, list) and d.value else None
    if not isinstance(first, dict):
        return False
    return (isinstance(first.get("name"), dict) and "count" in first) or {"instance_id", "stats"} <= first.keys()


FORMAT = Alone("HELM run", _recognises, read, numbers_of)
STATISTICS = Left(
    "HELM statistics",
    _statistics,
    "the run_spec.json that HELM wrote beside it: it names model and task",
    "give the folder of the run; its statistics are picked up by themselves",
    spec_beside,
)
