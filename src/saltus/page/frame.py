"""The shared horizontal axis of a finding's panels: its range, where x = 0 goes, where it is labelled and how."""

from __future__ import annotations

import math
from dataclasses import dataclass

from saltus.page.numbers import on_axis, plain
from saltus.records import Finding


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

    def apart(self, x: float) -> bool:
        """Whether a raw x is drawn apart from the axis."""
        return self.log and x <= 0

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
    return Frame(finding.axis, True, (zero or low) / 10 ** (0.03 * decades), high * 10 ** (0.03 * decades), zero)


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
