"""One finding as a chart: hard twin above, soft twin below, on one shared axis of growth.

Each panel shows, from back to front: the onset interval as a band, the floor as a band with its line and nominal chance dotted,
the forecast made from before the onset, the smoothest admissible curve dashed, the fitted curve, and every seed as a thin
line with points and error bars. A point at x = 0 (an untrained model) of a logarithmic axis is drawn apart at the left edge.
Known limits: seeds share one colour (the data table names them); the axis is cut to the measured points.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from saltus.metrics import KNOWN
from saltus.records import Finding
from saltus.report.numbers import on_axis, plain

WIDTH, TALL, LOW = 610, 190, 130
COLOURS = {
    "hard": "#1f5fa8",
    "soft": "#b3590b",
    "ink": "#1c1e21",
    "quiet": "#6b7078",
    "grid": "#e3e5e8",
    "floor": "#9aa0a8",
    "onset": "#7a52a3",
}
"""The chart's colours in a light notebook; `svg.py` turns each into a variable of the page."""
AXIS_TITLES = {
    "tokens": "training tokens",
    "params": "parameters",
    "flops": "training compute (FLOP)",
    "step": "training step",
    "loss": "loss (nats; better to the right)",
    "date": "date",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """The shared horizontal axis of both panels."""

    axis: str
    log: bool
    low: float
    high: float
    zero_at: float | None
    """Where a point at x = 0 is drawn on a log axis; None if there is none."""

    def place(self, x: float) -> float:
        """Where a raw x is drawn."""
        return self.zero_at if self.log and x <= 0 and self.zero_at else x

    def shown(self, x: float | None) -> float | None:
        """A raw x, kept inside the drawn range."""
        return None if x is None else min(max(x, self.low), self.high)


def frame_of(finding: Finding) -> Frame | None:
    """The axis frame of a finding's curve; None where no point is measured."""
    curve = finding.curve
    xs = [p["x"] for s in curve.get("seeds", ()) for c in ("hard", "soft") for p in s.get(c) or ()]
    log = bool(curve.get("log"))
    inside = [x for x in xs if x > 0 or not log]
    if not inside:
        return None
    low, high = min(inside), max(inside)
    if not log:
        pad = 0.03 * (high - low) or 0.5
        return Frame(finding.axis, False, low - pad, high + pad, None)
    decades = math.log10(high / low) or 1.0
    zero = low / 10 ** (0.09 * decades) if len(inside) < len(xs) else None
    return Frame(
        finding.axis, True, (zero or low) / 10 ** (0.03 * decades), high * 10 ** (0.03 * decades), zero
    )  # fmt: skip


def finding_chart(finding: Finding) -> alt.VConcatChart:
    """Both twins of a finding on aligned panels. A curve without points gives an empty, titled chart."""
    frame = frame_of(finding)
    panels = [] if frame is None else [
        _panel(finding, channel, frame) for channel in ("hard", "soft") if _points(finding, channel)
    ]  # fmt: skip
    if not panels:
        panels = [alt.Chart(alt.Data(values=[])).mark_point().properties(title="no points")]
    return (
        alt.vconcat(*panels, spacing=14)
        .configure(font="sans-serif", background="transparent")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=COLOURS["grid"],
            domainColor=COLOURS["floor"],
            tickColor=COLOURS["floor"],
            labelColor=COLOURS["quiet"],
            titleColor=COLOURS["quiet"],
            titleFontWeight="normal",
            labelFontSize=11,
            titleFontSize=11.5,
            tickSize=4,
        )  # fmt: skip
        .configure_title(anchor="start", frame="group", fontSize=12, fontWeight=600, offset=8)
    )


def _points(finding: Finding, channel: str) -> list[dict[str, Any]]:
    return [
        {"seed": seed["label"], **point}
        for seed in finding.curve.get("seeds", ())
        for point in seed.get(channel) or ()
        if point.get("value") is not None
    ]


def metric_label(finding: Finding, channel: str) -> str:
    """What a panel shows: the metric's name, its role, and that lower values were turned round."""
    name = finding.metric_hard if channel == "hard" else finding.metric_soft
    known = KNOWN.get(name or "")
    turned = ", sign turned so that up is better" if known and not known.higher_is_better else ""
    return f"{name or channel} ({channel} score{turned})"


