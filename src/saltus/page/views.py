"""One finding, turned into the plain words and numbers that its section shows; the template only lays them out."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from saltus.page import numbers as num
from saltus.page.charts import MOST_POINTS, curves_of, finding_spec, points_of
from saltus.page.context import AskedItem, ItemFlip, Stated
from saltus.page.frame import frame_of
from saltus.page.glossary import anchor
from saltus.page.svg import render
from saltus.page.text import name, safe, visible
from saltus.page.words import described, heading, in_line, summary
from saltus.records import Evidence, Finding, Quantity

MOST_DATA_ROWS = 240
MOST_FLIPS = 6
MOST_ASKED = 3
SPEC_BYTES = 24_000
Line = dict[str, Any]


def view_of(
    finding: Finding,
    slug: str,
    flips: Sequence[ItemFlip] = (),
    asked: Sequence[AskedItem] = (),
    *,
    with_spec: bool = False,
    findings_file: str = "findings.jsonl",
) -> Line:
    """Everything a section shows. `slug` is the section's id on its page."""
    title = name(heading(finding))
    drawn = frame_of(finding) is not None
    spec = finding_spec(finding) if drawn else None
    alternative = safe(described(finding))
    return {
        "slug": slug,
        "heading": title,
        "task": name(finding.task),
        "series": name(finding.series),
        "condition": "" if finding.condition == "baseline" else name(finding.condition),
        "slice": name(finding.slice or ""),
        "axis": name(finding.axis),
        "verdict": finding.verdict,
        "weight": _weight(finding),
        "summary": safe(summary(finding)),
        "chart": render(spec, title=title, about=alternative, key=slug) if spec is not None else "",
        "why_no_chart": "No chart: " + safe(finding.reasons.get("curve", "no point is stored with this finding")) + ".",
        "spec": _spec(spec) if spec is not None and with_spec else "",
        "key": _key(finding),
        "chart_notes": [safe(line) for line in _chart_notes(finding)],
        "numbers": _numbers(finding),
        "facts": _facts(finding),
        "evidence": [_evidence(e) for e in finding.evidence],
        "tally": _tally(finding.evidence),
        "caveats": [safe(c) for c in finding.caveats],
        "next_data": [safe(c) for c in finding.next_data],
        "guards": _guards(finding),
        "flips": [_flip(f) for f in flips[:MOST_FLIPS]],
        "asked": [_asked(a) for a in asked[:MOST_ASKED]],
        "data": _data(finding, findings_file),
    }


def _weight(finding: Finding) -> str:
    weights = sorted(finding.verdict_weights.items(), key=lambda pair: -pair[1])
    others = [f"{word} {num.percent(w)}" for word, w in weights if word != finding.verdict and w >= 0.005]
    own = finding.verdict_weights.get(finding.verdict)
    if own is None:
        return finding.reasons.get("verdict_weights", "not resampled")
    text = f"in {num.percent(own)} of resamples"
    return text + (f"; {', '.join(others[:3])}" if others else "") + in_line(finding)


def _spec(spec: Mapping[str, Any]) -> str:
    text = json.dumps(spec, separators=(",", ":"), ensure_ascii=True)
    coded = base64.b64encode(text.encode()).decode()
    return f"data:application/json;base64,{coded}" if len(coded) <= SPEC_BYTES else ""


def _key(finding: Finding) -> list[tuple[str, str]]:
    curve = finding.curve
    floor = [f for f in (curve.get("floor") or {}).values() if f]
    parts = [("hard", "hard score")]
    if any(s.get("soft") for s in curve.get("seeds", ())):
        parts.append(("soft", "soft score"))
    crowded = max(len(points_of(finding, channel)) for channel in ("hard", "soft")) > MOST_POINTS
    lines = "one line per seed" if len(curve.get("seeds", ())) > 1 else "measured"
    parts.append(("seed", lines if crowded else f"{lines}, bars: uncertainty"))
    if _has(finding, "fit"):
        parts.append(("fit", "fitted"))
    if curves_of(finding, "smoothest", "hard"):
        parts.append(("smoothest", "smoothest the points allow"))
    if any(f.get("value") is not None for f in floor):
        parts.append(("floor", "floor: no skill"))
    if any(f.get("nominal") is not None for f in floor):
        parts.append(("nominal", "nominal chance"))
    if finding.onset is not None:
        parts.append(("onset", "onset and its interval"))
    if curve.get("forecast"):
        parts.append(("forecast", "forecast from before the onset"))
    return parts


def _chart_notes(finding: Finding) -> list[str]:
    wanted = {
        "soft": "soft score",
        "fit": "fitted curve",
        "smoothest": "smoothest admissible curve",
        "forecast": "forecast band",
    }
    return [
        f"No {what}: {finding.reasons[part]}."
        for part, what in wanted.items()
        if part in finding.reasons and not _has(finding, part)
    ]


def _has(finding: Finding, part: str) -> bool:
    if part == "soft":
        return any(s.get("soft") for s in finding.curve.get("seeds", ()))
    if part in ("fit", "smoothest"):
        return any(curves_of(finding, part, channel) for channel in ("hard", "soft"))
    return bool(finding.curve.get(part))


