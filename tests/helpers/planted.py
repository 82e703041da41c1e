"""Curves of known truth for the tests of the statistics: one function per shape, arrays in the batch's layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from saltus.stats.batch import Channel, CurveBatch, CurveKey

Curve = Callable[[np.ndarray], np.ndarray]


def logistic(mid: float, width: float, low: float, high: float) -> Curve:
    """10–90 % width in the units of x."""
    return lambda x: low + (high - low) / (1 + np.exp(-np.clip(4.394 * (x - mid) / width, -60, 60)))


def flat(level: float) -> Curve:
    return lambda x: np.full_like(np.asarray(x, dtype=float), level)


def batch(
    hard: Sequence[Sequence[Curve]],
    soft: Sequence[Sequence[Curve]] | None,
    *,
    x: np.ndarray | None = None,
    n: int = 500,
    soft_sd: float = 0.02,
    jitter: float = 0.0,
    floor: float = 0.1,
    rng: np.random.Generator,
    **key: object,
) -> CurveBatch:
    """Curve c, seed s: `hard[c][s]`, `soft[c][s]`; binomial scores of n items, soft ones with known error."""
    x = np.linspace(8.0, 13.0, 12) if x is None else x
    c, s, p = len(hard), len(hard[0]), len(x)
    at = np.broadcast_to(x, (c, s, p)).copy()
    mean = np.array([[f(x) for f in seeds] for seeds in hard])
    mean = np.clip(mean + rng.normal(0, jitter, mean.shape) if jitter else mean, 0, 1)
    value = rng.binomial(n, mean) / n
    soft_value = np.full((c, s, p), np.nan)
    if soft is not None:
        soft_value = np.array([[f(x) for f in seeds] for seeds in soft])
        soft_value = soft_value + rng.normal(0, soft_sd, soft_value.shape)
    nothing = np.full((c, s, p), np.nan)
    return CurveBatch(
        keys=tuple(
            CurveKey(
                series="s",
                task=f"task{i}",
                condition="baseline",
                axis="tokens",
                metric_hard="acc",
                metric_soft="choice_prob" if soft is not None else None,
                seeds=tuple(str(k) for k in range(s)),
                floor_source="computed: planted",
                **key,
            )  # type: ignore[arg-type]
            for i in range(c)
        ),
        x=at,
        raw_x=10.0**at,
        seen=np.ones((c, s, p), dtype=bool),
        log_axis=np.ones(c, dtype=bool),
        hard=Channel(
            value=value,
            stderr=np.sqrt(value * (1 - value) / n),
            n=np.full((c, s, p), float(n)),
            binomial=np.ones(c, dtype=bool),
            floor=np.full(c, floor),
            floor_stderr=np.zeros(c),
            nominal_floor=np.full(c, np.nan),
            ceiling=np.ones(c),
            bottom=np.zeros(c),
        ),
        soft=Channel(
            value=soft_value,
            stderr=nothing if soft is None else np.full((c, s, p), soft_sd),
            n=np.full((c, s, p), float(n)),
            binomial=np.zeros(c, dtype=bool),
            floor=np.full(c, np.nan),
            floor_stderr=np.full(c, np.nan),
            nominal_floor=np.full(c, np.nan),
            ceiling=np.full(c, np.inf),
            bottom=np.full(c, -np.inf),
        ),
        has_soft=np.full(c, soft is not None),
    )
