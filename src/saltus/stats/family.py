"""Onsets that coincide: one acquired format or elicitation is not ten abilities.

Within one series, condition and axis, the leaps of one format are compared by place. The largest set of skills whose
onset intervals agree on one place counts as bound to the format if leaps at independent places would hardly ever
agree so well (a scan statistic), if it is most of what rises in that format, and if other formats do not leap there.

Known limits: needs `skill` and `format` (or `elicitation`) in the keys, else the scope is unknown. Three or four skills
on a grid of ten points agree by chance too often to be distinguished from bound ones, and stay unbound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import comb, log

import numpy as np

from saltus.records import Analysis
from saltus.stats.batch import Bools, CurveKey, Floats
from saltus.stats.measure import Measures
from saltus.stats.series import Series
from saltus.stats.shape import GRADUAL, JUMP, RISE_P, UNKNOWN

SKILLS = 3
"""Unrelated skills that have to leap together."""
CHANCE = 0.01
"""Agreement that independent places give more often than this is none."""
MOST = 0.6
"""Share of what rises in a format that has to rise at the one place."""
ELSEWHERE = 0.4
"""Share of the tasks in other formats that may leap there too."""
EVEN = 0.9
"""Share of the room over which independent places are taken as even: series are run where something happens, so
leaps crowd in their middle (`calibrate.families` simulates places over two thirds of the range)."""
OWN = 0.3
"""Share of the widest jump that a leap itself takes up of the room."""
SLACK = 0.2
"""Share of the widest jump by which onset intervals of one place may lie apart: 0.2 decade on a long axis."""


@dataclass(frozen=True)
class Onsets:
    """What is known of every curve's rise (C,); places in units of the fitted axis."""

    leapt: Bools
    """A jump, significant over the family."""
    rose: Bools
    """A jump, or a rise of unknown shape whose onset is known to within the width of a jump: a witness of its place."""
    climbed: Bools
    """A gradual rise."""
    judged: Bools
    """Enough points to be judged."""
    at: Floats
    low: Floats
    high: Floats
    limit: Floats
    """Width of the widest rise that is a jump."""
    room: Floats
    """Length of the axis on which the grid lets a jump be seen."""


def onsets(m: Measures, significant: Bools, analysis: Analysis) -> Onsets:
    """Of measured curves; significant: (C,) the jump, if it is one, counts in its family."""
    shape, span, origin = m.hard.shape, m.prepared.span, m.prepared.origin
    located = shape.onset_high - shape.onset_low <= m.limits.narrow
    rises = (shape.code == UNKNOWN) & (m.hard.trend.rise_p < RISE_P) & located
    return Onsets(
        leapt=(shape.code == JUMP) & significant,
        rose=(shape.code == JUMP) | rises,
        climbed=shape.code == GRADUAL,
        judged=m.hard.series.count.max(axis=1) >= analysis.min_points,
        at=origin + shape.onset * span,
        low=origin + shape.onset_low * span,
        high=origin + shape.onset_high * span,
        limit=m.limits.narrow * span,
        room=room(m.hard.series, m.limits.narrow, analysis) * span,
    )


def gathered(pieces: Sequence[tuple[np.ndarray, Onsets]]) -> Onsets:
    """One record from those of parts; pieces: (places in the whole, record), at least one."""
    order = np.argsort(np.concatenate([index for index, _ in pieces]))
    columns = (np.concatenate([getattr(o, f.name) for _, o in pieces]) for f in fields(Onsets))
    return Onsets(*(column[order] for column in columns))


def room(series: Series, narrow: Floats, analysis: Analysis) -> Floats:
    """(C,) share of the range where a leap could be called: cells no wider than a jump, points before and after.

    narrow: (C,) width of the widest jump, as a share of the range.
    """
    curves = np.arange(len(series.y))
    longest = series.count.argmax(axis=1)
    u, count = series.u[curves, longest], series.count[curves, longest]
    cells = np.diff(u, axis=1)
    place = np.arange(1, u.shape[1])  # points at or before the start of the cell
    seen = (place >= analysis.points_before) & (place <= (count - analysis.points_after)[:, None])
    return np.where(seen & (cells <= narrow[:, None] + 1e-9), cells, 0.0).sum(axis=1)


