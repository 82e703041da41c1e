"""A few items as they were sent and answered, for people to see what a number is about."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from saltus.conditions.base import condition_id
from saltus.page.context import AskedItem
from saltus.records import Answer, Finding, Request
from saltus.runner.questions import requests_after
from saltus.store import Store
from saltus.store.rows import item_from_json, version_of
from saltus.study.document import Study
from saltus.tasks.base import Task

SHOWN = 3
"""Per series, task and condition."""
MOST = 60
"""Series, tasks and conditions with items shown; findings of `flat` first."""


@dataclass(frozen=True)
class _Stored:
    """What the store holds of the chosen asks."""

    keys: Mapping[tuple[str, bytes], Sequence[str]]
    items: Mapping[str, str]
    answers: Mapping[tuple[str, str], Answer]


def asked_items(
    tasks: Iterable[Task], store: Store, items: pl.DataFrame, findings: Sequence[Finding]
) -> tuple[AskedItem, ...]:
    """Up to SHOWN items per curve, asked of its last model, with prompt and answer."""
    known = {t.name: t for t in tasks if not hasattr(t, "conduct")}
    rows, seen = [], set()
    for finding in sorted(findings, key=lambda f: f.verdict != "flat"):
        curve = (finding.series, finding.task, finding.condition)
        if finding.primary and finding.slice is None and finding.task in known and curve not in seen:
            seen.add(curve)
            rows += _last_rows(items, finding, version_of(known[finding.task]))
        if len(seen) == MOST:
            break
    stored = _stored(store, rows)
    made = (_item(known[row["task"]], row, stored) for row in rows)
    return tuple(item for item in made if item is not None)


def with_frames(findings: Sequence[Finding], study: Study) -> tuple[Finding, ...]:
    """The findings, where `flat` with the words around the items as first caveat: in others a model may do better."""
    tasks = {t.name: t for t in study.tasks() if t.provenance.get("frame")}
    if not any(f.verdict == "flat" and f.task in tasks for f in findings):
        return tuple(findings)
    styles = {
        study.condition_id(c): [condition_id(one) for one in c if one.kind == "style"] for c in study.conditions()
    }
    made = []
    for finding in findings:
        task = tasks.get(finding.task)
        if finding.verdict == "flat" and task is not None:
            of_file = [t for t in tasks.values() if t.provenance.get("sha256") == task.provenance.get("sha256")]
            frame = " and ".join(styles.get(finding.condition, ())) or str(task.provenance["frame"])
            tried = {str(t.provenance["frame"]) for t in of_file} | {one for found in styles.values() for one in found}
            others = f"also tried: {', '.join(sorted(tried - {frame}))}" if tried - {frame} else "no other was tried"
            finding = replace(finding, caveats=(f"asked in the {frame}; {others}", *finding.caveats))
        made.append(finding)
    return tuple(made)


def _last_rows(items: pl.DataFrame, finding: Finding, version: str) -> list[dict[str, Any]]:
    """Rows of the first items at the curve's last point."""
    mine = items.filter(
        (pl.col("series") == finding.series)
        & (pl.col("task") == finding.task)
        & (pl.col("condition") == finding.condition)
        & (pl.col("metric") == finding.metric_hard)
        & (pl.col("task_version") == version)
        & pl.col("value").is_not_null()
        & pl.col(finding.axis).is_not_null()
    )
    if mine.is_empty():
        return []
    last = mine[finding.axis].min() if finding.axis == "loss" else mine[finding.axis].max()
    at = mine.filter(pl.col(finding.axis) == last).sort("model_identity", "place", "repeat")
    return at.unique("item_id", keep="first", maintain_order=True).head(SHOWN).to_dicts()


def _stored(store: Store, rows: Sequence[Mapping[str, Any]]) -> _Stored:
    if not rows:
        return _Stored({}, {}, {})
    models = {row["model_identity"] for row in rows}
    asks = store.asks().filter(
        pl.col("model").is_in(list(models)) & pl.col("ask_id").is_in([row["ask_id"] for row in rows])
    )
    keys = {(m, a): k for m, a, k in asks.select("model", "ask_id", "keys").collect().iter_rows()}
    held = store.items().filter(pl.col("item_hash").is_in([row["item_hash"] for row in rows])).collect()
    answers: dict[tuple[str, str], Answer] = {}
    for model in models:
        wanted = [key for (m, _), of_ask in keys.items() if m == model for key in of_ask]
        answers |= {(model, key): answer for key, answer in store.fetch(model, wanted).items()}
    return _Stored(keys, dict(held.select("item_hash", "item").iter_rows()), answers)


def _item(task: Task, row: Mapping[str, Any], stored: _Stored) -> AskedItem | None:
    """The item of a row, or None where its requests cannot be made again."""
    model = row["model_identity"]
    raw, keys = stored.items.get(row["item_hash"]), stored.keys.get((model, row["ask_id"]))
    if raw is None or not keys or any((model, key) not in stored.answers for key in keys):
        return None
    item, answers = item_from_json(raw), [stored.answers[(model, key)] for key in keys]
    try:
        requests, _ = requests_after(task, item, answers)
    except Exception:  # noqa: BLE001 — a plug-in's fault costs its own examples only
        return None
    if not requests or len(requests) != len(answers):
        return None
    choices = tuple(r.continuation for r in requests) if len(item.choices) == len(requests) else ()
    return AskedItem(
        series=row["series"],
        task=row["task"],
        condition=row["condition"],
        model=str(row["model"]),
        item_id=row["item_id"],
        prompt=requests[0].prompt or "\n".join(f"{m['role']}: {m['content']}" for m in requests[0].messages),
        target=item.target if isinstance(item.target, str) else " | ".join(item.target),
        answer=_answer(requests, answers, choices),
        choices=choices,
        hard=row["value"],
    )


def _answer(requests: Sequence[Request], answers: Sequence[Answer], choices: Sequence[str]) -> str:
    written = [a.text for r, a in zip(requests, answers, strict=True) if r.kind == "generate"]
    if written:
        return written[0]
    totals = [math.fsum(a.token_logprobs) for a in answers]
    if choices:
        return choices[max(range(len(totals)), key=totals.__getitem__)]
    greedy = {True: "the likeliest", False: "not the likeliest", None: "of unknown rank"}
    return "; ".join(
        f"{r.continuation!r}: {greedy[a.greedy]} continuation, log-probability {total:.2f}"
        for r, a, total in zip(requests, answers, totals, strict=True)
    )
