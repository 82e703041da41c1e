"""The outcome of an Inspect sample as stored text, and the scores that follow from it; no Inspect needed.

Read as `results/inspect_log.py` reads logs: C, P, I, N are 1, ½, 0, 0 as in Inspect's own metrics; a scorer whose
metric is accuracy scores `accuracy`, any other is a metric by its own name, and one that gives several values gives as
many metrics. Where a scorer compares the answer with its target, the written answer gains `edit_similarity` as its
graded twin and `exact_match_stripped`. An unscored sample (NaN) has no value and says so. Limit: lists are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from saltus.hashing import canonical
from saltus.metrics import Metric, lookup, rank, twin
from saltus.records import Item, Score
from saltus.results.formats.inspect_words import COMPARING, SYMBOLS
from saltus.results.formats.kit import text_twins

NO_TWIN = "Inspect's scorer gives no graded twin"


def outcome(scores: Mapping[str, Any], shares: Sequence[str], **more: Any) -> str:
    """scores: Inspect's `Score` by scorer; shares: those whose metric is accuracy; more: plain data beside them."""
    plain = {
        name: {
            "metric": "accuracy" if name in shares else name,
            "value": _plain(score.value),
            "answer": score.answer,
            "explanation": score.explanation,
        }
        for name, score in scores.items()
    }
    return canonical({"scores": plain, **more}).decode("utf-8", "replace")


def scores_of(item: Item, text: str) -> list[Score]:
    """One Score per scorer, the first being the primary one. text: what `outcome` wrote."""
    data = json.loads(text)
    found = data["scores"]
    if not found:
        why = "no scorer gave a score"
        return [Score(metric_hard="accuracy", hard=None, why_no_hard=why, why_no_soft=why)]
    names = [one["metric"] for one in found.values()]
    scores = []
    for scorer, one in found.items():
        if names.count(one["metric"]) > 1:
            one = {**one, "metric": f"{one['metric']},{scorer}"}
        scores.append(_score(item, scorer, one, str(data.get("completion") or "")))
    return scores


def _score(item: Item, scorer: str, one: Mapping[str, Any], completion: str) -> Score:
    value = one["value"]
    if isinstance(value, dict):
        return _several(value)
    number, why = _number(value)
    twins: dict[str, float | str | None] = {}
    if scorer in COMPARING and not item.choices and number is not None:
        answer = one["answer"] if isinstance(one["answer"], str) else completion
        targets = (item.target,) if isinstance(item.target, str) else item.target
        twins = dict(text_twins(answer, targets))
    soft = twins.pop("edit_similarity", None)
    if soft is None:
        return Score(metric_hard=one["metric"], hard=number, why_no_hard=why, why_no_soft=NO_TWIN)
    return Score(metric_hard=one["metric"], hard=number, metric_soft="edit_similarity", soft=float(soft), detail=twins)


def _several(values: Mapping[str, Any]) -> Score:
    """The values of one scorer as one Score: the first hard one, its twin, and the rest."""
    hard, soft = chosen(list(values))
    number, why = _number(values[hard])
    detail = {n: _number(v)[0] for n, v in values.items() if n not in (hard, soft)}
    if soft is None:
        return Score(metric_hard=hard, hard=number, why_no_hard=why, why_no_soft=NO_TWIN, detail=detail)
    graded, why_soft = _number(values[soft])
    return Score(
        metric_hard=hard,
        hard=number,
        why_no_hard=why,
        metric_soft=soft,
        soft=graded,
        why_no_soft=why_soft,
        detail=detail,
    )


def chosen(names: Sequence[str]) -> tuple[str, str | None]:
    """(hard, its graded twin or None) among metric names."""
    known = [lookup(name) for name in names]
    hard: Metric = min((m for m in known if m.role == "hard"), key=rank, default=known[0])
    soft = twin(hard, [m for m in known if m.role == "soft" and m.name != hard.name])
    return hard.name, soft.name if soft else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> tuple[float | None, str | None]:
    """(value, or why there is none)."""
    if value is None:
        return None, "the scorer left the sample unscored"
    if isinstance(value, (bool, int, float)):
        return float(value), None
    if isinstance(value, str):
        known = SYMBOLS.get(value, SYMBOLS.get(value.lower()))
        if known is not None:
            return known, None
        try:
            return float(value), None
        except ValueError:
            return None, f"the score `{value}` is no number"
    return None, "the score is a list"
