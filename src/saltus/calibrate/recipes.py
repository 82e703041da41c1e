"""How a truth of each word is made, its circumstances given. A recipe answers None when the draft is not clear.

One function per word. Each draws a family, places it on the grid, adds what must not matter (trends under a
leap, a soft twin of another shape, seeds that differ a little, a mild late decline) and checks against
clarity.py that the result is what it claims. `unclear.py` holds the truths nobody can tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from saltus.calibrate import shapes
from saltus.calibrate.clarity import channels, is_clear_jump, is_clear_turn, is_clearly_gradual, is_gradual, is_jump
from saltus.calibrate.draft import Canvas, Draft
from saltus.records import Analysis
from saltus.stats.batch import Floats

Recipe = Callable[[np.random.Generator, Canvas, Analysis], Draft | None]


def flat(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """At the floor throughout; the soft twin may do what it likes below it."""
    setting = canvas.setting
    drift = rng.uniform(-0.01, 0.015) if rng.random() < 0.3 and setting.floor > 0.02 else 0.0
    one = drift / setting.rise * canvas.ts
    hard = np.tile(one, (setting.seeds, 1))
    error = setting.hard_error(np.array([setting.floor])).max()
    if 2.8 * error > 0.8 * analysis.max_mde or len(setting.x) < analysis.min_points:
        return None  # not even one point could be seen to leave the floor
    soft, kind = None, "no soft twin"
    if setting.soft is not None:
        kind, one_soft = _soft_below_floor(rng, canvas)
        soft = np.tile(one_soft, (setting.seeds, 1))
    return Draft(word="flat", kind=kind, family="constant", setting=setting, hard=hard, soft=soft)


def _soft_below_floor(rng: np.random.Generator, canvas: Canvas) -> tuple[str, Floats]:
    lot = rng.random()
    if lot < 0.4:
        return "soft flat", 0.02 * rng.normal() * canvas.ts
    if lot < 0.75:
        _, climb = shapes.any_climb(rng)
        return "soft rises", rng.uniform(0.2, 1.0) * climb(canvas.ts)
    if lot < 0.9:
        midpoint = canvas.setting.x[0] + rng.uniform(0.2, 0.8) * canvas.setting.range
        wide = rng.uniform(0.0, 0.2) * canvas.setting.range
        return "soft leaps", rng.uniform(0.2, 0.8) * shapes.at(shapes.SIGMOIDS["logistic"], canvas.xs, midpoint, wide)
    return "soft falls", 0.5 - rng.uniform(0.2, 0.5) * canvas.ts


def smooth(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """Gradual in every channel; the twins may differ in family, place and width."""
    draft = _smooth_draft(rng, canvas)
    gradual = all(is_gradual(draft, which, analysis) for which in channels(draft))  # cheap, so first
    clear = gradual and all(is_clearly_gradual(draft, w, analysis) for w in channels(draft))
    return draft if clear else None


def murky(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """A smooth curve or an artefact too noisy for an oracle: no word is owed, but a leap is a false alarm."""
    draft = _smooth_draft(rng, canvas) if rng.random() < 0.6 else _artefact_draft(rng, canvas)
    if draft is None:
        return None
    asked = channels(draft) if draft.word == "smooth" else ("soft",)
    if not all(is_gradual(draft, which, analysis) for which in asked):
        return None
    if draft.word == "artefact" and not is_jump(draft, "hard", analysis):
        return None
    if all(is_clearly_gradual(draft, which, analysis) for which in asked):
        return None
    return replace(draft, kind="murky", clear=False)


def _smooth_draft(rng: np.random.Generator, canvas: Canvas) -> Draft:
    setting = canvas.setting
    family, hard = _gradual_curves(rng, canvas)
    hard = _level_spread(rng, hard)
    soft = None if setting.soft is None else _smooth_twin(rng, canvas, hard)
    kind = "no soft twin" if soft is None else "both twins"
    if rng.random() < 0.08:
        kind, hard = "mild decline", _mild_decline(rng, canvas, hard)
    draft = Draft(word="smooth", kind=kind, family=family, setting=setting, hard=hard, soft=soft)
    return replace(draft, onset=draft.crossing("hard", 0.5))


def _gradual_curves(rng: np.random.Generator, canvas: Canvas) -> tuple[str, Floats]:
    """(S, P + FINE): a wide sigmoid whose seeds differ in place, or a climb over the whole range."""
    setting = canvas.setting
    if rng.random() < 0.35:
        family, climb = shapes.any_climb(rng)
        return family, np.tile(climb(canvas.ts), (setting.seeds, 1))
    family, shape = shapes.any_sigmoid(rng)
    wide = rng.uniform(0.28, 1.0) * setting.range
    middle = setting.x[0] + rng.uniform(0.25, 0.75) * setting.range
    places = middle + rng.normal(0.0, 0.02 * setting.range, setting.seeds)
    return family, np.stack([shapes.at(shape, canvas.xs, place, wide) for place in places])


def _level_spread(rng: np.random.Generator, hard: Floats) -> Floats:
    """Seeds that end at different levels: one population, mostly narrow, sometimes broad."""
    if len(hard) == 1:
        return hard
    spread = 0.03 if rng.random() < 0.75 else 0.12
    return hard * (1.0 - spread * rng.uniform(0.0, 2.0, (len(hard), 1)))


def _smooth_twin(rng: np.random.Generator, canvas: Canvas, hard: Floats) -> Floats:
    if rng.random() < 0.5:  # the same curve through a bent scale
        return np.maximum(hard, 0.0) ** rng.uniform(0.35, 1.6)
    _, soft = _gradual_curves(rng, canvas)
    return soft


def _mild_decline(rng: np.random.Generator, canvas: Canvas, hard: Floats) -> Floats:
    """A late loss of at most a tenth of the rise: keeps the word of the rise."""
    start = rng.uniform(0.75, 0.9)
    return hard - rng.uniform(0.03, 0.1) * np.clip((canvas.ts - start) / (1.0 - start), 0.0, 1.0)


def artefact(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """The soft twin climbs; the hard one is a steep function of it."""
    draft = _artefact_draft(rng, canvas)
    if draft is None or not is_gradual(draft, "soft", analysis):
        return None
    if not is_clear_jump(draft, "hard", analysis):
        return None
    return draft if is_clearly_gradual(draft, "soft", analysis) else None


def _artefact_draft(rng: np.random.Generator, canvas: Canvas) -> Draft | None:
    """None where there is no soft twin, or the steep part lies outside the range."""
    setting = canvas.setting
    if setting.soft is None:
        return None
    _, graded = _gradual_curves(rng, canvas)
    link, hard, soft, length = _steep_link(rng, graded, logarithmic="logprob" in setting.soft.metric)
    start, end = hard[-1, 0], hard[-1, len(setting.x) - 1]
    if end - start < 0.5:
        return None
    draft = Draft(
        word="artefact",
        kind=link,
        family=link,
        setting=setting,
        hard=hard,
        soft=soft,
        token_length=length,
        leap=(hard[-1] - start) / (end - start),
        leapt=setting.seeds,
    )
    return replace(draft, onset=draft.crossing("hard", 0.5))


def _steep_link(
    rng: np.random.Generator, graded: Floats, *, logarithmic: bool
) -> tuple[str, Floats, Floats, float | None]:
    """(name, hard, soft, token length): exact match of L tokens, or a threshold that items share."""
    if rng.random() < 0.9:
        low, high = rng.uniform(0.02, 0.4), rng.uniform(0.9, 0.999)
        token = low + (high - low) * graded
        length = float(rng.integers(4, 60))
        lengths = length * np.exp(rng.normal(0.0, rng.choice([0.0, 0.3]), 25))
        hard = np.mean([token**n for n in lengths], axis=0)
        soft = np.log(token) if logarithmic else token
        soft = (soft - soft.min()) / (soft.max() - soft.min())
        return "pᴸ", hard / hard.max(), soft, length if rng.random() < 0.5 else None
    center, spread = rng.uniform(0.3, 0.8), rng.uniform(0.02, 0.12)
    _, shape = shapes.any_sigmoid(rng)
    hard = shapes.at(shape, graded, center, spread)
    return "threshold", hard, graded, None


def leap(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """Both channels jump at one place, or the hard one where there is no other: sharp, or a transition."""
    setting = canvas.setting
    replicated = setting.seeds >= analysis.transition_seeds and setting.soft is not None
    draft = leap_draft(rng, canvas, analysis, leapers=setting.seeds)
    if draft is None:
        return None
    if replicated:
        return replace(draft, word="transition")
    kind = "single run" if setting.seeds == 1 else "seeds"
    kind += "" if setting.soft is not None else ", no soft twin"
    return replace(draft, kind=kind + (f" {draft.kind}" if "trend" in draft.kind else ""))


def split(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """Some seeds leapt, some did not."""
    setting = canvas.setting
    if setting.seeds < analysis.transition_seeds:
        return None
    leapers = int(rng.integers(1, setting.seeds))
    draft = leap_draft(rng, canvas, analysis, leapers=leapers)
    if draft is None or draft.leap is None or draft.leap[len(setting.x) - 1] < 0.98:
        return None
    return replace(draft, word="split", kind=f"{leapers} of {setting.seeds} leapt")


def leap_draft(
    rng: np.random.Generator, canvas: Canvas, analysis: Analysis, *, leapers: int, middle: float | None = None
) -> Draft | None:
    """The last `leapers` seeds leap in both channels, at `middle` or a place by lot; None where that is not clear."""
    setting = canvas.setting
    limit = setting.jump_limit(analysis)
    family, shape = shapes.any_sigmoid(rng)
    wide = limit * rng.uniform(0.0, 0.7)
    if middle is None:
        middle = setting.x[0] + rng.uniform(0.2, 0.85) * setting.range
    places = middle + rng.normal(0.0, 0.06 * limit, setting.seeds)
    lot = rng.random()
    trend = rng.uniform(0.05, 0.2) if lot < 0.3 else rng.uniform(0.1, 0.3) if lot < 0.5 else 0.0
    leaps = np.stack([shapes.at(shape, canvas.xs, place, wide) for place in places])
    leaps[: setting.seeds - leapers] = 0.0
    drift = np.tile(canvas.ts, (setting.seeds, 1))
    if lot >= 0.3:  # what was acquired goes on growing
        end = setting.x[-1]
        room = np.maximum(end - places, 0.1 * limit)[:, None]
        drift = np.clip((canvas.xs - places[:, None]) / room, 0.0, 1.0) * (leaps[:, -1:] > 0)
    hard = (1 - trend) * leaps + trend * drift
    soft = twin = None
    if setting.soft is not None:
        twin = np.stack([_twin_leap(rng, canvas, place, wide, limit) for place in places])
        twin[: setting.seeds - leapers] = 0.0
        share = rng.uniform(0.0, 0.2)
        climb = canvas.ts ** rng.uniform(0.5, 1.5) if lot < 0.3 or trend == 0.0 else drift
        soft = (1 - share) * twin + share * climb
    if leapers == setting.seeds and trend == 0.0 and rng.random() < 0.08:
        hard = _mild_decline(rng, canvas, hard)
    kind = "plain" if not trend else "on a trend" if lot < 0.3 else "and a climbing trend"
    draft = Draft(
        word="sharp",
        kind=kind,
        family=family,
        setting=setting,
        hard=hard,
        soft=soft,
        leap=leaps[-1],
        soft_leap=None if twin is None else twin[-1],
        onset=float(places[setting.seeds - leapers :].mean()),
        leapt=leapers,
    )
    jumps = all(is_jump(draft, which, analysis) for which in channels(draft))  # cheap, so first
    clear = jumps and all(is_clear_jump(draft, which, analysis) for which in channels(draft))
    return draft if clear else None


def _twin_leap(rng: np.random.Generator, canvas: Canvas, place: float, wide: float, limit: float) -> Floats:
    """The soft channel's leap: another family, about as wide, at the same place."""
    _, shape = shapes.any_sigmoid(rng)
    wide = min(wide * rng.uniform(0.6, 1.5), 0.7 * limit)
    return shapes.at(shape, canvas.xs, place + rng.normal(0.0, 0.05 * limit), wide)


