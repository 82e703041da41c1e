"""How the page came about: study, versions, cost, models, files, guards, failures, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from saltus.page import numbers as num
from saltus.page.context import Calibration, ReportContext, TaskRow
from saltus.page.text import name, safe
from saltus.page.words import WORDS
from saltus.records import Finding, Guard

MOST_MODELS = 500
MOST_INPUTS = 200
MOST_FAILURES = 200
MOST_DOCUMENT = 60_000

Line = dict[str, Any]


def provenance(findings: Sequence[Finding], context: ReportContext) -> Line:
    """The section "How it was made"."""
    inputs = context.inputs[:MOST_INPUTS]
    return {
        "facts": _facts(findings, context),
        "guards": _guards(findings),
        "failures": [
            {"model": name(f.model), "task": name(f.task), "count": f"{f.count:,}", "reason": safe(f.reason)}
            for f in context.failures[:MOST_FAILURES]
        ],
        "calibration": _calibration(context.calibration),
        "inputs": [_input(f) for f in inputs],
        "inputs_left": _left(len(context.inputs), len(inputs), "files are in inputs.json"),
        "tasks": [{k: safe(v) for k, v in _task(t).items()} for t in context.tasks],
        "models": [_model(m) for m in context.models[:MOST_MODELS]],
        "models_total": f"{len(context.models):,}",
        "models_left": _left(len(context.models), MOST_MODELS, "models are in the store"),
        "document": safe(context.document[:MOST_DOCUMENT]),
    }


def _task(task: TaskRow) -> dict[str, str]:
    unstated = "not stated"
    return {
        "name": task.name,
        "version": task.version,
        "asked": " · ".join(part for part in (task.skill, task.format, task.frame) if part),
        "source": task.source or unstated,
        "licence": task.licence or unstated,
        "hash": task.hash[-64:][:12] or unstated,
    }


def _left(total: int, shown: int, what: str) -> str:
    return f"{total - shown:,} more {what}." if total > shown else ""


def _facts(findings: Sequence[Finding], context: ReportContext) -> list[tuple[str, str]]:
    schema = sorted({f.schema_version for f in findings})
    facts = [
        ("Study", safe(context.study_id or "no study document: results were analysed as they are")),
        ("Registered", safe(context.locked or "nothing was locked in advance")),
        ("Deviations", f"{len(context.deviations)}" if context.deviations else "none recorded"),
        ("Command", safe(context.command)),
        ("Seeds", ", ".join(f"{safe(k)} {v}" for k, v in context.seeds.items())),
        ("Versions", ", ".join(f"{safe(k)} {safe(v)}" for k, v in context.versions.items())),
        ("Hardware", safe(context.hardware)),
        ("Cost", _cost(context)),
        ("Findings", f"{len(findings):,}, schema {', '.join(schema)}; all of them in {safe(context.findings_file)}"),
        ("Calibration", "" if context.calibration else "no calibration came with these findings"),
    ]
    return [(label, text) for label, text in facts if text]


def _cost(context: ReportContext) -> str:
    cost = context.cost
    parts = [
        (cost.answers, lambda v: f"{v:,} answers"),
        (cost.tokens_in, lambda v: f"{num.count(v)} tokens read"),
        (cost.tokens_out, lambda v: f"{num.count(v)} tokens written"),
        (cost.seconds, lambda v: f"{num.duration(v)} of asking"),
    ]
    return ", ".join(say(value) for value, say in parts if value is not None) or "not measured"


def _guards(findings: Sequence[Finding]) -> list[Line]:
    seen: dict[str, list[tuple[Finding, Guard]]] = {}
    for finding in findings:
        for guard in finding.guards:
            seen.setdefault(guard.name, []).append((finding, guard))
    lines = []
    for key, pairs in seen.items():
        fired = [(f, g) for f, g in pairs if g.fired]
        example = f"{fired[0][0].task} in {fired[0][0].series}: {fired[0][1].why}" if fired else ""
        lines.append(
            {
                "name": name(key),
                "severity": pairs[0][1].severity,
                "looked": f"{len(pairs):,}",
                "fired": f"{len(fired):,}",
                "example": safe(example),
            }
        )
    return sorted(lines, key=lambda line: line["fired"] == "0")


def _calibration(calibration: Calibration | None) -> Line | None:
    if calibration is None:
        return None
    found = {word for row in calibration.confusion.values() for word in row}
    words = [word for word in WORDS if word in found] + sorted(found - set(WORDS))
    alarm, power = calibration.false_alarm, calibration.power
    about = f" ({safe(calibration.about)})" if calibration.about else ""
    sentence = (
        f"On {calibration.curves:,} simulated curves of known truth, release {safe(calibration.version)} called "
        f"{num.percent(alarm.value)} {_bounds(alarm.low, alarm.high)}of those without a leap a leap, "
        f"and found {num.percent(power.value)} {_bounds(power.low, power.high)}of the true ones{about}."
    )
    return {
        "sentence": sentence,
        "words": words,
        "rows": [
            {"truth": safe(truth), "cells": [num.percent(row[w]) if w in row else "0" for w in words]}
            for truth, row in calibration.confusion.items()
        ],
    }


def _bounds(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f"[{100 * low:.1f}–{100 * high:.1f}{num.NARROW}%] "


def _input(file: Any) -> Line:
    return {
        "path": name(file.path),
        "rows": f"{file.rows:,}",
        "mapping": safe(file.mapping),
        "hash": short(file.hash),
        "left_out": [
            safe(f"{out.rows:,} rows: {out.reason}" + (f" (such as {out.example})" if out.example else ""))
            for out in file.left_out
        ],
    }


def _model(model: Any) -> Line:
    at = f"@{model.revision}" if model.revision else ""
    return {
        "series": name(model.series),
        "name": name(model.name),
        "location": name(model.location + at),
        "dtype": safe(model.dtype),
        "seed": safe(model.seed),
        "identity": short(model.identity) + ("" if model.verified else " (unverified)"),
        "coords": ", ".join(
            num.on_axis(v, k, unit=True) if k in num.UNITS and not isinstance(v, str) else f"{safe(k)} {safe(str(v))}"
            for k, v in model.coords.items()
        ),
    }


def short(hash_text: str) -> str:
    """The algorithm and the first twelve digits of a hash: enough to tell, short enough to read."""
    algorithm, _, digits = hash_text.partition(":")
    return safe(f"{algorithm}:{digits[:12]}…" if len(digits) > 12 else hash_text)
