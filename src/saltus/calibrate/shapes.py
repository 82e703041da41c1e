"""Unit rises: the curve families that simulated truths are drawn from.

Every rise goes from 0 to 1, has its midpoint at z = 0 and its 10–90 % width equal to 1, so x enters as
z = (x − midpoint) / width and families can be exchanged without changing what is true. Shapes that fill the
whole range instead (a climb without plateaus) take t = 0 … 1 over the observed points.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import expit, ndtr

from saltus.stats.batch import Floats

Shape = Callable[[Floats], Floats]

_LN9 = float(np.log(9.0))
_GOMPERTZ = float(np.log(np.log(10.0)) - np.log(np.log(10.0 / 9.0)))  # 10–90 % width at unit scale
_LNLN2 = float(np.log(np.log(2.0)))
_SATURATING = float(np.log(2.0)) / _LN9  # how far a saturating rise starts before its midpoint


def _logistic(z: Floats) -> Floats:
    return expit(2.0 * _LN9 * z)


def _normal(z: Floats) -> Floats:
    return ndtr(2.5631031310892007 * z)


def _gompertz(z: Floats) -> Floats:
    """exp(−c·10^(−a·x)) in log scale: pᴸ of a power-law loss is this curve, whatever L."""
    return np.exp(-np.exp(np.clip(-_GOMPERTZ * z + _LNLN2, -700.0, 700.0)))


def _late_gompertz(z: Floats) -> Floats:
    return 1.0 - _gompertz(-z)


def _ramp(z: Floats) -> Floats:
    return np.clip(0.5 + 0.8 * z, 0.0, 1.0)


def _heavy_tails(z: Floats) -> Floats:
    u = z * 8.0 / 3.0
    return 0.5 * (1.0 + u / np.sqrt(1.0 + u * u))


def _saturating(z: Floats) -> Floats:
    """Nothing before a point, then exponential approach: a hinge that fills up."""
    return 1.0 - np.exp(-_LN9 * np.maximum(z + _SATURATING, 0.0))


def _smoothstep(z: Floats) -> Floats:
    u = np.clip(0.5 + 0.6084 * z, 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


SIGMOIDS: dict[str, Shape] = {
    "logistic": _logistic,
    "normal": _normal,
    "gompertz": _gompertz,
    "late gompertz": _late_gompertz,
    "ramp": _ramp,
    "heavy tails": _heavy_tails,
    "saturating": _saturating,
    "smoothstep": _smoothstep,
}


def quanta(rng: np.random.Generator) -> Shape:
    """Items learned one by one at spread difficulties: a staircase of 15–150 small steps, 10–90 % apart by 1."""
    count = int(rng.integers(15, 151))
    draws = rng.normal(size=count) if rng.random() < 0.5 else rng.beta(0.8, 0.8, size=count)
    low, middle, high = np.quantile(draws, [0.1, 0.5, 0.9])
    steps = np.sort((draws - middle) / (high - low))
    return lambda z: np.searchsorted(steps, z, side="right") / count


def any_sigmoid(rng: np.random.Generator) -> tuple[str, Shape]:
    """A family by lot, item-level quanta included."""
    names = (*SIGMOIDS, "quanta")
    name = names[int(rng.integers(len(names)))]
    return name, quanta(rng) if name == "quanta" else SIGMOIDS[name]


def at(shape: Shape, x: Floats, midpoint: float, width: float) -> Floats:
    """The rise at x; a width of 0 is a step that has happened at its midpoint."""
    if width <= 0.0:
        return (x >= midpoint).astype(float)
    return shape((x - midpoint) / width)


def _power_law(rng: np.random.Generator) -> Shape:
    rate = rng.uniform(0.3, 2.5)  # decades of growth over the whole range
    return lambda t: (10.0 ** (rate * t) - 1.0) / (10.0**rate - 1.0)


def _concave(rng: np.random.Generator) -> Shape:
    rate = rng.uniform(0.5, 3.0)
    return lambda t: (1.0 - np.exp(-rate * t)) / (1.0 - np.exp(-rate))


def _late_hinge(rng: np.random.Generator) -> Shape:
    start = rng.uniform(0.05, 0.5)
    bend = rng.uniform(0.6, 1.3)
    return lambda t: (np.maximum(t - start, 0.0) / (1.0 - start)) ** bend


def _wandering(rng: np.random.Generator) -> Shape:
    """A monotone curve through random levels: no textbook name."""
    knots = np.linspace(0.0, 1.0, int(rng.integers(5, 9)))
    rises = rng.dirichlet(np.full(len(knots) - 1, 2.5))
    curve = PchipInterpolator(knots, np.concatenate([[0.0], np.cumsum(rises)]))
    return lambda t: np.clip(curve(np.clip(t, 0.0, 1.0)), 0.0, 1.0)


def _staircase(rng: np.random.Generator) -> Shape:
    """Several skills learned one after the other: each is a step, their sum climbs."""
    places = np.linspace(0.1, 0.9, int(rng.integers(5, 10)))
    places = places + rng.uniform(-0.04, 0.04, len(places))
    return lambda t: np.mean([_logistic((t - p) / 0.05) for p in places], axis=0)


CLIMBS: dict[str, Callable[[np.random.Generator], Shape]] = {
    "power law": _power_law,
    "concave": _concave,
    "late hinge": _late_hinge,
    "wandering": _wandering,
    "staircase": _staircase,
}


def any_climb(rng: np.random.Generator) -> tuple[str, Shape]:
    """A climb over the whole range by lot."""
    names = tuple(CLIMBS)
    name = str(rng.choice(names, p=[0.24, 0.24, 0.24, 0.2, 0.08]))
    return name, CLIMBS[name](rng)
