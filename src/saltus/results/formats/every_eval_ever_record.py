"""Turns rows of the results table into Every Eval Ever 0.3.0 records: pure, checked against the published schemas.

The schema has no checkpoint axis, so a model keeps its id, its place (step, tokens, parameters, flops, loss, seed) goes
as text into `model_info.additional_details` and into the `evaluation_id`, which keeps checkpoints apart; conditions and
shots go into `generation_config.additional_details`. Unbounded metrics get the text "Infinity", as the schema wants.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from saltus._version import __version__
from saltus.hashing import canonical
from saltus.metrics import Metric, base_name
from saltus.records import Item
from saltus.results.formats.every_eval_ever import METRIC_IDS, VERSION

SCHEMA = ".".join(map(str, VERSION))
PLACE = {
    "params": "num_parameters",
    "tokens": "train_tokens",
    "flops": "train_flops",
    "step": "step",
    "loss": "loss",
    "date": "model_date",
    "seed": "seed",
    "series": "series",
    "family": "family",
    "variant": "variant",
    "dtype": "dtype",
    "bos": "bos",
    "template": "template",
    "model_identity": "model_identity",
}
"""Column → key in the details of the model."""
_ASKED = ("condition", "condition_level", "format", "elicitation", "slice", "skill", "repeat")
_STATED = ("floor", "floor_stderr", "floor_source", "nominal_floor", "target_tokens", "role")
METADATA = ("group", "difficulty", "parent_id", "relation", "repeat", "rater")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a record must say that no table knows. Times are seconds since 1970."""

    organization: str
    """Who publishes the numbers."""
    retrieved: int
    """When the records are made."""
    evaluated: int | None = None
    """When the models were asked, where that is known."""
    collection: str = "saltus"
    relationship: Literal["first_party", "third_party", "collaborative", "other"] = "third_party"
    developer: str = "unknown"
    """Who made the models, where their names do not say it."""
    origins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Task → source, licence and sha256 of its items, as far as they are known."""
    library: tuple[str, str] = ("saltus", __version__)
    deployment: Literal["self_deployed", "externally_managed", "unknown"] = "unknown"
    availability: Literal["open_weights", "closed_weights", "unknown"] = "unknown"


def result_of(
    row: Mapping[str, Any], metrics: Mapping[str, Metric], origins: Mapping[str, Mapping[str, str]]
) -> dict[str, Any] | str:
    """One aggregate result; or, as text, why the schema cannot hold the row."""
    value = row["value"]
    if value is None or not math.isfinite(value):
        return f"result without a value: {row['why_missing'] or 'not finite'}"
    metric = metrics[row["metric"]]
    if not metric.low <= value <= metric.high:
        return f"result outside the range of `{row['metric']}`"
    asked = {"task": row["task"], "num_fewshot": row["n_shot"], **{c: row[c] for c in _ASKED}}
    size = None if row["n_items"] is None else int(row["n_items"])
    uncertainty = _known(
        {"standard_error": None if row["stderr"] is None else {"value": row["stderr"]}, "num_samples": size}
    )
    result: dict[str, Any] = {
        "evaluation_result_id": result_id(row),
        "evaluation_name": _name(row),
        "source_data": {
            "dataset_name": row["task"],
            "source_type": "other",
            "additional_details": {"note": "task of a saltus study or table", **origins.get(row["task"], {})},
        },
        "metric_config": _metric_config(metric),
        "score_details": _known(
            {
                "score": value,
                "uncertainty": uncertainty or None,
                "details": _texts({c: row[c] for c in _STATED}) or None,
            }
        ),
        "generation_config": {"additional_details": _texts(asked)},
    }
    return result


def _name(row: Mapping[str, Any]) -> str:
    """The task, with the condition and the slice that keep its numbers apart."""
    condition = "" if row["condition"] in (None, "baseline") else f"/{row['condition']}"
    return f"{row['task']}{condition}" + (f"[{row['slice']}]" if row["slice"] else "")


def result_id(row: Mapping[str, Any]) -> str:
    parts = [
        _name(row),
        row["metric"],
        *(f"{c}={row[c]}" for c in ("n_shot", "format", "elicitation", "repeat") if row[c] is not None),
    ]
    return "/".join(map(str, parts))


def _metric_config(metric: Metric) -> dict[str, Any]:
    base = base_name(metric.name)
    share = (metric.low, metric.high) == (0.0, 1.0)
    return {
        "evaluation_description": metric.about or metric.name,
        "metric_id": METRIC_IDS.get(base, base if base in ("accuracy", "f1", "perplexity") else f"saltus.{base}"),
        "metric_name": metric.name,
        **({"metric_unit": "proportion"} if share else {}),
        "lower_is_better": not metric.higher_is_better,
        "score_type": "continuous",
        "min_score": _bound(metric.low),
        "max_score": _bound(metric.high),
        "additional_details": {"saltus_metric": metric.name, "role": metric.role},
    }


def _bound(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def record_of(model: Mapping[str, Any], results: list[dict[str, Any]], source: Provenance) -> dict[str, Any]:
    name = str(model["model"] or model["series"] or "unnamed")
    known = name if "/" in name else f"{source.developer}/{name}"
    place = _texts({key: model.get(column) for column, key in PLACE.items()})
    spot = hashlib.sha256(canonical({"model": known, **place})).hexdigest()[:12]
    names, version = source.library
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{source.collection}/{known.replace('/', '_')}/{spot}/{source.evaluated or 'undated'}",
        **({} if source.evaluated is None else {"evaluation_timestamp": str(source.evaluated)}),
        "retrieved_timestamp": str(source.retrieved),
        "source_metadata": {
            "source_name": "saltus",
            "source_type": "evaluation_run",
            "source_organization_name": source.organization,
            "evaluator_relationship": source.relationship,
        },
        "eval_library": {"name": names, "version": version},
        "model_info": {
            "name": name,
            "id": known,
            "developer": known.split("/", 1)[0],
            "additional_details": {
                "deployment_type": source.deployment,
                "model_availability": source.availability,
                **place,
            },
        },
        "evaluation_results": results,
    }


def line_of(row: Mapping[str, Any], item: Item, correct: bool, record: Mapping[str, Any]) -> dict[str, Any]:
    targets = [item.target] if isinstance(item.target, str) else list(item.target)
    golds = [item.choices[g] for g in item.gold] or targets
    asked = {
        "raw": "\n".join(p for p in (item.context, item.question) if p),
        "reference": golds,
        "choices": list(item.choices) or None,
    }
    stated = [row["answer"]] if row.get("answer") else []
    same = hashlib.sha256(canonical([asked["raw"], golds])).hexdigest()
    details = _texts({c: row.get(c) for c in METADATA})
    return {
        "schema_version": SCHEMA,
        "evaluation_id": record["evaluation_id"],
        "model_id": record["model_info"]["id"],
        "evaluation_name": record["name"],
        "evaluation_result_id": record["whose"],
        "sample_id": str(row["item_id"]),
        "sample_hash": same,
        "interaction_type": "single_turn",
        "input": asked,
        "output": {"raw": stated},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": s,
                "extraction_method": "none",
                "is_terminal": True,
            }
            for s in stated
        ],
        "evaluation": {"score": row["value"], "is_correct": correct},
        **({"metadata": details} if details else {}),
    }


def _known(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in parts.items() if v is not None}


def _texts(parts: Mapping[str, Any]) -> dict[str, str]:
    """Values as the text the schema wants: 512.0 as 512, the rest as Python writes it."""
    whole = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in _known(parts).items()}
    return {k: v.hex() if isinstance(v, bytes) else str(v) for k, v in whole.items()}
