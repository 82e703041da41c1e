"""A finding's curve in a few hundred bytes: the small multiples of the index.

Hard twin as a line, soft twin fainter behind it on its own scale, the onset as a tick. Seeds are averaged and
at most 20 points are drawn: a spark shows a shape, the table beside it holds the numbers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from saltus.metrics import KNOWN
from saltus.page.frame import Frame, frame_of
from saltus.records import Finding

WIDE, HIGH = 96, 22
MOST_POINTS = 20
LEAST_RANGE = 0.5
"""A share (accuracy and the like) is drawn on at least this range from 0, so that noise does not look like a rise."""


def spark(finding: Finding) -> str:
    """Inline SVG of the curve, decorative (its words stand beside it); empty where no point is measured."""
    frame = frame_of(finding)
    if frame is None:
        return ""
    hard, soft = (_means(finding, channel, frame) for channel in ("hard", "soft"))
    paths = ""
    if soft:
        paths += f'<path class="sa-q" d="{_path(soft, _own_range(soft), frame)}"/>'
    if finding.onset is not None and frame.low <= finding.onset <= frame.high:
        paths += f'<path class="sa-o" d="M{_across(finding.onset, frame)} 0v{HIGH}"/>'
    if hard:
        paths += f'<path d="{_path(hard, _hard_range(finding, hard), frame)}"/>'
    return f'<svg class="sa-s" aria-hidden="true">{paths}</svg>'


def _means(finding: Finding, channel: str, frame: Frame) -> list[tuple[float, float]]:
    sums: dict[float, list[float]] = defaultdict(list)
    for seed in finding.curve.get("seeds", ()):
        for point in seed.get(channel) or ():
            if point.get("value") is not None:
                sums[frame.place(point["x"])].append(point["value"])
    means = [(x, sum(values) / len(values)) for x, values in sorted(sums.items())]
    return _thinned(means)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) <= MOST_POINTS:
        return points
    last = len(points) - 1
    return [points[round(i * last / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]


def _own_range(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    values = [y for _, y in points]
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 1, low + 1)


def _hard_range(finding: Finding, points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    low, high = _own_range(points)
    known = KNOWN.get(finding.metric_hard or "")
    share = known is None or (known.low == 0 and known.high == 1)
    if share and low >= 0 and high <= 1:
        return 0.0, max(LEAST_RANGE, high)
    return low, high


def _across(x: float, frame: Frame) -> int:
    low, high = (math.log10(v) if frame.log else v for v in (frame.low, frame.high))
    share = ((math.log10(x) if frame.log else x) - low) / (high - low)
    return round(WIDE * (1 - share if frame.axis == "loss" else share))


def _path(points: Sequence[tuple[float, float]], between: tuple[float, float], frame: Frame) -> str:
    low, high = between
    placed = sorted((_across(x, frame), round(HIGH - 2 - (HIGH - 4) * (y - low) / (high - low))) for x, y in points)
    x, y = placed[0]
    drawn = f"M{x} {y}"
    for nx, ny in placed[1:]:
        drawn += f"l{nx - x} {ny - y}".replace(" -", "-")
        x, y = nx, ny
    return drawn if len(placed) > 1 else drawn + "h2"
