"""A score at a scale not yet run: several extrapolations, each with its track record against "it stays as it
is".

Methods: logit-linear in log scale (the last part of the curve), a four-parameter sigmoid (all of it), and the
ladder (Bhagia et al. 2024): the graded twin or the loss follows a saturating power law of scale, and the score
is a sigmoid of it. Every method is judged by leaving the largest scales out: the top one, two and three and the
top decade. An interval is the fitted standard error times a factor from those trials (conformal, Vovk et al.
2005), because an extrapolation errs by more than its residuals say.
Known limits: trials on one curve are nested and few; a break that nothing announces is foreseen by none of
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.special import expit, logit

from saltus.stats.batch import Bools, Floats

WINDOW = 1.5
"""Decades before the last point that a local fit rests on, and at least …"""
NEAREST = 5
"""… so many places."""
FEWEST = 4
"""Places that every method needs."""
FAR = 2.0
"""How many times farther than a hold-out a forecast may go that leans on it."""
SLOPE = 1.5
"""Prior standard deviation of a slope, logits per decade."""
DOUBT = 0.5
ENOUGH = 20
"""Curves from whose trials a factor is read; with fewer the default stands, or the largest seen."""
FACTOR = 2.5
MOST_FACTOR = 12.0


@dataclass(frozen=True, kw_only=True)
class Points:
    """One curve, seeds side by side; arrays (N,) sorted by x."""

    x: Floats
    """Fitted axis: log10, −loss or years."""
    y: Floats
    var: Floats
    soft: Floats
    """Graded twin, or minus the loss; NaN where there is none."""
    floor: float
    """NaN where unknown."""
    ceiling: float
    bottom: float

    def part(self, use: Bools) -> Points:
        """Some of the points."""
        arrays = {f.name: getattr(self, f.name)[use] for f in fields(self) if f.name in _ARRAYS}
        return replace(self, **arrays)

    @property
    def places(self) -> Floats:
        """Distinct x, increasing."""
        return np.unique(self.x)

    @property
    def bounded(self) -> bool:
        return bool(np.isfinite(self.ceiling) and np.isfinite(self.bottom))


_ARRAYS = ("x", "y", "var", "soft")


@dataclass(frozen=True)
class Prediction:
    """A score and its standard error before the factor."""

    value: float
    error: float


Method = Callable[[Points, float], Prediction | None]
"""None where the method cannot be used on these points."""


@dataclass(frozen=True)
class Trial:
    """One method on one hold-out."""

    method: str
    held: str
    """ "top 1", "top 2", "top 3", "top decade", "as far", "half as far"."""
    horizon: float
    """From the last point used to the farthest held out, in units of x."""
    miss: float
    """Observed minus predicted, at the farthest place held out."""
    error: float
    """Predicted standard error, the noise of the observation included."""
    last_miss: float
    """The same miss of the last value."""


def last_value(points: Points, at: float) -> Prediction | None:
    """It stays as it is; errs by as much as it moved over as long a way before."""
    here = points.x == points.x[-1]
    value = float(points.y[here].mean())
    level = np.array([points.y[points.x == p].mean() for p in points.places])
    far = np.abs(points.places[None, :] - points.places[:, None])
    way = at - points.x[-1]
    moved = np.abs(level[None, :] - level[:, None])[(far > 0.5 * way) & (far < 1.5 * way)]
    drift = float(np.sqrt((moved**2).mean())) if moved.size else float(np.ptp(level))
    return Prediction(value, float(np.hypot(drift, np.sqrt(points.var[here].mean()))))


def logit_linear(points: Points, at: float) -> Prediction | None:
    """floor + (ceiling − floor)·σ(a + b·x) on the last part of the curve."""
    near = _window(points)
    if not points.bounded or len(near.places) < 3:
        return None
    low, high = _floor(points), points.ceiling
    b = np.linspace(-5.0, 5.0, 81)[:, None]
    x = near.x - points.x[-1]
    level = np.clip((near.y[-3:].mean() - low) / (high - low), 0.005, 0.995)
    a = np.full_like(b, logit(level))
    for _ in range(8):  # weighted least squares in the level, slope by slope
        share = expit(a + b * x)
        slope = (high - low) * share * (1 - share)
        step = ((near.y - low - (high - low) * share) * slope / near.var).sum(axis=1, keepdims=True)
        a = np.clip(a + step / np.maximum((slope**2 / near.var).sum(axis=1, keepdims=True), 1e-9), -12, 12)
    fitted, there = (low + (high - low) * expit(a + b * z) for z in (x, np.array([at - points.x[-1]])))
    return _averaged(fitted, there[:, 0], near, -0.5 * (b[:, 0] / SLOPE) ** 2, 2)


def sigmoid(points: Points, at: float) -> Prediction | None:
    """lower + (upper − lower)·σ(k·(x − m)), all four fitted to the whole curve."""
    if not points.bounded or len(points.places) < 5:
        return None
    span = float(np.ptp(points.x))
    middles = points.x[0] + span * np.linspace(-0.2, 1.8, 31)
    return _rises(points, points.x, (middles, 4.394 / np.geomspace(0.1, 6.0, 12)), np.array([[at, 1.0]]))


def ladder(points: Points, at: float) -> Prediction | None:
    """Two steps: graded twin or loss by scale, then the score by it."""
    known = np.isfinite(points.soft)
    if not points.bounded or len(np.unique(points.x[known])) < FEWEST:
        return None
    used = points.part(known)
    twin = _saturating(_window(used), at)
    size = float(np.ptp(used.soft))
    if twin is None or size <= 0:
        return None
    middles = used.soft.min() + size * np.linspace(-0.2, 2.0, 31)
    spread = np.array([-1.5, -0.75, 0.0, 0.75, 1.5])
    where = np.stack([twin.value + spread * twin.error, np.exp(-0.5 * spread**2)], axis=1)
    return _rises(used, used.soft, (middles, 4.394 / (size * np.geomspace(0.15, 4.0, 12))), where)


def doubtful(made: Prediction, still: Prediction) -> Prediction:
    """With half of the predicted change as an error of its own: what fits the past alike may well go on otherwise."""
    return Prediction(made.value, float(np.hypot(made.error, DOUBT * (made.value - still.value))))


METHODS: Mapping[str, Method] = {"logit-linear": logit_linear, "sigmoid": sigmoid, "ladder": ladder}


def holdouts(points: Points, horizon: float) -> list[tuple[str, Bools]]:
    """(name, points used) of every way to leave the largest out that leaves enough.

    Top one, two and three; top decade; and as far, and half as far, as the forecast goes: the last few of many
    checkpoints say nothing about a decade.
    """
    places = points.places
    if len(places) <= FEWEST:
        return []
    last = places[-1]
    cuts = {f"top {k}": places[-k] for k in (1, 2, 3)}
    for name, way in (("top decade", 1.0), ("as far", horizon), ("half as far", 0.5 * horizon)):
        beyond = places[places > last - way + 1e-9]
        if 0 < way < last - places[0] and len(beyond):
            cuts[name] = beyond[0]
    unique = {float(cut): name for name, cut in reversed(cuts.items()) if (places < cut).sum() >= FEWEST}
    return [(name, points.x < cut) for cut, name in sorted(unique.items(), reverse=True)]


def trials(points: Points, methods: Mapping[str, Method], horizon: float) -> list[Trial]:
    """Every method, and the last value, on every hold-out, at the largest place.

    Only hold-outs at least 1/`FAR` as long as the forecast count: a shorter way says little about it.
    """
    out: list[Trial] = []
    if not len(points.x) or not horizon > 0:
        return out
    here = points.x == points.x[-1]
    seen, noise = float(points.y[here].mean()), float(points.var[here].mean() / here.sum())
    for held, use in holdouts(points, horizon):
        known = points.part(use)
        way = float(points.x[-1] - known.x[-1])
        if way < horizon / FAR:
            continue
        still = last_value(known, points.x[-1])
        if still is None:
            continue
        for name, method in {**methods, "last value": last_value}.items():
            made = method(known, float(points.x[-1]))
            if made is not None:
                made = doubtful(made, still)
                error = float(np.sqrt(made.error**2 + noise))
                out.append(Trial(name, held, way, seen - made.value, error, seen - still.value))
    return out


def factor(curves: Sequence[Sequence[Trial]]) -> float:
    """What standard errors are multiplied by for a 95 % interval, from the trials of many curves.

    Hold-outs of one curve are nested, so each curve counts once, with its largest standardised miss.
    """
    sizes = np.sort([max(abs(t.miss) / max(t.error, 1e-12) for t in tried) for tried in curves])
    if len(sizes) >= ENOUGH:
        rank = min(int(np.ceil(0.95 * (len(sizes) + 1))) - 1, len(sizes) - 1)
        return float(np.clip(sizes[rank], 2.0, MOST_FACTOR))
    return float(np.clip(max(FACTOR, sizes[-1] if len(sizes) else 0.0), FACTOR, MOST_FACTOR))


def _window(points: Points) -> Points:
    start = min(points.x[-1] - WINDOW, points.places[-min(NEAREST, len(points.places))])
    return points.part(points.x >= start)


def _floor(points: Points) -> float:
    """The floor, no higher than what was seen: a score below it would have no logit."""
    base = points.floor if np.isfinite(points.floor) else points.bottom
    return float(max(min(base, points.y.min() - 0.01), points.bottom - 0.01))


def _saturating(points: Points, at: float) -> Prediction | None:
    """c + A·(1 − exp(−d·x))/d: a power law of scale with an end, in the twin's unit; a straight line as d → 0."""
    size = float(np.ptp(points.soft))
    if size <= 0 or len(points.places) < FEWEST:
        return None
    d = np.concatenate([[1e-3], np.geomspace(0.1, 5.0, 20)])[:, None]
    basis, there = (-np.expm1(-d * (z - points.x[-1])) / d for z in (points.x, np.array([at])))
    centre = basis.mean(axis=1, keepdims=True)
    off = points.soft - points.soft.mean()
    a = ((basis - centre) * off).sum(axis=1, keepdims=True) / ((basis - centre) ** 2).sum(axis=1, keepdims=True)
    c = points.soft.mean() - a * centre
    flat = replace(points, y=points.soft, var=np.full(len(points.x), (0.02 * size) ** 2))
    return _averaged(c + a * basis, (c + a * there)[:, 0], flat, np.zeros(len(d)), 3)


