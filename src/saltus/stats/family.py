"""Onsets that coincide: one acquired format or elicitation is not ten abilities.

Within one series, condition and axis, the jumps of one format are compared by place. Where most jumps of a
format, over several skills, share one place, and the same or other skills in other formats do not jump there,
the jumps are bound to the format. Known limit: needs `skill` and `format` (or `elicitation`) in the keys;
without them the scope is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from saltus.stats.batch import Bools, CurveKey, Floats

SKILLS = 3
TOGETHER = 0.6
ELSEWHERE = 0.4


def scopes(
    keys: Sequence[CurveKey], jump: Bools, low: Floats, high: Floats, judged: Bools
) -> tuple[list[str], list[str]]:
    """Scope of every curve, and why. low, high: onset interval on the fitted axis; judged: enough points."""
    scope, why = ["unknown"] * len(keys), [""] * len(keys)
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, k in enumerate(keys):
        groups[(k.series, k.condition, k.axis, k.slice)].append(i)
    for members in groups.values():
        for factor in ("format", "elicitation"):
            _one_factor(keys, members, factor, (jump, low, high, judged), scope, why)
    return scope, why


def _one_factor(
    keys: Sequence[CurveKey], members: list[int], factor: str,
    found: tuple[Bools, Floats, Floats, Bools], scope: list[str], why: list[str],
) -> None:  # fmt: skip
    jump, low, high, judged = found
    levels: dict[str, list[int]] = defaultdict(list)
    for i in members:
        level = getattr(keys[i], factor)
        if level is not None and judged[i]:
            levels[level].append(i)
    if len(levels) < 2:
        return
    for level, inside in levels.items():
        leapt = [i for i in inside if jump[i]]
        place, together = _place(leapt, low, high)
        skills = {keys[i].skill or keys[i].task for i in together}
        if (
            len(skills) < SKILLS
            or len(together) < TOGETHER * len(leapt)
            or len(leapt) < TOGETHER * len(inside)
        ):
            continue
        others = [i for other, several in levels.items() if other != level for i in several]
        same = [i for i in others if jump[i] and low[i] <= place <= high[i]]
        if len(same) > ELSEWHERE * len(others):
            for i in together:
                scope[i] = "general" if scope[i] == "unknown" else scope[i]
            continue
        for i in together:
            scope[i] = factor
            why[i] = (
                f"{len(together)} of {len(inside)} tasks in {factor} `{level}`, over {len(skills)} skills, "
                f"jump at this one place, and {len(same)} of {len(others)} in other {factor}s do: "
                f"one {factor} was acquired"
            )


def _place(members: list[int], low: Floats, high: Floats) -> tuple[float, list[int]]:
    """The place that most onset intervals contain, and whose they are."""
    best: tuple[float, list[int]] = (np.nan, [])
    for i in members:
        inside = [j for j in members if low[j] <= high[i] and high[j] >= high[i]]
        if len(inside) > len(best[1]):
            best = (float(high[i]), inside)
    return best
