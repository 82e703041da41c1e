"""The circumstances of a simulated curve: everything that is not its shape.

Grid, range, seeds, items, floor and how well it is known, dispersion, and what the soft twin is. They are drawn
without looking at the truth, so no class can be recognised by its circumstances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saltus.records import Analysis
from saltus.stats.batch import Floats

PYTHIA_STEPS = (*(2**i for i in range(10)), 1000, 3000, *range(13_000, 144_000, 10_000))
FINE = 241
"""Points of the fine grid on which true widths and midpoints are read off."""


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """Circumstances held fixed instead of drawn; None is drawn."""

    points: int | None = None
    seeds: int | None = None
    items: int | None = None
    decades: float | None = None
    grid: str | None = None
    soft: bool | None = None


FREE = Fixed()
"""Nothing held fixed."""


@dataclass(frozen=True, kw_only=True)
class SoftTwin:
    """What the soft metric is and how it is measured."""

    metric: str
    low: float
    high: float
    bottom: float
    ceiling: float
    stderr: float
    """Sampling error of one point, in the metric's unit."""
    noise: float
    """What the points truly scatter by, as a multiple of `stderr`."""
    slant: float
    """Heteroscedastic: error × (1 + slant · (1 − t)), never below 0.3 of itself."""
    stated: bool
    heavy: bool
    """Errors are t with 5 degrees of freedom instead of normal."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One curve's circumstances."""

    axis: str
    log_axis: bool
    x: Floats
    """(P,) the grid, increasing."""
    seeds: int
    items: int
    items_known: bool
    stderr_known: bool
    floor: float
    nominal: float
    floor_known: float
    """What the analyst is given as the floor, where no untrained point was measured."""
    floor_source: str
    rise: float
    """Top of a full rise above the floor."""
    shared_items: float
    """Share of the items whose sampling error is common to all checkpoints: under-dispersion."""
    jitter: float
    """Checkpoint noise beyond sampling, standard deviation in logits."""
    persistence: float
    """AR(1) coefficient of the jitter."""
    soft: SoftTwin | None

    @property
    def range(self) -> float:
        return float(self.x[-1] - self.x[0])

    def jump_limit(self, analysis: Analysis) -> float:
        """The widest a jump may be on this axis."""
        share = analysis.jump_range * self.range
        return min(analysis.jump_width, share) if self.log_axis else share

    def fine(self) -> Floats:
        """The fine grid over the same range."""
        return np.linspace(self.x[0], self.x[-1], FINE)

    def hard_error(self, p: Floats) -> Floats:
        """True standard deviation of one measured share around p, sampling and jitter."""
        p = np.clip(p, 0.5 / self.items, 1.0 - 0.5 / self.items)
        return np.sqrt(p * (1 - p) / self.items + (self.jitter * p * (1 - p)) ** 2)

    def soft_error(self) -> Floats:
        """(P,) true standard deviation of one measured soft value."""
        assert self.soft is not None
        t = (self.x - self.x[0]) / self.range
        return self.soft.stderr * self.soft.noise * np.maximum(1 + self.soft.slant * (1 - t), 0.3)


def draw_setting(rng: np.random.Generator, fixed: Fixed = FREE) -> Setting:
    """Circumstances by lot; where `fixed` holds one, that one."""
    axis = str(rng.choice(["tokens", "flops", "params", "loss"], p=[0.5, 0.25, 0.17, 0.08]))
    x = _grid(rng, fixed, log_axis=axis != "loss")
    items = fixed.items or round(10 ** rng.uniform(np.log10(50), np.log10(5000)))
    nominal, floor = _floor(rng)
    source = str(rng.choice(["untrained points", "computed", "nominal"], p=[0.5, 0.25, 0.25]))
    if source == "nominal":
        floor = nominal + 0.6 * (floor - nominal)  # nobody could know it better
    room = 0.98 - floor
    with_soft = rng.random() < 0.85 if fixed.soft is None else fixed.soft
    return Setting(
        axis=axis,
        log_axis=axis != "loss",
        x=x,
        seeds=fixed.seeds or int(rng.choice([1, 3, 5], p=[0.5, 0.35, 0.15])),
        items=items,
        items_known=rng.random() < 0.9,
        stderr_known=rng.random() < 0.6,
        floor=floor,
        nominal=nominal,
        floor_known=nominal if source == "nominal" else floor,
        floor_source=source,
        rise=float(room * rng.uniform(0.15, 1.0)),
        shared_items=float(rng.choice([0.0, 0.5, 0.85])),
        jitter=_jitter(rng, items),
        persistence=float(rng.choice([0.0, 0.0, 0.3, 0.6])),
        soft=_soft(rng, items, nominal) if with_soft else None,
    )


