"""Presence, surprise, twins, seeds, multiplicity, clustering: each finds what is planted and is silent on nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from saltus.judging.judge import judge
from saltus.records import Analysis
from saltus.stats.batch import CurveBatch
from saltus.stats.bootstrap import sharp_p
from saltus.stats.measure import Measures, measure
from saltus.stats.multiplicity import q_values
from saltus.stats.series import canonical, prepare
from saltus.stats.trend import trend

from helpers.planted import Curve, batch, flat, logistic

RNG = np.random.default_rng


def measured(curves: CurveBatch) -> Measures:
    curves, _ = canonical(curves)
    return measure(curves, prepare(curves), Analysis())


def test_presence_is_found_and_rarely_found_where_there_is_none() -> None:
    here = measured(batch([[logistic(10.5, 1.0, 0.1, 0.5)]] * 40, None, rng=RNG(1)))
    none = measured(batch([[flat(0.1)]] * 400, None, rng=RNG(2)))
    assert (here.presence.p < 1e-6).all()
    assert np.mean(none.presence.p < 0.05) <= 0.06


def test_a_score_of_zero_throughout_is_a_bound_and_few_items_cannot_show_absence() -> None:
    zero = measured(batch([[flat(0.0)]] * 3, None, floor=0.0, rng=RNG(3)))
    few = measured(batch([[flat(0.25)]] * 3, None, n=12, floor=0.25, rng=RNG(4)))
    assert zero.presence.zero_bound == pytest.approx(np.full(3, 3 / 500))
    assert (zero.presence.mde < 0.02).all()
    assert (few.presence.mde > 0.2).all()


def test_a_nominal_floor_gives_way_to_flat_earliest_points() -> None:
    curves = batch([[logistic(11, 0.5, 0.20, 0.8)]] * 5, None, floor=0.25, n=2000, rng=RNG(5))
    keys = tuple(replace(k, floor_source="nominal") for k in curves.keys)
    m = measured(replace(curves, keys=keys))
    assert set(m.floor.source) == {"earliest points"}
    assert m.floor.value == pytest.approx(np.full(5, 0.2), abs=0.03)


def without_floor(curve: Curve, *, n: int = 1000) -> CurveBatch:
    """Five curves about whose floor the table says nothing."""
    curves = batch([[curve]] * 5, None, n=n, rng=RNG(20))
    keys = tuple(replace(k, floor_source="unknown") for k in curves.keys)
    return replace(curves, keys=keys, hard=replace(curves.hard, floor=np.full(5, np.nan)))


@pytest.mark.parametrize(
    ("curve", "presence", "verdict"),
    [
        (flat(0.27), "unknown", "unresolved"),  # chance of four choices, or a skill as old as the series
        (flat(0.9), "unknown", "unresolved"),
        (logistic(10.5, 4.0, 0.15, 0.25), "unknown", "unresolved"),  # up to a floor, or up from one
        (flat(0.0), "absent", "flat"),  # no floor lies below the worst score
        (flat(0.01), "absent", "flat"),
        (logistic(10.7, 0.2, 0.2, 0.8), "present", "sharp"),  # no floor lies so high
        (logistic(10.5, 3.5, 0.1, 0.9), "present", "smooth"),
    ],
)
def test_an_unknown_floor_is_not_assumed(curve: Curve, presence: str, verdict: str) -> None:
    for finding in judge(without_floor(curve), Analysis(resamples=2), RNG(21)):
        assert (finding.presence, finding.verdict) == (presence, verdict)
        assert finding.floor_source == "earliest points, no floor is given"
        (message,) = [e for e in finding.evidence if e.name == "presence"]
        assert "give `floor` or `nominal_floor`" in message.why
        if presence == "unknown":
            assert message.passed is None
            assert finding.minimum_detectable_effect is None
            assert any("A floor" in n for n in finding.next_data)


def test_one_last_point_off_the_floor_is_a_lone_point() -> None:
    def last(x: np.ndarray) -> np.ndarray:
        return np.where(x >= x.max(), 0.5, 0.0)

    m = measured(batch([[last]] * 5, None, floor=0.0, rng=RNG(6)))
    assert m.presence.lone.all()


def test_a_leap_surprises_and_a_straight_line_does_not() -> None:
    leap = measured(batch([[logistic(10.7, 0.2, 0.1, 0.8)]] * 20, None, rng=RNG(7)))
    line = measured(batch([[lambda x: 0.1 + 0.12 * (x - 8)]] * 60, None, rng=RNG(8)))
    assert (leap.hard.surprise.p < 0.01).all()
    assert np.nanmean(line.hard.surprise.p < 0.01) <= 0.1


def test_a_soft_twin_that_crosses_a_threshold_explains_the_jump_and_one_that_stands_still_does_not() -> None:
    def soft(x: np.ndarray) -> np.ndarray:
        return (x - 8) / 5

    def hard(x: np.ndarray) -> np.ndarray:
        return 0.1 + 0.7 / (1 + np.exp(-(soft(x) - 0.5) / 0.02))

    def still(x: np.ndarray) -> np.ndarray:
        return np.where(x < 9, 0.0, np.where(x > 12.5, 1.0, 0.5))

    explained = measured(batch([[hard]] * 20, [[soft]] * 20, soft_sd=0.01, rng=RNG(9)))
    apart = measured(batch([[hard]] * 20, [[still]] * 20, soft_sd=0.005, rng=RNG(10)))
    assert explained.link.covers.mean() >= 0.9
    assert apart.link.covers.mean() <= 0.3


def test_two_populations_are_seen_and_noise_between_seeds_is_not_two() -> None:
    leap, stay = logistic(10.7, 0.2, 0.1, 0.8), flat(0.1)
    two = measured(batch([[leap, stay, leap]] * 10, None, rng=RNG(11)))
    spread = [[logistic(10.7, 3.0, 0.1, 0.7 + d) for d in (-0.1, 0.0, 0.1)]] * 10
    assert two.seeds.two.all()
    assert (two.seeds.leapt == 2).all()
    assert not measured(batch(spread, None, rng=RNG(12))).seeds.two.any()


def test_falls_of_flat_curves_have_honest_p_values() -> None:
    curves, _ = canonical(batch([[flat(0.3)]] * 600, None, rng=RNG(13)))
    p = trend(prepare(curves).hard).fall_p
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.035)


@pytest.mark.slow
def test_bootstrap_p_values_are_not_too_small_where_the_truth_is_smooth() -> None:
    """Just wide enough to be gradual: the least favourable smooth curve."""
    curves, _ = canonical(batch([[logistic(10.5, 1.3, 0.1, 0.8)]] * 150, None, n=100, rng=RNG(14)))
    m = measured(curves)
    p, _ = sharp_p(m.hard.series, m.hard.fit, m.hard.shape.dispersion, m.limits, Analysis(draws=199), RNG(15))
    assert np.mean(p < 0.05) <= 0.1


def test_q_values_are_per_family_and_harsher_under_dependence() -> None:
    p = np.array([0.01, 0.02, 0.03, 0.5, np.nan])
    families = ["a", "a", "a", "b", "a"]
    q = q_values(p, families)
    assert q[:4] == pytest.approx([0.03, 0.03, 0.03, 0.5])
    assert np.isnan(q[4])
    assert (q_values(p, families, dependent=True)[:3] > q[:3]).all()
