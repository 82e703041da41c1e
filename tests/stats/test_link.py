"""The link between the twins by hand: ranks, the soft score's own move, which points are asked, and what is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr, t

from saltus.stats.link import MISFIT, MOVES, Link, link

from helpers.by_hand import rise_at, series

RNG = np.random.default_rng


def linked(
    hard: Any,
    soft: Any,
    at: tuple[Any, Any] = (3, 5),
    *,
    hard_var: float = 1e-4,
    soft_var: float = 1e-4,
    dispersion: tuple[float, float] = (1.0, 1.0),
    freedom: float = 10.0,
    smooth: Any = None,
    asked: bool = True,
    source: Any = None,
) -> Link:
    """Both channels of one curve, seeds as rows; the soft score's fitted curve is the soft score itself."""
    hard, soft = (np.atleast_2d(np.asarray(a, dtype=float))[None] for a in (hard, soft))
    h, s = series(hard, var=hard_var), series(soft, var=soft_var)
    if source is not None:
        s.source[:] = source
    fitted = s.y if smooth is None else np.broadcast_to(np.asarray(smooth, dtype=float), s.y.shape)
    noise = (np.array([dispersion[0]]), np.array([freedom]), np.array([dispersion[1]]))
    return link(h, s, fitted, rise_at(h, *at), noise, np.array([asked]))


# ranks


def rank(hard: Any, soft: Any) -> float:
    return float(linked(hard, soft, asked=False).rank[0])


def test_the_rank_correlation_is_spearmans() -> None:
    assert rank([1, 2, 3, 4, 5, 6], [10, 20, 40, 50, 60, 99]) == pytest.approx(1)
    assert rank([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]) == pytest.approx(-1)
    # squared differences of ranks 0 + 1 + 1 + 1 + 1 = 4: 1 − 6 · 4 / (5 · 24)
    assert rank([1, 2, 3, 4, 5], [1, 3, 2, 5, 4]) == pytest.approx(0.8)


def test_ties_share_their_mean_rank() -> None:
    # ranks 1.5 1.5 3.5 3.5 and 2 2 2 4: covariance 2, norms 2 and √3
    assert rank([0, 0, 1, 1], [0, 0, 0, 1]) == pytest.approx(1 / np.sqrt(3))
    rng = RNG(1)
    hard, soft = rng.integers(0, 4, 12), rng.integers(0, 5, 12)
    assert rank(hard, soft) == pytest.approx(spearmanr(hard, soft).statistic)


def test_the_order_of_points_does_not_change_the_rank_correlation() -> None:
    rng = RNG(2)
    hard, soft = rng.integers(0, 3, 10), rng.integers(0, 3, 10)
    for _ in range(5):
        order = rng.permutation(10)
        assert rank(hard[order], soft[order]) == pytest.approx(rank(hard, soft))


def test_a_channel_that_stands_still_has_no_rank_correlation() -> None:
    assert np.isnan(rank([1, 2, 3, 4, 5], [2, 2, 2, 2, 2]))


def test_seeds_are_ranked_each_by_itself_and_averaged() -> None:
    """The second seed lies far above the first: pooled, the ranks would agree."""
    assert rank([[1, 2, 3, 4], [11, 12, 13, 14]], [[1, 2, 3, 4], [24, 23, 22, 21]]) == pytest.approx(0)
    short = [[1, 2, 3, 4], [2, 1, np.nan, np.nan]]
    assert rank(short, [[1, 2, 3, 4], [1, 2, np.nan, np.nan]]) == pytest.approx(1), "two points have no say"
    assert np.isnan(rank([1, 2, np.nan], [1, 2, np.nan]))


# the soft score's own move


def test_the_soft_score_moves_by_three_points_before_and_three_after_the_jump() -> None:
    soft = [9.0, 0.1, 0.2, 0.3, 7.0, 0.8, 0.9, 1.0, -5.0]
    found = linked(np.arange(9.0), soft, (3, 5), soft_var=0.01, dispersion=(1.0, 4.0), asked=False)
    # 0.2 before, 0.9 after; each mean has variance 4 · 0.01 / 3
    assert found.moves[0] == pytest.approx(0.7 / np.sqrt(2 * 0.04 / 3))


def test_moves_of_seeds_add_up_as_independent_witnesses() -> None:
    hard = [np.arange(9.0)] * 2
    soft = np.array([[0.0] * 4 + [0.5] + [0.6] * 4, [0.0] * 4 + [0.5] + [0.3] * 4])
    alone = [float(linked(hard[0], s, (3, 5), asked=False).moves[0]) for s in soft]
    assert linked(hard, soft, (3, 5), asked=False).moves[0] == pytest.approx(sum(alone) / np.sqrt(2))
    soft[1, :4] = np.nan  # nothing before the jump
    soft[1] = np.r_[soft[1, 4:], soft[1, :4]]
    assert linked(hard, soft, ([3, 0], [5, 6]), asked=False).moves[0] == pytest.approx(alone[0])


def test_a_soft_score_that_falls_moves_backwards() -> None:
    soft = np.array([0.6] * 4 + [0.3] + [0.0] * 4)
    assert linked(np.arange(9.0), soft, asked=False).moves[0] < 0


# what is asked


def step(height: float = 0.6) -> np.ndarray:
    return np.array([0.1] * 5 + [0.1 + height / 2] + [0.1 + height] * 5)


def test_what_is_not_asked_about_is_not_covered() -> None:
    line = np.linspace(0, 1, 11)
    assert linked(line, line, (3, 7)).covers[0]
    silent = linked(line, line, (3, 7), asked=False)
    assert not silent.covers[0]
    assert np.isnan(silent.worst[0])
    assert silent.rank[0] == pytest.approx(1)