def _jitter(rng: np.random.Generator, items: int) -> float:
    """Logits that make the scatter 1 to 8 times binomial at one half, as published checkpoints have; 0.2 at most."""
    dispersion = float(rng.choice([1.0, 1.0, 1.5, 2.5, 5.0, 8.0]))
    return float(min(np.sqrt(4.0 * (dispersion - 1.0) / items), 0.2))


def _floor(rng: np.random.Generator) -> tuple[float, float]:
    """(nominal, true) chance: letters, pairs, free answers; the true one is off by up to five points."""
    nominal = float(rng.choice([0.0, 0.0, 0.1, 0.2, 0.25, 0.5]))
    if nominal == 0.0:
        return 0.0, float(rng.choice([0.0, rng.uniform(0.0, 0.03)]))
    return nominal, nominal + float(rng.uniform(-0.05, 0.05) * (0.5 if nominal < 0.2 else 1.0))


def _grid(rng: np.random.Generator, fixed: Fixed, *, log_axis: bool) -> Floats:
    points = fixed.points or int(rng.integers(6, 31))
    if not log_axis:  # −loss in nats: training crowds its checkpoints at the good end
        span = rng.uniform(1.0, 4.0)
        return -6.0 + span * np.linspace(0.0, 1.0, points) ** rng.uniform(0.6, 1.4)
    decades = fixed.decades or float(rng.uniform(2.0, 6.0))
    kinds = ["log", "uneven", "linear", "schedule", "pythia"]
    kind = fixed.grid or str(rng.choice(kinds, p=[0.35, 0.25, 0.1, 0.15, 0.15]))
    start = float(rng.uniform(6.0, 9.0))
    if kind == "log":
        return start + np.linspace(0.0, decades, points)
    if kind == "uneven":
        gaps = rng.dirichlet(np.full(points - 1, 4.0))
        return start + decades * np.concatenate([[0.0], np.cumsum(gaps)])
    if kind == "linear":
        return start + np.log10(np.linspace(1.0, 10.0**decades, points))
    if kind == "schedule":  # checkpoints at steps growing as a power of their number
        return start + np.log10(np.arange(1, points + 1) ** rng.uniform(1.3, 3.0))
    steps = np.array(PYTHIA_STEPS, dtype=float)
    kept = np.sort(rng.choice(len(steps), size=min(points, len(steps)), replace=False))
    return 6.3 + np.log10(steps[kept])


_SOFT_LEVELS = {
    # metric: (low from, to), (high from, to), bottom, ceiling
    "token_logprob": ((-8.0, -2.5), (-1.5, -0.1), -np.inf, 0.0),
    "gold_logprob": ((-30.0, -8.0), (-5.0, -0.5), -np.inf, 0.0),
    "choice_prob": ((0.0, 0.02), (0.45, 0.95), 0.0, 1.0),  # low is above the nominal floor
    "brier": ((-0.75, -0.55), (-0.3, -0.02), -1.0, 0.0),
    "token_acc": ((0.05, 0.35), (0.55, 0.97), 0.0, 1.0),
    "edit_similarity": ((0.05, 0.4), (0.6, 0.98), 0.0, 1.0),
}


def _soft(rng: np.random.Generator, items: int, nominal: float) -> SoftTwin:
    metric = str(rng.choice(list(_SOFT_LEVELS)))
    lows, highs, bottom, ceiling = _SOFT_LEVELS[metric]
    low, high = float(rng.uniform(*lows)), float(rng.uniform(*highs))
    if metric == "choice_prob":
        low, high = low + nominal, max(high, nominal + 0.3)
    spread = (high - low) * rng.uniform(0.3, 1.2)  # between items
    return SoftTwin(
        metric=metric,
        low=low,
        high=high,
        bottom=bottom,
        ceiling=ceiling,
        stderr=float(spread / np.sqrt(items)),
        noise=float(rng.choice([0.4, 1.0, 1.0, 2.0])),
        slant=float(rng.uniform(-0.6, 1.5)),
        stated=rng.random() < 0.6,
        heavy=rng.random() < 0.15,
    )
