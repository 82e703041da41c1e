"""Forecasts from many families at once: principal components of capability (Ruan et al. 2024, arXiv
2405.10938).

Models of different families reach one skill at different compute, but scores on many tasks move together. The
other tasks' scores give each model a place in a few principal components; within a family the components grow
linearly in log scale; the target score is a sigmoid of them, the same for all families. So small models of one
family learn from large ones of others that are no larger in scale. Only models up to the last scale used take
part, whatever their family.
Known limit: missing scores are filled in by the components themselves (iterated PCA), so a sparse panel says
less than it seems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from saltus.stats.batch import Floats
from saltus.stats.forecasting import Method, Points, Prediction

COMPONENTS = 3
FAMILIES = 3
MODELS = 12
BENCHMARKS = 3
FILLED = 0.6
"""Share of the models that a task, and of the tasks that a model, must have."""
RIDGE = 0.3


@dataclass(frozen=True)
class Panel:
    """Scores of many models on many tasks."""

    x: Floats
    """(M,) log scale."""
    family: np.ndarray
    """(M,) of str."""
    scores: Floats
    """(M, T); NaN where not measured."""


@dataclass(frozen=True)
class _Space:
    """Models placed in components, up to a scale."""

    x: Floats
    family: np.ndarray
    s: Floats
    target: Floats


def components(panel: Panel, task: int, family: str) -> Method:
    """The method for one task of one family."""

    def method(points: Points, at: float) -> Prediction | None:
        space = _space(panel, task, float(points.x[-1]))
        if space is None or not points.bounded or (space.family == family).sum() < 2:
            return None
        grown = _grow(space, family, at)
        if grown is None:
            return None
        place, error = grown
        return _link(space, points, place, error)

    return method


def _space(panel: Panel, task: int, cut: float) -> _Space | None:
    there = panel.x <= cut + 1e-9
    learn = there & np.isfinite(panel.scores[:, task])
    if learn.sum() < MODELS:
        return None
    others = np.delete(panel.scores, task, axis=1)
    columns = np.isfinite(others[learn]).mean(axis=0) >= FILLED
    if columns.sum() < BENCHMARKS:
        return None
    there &= np.isfinite(others[:, columns]).mean(axis=1) >= FILLED
    target = panel.scores[there, task]
    families = panel.family[there]
    scored = np.isfinite(target)
    if scored.sum() < MODELS or len(set(families[scored])) < FAMILIES:
        return None
    s = _principal(others[there][:, columns])
    return _Space(panel.x[there], families, s, target)


def _principal(scores: Floats, rounds: int = 30) -> Floats:
    """(M, q) component scores; missing entries filled by the components, round after round."""
    missing = ~np.isfinite(scores)
    centre = np.nanmean(scores, axis=0)
    scale = np.maximum(np.nanstd(scores, axis=0), 1e-6)
    z = np.where(missing, 0.0, (scores - centre) / scale)
    q = min(COMPONENTS, *z.shape)
    for _ in range(rounds if missing.any() else 1):
        u, d, vt = np.linalg.svd(z, full_matrices=False)
        z = np.where(missing, (u[:, :q] * d[:q]) @ vt[:q], z)
    u, d, _ = np.linalg.svd(z, full_matrices=False)
    return u[:, :q] * d[:q] / np.sqrt(z.shape[1])


def _grow(space: _Space, family: str, at: float) -> tuple[Floats, Floats] | None:
    """Components of the family at a scale, and their errors: own slope drawn towards all families' common one."""
    common = np.zeros(space.s.shape[1])
    spread = 0.0
    for name in set(space.family):
        here = space.family == name
        dx = space.x[here] - space.x[here].mean()
        common += dx @ space.s[here]
        spread += float(dx @ dx)
    if spread <= 0:
        return None
    common /= spread
    here = space.family == family
    dx = space.x[here] - space.x[here].mean()
    own, held = float(dx @ dx), RIDGE
    slope = (dx @ space.s[here] + held * common) / (own + held)
    level = space.s[here].mean(axis=0)
    off = space.s[here] - level - np.outer(dx, slope)
    noise = (off**2).sum(axis=0) / max(here.sum() - 1, 1) + 1e-6
    way = at - space.x[here].mean()
    error = np.sqrt(noise * (1 / here.sum() + way**2 / (own + held)) + noise)
    return level + slope * way, error


def _link(space: _Space, points: Points, place: Floats, error: Floats) -> Prediction | None:
    """The score at a place in the components: a sigmoid fitted over all families, slopes held by a ridge."""
    scored = np.isfinite(space.target)
    s, y = space.s[scored], space.target[scored]
    low = min(points.floor if np.isfinite(points.floor) else points.bottom, float(y.min()) + 0.02)
    size = points.ceiling - low
    q = s.shape[1]

    def f(p: Floats, at: Floats) -> Floats:
        return low + size * p[1] * expit(p[0] + at @ p[2:])

    def cost(p: Floats) -> Floats:
        return np.concatenate([f(p, s) - y, 0.01 * p[2:]])

    start = np.concatenate([[0.0, 0.9], np.full(q, 0.1)])
    bounds = (np.r_[-30.0, 0.2, np.full(q, -30.0)], np.r_[30.0, 1.0, np.full(q, 30.0)])
    found = least_squares(cost, start, bounds=bounds, max_nfev=200)
    residual = float(np.sqrt(((f(found.x, s) - y) ** 2).sum() / max(scored.sum() - q - 2, 1)))
    steps = 0.05 * np.eye(q)
    gradient = np.array([float(f(found.x, place + d) - f(found.x, place - d)) / 0.1 for d in steps])
    value = float(f(found.x, place))
    return Prediction(value, float(np.sqrt(residual**2 + ((gradient * error) ** 2).sum())))