def irregular(rng: np.random.Generator, canvas: Canvas, analysis: Analysis) -> Draft | None:
    """Falls, or turns, by clearly more than the share that the definition asks for."""
    setting = canvas.setting
    kind, one = _turning(rng, canvas)
    hard = np.stack([one * (1 + 0.05 * rng.normal()) for _ in range(setting.seeds)])
    soft = None
    if setting.soft is not None:
        lot = rng.random()
        bent = np.sign(one) * np.abs(one) ** rng.uniform(0.6, 1.4)
        _, rising = shapes.any_climb(rng)
        follows = bent if lot < 0.75 else rising(canvas.ts)
        soft = np.tile(follows, (setting.seeds, 1))
    draft = Draft(word="irregular", kind=kind, family=kind, setting=setting, hard=hard, soft=soft)
    return draft if is_clear_turn(draft, analysis) else None


def _turning(rng: np.random.Generator, canvas: Canvas) -> tuple[str, Floats]:
    """(P + FINE,) a curve that falls for good or comes back, in fractions of the rise."""
    t, setting = canvas.ts, canvas.setting
    lot = int(rng.integers(5))
    family = shapes.SIGMOIDS[str(rng.choice(["logistic", "normal", "ramp", "heavy tails"]))]
    center, wide = rng.uniform(0.35, 0.65), rng.uniform(0.15, 0.8)
    if lot == 0:
        return "falling", 1.0 - shapes.at(family, t, center, wide)
    if lot == 1 and setting.floor > 0.1:  # inverse scaling, below chance
        depth = rng.uniform(0.5, 0.95) * setting.floor / setting.rise
        return "falling below the floor", -depth * shapes.at(family, t, center, wide)
    if lot == 2:
        return "valley", 1.0 - rng.uniform(0.6, 1.0) * np.exp(-(((t - center) / 0.2) ** 2))
    if lot == 3:
        back = rng.uniform(0.55, 1.0)
        fall = shapes.at(family, t, rng.uniform(0.65, 0.8), rng.uniform(0.05, 0.25))
        return "rise and fall", shapes.at(family, t, 0.3, rng.uniform(0.1, 0.4)) - back * fall
    waves = rng.uniform(1.0, 2.0)
    return "waves", 0.5 - 0.5 * np.cos(2 * np.pi * waves * t)
