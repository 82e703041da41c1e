"""Families of tasks in two formats: one acquired format (`bound`), or several leaps that only share a series.

In each group the same four to six skills are asked in letters and as cloze, over one series of checkpoints. The cloze
tasks are smooth. The letter tasks all leap within 0.2 decade, or, as the control, each at its own place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from saltus.calibrate.draft import Canvas, Draft
from saltus.calibrate.recipes import leap_draft, smooth
from saltus.calibrate.settings import Fixed, Setting, draw_setting
from saltus.records import Analysis, Verdict

SKILLS = (4, 5, 6)
TOGETHER = 0.2
"""Decades within which all skills leap."""
_CIRCUMSTANCES = Fixed(seeds=1, soft=True)
_MOST_TRIES = 2000


def formats(rng: np.random.Generator, groups: int, analysis: Analysis) -> list[Draft]:
    """`groups` series of some skills in two formats; every second one is a control."""
    made: list[list[Draft]] = []
    while len(made) < groups:
        name = f"series of formats {len(made)}"
        drafts = _group(rng, name, analysis, together=len(made) % 2 == 0)
        made += [drafts] if drafts else []
    return [draft for drafts in made for draft in drafts]


def _group(rng: np.random.Generator, series: str, analysis: Analysis, *, together: bool) -> list[Draft]:
    """The drafts of one series; empty where its grid leaves no clear truth."""
    base = draw_setting(rng, _CIRCUMSTANCES)
    if not base.log_axis or len(base.x) < 10:
        return []
    place = base.x[0] + rng.uniform(0.35, 0.7) * base.range
    drafts: list[Draft] = []
    for skill in range(int(rng.choice(SKILLS))):
        middle = place + rng.uniform(-TOGETHER, TOGETHER) / 2 if together else None

        def letters(canvas: Canvas, middle: float | None = middle) -> Draft | None:
            return leap_draft(rng, canvas, analysis, leapers=1, middle=middle)

        def cloze(canvas: Canvas) -> Draft | None:
            return smooth(rng, canvas, analysis)

        leapt, climbed = _until(rng, base, letters), _until(rng, base, cloze)
        if leapt is None or climbed is None:
            return []
        word: Verdict = "bound" if together else "sharp"
        kind = "one place" if together else "own place, one format"
        leapt = replace(leapt, word=word, kind=kind, label=(series, f"skill {skill}", "letters"))
        drafts += [leapt, replace(climbed, label=(series, f"skill {skill}", "cloze"))]
    return drafts


def _until(rng: np.random.Generator, base: Setting, make: Callable[[Canvas], Draft | None]) -> Draft | None:
    """The first clear draft on the group's grid, every task with its own items, floor and noise."""
    for _ in range(_MOST_TRIES):
        own = replace(draw_setting(rng, _CIRCUMSTANCES), x=base.x, axis=base.axis, log_axis=True)
        draft = make(Canvas(own))
        if draft is not None:
            return draft
    return None
