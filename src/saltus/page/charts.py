"""One finding as a chart: hard twin above, soft twin below, on one shared axis of growth.

Each panel shows, from back to front: the onset interval as a band, the floor as a band with its line and
nominal chance dotted, the forecast made from before the onset, the smoothest admissible curve dashed, the
fitted curve, and every seed as a thin line with points and error bars. A point at x = 0 (an untrained model) of
a logarithmic axis is drawn apart at the left edge. Known limits: seeds share one colour (the data table names
them); above `MOST_POINTS` points in a panel only their lines are drawn. Data sets are named and added last,
because altair copies what a layer holds at every step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt

from saltus.metrics import KNOWN
from saltus.page.frame import Frame, frame_of, ticks_of
from saltus.records import Finding

WIDTH, TALL, LOW = 610, 190, 130
MOST_POINTS = 260
COLOURS = {
    "hard": "#1f5fa8",
    "soft": "#b3590b",
    "ink": "#1c1e21",
    "quiet": "#6b7078",
    "grid": "#e3e5e8",
    "floor": "#9aa0a8",
    "onset": "#7a52a3",
    "transition": "#07694f",
    "sharp": "#0b6b7d",
    "bound": "#6b5a00",
    "artefact": "#9a4a00",
    "smooth": "#2a5a9c",
    "split": "#a12d72",
}
"""The charts' colours in a light notebook; `svg.py` turns each into a variable of the page."""
AXIS_TITLES = {
    "tokens": "training tokens",
    "params": "parameters",
    "flops": "training compute (FLOP)",
    "step": "training step",
    "loss": "loss (nats; better to the right)",
    "date": "date",
}

Rows = list[dict[str, Any]]


def finding_chart(finding: Finding) -> alt.VConcatChart:
    """Both twins of a finding on aligned panels. A curve without points gives an empty, titled chart."""
    chart, data = _assembled(finding)
    chart.datasets = data
    return chart


def finding_spec(finding: Finding) -> dict[str, Any]:
    """The same chart as a Vega-Lite specification; plain data is added to it without passing through altair."""
    chart, data = _assembled(finding)
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec | {"datasets": data}


def _assembled(finding: Finding) -> tuple[alt.VConcatChart, dict[str, Rows]]:
    frame = frame_of(finding)
    drawn = [c for c in ("hard", "soft") if points_of(finding, c)] if frame else []
    data: dict[str, Rows] = {}
    panels: list[Any] = []
    for channel in drawn:
        assert frame is not None
        panel = _Panel(finding, channel, frame, labelled=channel == drawn[-1])
        panels.append(panel.chart())
        data |= panel.data
    if not panels:
        panels = [alt.Chart(alt.Data(values=[])).mark_point().properties(title="no points")]
    return alt.vconcat(*panels, spacing=14, config=config()), data


def config() -> alt.Config:
    """The look that all charts share."""
    return alt.Config(
        font="sans-serif",
        background="transparent",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            gridColor=COLOURS["grid"],
            domainColor=COLOURS["floor"],
            tickColor=COLOURS["floor"],
            labelColor=COLOURS["quiet"],
            titleColor=COLOURS["quiet"],
            titleFontWeight="normal",
            labelFontSize=11,
            titleFontSize=11.5,
            tickSize=4,
        ),
        title=alt.TitleConfig(anchor="start", frame="group", fontSize=12, fontWeight=600, offset=8),
    )


def points_of(finding: Finding, channel: str) -> Rows:
    """The measured points of a channel over all seeds, each with its seed's label."""
    return [
        {"seed": str(seed["label"]), **point}
        for seed in finding.curve.get("seeds", ())
        for point in seed.get(channel) or ()
        if point.get("value") is not None
    ]


