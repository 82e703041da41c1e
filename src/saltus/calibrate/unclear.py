"""Truths that nobody could tell from their points, and curves that a fault has spoiled.

Whatever the mean curve, the right word for the first kind is `unresolved`: too few points, one point alone off the
floor, too few items, a leap hidden in a gap or at an edge of the grid, noise as large as the question, a soft twin
that goes its own way.
The second kind carries the mask of a disqualifying guard: without the masked points the word is another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from saltus.calibrate import decidable, shapes
from saltus.calibrate.clarity import is_clear_jump, is_clearly_gradual
from saltus.calibrate.draft import Canvas, Draft
from saltus.calibrate.settings import Setting
from saltus.records import Analysis
from saltus.stats.batch import Floats

_LEAST_RISE = 0.15


def unresolved(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """One of the six ways not to be able to tell."""
    makers: tuple[Callable[..., Draft | None], ...] = (
        _few_points,
        _lone_point,
        _tiny_n,
        _hidden_in_a_gap,
        _early,
        _swamped,
    )
    lot = rng.choice(len(makers), p=[0.12, 0.2, 0.1, 0.25, 0.1, 0.23])
    return makers[int(lot)](rng, canvas.setting, analysis)


def _drawn(setting: Setting, kind: str, family: str, one: Callable[[Canvas], Floats], *, bend: float = 1.0) -> Draft:
    """A draft whose seeds agree and whose soft twin is the same curve through a bent scale."""
    canvas = Canvas(setting)
    hard = np.tile(one(canvas), (setting.seeds, 1))
    soft = hard**bend if setting.soft is not None else None
    return Draft(word="unresolved", kind=kind, family=family, setting=setting, hard=hard, soft=soft)


def _visible(draft: Draft) -> bool:
    """The rise is large, and its last point alone stands clear of the first."""
    mean = draft.hard_mean()[-1]
    error = draft.setting.hard_error(mean).max()
    return bool(mean[-1] - mean[0] >= max(_LEAST_RISE, 6 * error))


def _few_points(rng: np.random.Generator, setting: Setting, analysis: Analysis) -> Draft | None:
    kept = int(rng.integers(3, analysis.min_points))
    places = np.linspace(0, len(setting.x) - 1, kept).round().astype(int)
    setting = replace(setting, x=setting.x[places])
    family, shape = shapes.any_sigmoid(rng)
    middle = setting.x[0] + rng.uniform(0.2, 0.8) * setting.range
    wide = rng.uniform(0.05, 1.0) * setting.range
    return _drawn(setting, "few points", family, lambda c: shapes.at(shape, c.xs, middle, wide))


def _lone_point(rng: np.random.Generator, setting: Setting, analysis: Analysis) -> Draft | None:
    place = rng.uniform(setting.x[-2], setting.x[-1])
    draft = _drawn(setting, "lone point", "step", lambda c: shapes.at(lambda z: z, c.xs, place, 0.0))
    return draft if _visible(draft) else None


def _tiny_n(rng: np.random.Generator, setting: Setting, analysis: Analysis) -> Draft | None:
    """So few answers in all that even a rise of 0.3 over half of the points would pass unseen."""
    items, kept = int(rng.integers(3, 7)), int(rng.integers(analysis.min_points, 9))
    if setting.floor < 0.15 or kept > len(setting.x):
        return None
    places = np.linspace(0, len(setting.x) - 1, kept).round().astype(int)
    setting = replace(
        setting,
        x=setting.x[places],
        seeds=1,
        items=items,
        items_known=True,
        floor_source="computed",
        floor_known=setting.floor,
    )
    answers = items * len(setting.x) * setting.seeds / 2
    if 2.8 * np.sqrt(setting.floor * (1 - setting.floor) / answers) < 0.3:
        return None
    return _drawn(setting, "tiny n", "constant", lambda c: np.zeros_like(c.xs))


def _hidden_in_a_gap(rng: np.random.Generator, setting: Setting, analysis: Analysis) -> Draft | None:
    """All of the rise lies between two points further apart than any jump may be wide."""
    gap = setting.jump_limit(analysis) * rng.uniform(1.3, 1.8)
    middle = setting.x[0] + rng.uniform(0.3, 0.7) * setting.range
    kept = setting.x[np.abs(setting.x - middle) >= gap / 2]
    before, after = (kept < middle).sum(), (kept > middle).sum()
    if len(kept) < analysis.min_points or before < 3 or after < 2:
        return None
    wide = gap * rng.uniform(0.0, 0.7)
    family = "ramp"
    draft = _drawn(
        replace(setting, x=kept),
        "hidden in a gap",
        family,
        lambda c: shapes.at(shapes.SIGMOIDS[family], c.xs, middle, wide),
    )
    return draft if _visible(draft) else None


def _early(rng: np.random.Generator, setting: Setting, analysis: Analysis) -> Draft | None:
    """The leap comes after one or two points: nobody saw what lay before it."""
    before = int(rng.integers(1, analysis.points_before))
    place = rng.uniform(setting.x[before - 1], setting.x[before])
    if setting.x[before] - setting.x[before - 1] > 0.5 * setting.range:
        return None
    draft = _drawn(setting, "too early", "step", lambda c: shapes.at(lambda z: z, c.xs, place, 0.0))
    return draft if _visible(draft) else None


def _swamped(rng: np.random.Generator, setting: Setting, analysis: Analysis) -> Draft | None:
    """Something rises, but neither a jump nor a gradual curve can be excluded in either channel."""
    setting = replace(setting, seeds=1, items=int(rng.integers(20, 80)), jitter=0.2, items_known=True)
    if setting.soft is not None:
        coarse = (setting.soft.high - setting.soft.low) * rng.uniform(0.2, 0.4)
        setting = replace(setting, soft=replace(setting.soft, stderr=coarse, noise=1.0))
    family, shape = shapes.any_sigmoid(rng)
    middle = setting.x[0] + rng.uniform(0.3, 0.7) * setting.range
    wide = rng.uniform(0.1, 0.5) * setting.range
    draft = _drawn(setting, "swamped by noise", family, lambda c: shapes.at(shape, c.xs, middle, wide))
    mean = draft.hard_mean()[-1]
    error = setting.hard_error(mean)
    seen = float(np.sum(((mean - setting.floor) / error) ** 2)) >= 64.0
    if not seen or np.ptp(mean) < 2 * _LEAST_RISE:
        return None
    hopeless = all(
        min(misfits(setting, mean, error, analysis)) <= decidable.HOPELESS
        for misfits in (decidable.misfits_to_jump, decidable.misfits_to_gradual)
    )
    return draft if hopeless else None


def unrelated_twin(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """The hard score jumps in every seed, each at its own place, while the soft one climbs alike in all of them.

    The soft twin neither agrees nor explains: at one soft level some seeds have leapt and others have not.
    """
    setting = canvas.setting
    if setting.seeds < analysis.transition_seeds or setting.soft is None:
        return None
    family, shape = shapes.any_sigmoid(rng)
    wide = 0.5 * setting.jump_limit(analysis)
    places = setting.x[0] + np.linspace(0.3, 0.7, setting.seeds) * setting.range
    hard = np.stack([shapes.at(shape, canvas.xs, place, wide) for place in rng.permutation(places)])
    _, climb = shapes.any_climb(rng)
    draft = Draft(
        word="unresolved",
        kind="unrelated twin",
        family=family,
        setting=setting,
        hard=hard,
        soft=np.tile(climb(canvas.ts), (setting.seeds, 1)),
        leap=hard[-1],
    )
    clear = is_clear_jump(draft, "hard", analysis) and is_clearly_gradual(draft, "soft", analysis)
    return draft if clear else None


def defective(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """Flat, but for a few points measured otherwise (other shots, say), which a guard has marked."""
    setting = canvas.setting
    points = len(setting.x)
    spoiled = int(rng.integers(3, 6))
    if points - spoiled < analysis.min_points + 1:
        return None
    at_end = rng.random() < 0.5
    first = points - spoiled if at_end else int(rng.integers(3, points - spoiled - 2))
    mask = np.zeros(points, dtype=bool)
    mask[first : first + spoiled] = True
    hard = np.zeros((setting.seeds, len(canvas.xs)))
    hard[:, :points][:, mask] = 1.0
    soft = hard.copy() if setting.soft is not None else None
    kind = "other shots at the end" if at_end else "other shots in the middle"
    draft = Draft(word="defective", kind=kind, family="constant", setting=setting, hard=hard, soft=soft, suspect=mask)
    error = setting.hard_error(draft.hard_mean()[-1]).max()
    fine = 2.8 * error < 0.8 * analysis.max_mde and setting.rise > max(_LEAST_RISE, 6 * error)
    return draft if fine else None
