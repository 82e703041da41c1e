"""The curves of a chart: every seed's own, through its points, and a word where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from saltus.judging.judge import judge
from saltus.records import Analysis, Finding
from saltus.stats.display import draw
from saltus.stats.measure import Measures, measure
from saltus.stats.misfit import misfit
from saltus.stats.series import canonical, prepare

from helpers.planted import Curve, batch, flat, logistic

RNG = np.random.default_rng
X = np.linspace(8.0, 13.0, 24)


def measured(seeds: list[list[Curve]], n: int = 5000) -> Measures:
    curves, _ = canonical(batch(seeds, None, x=X, n=n, rng=RNG(3)))
    return measure(curves, prepare(curves), Analysis())


def stairs(x: np.ndarray) -> np.ndarray:
    """Two leaps with a landing between them: no single rise follows it."""
    return 0.1 + 0.4 * (x > 9.6) + 0.4 * (x > 11.6)


def judged(seeds: list[Curve]) -> Finding:
    return judge(batch([seeds], None, x=X, n=5000, rng=RNG(4)), Analysis(), RNG(0))[0]


def test_seeds_that_leap_apart_each_keep_their_leap() -> None:
    places = (9.5, 10.5, 11.5)
    drawn = draw(measured([[logistic(at, 0.2, 0.1, 0.9) for at in places]])).fit["hard"][0]
    at = np.linspace(8.0, 13.0, drawn.shape[-1])
    for seed, place in zip(drawn, places, strict=True):
        assert at[np.argmax(seed > 0.5)] == pytest.approx(place, abs=0.2)
        assert ((seed > 0.2) & (seed < 0.8)).sum() <= 3, "the mean over seeds would be a ramp over two decades"


def test_a_law_is_not_said_to_miss_its_own_points() -> None:
    curves: list[Curve] = [logistic(10.5, 0.2, 0.1, 0.9), logistic(10.5, 3.0, 0.1, 0.9), flat(0.3)]
    found = misfit(measured([[c] for c in curves for _ in range(40)]).hard)
    assert (found.points >= 3).mean() <= 0.01


def test_a_curve_that_no_law_follows_is_said_to_miss() -> None:
    m = measured([[stairs] for _ in range(20)])
    found = misfit(m.hard)
    assert (found.points >= 3).all()
    assert found.range == pytest.approx(0.8, abs=0.05)
    assert (found.by > 0.05 * found.range).all()
    assert (found.by < np.ptp(m.hard.series.y)).all()


def test_the_reader_is_told_how_far_the_line_lies_off_and_where() -> None:
    given = [c for c in judged([stairs, stairs, stairs]).caveats if "drawn curve" in c]
    assert len(given) == 1
    for part in ("of the hard score misses", "of 72 points", "at tokens"):
        assert part in given[0]
    leap = logistic(10.5, 0.2, 0.1, 0.9)
    assert not [c for c in judged([leap, leap, leap]).caveats if "drawn curve" in c]


def test_two_different_leaps_have_two_onsets() -> None:
    onsets = [judged([logistic(at, 1.5, 0.1, 0.9)]).onset for at in (10.4, 10.42)]
    assert None not in onsets
    assert onsets[0] != onsets[1]