def curves_of(finding: Finding, part: str, channel: str) -> list[list[tuple[float, float]]]:
    """The drawn curves of a channel, one per seed, as (raw x, y); part: "fit" or "smoothest"."""
    places = finding.curve.get("places") or ()
    each = [(seed.get(part) or {}).get(channel) or () for seed in finding.curve.get("seeds", ())]
    pairs = [[(x, y) for x, y in zip(places, ys, strict=False) if x is not None and y is not None] for ys in each]
    return [one for one in pairs if one]


def axis_of(frame: Frame, *, labelled: bool) -> alt.Axis:
    """The axis of growth, with ticks worded as in the text; bare where another panel carries the labels."""
    ticks = ticks_of(frame)
    places = json.dumps([place for place, _ in ticks])
    texts = json.dumps([text for _, text in ticks])
    return alt.Axis(
        values=[place for place, _ in ticks],
        labelExpr=f"({texts})[indexof({places}, datum.value)]",
        labels=labelled,
        ticks=labelled,
        title=AXIS_TITLES.get(frame.axis, frame.axis) if labelled else None,
        grid=False,
        labelOverlap="parity",
    )


def metric_label(finding: Finding, channel: str) -> str:
    """What a panel shows: the metric's name, its role, and that lower values were turned round."""
    name = finding.metric_hard if channel == "hard" else finding.metric_soft
    known = KNOWN.get(name or "")
    turned = ", sign turned so that up is better" if known and not known.higher_is_better else ""
    return f"{name or channel} ({channel} score{turned})"


