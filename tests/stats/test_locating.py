"""The sequential procedure on planted sweeps of 150 checkpoints: few asked, the onset held, the ends known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from saltus.judging.share import cut
from saltus.planning.locate import looks
from saltus.records import Analysis
from saltus.stats.batch import CurveBatch
from saltus.stats.locating import Aim, Look, Step, advance, net, predicted_interval

from helpers.planted import batch, flat, logistic

X = np.linspace(6.0, 11.0, 150)
QUIET = Look(
    origin=6.0,
    span=5.0,
    rises=True,
    twin_rises=True,
    turns=False,
    onset=0.5,
    low=0.45,
    high=0.55,
    start=0.45,
    end=0.55,
    decided=True,
    form=0,
    m=0.5,
    w=0.1,
    noise=0.1,
)


def searched(full: CurveBatch, aim: Aim) -> tuple[np.ndarray, Look, Step]:
    """One sweep searched to its end: which checkpoints were asked, the last look and step."""
    asked = np.zeros(len(X), dtype=bool)
    asked[list(net(X, aim))] = True
    while True:
        part = replace(full, seen=full.seen & asked)
        (look,) = looks(cut(part, 1, int(asked.sum())), Analysis())
        step = advance(X, asked, look, aim)
        if step.stop:
            return asked, look, step
        assert not asked[list(step.ask)].any()
        asked[list(step.ask)] = True


def sweep(curve, seed: int, n: int = 300) -> CurveBatch:  # type: ignore[no-untyped-def]
    return batch([[curve]], None, x=X, n=n, floor=0.1, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("width", [0.03, 0.3, 1.0])
def test_a_leap_is_found_with_a_fifth_of_the_checkpoints(width: float) -> None:
    held, wider = 0, []
    for seed in range(8):
        middle = 7.0 + 3.0 * np.random.default_rng(seed).random()
        full = sweep(logistic(middle, width, 0.1, 0.7), seed)
        asked, look, _ = searched(full, Aim())
        assert asked.sum() <= 30
        held += look.low <= (middle - 6) / 5 <= look.high
        (whole,) = looks(full, Analysis())
        wider.append((look.high - look.low) / (whole.high - whole.low))
    assert held >= 6
    assert np.median(wider) <= 2


def test_a_wanted_width_ends_the_search_early() -> None:
    full = sweep(logistic(8.6, 0.05, 0.1, 0.7), 1)
    wide, _, step = searched(full, Aim(interval=0.5))
    narrow, _, finer = searched(full, Aim(interval=0.07))
    assert step.width <= 0.5
    assert finer.width <= 0.07
    assert wide.sum() < narrow.sum()


def test_nothing_is_chased_where_nothing_rises() -> None:
    asked, _, step = searched(sweep(flat(0.1), 3), Aim())
    assert step.why == "nothing rises"
    assert asked.sum() == Aim().calm
    assert np.diff(X[asked]).max() < 3 * 5 / Aim().calm  # evenly spread, none left aside


def test_verdicts_have_points_on_both_sides_of_the_rise() -> None:
    asked, look, _ = searched(sweep(logistic(6.35, 0.05, 0.1, 0.7), 4), Aim())
    u = (X - 6) / 5
    assert (asked & (u < look.low)).sum() >= 3
    assert (asked & (u > look.high)).sum() >= 2


def test_the_net_holds_both_ends_and_untrained_points_and_small_sweeps_whole() -> None:
    x = np.concatenate([[-np.inf], X])
    first = net(x, Aim())
    assert {0, 1, 150} <= set(first)
    assert len(first) == Aim().first + 1
    assert net(X[:9], Aim()) == tuple(range(9))


def test_a_net_over_crowded_checkpoints_is_as_large_as_wanted() -> None:
    steps = np.log10(np.arange(1, 151, dtype=float))
    first = net(steps, Aim())
    assert len(set(first)) == Aim().first
    assert {0, 149} <= set(first)


def test_what_the_full_sweep_would_give_shrinks_with_what_is_left_to_ask() -> None:
    u = np.linspace(0, 1, 150)
    few = np.zeros(150, dtype=bool)
    few[::14] = True
    more = np.zeros(150, dtype=bool)
    more[::2] = True
    assert predicted_interval(u, few, QUIET) < predicted_interval(u, more, QUIET) <= QUIET.high - QUIET.low
    assert predicted_interval(u, np.ones(150, dtype=bool), QUIET) == pytest.approx(0.1)


def test_a_spent_share_ends_the_search() -> None:
    asked = np.zeros(150, dtype=bool)
    asked[::5] = True
    step = advance(X, asked, replace(QUIET, decided=False), Aim())
    assert step.stop
    assert "used up" in step.why


def test_ends_that_could_not_be_asked_do_not_shift_the_search() -> None:
    """The last tenth of the checkpoints cannot be opened: places are still those of the axis."""
    middle, aim = 8.3, Aim()
    full = sweep(logistic(middle, 0.05, 0.1, 0.7), 2)
    broken = X > 10.5
    full = replace(full, seen=full.seen & ~broken)
    asked = np.zeros(len(X), dtype=bool)
    asked[list(net(X, aim))] = True
    while True:
        part = replace(full, seen=full.seen & asked)
        (look,) = looks(cut(part, 1, int(part.seen.sum())), Analysis())
        step = advance(X, asked, look, aim)
        if step.stop:
            break
        asked[list(step.ask)] = True
    low, high = (look.origin + look.span * v for v in (look.low, look.high))
    assert low <= middle <= high
    assert step.width < 0.3