def _number(label: str, where: str, text: str, note: str | None = "") -> Line:
    return {"label": label, "anchor": f"m-{where}", "text": text, "note": safe(note or "")}


def _numbers(finding: Finding) -> list[Line]:
    why, axis = finding.reasons, finding.axis
    onset = num.on_axis(finding.onset, axis, unit=True)
    between = f"between {num.span(finding.onset_low, finding.onset_high, axis)}"
    lines = [
        _number("Onset", "onset", onset, between if finding.onset is not None else why.get("onset")),
        *(_onset_on(other, q) for other, q in finding.onset_other_axes.items() if finding.onset is not None),
        _quantity("Width, hard score", "width", finding.width_hard, why.get("width_hard")),
        _quantity("Width, soft score", "width", finding.width_soft, why.get("width_soft")),
        _quantity(
            "Smoothest admissible",
            "smoothest",
            finding.smoothest_admissible_width,
            why.get("smoothest_admissible_width"),
        ),
        _quantity("Rise", "rise", finding.rise, why.get("rise")),
        _number("Floor", "floor", num.tidy(finding.floor), finding.floor_source or why.get("floor")),
        _number(
            "Points, items, seeds",
            "points",
            f"{finding.n_points} · {_count(finding.n_items)} · {finding.n_seeds}",
            why.get("n_items"),
        ),
        _number(
            "Smallest rise it would see",
            "mde",
            num.tidy(finding.minimum_detectable_effect, 2),
            why.get("minimum_detectable_effect"),
        ),
        _number("Dispersion", "dispersion", num.tidy(finding.dispersion, 2), why.get("dispersion")),
        _number("p", "p", num.chance(finding.p_value), why.get("p_value")),
        _number(
            "q",
            "q",
            num.chance(finding.q_value),
            why.get("q_value") or f"one of {finding.family_size:,} in the {finding.family} family",
        ),
        _number("False-alarm rate", "false_alarm", num.percent(finding.false_alarm_rate), why.get("false_alarm_rate")),
    ]
    return [*lines, *_forecast(finding)]


def _count(n: int | None) -> str:
    return num.MISSING if n is None else f"{n:,}"


def _onset_on(axis: str, value: Quantity) -> Line:
    label = f"Onset in {name(axis)}"
    if value.value is None:
        return _number(label, "onset", num.MISSING, value.why)
    known = value.low is not None or value.high is not None
    between = f"between {num.span(value.low, value.high, axis)}" if known else value.why
    return _number(label, "onset", num.on_axis(value.value, axis, unit=True), between)


def _quantity(label: str, where: str, value: Quantity, why: str | None = None) -> Line:
    if value.value is None and value.low is None and value.high is None:
        return _number(label, where, num.MISSING, value.why or why)
    unit = "" if value.unit == "share" else value.unit
    head = num.plain(value.value, 2) + (f"{num.NBSP}{unit}" if unit else "")
    bounds = num.interval(value.low, value.high) if value.low is not None or value.high is not None else ""
    return _number(label, where, head, bounds or value.why)


def _forecast(finding: Finding) -> list[Line]:
    """What was foreseen and what was seen, in a metric's own unit; keys of a plug-in's check as they are."""
    made = finding.forecast
    if made is None:
        return []
    known = {key: made.get(key) for key in ("predicted", "low", "high", "observed", "p")}
    if known["predicted"] is None or known["observed"] is None:
        forecast_text = ", ".join(f"{key} {value}" for key, value in made.items() if value is not None)
        return [_number("Forecast", "surprise", safe(forecast_text))]
    foreseen = f"{num.tidy(known['predicted'])} {num.interval(known['low'], known['high'])}"
    text = f"foreseen {foreseen}, seen {num.tidy(known['observed'])}"
    notes = [
        f"{made['channel']} score" if "channel" in made else "",
        str(made.get("method", "")),
        f"p {num.chance(known['p'])}" if known["p"] is not None else "",
    ]
    return [_number("Forecast", "surprise", text, "; ".join(n for n in notes if n))]


def _facts(finding: Finding) -> list[Line]:
    r, why = finding.replication, finding.reasons
    leapt = "unknown" if r.leapt is None else str(r.leapt)
    people = {1: "one population", 2: "two populations", None: "populations unknown"}[r.populations]
    localised = {True: "yes", False: "no", None: "not known"}[finding.localised]
    spoken = lambda word: word.replace("_", "-")  # noqa: E731
    return [
        _number("Integrity", "integrity", finding.integrity, why.get("integrity")),
        _number("Presence", "presence", spoken(finding.presence), why.get("presence")),
        _number("Shape, hard score", "shape", spoken(finding.shape_hard), why.get("shape_hard")),
        _number("Shape, soft score", "shape", spoken(finding.shape_soft), why.get("shape_soft")),
        _number("Predicted", "surprise", finding.predicted, why.get("predicted")),
        _number("Twin", "twin", finding.twin, why.get("twin")),
        _number("Replication", "replication", f"{leapt} of {r.seeds} leapt, {people}", r.why),
        _number("Scope", "scope", finding.scope, why.get("scope")),
        _number("Localised", "localised", localised, why.get("localised")),
    ]


