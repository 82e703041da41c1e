"""One finding in full: every field filled, or null with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from saltus.checks import MEASURED
from saltus.checks.kit import Judged, number, unit_of
from saltus.judging import caveats as wording
from saltus.judging.error_rates import false_alarm_rate
from saltus.judging.findings import FINDING_SCHEMA_VERSION, finding_id
from saltus.records import Facts, Finding, Guard, Quantity, Replication, Verdict
from saltus.stats.axis import other_axis, raw_of
from saltus.stats.display import chart, draw
from saltus.stats.measure import ChannelMeasures
from saltus.stats.shape import RISE_P


@dataclass(frozen=True)
class Context:
    """What the family stage adds to one curve's measurements."""

    facts: Facts
    verdict: Verdict
    weights: Mapping[str, float]
    guards: tuple[Guard, ...]
    family_size: int
    dependent: bool
    scope_why: str
    repeats: int
    draws: int


def finding(j: Judged, i: int, c: Context) -> Finding:
    """The finding on curve i."""
    key, m, facts = j.curves.keys[i], j.measures, c.facts
    reasons: dict[str, str] = {
        "study_id": "judged outside a study",
        "localised": "no edited network was judged beside this one",
    }
    if key.slice is None:
        reasons["slice"] = "all items"
    if key.metric_hard is None:
        reasons["metric_hard"] = "the table has no hard score for this task"
    if key.metric_soft is None:
        reasons["metric_soft"] = key.why_no_soft or "the table has no soft score for this task"
    alarms = false_alarm_rate(facts.n_points, facts.n_seeds, bool(m.has_soft[i]))
    if alarms is None:
        reasons["false_alarm_rate"] = "this build ships no calibration: `saltus calibrate` measures it"
    onset, low, high = _onset(j, i, facts, reasons)
    numbers = _numbers(j, i, reasons)
    evidence = [e for check in MEASURED for e in check.records(j, i)]
    sentences = [_sentence(g.why) for g in c.guards if g.fired and g.severity == "doubt"]
    sentences += wording.caveats(j, i, facts, c.verdict)
    sentences += _family_caveats(c)
    q = None if j.sharp_q is None else number(j.sharp_q[i])
    return Finding(
        schema_version=FINDING_SCHEMA_VERSION,
        finding_id=finding_id(key),
        study_id=None,
        primary=key.primary,
        series=key.series,
        task=key.task,
        condition=key.condition,
        axis=key.axis,
        metric_hard=key.metric_hard,
        metric_soft=key.metric_soft,
        slice=key.slice,
        integrity=facts.integrity,
        presence=facts.presence,
        shape_hard=facts.shape_hard,
        shape_soft=facts.shape_soft,
        predicted=facts.predicted,
        twin=facts.twin,
        replication=_replication(j, i, facts),
        scope=facts.scope,
        localised=None,
        verdict=c.verdict,
        verdict_weights=dict(c.weights),
        onset=onset,
        onset_low=low,
        onset_high=high,
        onset_other_axes=_other_axes(j, i, onset is not None),
        width_hard=_of_nothing(j, i) if c.verdict == "flat" else _width(j, i, m.hard, "hard"),
        width_soft=_width(j, i, m.soft, "soft"),
        smoothest_admissible_width=_of_nothing(j, i) if c.verdict == "flat" else _smoothest(j, i),
        rise=_rise(j, i),
        floor_source=str(m.floor.source[i]),
        n_points=_points(j, i),
        n_seeds=facts.n_seeds,
        p_value=None if j.sharp_p is None else number(j.sharp_p[i]),
        q_value=q,
        family=key.family,
        family_size=c.family_size,
        forecast=_forecast(j, i, reasons),
        false_alarm_rate=alarms,
        guards=c.guards,
        caveats=tuple(dict.fromkeys(sentences)),
        next_data=tuple(wording.next_data(j, i, facts, c.verdict)),
        reasons=reasons,
        evidence=tuple(evidence),
        curve=chart(j.curves, m, i, j.drawn or draw(m)),
        **numbers,
    )


def _sentence(why: str) -> str:
    return f"{why[0].upper()}{why[1:].rstrip('.')}."


def _family_caveats(c: Context) -> list[str]:
    out = []
    if c.scope_why:
        out.append(c.scope_why[0].upper() + c.scope_why[1:] + ".")
    if c.repeats:
        out.append(f"{c.repeats} seed(s) repeat another to the last digit and were counted once.")
    return out


def _onset(j: Judged, i: int, facts: Facts, reasons: dict[str, str]) -> tuple[float | None, float | None, float | None]:
    s = j.measures.hard.shape
    rises = j.measures.hard.trend.rise_p[i] < RISE_P and facts.shape_hard not in ("flat", "falling")
    if not rises or facts.presence in ("absent", "below_floor") or facts.n_points < 3:
        why = (
            "there are fewer than three points" if facts.n_points < 3 else "the hard score does not rise off its floor"
        )
        reasons |= dict.fromkeys(("onset", "onset_low", "onset_high"), why)
        return None, None, None
    u = np.array([s.onset[i], s.onset_low[i], s.onset_high[i]])
    raw = raw_of(j.curves, j.measures.prepared, i, np.clip(u, 0, 1))
    whole = [float(v) for v in raw]
    return whole[0], min(whole), max(whole)