@dataclass
class _Panel:
    """One channel's layers on the shared axis, and the data they name."""

    finding: Finding
    channel: str
    frame: Frame
    labelled: bool
    """Carries the labels of the shared axis."""
    data: dict[str, Rows] = field(default_factory=dict)

    def chart(self) -> Any:
        self.points = points_of(self.finding, self.channel)
        self.x = (
            alt.X("x:Q")
            .scale(
                type="log" if self.frame.log else "linear",
                domain=[self.frame.low, self.frame.high],
                nice=False,
                reverse=self.frame.axis == "loss",
            )
            .axis(axis_of(self.frame, labelled=self.labelled))
        )
        self.y = (
            alt.Y("y:Q")
            .title(None)
            .scale(domain=self._domain(), nice=False, clamp=True)
            .axis(tickCount=5, grid=True, domain=False, ticks=False, minExtent=34)
        )
        layers = [*self._onset(), *self._floor(), *self._forecast(), *self._curves(), *self._seeds()]
        title = alt.Title(text=metric_label(self.finding, self.channel), color=COLOURS[self.channel])
        height = TALL if self.channel == "hard" else LOW
        return alt.layer(*layers, width=WIDTH, height=height, title=title)

    def _layer(self, name: str, rows: Rows) -> alt.Chart:
        key = f"{self.channel}-{name}"
        self.data[key] = rows
        return alt.Chart(alt.NamedData(key))

    def _given(self, part: str) -> Any:
        return (self.finding.curve.get(part) or {}).get(self.channel) or {}

    def _domain(self) -> tuple[float, float]:
        values = [v for p in self.points for k in ("value", "low", "high") if (v := p.get(k)) is not None]
        floor = self._given("floor")
        values += [v for k in ("value", "nominal") if (v := floor.get(k)) is not None]
        low, high = min(values), max(values)
        pad = 0.06 * (high - low) or 0.05
        finding = self.finding
        name = finding.metric_hard if self.channel == "hard" else finding.metric_soft
        known = KNOWN.get(name or "")
        if known and known.low == 0 and known.higher_is_better:
            return (0.0, min(known.high, high + pad) if high < 0.93 else known.high)
        return (low - pad, high + pad)

    def _onset(self) -> list[Any]:
        at, frame = self.finding.onset, self.frame
        low, high = frame.shown(self.finding.onset_low), frame.shown(self.finding.onset_high)
        layers: list[Any] = []
        if low is not None and high is not None:
            band = self._layer("onset-interval", [{"x": low, "x2": high}])
            layers.append(
                band.mark_rect(color=COLOURS["onset"], opacity=0.13, aria=False).encode(x=self.x, x2=alt.X2("x2:Q"))
            )
        if at is not None and frame.low <= at <= frame.high:
            line = self._layer("onset", [{"x": at}])
            layers.append(line.mark_rule(color=COLOURS["onset"], size=1.2, aria=False).encode(x=self.x))
        return layers

    def _floor(self) -> list[Any]:
        floor = self._given("floor")
        layers: list[Any] = []
        if floor.get("low") is not None and floor.get("high") is not None:
            band = self._layer("floor-interval", [{"y": floor["low"], "y2": floor["high"]}])
            layers.append(
                band.mark_rect(color=COLOURS["floor"], opacity=0.3, aria=False).encode(y=self.y, y2=alt.Y2("y2:Q"))
            )
        for key, dash in (("value", [1, 0]), ("nominal", [2, 3])):
            if floor.get(key) is not None:
                line = self._layer(f"floor-{key}", [{"y": floor[key]}])
                layers.append(line.mark_rule(color=COLOURS["floor"], strokeDash=dash, aria=False).encode(y=self.y))
        return layers

    def _forecast(self) -> list[Any]:
        forecast = self.finding.curve.get("forecast") or {}
        if forecast.get("channel") != self.channel:
            return []
        rows = [
            {"x": self.frame.place(x), "y": low, "y2": high}
            for x, low, high in zip(forecast["x"], forecast["low"], forecast["high"], strict=True)
            if low is not None and high is not None
        ]
        area = self._layer("forecast", rows).mark_area(color=COLOURS["quiet"], opacity=0.18, aria=False)
        return [area.encode(x=self.x, y=self.y, y2=alt.Y2("y2:Q"))]

    def _curves(self) -> list[Any]:
        layers: list[Any] = []
        for part, dash, width in (("smoothest", [5, 4], 1.6), ("fit", [1, 0], 2.4)):
            curves = curves_of(self.finding, part, self.channel)
            rows = [
                {"x": x, "y": y, "seed": k}
                for k, curve in enumerate(curves)
                for x, y in curve
                if self.frame.low <= x <= self.frame.high
            ]
            if rows:
                colour = COLOURS["ink"] if part == "smoothest" else COLOURS[self.channel]
                size = width if len(curves) == 1 else 0.6 * width
                line = self._layer(part, rows).mark_line(
                    color=colour, strokeDash=dash, size=size, opacity=0.85, aria=False
                )
                layers.append(line.encode(x=self.x, y=self.y, order=alt.Order("x:Q"), detail=alt.Detail("seed:N")))
        return layers

    def _seeds(self) -> list[Any]:
        colour = COLOURS[self.channel]
        rows: Rows = [{"x": self.frame.place(p["x"]), "y": p["value"], "seed": p["seed"]} for p in self.points]
        trained = [row for row, p in zip(rows, self.points, strict=True) if not self.frame.apart(p["x"])]
        lines = self._layer("seeds", trained).mark_line(color=colour, opacity=0.4, size=1, aria=False)
        drawn = [lines.encode(x=self.x, y=self.y, detail=alt.Detail("seed:N"))]
        if len(rows) > MOST_POINTS:
            return drawn
        bars = self._layer("bars", _bars(self.points, self.frame)).mark_rule(
            color=colour, opacity=0.45, size=1, aria=False
        )
        dots = self._layer("points", rows).mark_circle(color=colour, opacity=0.9, size=16, aria=False)
        return [bars.encode(x=self.x, y=self.y, y2=alt.Y2("y2:Q")), *drawn, dots.encode(x=self.x, y=self.y)]


def _bars(points: Sequence[Mapping[str, Any]], frame: Frame) -> Rows:
    return [
        {"x": frame.place(p["x"]), "y": p["low"], "y2": p["high"]}
        for p in points
        if p.get("low") is not None and p.get("high") is not None
    ]
