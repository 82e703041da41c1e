"""A word that is clear does not hang on one point: any checkpoint away from the rise may be missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saltus.judging.judge import judge
from saltus.records import Analysis
from saltus.stats.batch import CurveBatch

from helpers.planted import Curve, batch, flat, logistic

X = np.linspace(8.0, 13.0, 16)
MIDDLE = 10.5
SLOW = logistic(MIDDLE, 4.0, 0.1, 0.8)
LEAP = logistic(MIDDLE, 0.2, 0.1, 0.8)


def threshold(x: np.ndarray) -> np.ndarray:
    """Hard score that a slowly climbing soft one passes a threshold of."""
    return 0.1 + 0.7 / (1 + np.exp(-120 * (SLOW(x) - 0.45)))


def hump(x: np.ndarray) -> np.ndarray:
    return 0.2 + 0.4 * np.exp(-((x - MIDDLE) ** 2))


def decline(x: np.ndarray) -> np.ndarray:
    return 0.9 - SLOW(x)


ONE_RUN: list[tuple[str, Curve, Curve]] = [
    ("sharp", LEAP, LEAP),
    ("smooth", SLOW, SLOW),
    ("artefact", threshold, SLOW),
    ("flat", flat(0.1), flat(0.1)),
    ("irregular", hump, hump),
    ("irregular", decline, decline),
]
THREE_SEEDS: list[tuple[str, Curve, Curve]] = [
    ("transition", LEAP, LEAP),
    ("split", LEAP, LEAP),
    ("smooth", SLOW, SLOW),
    ("artefact", threshold, SLOW),
    ("flat", flat(0.1), flat(0.1)),
    ("irregular", hump, hump),
]


def planted(truths: list[tuple[str, Curve, Curve]], seeds: int) -> CurveBatch:
    hard = [[h] * seeds for _, h, _ in truths]
    soft = [[s] * seeds for _, _, s in truths]
    for row, (word, _, _) in enumerate(truths):
        if word == "split":
            hard[row][0] = soft[row][0] = flat(0.1)
    return batch(hard, soft, x=X, n=2000, soft_sd=0.01, rng=np.random.default_rng(9))


def words(curves: CurveBatch) -> list[str]:
    found = judge(curves, Analysis(resamples=1, draws=99), np.random.default_rng(5))
    return [f.verdict for f in found]


def test_a_clear_word_stands_without_any_one_point_away_from_the_rise() -> None:
    after = int(np.searchsorted(X, MIDDLE))
    for truths, seeds in ((ONE_RUN, 1), (THREE_SEEDS, 3)):
        curves = planted(truths, seeds)
        expected = [word for word, _, _ in truths]
        assert words(curves) == expected
        for point in set(range(1, len(X) - 1)) - {after - 1, after}:
            seen = curves.seen.copy()
            seen[:, :, point] = False
            assert words(replace(curves, seen=seen)) == expected, f"without point {point}"