def _points(j: Judged, i: int) -> int:
    """Trained points of the longest seed, before dense ones are merged."""
    c = j.curves
    there = c.seen[i] & np.isfinite(c.x[i]) & np.isfinite(c.hard.value[i])
    return int(there.sum(axis=1).max())


def _numbers(j: Judged, i: int, reasons: dict[str, str]) -> dict[str, Any]:
    m = j.measures
    n = m.hard.series.n[i][m.hard.series.ok[i]]
    items = round(float(np.nanmedian(n))) if np.isfinite(n).any() else None
    values: dict[str, Any] = {
        "floor": number(m.floor.value[i]),
        "n_items": items,
        "dispersion": number(m.hard.shape.dispersion[i]) if m.hard.series.known[i] else None,
        "minimum_detectable_effect": number(m.presence.mde[i]),
    }
    why = {
        "floor": "no floor is given and no point to take one from",
        "n_items": "the table does not say how many items are behind a number",
        "dispersion": "errors are unknown, so the scatter itself sets the scale",
        "minimum_detectable_effect": "no floor or no error is known",
    }
    reasons |= {name: why[name] for name, value in values.items() if value is None}
    return values


def _replication(j: Judged, i: int, facts: Facts) -> Replication:
    s = j.measures.seeds
    count = int(s.count[i])
    if count < 2:
        return Replication(seeds=max(count, 1), leapt=None, populations=None, why="one run: replication was not tested")
    few = "" if count >= 3 else "two seeds cannot show two populations"
    return Replication(
        seeds=count,
        leapt=int(s.leapt[i]),
        populations=None if few else 2 if s.two[i] else 1,
        why=few or f"last levels differ by at most {float(s.gap[i]):.1f} standard errors between neighbours",
    )


def _other_axes(j: Judged, i: int, has_onset: bool) -> dict[str, Quantity]:
    out = {}
    s = j.measures.hard.shape
    for name in sorted(j.curves.other_axes):
        if name == j.curves.keys[i].axis:
            continue
        u = np.clip(np.array([s.onset[i], s.onset_low[i], s.onset_high[i]]), 0, 1)
        values = other_axis(j.curves, j.measures.prepared, i, name, u)
        if values is None:
            continue
        if not has_onset:
            out[name] = Quantity(value=None, unit=name, why="there is no onset")
            continue
        whole = [float(v) for v in values]
        out[name] = Quantity(value=whole[0], low=min(whole), high=max(whole), unit=name)
    return out


def _width(j: Judged, i: int, c: ChannelMeasures, channel: str) -> Quantity:
    unit, span = unit_of(j.curves, i), float(j.measures.prepared.span[i])
    if channel == "soft" and not j.measures.has_soft[i]:
        return Quantity(value=None, unit=unit, why="there is no soft twin")
    if (c.series.count[i] < 3).all() or c.trend.rise_p[i] >= RISE_P:
        return Quantity(value=None, unit=unit, why="there is no rise to measure")
    low, high = float(c.shape.width_low[i]) * span, float(c.shape.width_high[i]) * span
    if not np.isfinite(high):
        return Quantity(value=None, unit=unit, why="the rise is not bounded by the points")
    best = float(np.clip(c.shape.width[i] * span, low, high))
    return Quantity(value=best, low=low, high=high, unit=unit)


def _of_nothing(j: Judged, i: int) -> Quantity:
    return Quantity(value=None, unit=unit_of(j.curves, i), why="the score stays at its floor")


def _smoothest(j: Judged, i: int) -> Quantity:
    unit, span = unit_of(j.curves, i), float(j.measures.prepared.span[i])
    c = j.measures.hard
    if (c.series.count[i] < 3).all() or c.trend.rise_p[i] >= RISE_P:
        return Quantity(value=None, unit=unit, why="there is no rise to measure")
    value = float(c.shape.admissible[i]) * span
    return Quantity(value=value, unit=unit, why="a bound: the widest rise that 95 % of the noise still allows")


def _rise(j: Judged, i: int) -> Quantity:
    c = j.measures.hard
    unit = "share" if j.curves.hard.binomial[i] else (j.curves.keys[i].metric_hard or "metric")
    if (c.series.count[i] < 3).all():
        return Quantity(value=None, unit=unit, why="there are fewer than three points")
    s = c.series
    seeds = max(int((s.count[i] > 0).sum()), 1)
    rows = slice(i * s.y.shape[1], (i + 1) * s.y.shape[1])
    rise = float(c.shape.cell.rise[rows][s.count[i] > 2].mean())
    error = 1.96 * float(np.sqrt(2 * np.median(s.var[i][s.ok[i]]) * c.shape.dispersion[i] / seeds))
    return Quantity(value=rise, low=rise - error, high=rise + error, unit=unit)


def _forecast(j: Judged, i: int, reasons: dict[str, str]) -> dict[str, Any] | None:
    m = j.measures
    channel, s = ("soft", m.soft.surprise) if m.has_soft[i] else ("hard", m.hard.surprise)
    if not np.isfinite(s.p[i]):
        reasons["forecast"] = "fewer than three points lie before the onset"
        return None
    return {
        "channel": channel,
        "method": "line through the points before the onset",
        "points": int(s.points[i]),
        "predicted": number(s.predicted[i]),
        "low": number(s.low[i]),
        "high": number(s.high[i]),
        "observed": number(s.observed[i]),
        "p": number(s.p[i]),
    }