def _evidence(e: Evidence) -> Line:
    known = e.low is not None or e.high is not None
    return {
        "question": safe(e.question or e.name),
        "anchor": anchor(e.name),
        "value": safe(_evidence_value(e)),
        "interval": num.interval(e.low, e.high) if known else "",
        "passed": e.passed,
        "why": safe(e.why),
    }


def _evidence_value(e: Evidence) -> str:
    """The value as its unit wants to be read: a probability, a share as per cent, else number and unit."""
    if e.value is None or isinstance(e.value, str):
        return e.value or num.MISSING
    if e.unit in ("p", "q"):
        return num.chance(e.value)
    if e.unit.startswith("share of "):
        return f"{num.percent(e.value)} {e.unit.removeprefix('share ')}"
    unit = "" if e.unit in ("metric", "ratio") else e.unit
    return f"{num.tidy(e.value)}{num.NBSP}{unit}" if unit else num.tidy(e.value)


def _tally(evidence: Sequence[Evidence]) -> str:
    n = Counter(e.passed for e in evidence)
    stated = [f"{n[True]} passed", f"{n[False]} not passed", f"{n[None]} not judged"]
    return ", ".join(line for line in stated if not line.startswith("0 ")) or "none stored"


def _guards(finding: Finding) -> list[Line]:
    return [
        {
            "name": name(g.name),
            "severity": g.severity,
            "why": safe(g.why).rstrip(".") + ".",
            "points": safe(", ".join(g.points[:12])),
            "changes": safe(g.changes or "").rstrip("."),
        }
        for g in finding.guards
        if g.fired
    ]


def _flip(flip: ItemFlip) -> Line:
    return {
        "item": name(flip.item_id),
        "prompt": visible(flip.prompt),
        "target": visible(flip.target),
        "before": _stated(flip.before),
        "after": _stated(flip.after),
    }


def _asked(item: AskedItem) -> Line:
    right = {None: "", 0.0: " · wrong", 1.0: " · right"}.get(item.hard, f" · {num.plain(item.hard, 2)}")
    return {
        "item": name(item.item_id),
        "prompt": visible(item.prompt),
        "target": visible(item.target),
        "choices": "\n".join(map(visible, item.choices)),
        "model": name(item.model),
        "answer": visible(item.answer),
        "scores": right,
    }


def _stated(stated: Stated) -> Line:
    right = {None: "", 0.0: " · wrong", 1.0: " · right"}
    hard = right.get(stated.hard, f" · {num.plain(stated.hard, 2)}")
    soft = f" · soft {num.tidy(stated.soft)}" if stated.soft is not None else ""
    return {"model": name(stated.model), "text": visible(stated.text), "scores": hard + soft}


def _data(finding: Finding, findings_file: str) -> Line:
    seeds = finding.curve.get("seeds", ())
    soft = any(s.get("soft") for s in seeds)
    rows = [row for s in seeds for row in _seed_rows(finding.axis, s, soft)]
    heads = ["seed", "model", finding.axis, finding.metric_hard or "hard", "interval", "items"]
    note = ""
    if len(rows) > MOST_DATA_ROWS:
        note = f"The first {MOST_DATA_ROWS} of {len(rows):,} rows; all of them are in {findings_file}."
    return {
        "total": len(rows),
        "rows": rows[:MOST_DATA_ROWS],
        "note": note,
        "caption": "points of every seed",
        "heads": [name(h) for h in heads + ([finding.metric_soft or "soft", "interval"] if soft else [])],
    }


def _seed_rows(axis: str, seed: Mapping[str, Any], soft: bool) -> list[list[str]]:
    """Rows of one seed, hard and soft points of the same model and x side by side."""
    together: dict[tuple[float, str], dict[str, Mapping[str, Any]]] = {}
    for channel in ("hard", "soft"):
        for p in seed.get(channel) or ():
            together.setdefault((p["x"], p.get("name") or ""), {})[channel] = p
    rows = []
    grown = sorted(together.items(), key=lambda pair: pair[0], reverse=axis == "loss")
    for (x, model), both in grown:
        hard, other = both.get("hard", {}), both.get("soft", {})
        row = [name(str(seed["label"])), name(model), num.on_axis(x, axis, digits=3)]
        row += [_cell(hard), _bounds(hard), _count(hard.get("n"))]
        rows.append(row + ([_cell(other), _bounds(other)] if soft else []))
    return rows


def _cell(point: Mapping[str, Any]) -> str:
    if point.get("value") is None and point.get("why"):
        return safe(f"{num.MISSING} {point['why']}")
    return num.plain(point.get("value"), 3)


def _bounds(point: Mapping[str, Any]) -> str:
    if point.get("low") is None and point.get("high") is None:
        return ""
    return num.interval(point.get("low"), point.get("high"))