@pytest.mark.parametrize(("points", "can"), [(5, True), (4, False)])
def test_five_shared_points_are_needed(points: int, can: bool) -> None:
    hard = np.linspace(0, 1, 8)
    soft = np.where(np.arange(8) < points, hard, np.nan)
    assert np.isfinite(linked(hard, soft, (1, 3)).worst[0]) == can


def test_two_points_of_the_jump_have_to_be_shared_at_the_same_places() -> None:
    line = np.linspace(0, 1, 9)
    assert np.isfinite(linked(line, line, (3, 4)).worst[0])
    assert np.isnan(linked(line, line, (8, 8)).worst[0])
    elsewhere = np.arange(9) + np.where(np.arange(9) == 4, 50, 0)
    assert np.isnan(linked(line, line, (3, 4), source=elsewhere).worst[0]), "one of the two is another point"


@pytest.mark.parametrize(("at", "points"), [((3, 5), 3), ((3, 4), 2), ((2, 6), 5)])
def test_the_miss_allowed_is_one_percent_over_all_points_of_the_jump_together(at: tuple[int, int], points: int) -> None:
    line = np.linspace(0, 1, 11)
    found = linked(line, line, at, freedom=7.0)
    assert found.limit[0] == pytest.approx(t.ppf(1 - 0.005 / points, 7))
    two = linked([line, line], [line, line], at, freedom=7.0)
    assert two.limit[0] == pytest.approx(t.ppf(1 - 0.005 / (2 * points), 7))


# what explains


def test_a_hard_score_that_is_a_function_of_the_soft_one_is_foretold_point_by_point() -> None:
    soft = np.linspace(0, 1, 11)
    found = linked(0.1 + 0.8 * soft, soft, (3, 7))
    assert found.covers[0]
    assert found.worst[0] < 0.5
    assert found.share[0] == pytest.approx(1, abs=0.05)


def test_a_threshold_that_a_moving_soft_score_passes_explains_the_jump() -> None:
    soft = np.linspace(0, 1, 11)
    assert linked(step(), soft, (4, 6)).covers[0]


def test_a_jump_between_equal_soft_scores_is_not_explained() -> None:
    """Where the soft score stands still the link has to give one value, and the hard score has two, 0.6 apart."""
    soft = np.array([0.0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.5, 0.7, 0.8, 0.9, 1.0])
    found = linked(step(), soft, (4, 6), soft_var=1e-8)
    assert not found.covers[0]
    assert found.worst[0] > 2 * found.limit[0]


def test_the_miss_is_counted_in_standard_errors_of_the_hard_score() -> None:
    """Ten times the error: a tenth of the miss."""
    soft = np.array([0.0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.5, 0.7, 0.8, 0.9, 1.0])
    fine = linked(step(), soft, (4, 6), soft_var=1e-10, hard_var=1e-6)
    coarse = linked(step(), soft, (4, 6), soft_var=1e-10, hard_var=1e-4)
    noisy = linked(step(), soft, (4, 6), soft_var=1e-10, hard_var=1e-6, dispersion=(100.0, 1.0))
    assert coarse.worst[0] == pytest.approx(fine.worst[0] / 10, rel=0.05)
    assert noisy.worst[0] == pytest.approx(coarse.worst[0])


TWO = np.array([0.0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
"""Soft scores of which two are equal, where the hard score leaps by 0.6."""
LEAP = np.where(np.arange(11) > 4, 0.7, 0.1)


def test_of_two_points_at_one_soft_score_one_misses_the_other_by_the_error_of_their_difference() -> None:
    assert linked(LEAP, TWO, (4, 5), soft_var=1e-10).worst[0] == pytest.approx(0.6 / np.sqrt(2 * 1e-4), rel=0.01)


def test_misfit_elsewhere_widens_the_interval_and_not_without_bound() -> None:
    """The other points scatter around the link, however much: the miss keeps a third of its size (variance 9)."""
    miss = 0.6 / np.sqrt(2 * 1e-4)
    away = np.where(np.isin(np.arange(11), (4, 5)), 0.0, (-1.0) ** np.arange(11))
    some, much = (linked(LEAP + by * away, TWO, (4, 5), soft_var=1e-10).worst[0] for by in (0.02, 0.08))
    assert miss / np.sqrt(MISFIT) < some < 0.95 * miss
    assert much == pytest.approx(miss / np.sqrt(MISFIT), rel=0.1)


@pytest.mark.parametrize(("errors", "explains"), [(MOVES + 0.1, True), (MOVES - 0.1, False)])
def test_a_soft_score_that_hardly_moves_explains_nothing(errors: float, explains: bool) -> None:
    """Twice the same line; only the soft score's error differs, so that it rises by so many of them."""
    line = np.linspace(0, 1, 11)
    rise = line[7:10].mean() - line[1:4].mean()
    found = linked(line, line, (3, 7), soft_var=1.5 * (rise / errors) ** 2, hard_var=0.01)
    assert found.moves[0] == pytest.approx(errors)
    assert bool(found.covers[0]) is explains


def test_the_unit_of_either_score_changes_nothing() -> None:
    rng = RNG(3)
    soft = np.linspace(0, 1, 11) + rng.normal(0, 0.01, 11)
    hard = step() + rng.normal(0, 0.01, 11)
    one = linked(hard, soft, (4, 6))
    per_cent = linked(100 * hard + 7, soft, (4, 6), hard_var=1.0)
    nats = linked(hard, 30 * soft - 50, (4, 6), soft_var=0.09)
    for other in (per_cent, nats):
        for name in ("worst", "limit", "share", "moves", "rank"):
            assert getattr(other, name)[0] == pytest.approx(getattr(one, name)[0], rel=1e-3)