def chance(skills: int, together: int, window: float, room: float) -> float:
    """Bound on the probability that `together` of `skills` independent onsets lie within `window` of `room`.

    C(m, k) · k · (d/R)^(k−1): the union bound over subsets of the law of the range of k even places; compare
    Naus (1965) on scan statistics. At most 1.
    """
    share = min(window / room, 1.0) if room > 0 else 1.0
    if share <= 0.0:
        return 0.0
    p = log(comb(skills, together)) + log(together) + (together - 1) * log(share)
    return float(np.exp(min(p, 0.0)))


def scopes(keys: Sequence[CurveKey], o: Onsets) -> tuple[list[str], list[str]]:
    """Scope of every curve ("format", "elicitation", "general" or "unknown"), and why."""
    scope, why = ["unknown"] * len(keys), [""] * len(keys)
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, k in enumerate(keys):
        if o.judged[i]:
            groups[k.series, k.condition, k.axis, k.slice].append(i)
    for members in groups.values():
        for factor in ("format", "elicitation"):
            levels: dict[str, list[int]] = defaultdict(list)
            for i in members:
                level = getattr(keys[i], factor)
                if level is not None:
                    levels[level].append(i)
            for level, inside in levels.items() if len(levels) > 1 else ():
                others = [i for name in levels if name != level for i in levels[name]]
                found, reason = _bound(keys, o, inside, others)
                for i in found if reason else [i for i in found if scope[i] == "unknown"]:
                    scope[i] = factor if reason else "general"
                    why[i] = f"in {factor} `{level}`, {reason}: one {factor} was acquired" if reason else ""
    return scope, why


def _bound(keys: Sequence[CurveKey], o: Onsets, inside: Sequence[int], others: Sequence[int]) -> tuple[list[int], str]:
    """The curves that leap at one place, and why they are bound to their format: "" where others leap there too."""
    rises = _one_per_skill(keys, [i for i in inside if o.rose[i]])
    together = _one_place(rises, o)
    if len(together) < SKILLS:
        return [], ""
    window = max(float(np.ptp(o.at[together])), float(np.median((o.high - o.low)[together])) / 2)
    free = EVEN * float(np.median((o.room - OWN * o.limit)[together]))
    p = chance(len(rises), len(together), window, free)
    apart = [i for i in inside if (o.rose[i] or o.climbed[i]) and not _meets(i, together, o)]
    elsewhere = len({_skill(keys[i]) for i in apart} - {_skill(keys[i]) for i in together})
    if p >= CHANCE or len(together) < MOST * (len(together) + elsewhere):
        return [], ""
    mine = [i for i in inside if o.leapt[i] and _meets(i, together, o)]
    same = [i for i in others if o.leapt[i] and _meets(i, together, o)]
    if len(same) > ELSEWHERE * len(others):
        return mine, ""
    return mine, (
        f"{len(together)} of {len(rises)} skills rise at one place (independent places: "
        f"p < {max(p, 1e-6):.1g}), and {len(same)} of {len(others)} curves in others do"
    )


def _skill(key: CurveKey) -> str:
    return key.skill or key.task


def _one_per_skill(keys: Sequence[CurveKey], rises: Iterable[int]) -> list[int]:
    """The first rise of every skill, primary metrics first: metrics of one task are no independent witnesses."""
    first: dict[str, int] = {}
    for i in sorted(rises, key=lambda i: (not keys[i].primary, keys[i].task, str(keys[i].metric_hard))):
        first.setdefault(_skill(keys[i]), i)
    return list(first.values())


def _one_place(rises: Sequence[int], o: Onsets) -> list[int]:
    """The most rises whose intervals lie no further apart than the slack; of several sets the closest."""
    best: list[int] = []
    for i in rises:
        end = o.high[i] + SLACK * o.limit[i]
        here = [j for j in rises if o.low[j] <= end and o.high[j] >= o.high[i]]
        if (len(here), -np.ptp(o.at[here])) > (len(best), -np.ptp(o.at[best]) if best else -np.inf):
            best = here
    return best


def _meets(i: int, together: Sequence[int], o: Onsets) -> bool:
    """The onset interval of curve i is within the slack of the place that the others share."""
    slack = SLACK * o.limit[i]
    return bool(o.low[i] <= o.high[together].min() + slack and o.high[i] >= o.low[together].max() - slack)