def _panel(finding: Finding, channel: str, frame: Frame) -> alt.LayerChart:
    points = _points(finding, channel)
    y = (
        alt.Y("y:Q")
        .title(None)
        .scale(domain=_domain(finding, channel, points), nice=False, clamp=True)
    )
    x = alt.X("x:Q").title(None).scale(
        type="log" if frame.log else "linear", domain=[frame.low, frame.high], nice=False,
        reverse=frame.axis == "loss",
    )  # fmt: skip
    last = channel == "soft" or not _points(finding, "soft")
    x = x.axis(_x_axis(frame, last))
    y = y.axis(tickCount=5, grid=True, domain=False, ticks=False, minExtent=34)
    colour = COLOURS[channel]
    layers = [
        *_onset_layers(finding, frame, x),
        *_floor_layers(finding, channel, y),
        *_forecast_layers(finding, channel, frame, (x, y)),
        *_curve_layers(finding, channel, frame, (x, y)),
        *_seed_layers(points, colour, frame, (x, y)),
    ]
    return alt.layer(*layers).properties(
        width=WIDTH, height=TALL if channel == "hard" else LOW,
        title=alt.Title(text=metric_label(finding, channel), color=colour),
    )  # fmt: skip


def _x_axis(frame: Frame, labelled: bool) -> alt.Axis:
    ticks = ticks_of(frame)
    labels = {repr(value): text for value, text in ticks}
    return alt.Axis(
        values=[value for value, _ in ticks],
        labelExpr=f"({json.dumps(list(labels.values()))})[indexof({json.dumps([v for v, _ in ticks])}, datum.value)]",
        labels=labelled,
        ticks=labelled,
        title=AXIS_TITLES.get(frame.axis, frame.axis) if labelled else None,
        grid=False,
        labelOverlap="parity",
    )


def ticks_of(frame: Frame) -> list[tuple[float, str]]:
    """Where the axis is labelled, and how: decades, or 1-2-5 over short ranges; 0 apart."""
    if not frame.log:
        step = 10 ** math.floor(math.log10((frame.high - frame.low) / 3))
        step *= next(m for m in (1, 2, 5, 10) if (frame.high - frame.low) / (m * step) <= 8)
        first = math.ceil(frame.low / step)
        values = [k * step for k in range(first, math.floor(frame.high / step) + 1)]
        return [(v, f"{v:.0f}" if frame.axis == "date" else plain(v, 3)) for v in values]
    decades = math.log10(frame.high / frame.low)
    marks = (1,) if decades > 4.5 else (1, 3) if decades > 2.2 else (1, 2, 5)
    low = frame.low if frame.zero_at is None else frame.zero_at * 1.0001
    values = [
        mark * 10.0**k
        for k in range(math.floor(math.log10(low)), math.ceil(math.log10(frame.high)) + 1)
        for mark in marks
    ]
    found = [(v, on_axis(v, frame.axis, digits=1)) for v in values if low <= v <= frame.high]
    return [(frame.zero_at, "0"), *found] if frame.zero_at else found


def _domain(
    finding: Finding, channel: str, points: Sequence[Mapping[str, Any]]
) -> tuple[float, float]:
    values = [p[k] for p in points for k in ("value", "low", "high") if p.get(k) is not None]
    floor = (finding.curve.get("floor") or {}).get(channel) or {}
    values += [v for k in ("value", "nominal") if (v := floor.get(k)) is not None]
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.05
    name = finding.metric_hard if channel == "hard" else finding.metric_soft
    known = KNOWN.get(name or "")
    if known and known.low == 0 and known.higher_is_better:
        return (0.0, min(known.high, high + pad) if high < 0.93 else known.high)
    return (low - pad, high + pad)


def _onset_layers(finding: Finding, frame: Frame, x: alt.X) -> list[alt.Chart]:
    low, high = frame.shown(finding.onset_low), frame.shown(finding.onset_high)
    layers = []
    if low is not None and high is not None:
        band = alt.Chart(alt.Data(values=[{"x": low, "x2": high}]))
        layers.append(
            band.mark_rect(color=COLOURS["onset"], opacity=0.13, aria=False).encode(x=x, x2="x2:Q")
        )
    if finding.onset is not None and frame.low <= finding.onset <= frame.high:
        line = alt.Chart(alt.Data(values=[{"x": finding.onset}]))
        layers.append(line.mark_rule(color=COLOURS["onset"], size=1.2, aria=False).encode(x=x))
    return layers


