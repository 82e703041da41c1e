"""Places and widths between the nodes of the grid: those that were planted, and the middle where nothing decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltus.records import Analysis
from saltus.stats.measure import Measures, measure
from saltus.stats.refine import crossing
from saltus.stats.series import canonical, prepare

from helpers.planted import Curve, batch, logistic

RNG = np.random.default_rng
EVEN = np.linspace(0.0, 1.0, 81)[None]


def measured(curves: list[Curve], n: int, points: int = 24) -> Measures:
    made, _ = canonical(batch([[c] for c in curves], None, x=np.linspace(8.0, 13.0, points), n=n, rng=RNG(3)))
    return measure(made, prepare(made), Analysis())


def test_place_and_width_are_those_planted_not_those_of_a_node() -> None:
    mids, widths = np.linspace(10.0, 11.0, 30), np.linspace(0.6, 2.0, 30)
    m = measured([logistic(a, w, 0.05, 0.95) for a, w in zip(mids, widths, strict=True)], n=2_000_000)
    assert m.hard.shape.onset * 5 + 8 == pytest.approx(mids, abs=0.03)
    assert m.hard.shape.width * 5 == pytest.approx(widths, rel=0.05)
    assert np.median(np.abs(m.hard.shape.onset * 5 + 8 - mids)) < 0.003
    assert len(np.unique(m.hard.shape.onset)) == 30


def test_the_interval_holds_the_place_as_often_as_it_says() -> None:
    rng = RNG(8)
    mids = rng.uniform(9.8, 11.2, 300)
    m = measured([logistic(a, rng.uniform(0.4, 2.5), 0.1, 0.9) for a in mids], n=400, points=14)
    s = m.hard.shape
    inside = (s.onset_low * 5 + 8 <= mids) & (mids <= s.onset_high * 5 + 8)
    assert inside.mean() >= 0.93
    assert np.median(s.onset_high - s.onset_low) < 0.2


def test_a_step_that_may_lie_anywhere_in_a_gap_is_put_in_its_middle() -> None:
    x = np.linspace(8.0, 13.0, 12)
    steps: list[Curve] = [lambda x, at=at: 0.1 + 0.8 * (x > at) for at in x[3:8] + 0.1]  # type: ignore[misc]
    m = measured(steps, n=100_000, points=12)
    middle = 0.5 * (x[3:8] + x[4:9])
    assert m.hard.shape.onset * 5 + 8 == pytest.approx(middle, abs=0.1)
    assert (m.hard.shape.onset_low * 5 + 8 <= x[3:8] + 1e-6).all()
    assert (m.hard.shape.onset_high * 5 + 8 >= x[4:9] - 1e-6).all()


@given(place=st.floats(0.4, 0.6), breadth=st.floats(0.03, 0.1), threshold=st.floats(1.0, 9.0))
def test_a_parabola_crosses_its_threshold_where_algebra_says(place: float, breadth: float, threshold: float) -> None:
    delta = ((EVEN - place) / breadth) ** 2
    last = np.array([int((delta[0] <= threshold).nonzero()[0][-1])])
    found = crossing(EVEN, delta, np.array([threshold]), last, last + 1)[0]
    assert found == pytest.approx(place + breadth * np.sqrt(threshold), abs=1e-9)


def test_an_unfitted_neighbour_or_the_end_of_the_grid_leaves_the_admitted_bin() -> None:
    delta = np.zeros((1, 81))
    delta[0, 41:] = np.inf
    edge = np.array([40])
    assert crossing(EVEN, delta, np.array([4.0]), edge, edge + 1)[0] == EVEN[0, 40]
    assert crossing(EVEN, delta, np.array([4.0]), np.array([0]), np.array([0]))[0] == 0.0