def _rises(points: Points, along: Floats, grids: tuple[Floats, Floats], where: Floats) -> Prediction | None:
    """Sigmoids of `along` over a grid of midpoints, steepnesses and upper levels; the lower level is fitted.

    The grid is looked through twice, the second time finely around what fitted: many items make the truth fall
    between the nodes of any coarse one. where: (Q, 2) places to predict, and their weights.
    """
    middles, steeps = grids
    for last in (False, True):
        fitted, there, m, k = _nodes(points, along, (middles, steeps), where)
        if last:
            return _averaged(fitted, there, points, np.zeros(len(there)), 4)
        chi2 = ((points.y - fitted) ** 2 / points.var).sum(axis=1)
        scatter = max(float(chi2.min()) / max(len(points.y) - 4, 1), 0.2)
        near = chi2 - chi2.min() <= 9 * scatter
        step, ratio = middles[1] - middles[0], steeps[0] / steeps[1]
        middles = np.linspace(m[near].min() - step, m[near].max() + step, 31)
        steeps = np.geomspace(k[near].max() * ratio, k[near].min() / ratio, 15)
    return None


def _nodes(
    points: Points, along: Floats, grids: tuple[Floats, Floats], where: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """(G, N) fitted values, (G,) predicted ones, midpoints and steepnesses of every candidate."""
    most = float(points.y.max())
    uppers = most + (points.ceiling - most) * np.array([0.02, 0.1, 0.25, 0.5, 0.75, 1.0])
    m, k, upper = (g.ravel()[:, None] for g in np.meshgrid(*grids, uppers, indexing="ij"))
    s = expit(k * (along - m))
    weight, rest = 1 / points.var, 1 - s
    lower = (weight * rest * (points.y - upper * s)).sum(axis=1)
    lower = lower / np.maximum((weight * rest**2).sum(axis=1), 1e-9)
    floor = _floor(points)
    top = min(max(floor, points.y.min()) + 0.1, most)
    lower = np.clip(lower, max(points.bottom, floor - 0.1), top)[:, None]
    there = expit(k * (where[:, 0] - m)) @ (where[:, 1] / where[:, 1].sum())
    fitted = lower + (upper - lower) * s
    return fitted, lower[:, 0] + (upper - lower)[:, 0] * there, m[:, 0], k[:, 0]


def _averaged(fitted: Floats, there: Floats, points: Points, prior: Floats, free: int) -> Prediction | None:
    """Mean and error of the predictions `there` (G,) of all candidates `fitted` (G, N), each by its likelihood.

    Candidates that fit alike and disagree about what follows make the error wide; an absurd one cannot decide alone.
    """
    chi2 = ((points.y - fitted) ** 2 / points.var).sum(axis=1)
    if not np.isfinite(chi2).any():
        return None
    scatter = max(float(chi2.min()) / max(len(points.y) - free, 1), 0.2)
    score = prior - 0.5 * chi2 / scatter
    weight = np.exp(score - score.max())
    weight /= weight.sum()
    mean = float(weight @ there)
    spread = float(weight @ (there - mean) ** 2)
    return Prediction(mean, float(np.sqrt(spread + scatter * np.median(points.var))))
