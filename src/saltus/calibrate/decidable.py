"""What a truth is by the numbers of design.md section 6, and whether anybody could tell.

A simulated curve carries a word only if (a) its noise-free points already satisfy the definition whatever monotone
curve is drawn through them, and (b) an oracle who knows the noise and fits the nearest curve of the opposite kind
(at the limit of its definition) is refuted clearly: the misfit Σ((μ − nearest)/σ)² is at least `CLEAR`². Curves that
fall short of (b) are the middle; those an oracle cannot tell at all (below `HOPELESS`²) are undecidable.
The nearest curve is sought among four families of rise on a straight drift; wilder ones are not tried.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from saltus.calibrate.settings import Setting
from saltus.calibrate.shapes import SIGMOIDS
from saltus.records import Analysis
from saltus.stats.batch import Floats

CLEAR = 4.0
"""Standard deviations by which the nearest curve of the opposite kind must miss."""
HOPELESS = 1.2
PLAIN_SHARE = 0.45
"""A gradual truth has no step above this share; the definition allows `step_share`."""
_MIDPOINTS = 40
_OPPONENTS = ("logistic", "ramp", "saturating", "late gompertz")


def crossing(x: Floats, f: Floats, level: float) -> float:
    """Where a curve first reaches `level` between its first value and its highest, linear in between."""
    target = f[0] + level * (f.max() - f[0])
    i = int(np.argmax(f >= target))
    if i == 0 or f[i] == f[i - 1]:
        return float(x[i])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (target - f[i - 1]) / (f[i] - f[i - 1]))


def width(x: Floats, f: Floats) -> float:
    """10–90 % width of a rising curve on a fine grid, in units of x."""
    return crossing(x, f, 0.9) - crossing(x, f, 0.1)


def is_jump(setting: Setting, jump: Floats, analysis: Analysis) -> bool:
    """The points alone show a jump: `jump` (P,) is the leap's fraction at each point, 0 to 1."""
    x, below, above = setting.x, jump <= 0.1, jump >= 0.9
    if below.sum() < analysis.points_before or above.sum() < analysis.points_after:
        return False
    last_below, first_above = x[below][-1], x[above][0]
    foot = ((jump > 0.02) & (jump <= 0.1)).sum()  # a long foot announces the leap
    return bool(first_above - last_below <= setting.jump_limit(analysis) and foot <= 1)


def is_gradual(setting: Setting, f: Floats, analysis: Analysis) -> bool:
    """The points alone show a gradual rise: `f` (P,) is monotone, from its own lowest to its highest."""
    f = (f - f[0]) / (f[-1] - f[0])
    inner = setting.x[f < 0.9][-1] - setting.x[f > 0.1][0]
    return bool(inner >= analysis.gradual_range * setting.range and np.max(np.diff(f)) <= PLAIN_SHARE)


def misfits_to_gradual(setting: Setting, mean: Floats, error: Floats, analysis: Analysis) -> Iterator[float]:
    """How clearly the nearest drift plus not-quite-jump of each family misses these means, in standard deviations."""
    limit = setting.jump_limit(analysis)
    yield from (_nearest(setting, mean, error, f, limit, drift=True) for f in _OPPONENTS)


def misfits_to_jump(setting: Setting, mean: Floats, error: Floats, analysis: Analysis) -> Iterator[float]:
    """How clearly the nearest curve of each family that is not gradual misses these means, in standard deviations.

    That is a rise of just `gradual_range` of the range, or the widest jump carrying `jump_share` on a drift.
    """
    narrow = analysis.gradual_range * setting.range
    wide, share = setting.jump_limit(analysis), analysis.jump_share
    for family in _OPPONENTS:
        yield _nearest(setting, mean, error, family, narrow)
        yield _nearest(setting, mean, error, family, wide, share=share)


def _nearest(
    setting: Setting,
    mean: Floats,
    error: Floats,
    family: str,
    wide: float,
    *,
    drift: bool = False,
    share: float | None = None,
) -> float:
    """Root of the smallest weighted sum of squares over midpoints; levels (and drift) by least squares.

    `share` fixes which part of the rise the jump carries, the rest being drift.
    """
    x, t = setting.x, (setting.x - setting.x[0]) / setting.range
    midpoints = np.linspace(x[0], x[-1], _MIDPOINTS)
    rises = SIGMOIDS[family]((x[None, :] - midpoints[:, None]) / wide)
    if share is not None:
        rises = share * rises + (1.0 - share) * t
    weight = 1.0 / np.maximum(error, 1e-9)
    columns = [np.ones_like(rises), rises]
    if drift:
        columns.append(np.broadcast_to(t, rises.shape))
    design = np.stack(columns, axis=-1) * weight[None, :, None]
    target = np.broadcast_to(mean * weight, rises.shape)[..., None]
    gram = np.swapaxes(design, 1, 2) @ design
    gram += 1e-9 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(gram.shape[-1])
    solution = np.linalg.solve(gram, np.swapaxes(design, 1, 2) @ target)
    rest = (target - design @ solution)[..., 0]
    return float(np.sqrt((rest**2).sum(axis=1).min()))
