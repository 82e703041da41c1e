"""Whether a draft is what it claims, channel by channel: by its noise-free points, and for an oracle in the noise."""

from __future__ import annotations

import numpy as np

from saltus.calibrate import decidable
from saltus.calibrate.draft import Draft
from saltus.records import Analysis
from saltus.stats.batch import Floats


def channels(draft: Draft) -> tuple[str, ...]:
    """The channels that the draft has."""
    return ("hard",) if draft.soft is None else ("hard", "soft")


def is_gradual(draft: Draft, which: str, analysis: Analysis) -> bool:
    """Every seed's noise-free points are gradual, and the hard rise is large enough to be called present."""
    mean, _ = _channel(draft, which)
    if mean[-1][-1] <= mean[-1][0] or _too_small(mean, which, analysis):
        return False
    setting = draft.setting
    return all(decidable.is_gradual(setting, np.maximum.accumulate(row), analysis) for row in mean)


def is_clearly_gradual(draft: Draft, which: str, analysis: Analysis) -> bool:
    """Gradual, and an oracle with one run would know."""
    if not is_gradual(draft, which, analysis):
        return False
    mean, error = _channel(draft, which)
    misfits = decidable.misfits_to_jump(draft.setting, mean[-1], error, analysis)
    return all(misfit >= decidable.CLEAR for misfit in misfits)


def is_jump(draft: Draft, which: str, analysis: Analysis) -> bool:
    """The leap component is a jump by its noise-free points, in a rise large enough to be called present."""
    leap = draft.leap if which == "hard" else draft.soft_leap
    assert leap is not None
    mean, _ = _channel(draft, which)
    if _too_small(mean, which, analysis):
        return False
    return decidable.is_jump(draft.setting, leap[: draft.points], analysis)


def is_clear_jump(draft: Draft, which: str, analysis: Analysis) -> bool:
    """A jump, and an oracle with one run would know."""
    if not is_jump(draft, which, analysis):
        return False
    mean, error = _channel(draft, which)
    misfits = decidable.misfits_to_gradual(draft.setting, mean[-1], error, analysis)
    return all(misfit >= decidable.CLEAR for misfit in misfits)


def is_clear_turn(draft: Draft, analysis: Analysis) -> bool:
    """The hard channel falls by half as much again as an irregular curve must, well beyond its noise."""
    mean, error = _channel(draft, "hard")
    drop = float(np.max(np.maximum.accumulate(mean[-1]) - mean[-1]))
    reach = float(np.ptp(mean[-1]))
    enough = reach > 2.5 * analysis.present_margin and drop >= 1.5 * analysis.irregular_share * reach
    return bool(enough and drop >= 2 * decidable.CLEAR * error.max())


def _too_small(mean: Floats, which: str, analysis: Analysis) -> bool:
    return which == "hard" and bool(np.ptp(mean[-1]) < 2 * analysis.present_margin)


def _channel(draft: Draft, which: str) -> tuple[Floats, Floats]:
    """(S, P) true means and (P,) true errors of one channel."""
    if which == "hard":
        mean = draft.hard_mean()
        return mean, draft.setting.hard_error(mean[-1])
    return draft.soft_mean(), draft.setting.soft_error()