def _floor_layers(finding: Finding, channel: str, y: alt.Y) -> list[alt.Chart]:
    floor = (finding.curve.get("floor") or {}).get(channel) or {}
    layers = []
    if floor.get("low") is not None and floor.get("high") is not None:
        band = alt.Chart(alt.Data(values=[{"y": floor["low"], "y2": floor["high"]}]))
        layers.append(
            band.mark_rect(color=COLOURS["floor"], opacity=0.3, aria=False).encode(y=y, y2="y2:Q")
        )
    for key, dash in (("value", [1, 0]), ("nominal", [2, 3])):
        if floor.get(key) is not None:
            line = alt.Chart(alt.Data(values=[{"y": floor[key]}]))
            layers.append(
                line.mark_rule(color=COLOURS["floor"], strokeDash=dash, aria=False).encode(y=y)
            )
    return layers


def _forecast_layers(
    finding: Finding, channel: str, frame: Frame, at: tuple[alt.X, alt.Y]
) -> list[alt.Chart]:
    forecast = finding.curve.get("forecast") or {}
    if forecast.get("channel") != channel:
        return []
    rows = [
        {"x": frame.place(x), "y": low, "y2": high}
        for x, low, high in zip(forecast["x"], forecast["low"], forecast["high"], strict=True)
        if low is not None and high is not None
    ]
    chart = alt.Chart(alt.Data(values=rows))
    return [
        chart.mark_area(color=COLOURS["quiet"], opacity=0.18, aria=False).encode(
            x=at[0], y=at[1], y2="y2:Q"
        )
    ]


def _curve_layers(
    finding: Finding, channel: str, frame: Frame, at: tuple[alt.X, alt.Y]
) -> list[alt.Chart]:
    layers = []
    for part, dash, width in (("smoothest", [5, 4], 1.6), ("fit", [1, 0], 2.4)):
        pairs = (finding.curve.get(part) or {}).get(channel) or ()
        rows = [
            {"x": x, "y": y}
            for x, y in pairs
            if y is not None and x is not None and frame.low <= x <= frame.high
        ]
        if not rows:
            continue
        colour = COLOURS["ink"] if part == "smoothest" else COLOURS[channel]
        layers.append(
            alt.Chart(alt.Data(values=rows))
            .mark_line(color=colour, strokeDash=dash, size=width, opacity=0.85, aria=False)
            .encode(x=at[0], y=at[1], order="x:Q")
        )  # fmt: skip
    return layers


def _seed_layers(
    points: Sequence[Mapping[str, Any]], colour: str, frame: Frame, at: tuple[alt.X, alt.Y]
) -> list[alt.Chart]:
    rows = [
        {"x": frame.place(p["x"]), "y": p["value"], "seed": p["seed"], "l": p.get("low"), "h": p.get("high"),
         "zero": frame.log and p["x"] <= 0}
        for p in points
    ]  # fmt: skip
    x, y = at
    bars = [{"x": r["x"], "y": r["l"], "y2": r["h"]} for r in rows if r["l"] is not None and r["h"] is not None]  # fmt: skip
    trained = [r for r in rows if not r["zero"]]
    drawn = alt.Data(values=[{k: r[k] for k in ("x", "y")} for r in rows])
    lines = alt.Data(values=[{k: r[k] for k in ("x", "y", "seed")} for r in trained])
    return [
        alt.Chart(alt.Data(values=bars))
        .mark_rule(color=colour, opacity=0.45, size=1, aria=False)
        .encode(x=x, y=y, y2="y2:Q"),
        alt.Chart(lines)
        .mark_line(color=colour, opacity=0.4, size=1, aria=False)
        .encode(x=x, y=y, detail="seed:N"),
        alt.Chart(drawn)
        .mark_circle(color=colour, opacity=0.9, size=16, aria=False)
        .encode(x=x, y=y),
    ]
