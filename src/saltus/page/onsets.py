"""Where along an axis things rise: onsets of many findings with their intervals, one line each.

Only findings whose word speaks of a rise are drawn, the first of the index, at most `MOST_ONSETS` of an axis; what is
left out is counted. Known limit: the axis spans the points of the findings drawn, so a lone long series stretches it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from saltus.page import numbers as num
from saltus.page.charts import COLOURS, axis_of, config
from saltus.page.frame import Frame, frame_of
from saltus.page.svg import render
from saltus.page.text import name, safe
from saltus.page.words import in_line, where
from saltus.records import Finding
from saltus.verdict import RISES

MOST_ONSETS = 30
FEWEST = 3
WIDTH, LINE = 430, 21
MOST_LABEL = 46
HIDDEN = "\u2060"
"""Parts a label from what makes it unique; the axis shows what stands before it."""

Line = dict[str, Any]


def onsets(in_order: Sequence[Finding], slugs: Mapping[str, str]) -> list[Line]:
    """Per axis with at least `FEWEST` onsets: the drawing, its words, and its table."""
    rising = [f for f in in_order if f.verdict in RISES and f.onset is not None and f.primary and f.slice is None]
    drawn: list[Line] = []
    for axis in dict.fromkeys(f.axis for f in rising):
        found = [f for f in rising if f.axis == axis]
        frame = _frame(found[:MOST_ONSETS])
        if len(found) >= FEWEST and frame is not None:
            drawn.append(_figure(found, frame, slugs, f"o{len(drawn) + 1}"))
    return drawn


def _frame(findings: Sequence[Finding]) -> Frame | None:
    frames = [frame for f in findings if (frame := frame_of(f)) is not None]
    if not frames or len({frame.log for frame in frames}) > 1:
        return None
    first = frames[0]
    low = min(frame.low if frame.zero_at is None else frame.zero_at for frame in frames)
    return Frame(first.axis, first.log, low, max(frame.high for frame in frames), None)


def _figure(found: Sequence[Finding], frame: Frame, slugs: Mapping[str, str], key: str) -> Line:
    shown = sorted(found[:MOST_ONSETS], key=lambda f: f.onset or 0.0, reverse=frame.axis == "loss")
    first, last = (num.on_axis(f.onset, frame.axis, unit=True) for f in (shown[0], shown[-1]))
    title = f"Onsets along {name(frame.axis)}"
    about = (
        f"{len(shown)} rises in order of their onset along {frame.axis}: from {where(shown[0])} at {first} "
        f"to {where(shown[-1])} at {last}. The table below has every onset with its interval."
    )
    left = len(found) - len(shown)
    return {
        "title": title,
        "chart": render(onset_spec(shown, frame), title=title, about=safe(about), key=key),
        "left": f"{left:,} more onsets are in the index." if left else "",
        "rows": [
            {
                "what": name(where(f)),
                "slug": slugs.get(f.finding_id),
                "verdict": f.verdict + in_line(f),
                "onset": num.on_axis(f.onset, f.axis, unit=True),
                "span": num.span(f.onset_low, f.onset_high, f.axis),
            }
            for f in shown
        ],
    }


def onset_spec(shown: Sequence[Finding], frame: Frame) -> dict[str, Any]:
    """Vega-Lite: a dot and an interval per finding, the verdict's word beside it."""
    data: dict[str, list[dict[str, Any]]] = {}
    labels = _labels(shown)
    x = (
        alt.X("x:Q")
        .axis(axis_of(frame, labelled=True))
        .scale(
            type="log" if frame.log else "linear",
            domain=[frame.low, frame.high],
            nice=False,
            reverse=frame.axis == "loss",
        )
    )
    axis = alt.Axis(
        domain=False,
        ticks=False,
        grid=True,
        labelLimit=300,
        minExtent=min(300.0, 6.7 * max(map(len, labels))),
        labelExpr=f"split(datum.label, '{HIDDEN}')[0]",
    )
    y = alt.Y("name:N", axis=axis, scale=alt.Scale(domain=labels), title=None)
    layers: list[Any] = []
    for word in dict.fromkeys(f.verdict for f in shown):
        rows = [_row(f, label, frame) for f, label in zip(shown, labels, strict=True) if f.verdict == word]
        data[word] = rows
        base = alt.Chart(alt.NamedData(word))
        colour = COLOURS[word]
        layers += [
            base.mark_rule(color=colour, size=3, opacity=0.4, aria=False).encode(x=x, x2=alt.X2("high:Q"), y=y),
            base.mark_circle(color=colour, size=46, opacity=1, aria=False).encode(x=alt.X("onset:Q"), y=y),
            base.mark_text(color=colour, align="left", dx=8, fontSize=11, aria=False).encode(
                x=alt.X("end:Q"), y=y, text=alt.Text("word:N")
            ),
        ]
    chart = alt.layer(
        *layers,
        width=WIDTH,
        height=LINE * len(shown),
        config=config(),
        padding={"left": 5, "right": 64, "top": 5, "bottom": 5},
    )
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec | {"datasets": data}


def _labels(shown: Sequence[Finding]) -> list[str]:
    """What rises, without what all series share; its place behind a mark, as two findings may have one name."""
    series = [f.series.split("/") for f in shown]
    same = 0
    while all(len(parts) > same and parts[same] == series[0][same] for parts in series):
        same += 1
    labels = []
    for i, (f, parts) in enumerate(zip(shown, series, strict=True)):
        label_parts = [f.task, *(["/".join(parts[same:])] if parts[same:] else [])]
        label_parts += [f.condition] if f.condition != "baseline" else []
        text = name(" · ".join(label_parts))
        half = MOST_LABEL // 2
        short = text if len(text) <= MOST_LABEL else f"{text[:half]}…{text[-half:]}"
        labels.append(f"{short}{HIDDEN}{i}")
    return labels


def _row(finding: Finding, label: str, frame: Frame) -> dict[str, Any]:
    onset = finding.onset if finding.onset is not None else math.nan
    low = finding.onset_low if finding.onset_low is not None else onset
    high = finding.onset_high if finding.onset_high is not None else onset
    low, high, onset = (min(max(v, frame.low), frame.high) for v in (low, high, onset))
    end = low if frame.axis == "loss" else high
    return {"name": label, "x": low, "high": high, "onset": onset, "end": end, "word": finding.verdict}
