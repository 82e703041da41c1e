"""Which points are read along which axis: runs along their training, series across their models; and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import Assembled, assemble

TEN = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]


def rows(model: str, tokens: Sequence[float | None], **columns: Any) -> pl.DataFrame:
    """One model's scores, one per place."""
    k = len(tokens)
    base: dict[str, Any] = {
        "series": "S",
        "model": model,
        "tokens": list(tokens),
        "task": "t",
        "metric": "acc",
        "value": [TEN[i % 10] for i in range(k)],
        "n_items": 100,
    }
    given = base | columns
    return pl.DataFrame({c: v if isinstance(v, list) else [v] * k for c, v in given.items()}, strict=False)


def read(*frames: pl.DataFrame, **options: Any) -> Assembled:
    return assemble(pl.concat(frames, how="diagonal_relaxed"), **options)


def curves(*frames: pl.DataFrame, **options: Any) -> dict[tuple[str, str], list[float]]:
    """(series, axis) → the raw places of its points."""
    batch = read(*frames, **options).batch
    return {(k.series, k.axis): sorted(batch.raw_x[i][batch.seen[i]].tolist()) for i, k in enumerate(batch.keys)}


def caveats(*frames: pl.DataFrame, **options: Any) -> dict[tuple[str, str], str]:
    return {(k.series, k.axis): " ".join(k.caveats) for k in read(*frames, **options).batch.keys}


def tokens(count: int) -> list[float]:
    return [1e9 * 2**k for k in range(count)]


# along training


def test_a_model_of_six_checkpoints_is_a_series_of_its_own_and_one_of_five_is_not() -> None:
    found = curves(rows("six", tokens(6), params=1e8), rows("five", tokens(5), params=1e9))
    assert found["S/six", "tokens"] == tokens(6)
    assert ("S/five", "tokens") not in found
    assert found["S", "params"] == [1e8, 1e9]


def test_an_untrained_point_is_no_checkpoint_and_two_seeds_at_one_place_are_one() -> None:
    other = rows("other", [1e9], params=1e9)
    assert ("S/five", "tokens") not in curves(rows("five", [0.0, *tokens(5)], params=1e8), other)
    twice = rows("five", [*tokens(5), *tokens(5)], seed=["0"] * 5 + ["1"] * 5, params=1e8)
    assert ("S/five", "tokens") not in curves(twice, other)
    assert ("S/six", "tokens") in curves(rows("six", [0.0, *tokens(6)], params=1e8), other)


def test_a_lone_run_is_judged_from_two_places_on_and_has_the_name_of_its_series() -> None:
    assert curves(rows("m", tokens(2))) == {("S", "tokens"): tokens(2)}
    alone = read(rows("m", tokens(1)))
    assert not len(alone.batch)
    assert sum(alone.left_out.values()) == 1


def test_a_run_is_read_along_the_axis_that_most_of_its_points_have() -> None:
    steps = [float(k) for k in range(1, 9)]
    assert ("S", "step") in curves(rows("m", [*tokens(5), None, None, None], step=steps))
    assert ("S", "tokens") in curves(rows("m", tokens(8), step=steps)), "tokens where both are known as often"
    flops = rows("m", [None] * 8, flops=[1e18 * k for k in range(1, 9)])
    assert ("S", "flops") in curves(flops)


def test_an_axis_asked_for_replaces_the_runs_own() -> None:
    both = rows("m", tokens(8), step=[float(k) for k in range(1, 9)], loss=[9.0 - k for k in range(8)])
    assert set(curves(both)) == {("S", "tokens"), ("S", "loss")}
    assert set(curves(both, axis="step")) == {("S", "step")}
    assert set(curves(both, axis="loss")) == {("S", "loss")}
    assert set(curves(both, axis=["tokens", "loss"])) == {("S", "tokens"), ("S", "loss")}


def test_a_loss_that_never_changes_and_a_date_that_nobody_asked_for_are_no_axes() -> None:
    dates = [2020.0 + k for k in range(8)]
    still = rows("m", tokens(8), loss=3.0, date=dates)
    assert set(curves(still)) == {("S", "tokens")}
    assert curves(still, axis="date") == {("S", "date"): dates}


def test_flops_are_six_times_params_times_tokens_unless_they_are_given() -> None:
    computed = read(rows("m", tokens(6), params=1e8)).batch
    assert computed.other_axes["flops"][0, 0].tolist() == pytest.approx([6 * 1e8 * t for t in tokens(6)])
    given = read(rows("m", tokens(6), params=1e8, flops=[7.0 * t for t in tokens(6)])).batch
    assert given.other_axes["flops"][0, 0].tolist() == pytest.approx([7.0 * t for t in tokens(6)])


def test_a_hypothesis_along_step_has_its_run_read_along_step() -> None:
    both = rows("m", tokens(8), step=[float(k) for k in range(1, 9)])
    wish = SimpleNamespace(task="t", series="S", axis="step")
    assert set(curves(both, registered=[wish])) == {("S", "step")}
    other = SimpleNamespace(task="t", series="R", axis="step")
    assert set(curves(both, registered=[other])) == {("S", "tokens")}


# across models

SIZES = [1e6, 1e7, 1e8, 1e9]


def models(sizes: Sequence[float | None], at: Any = 1e9, **columns: Any) -> list[pl.DataFrame]:
    """One point of every model; columns: one value per model or one for all."""
    many = at if isinstance(at, list) else [at] * len(sizes)
    return [
        rows(
            f"m{k}",
            [many[k]],
            params=size,
            value=TEN[k],
            **{c: v[k] if isinstance(v, list) else v for c, v in columns.items()},
        )
        for k, size in enumerate(sizes)
    ]


def test_a_series_has_the_last_point_of_each_of_its_models() -> None:
    parts = [
        rows(f"m{k}", [1e9, 3e9, 2e9], params=size, value=[0.1, 0.3 + k / 10, 0.2]) for k, size in enumerate(SIZES)
    ]
    found = read(*parts)
    i = next(i for i, k in enumerate(found.batch.keys) if k.axis == "params")
    assert found.batch.hard.value[i][found.batch.seen[i]].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6])
    assert sum(n for why, n in found.left_out.items() if "earlier point" in why) == 8


def test_untrained_points_give_the_floor_and_are_no_models_last_point() -> None:
    parts = [rows(f"m{k}", [0.0, 1e9], params=size, value=[0.25, 0.5 + k / 10]) for k, size in enumerate(SIZES)]
    batch = read(*parts).batch
    assert batch.seen.sum() == 4
    assert batch.hard.floor[0] == 0.25


def test_where_tokens_are_equal_or_in_proportion_params_and_flops_are_one_test() -> None:
    assert set(curves(*models(SIZES))) == {("S", "params")}
    given = [6e9 * s for s in SIZES]
    assert set(curves(*models(SIZES, flops=given))) == {("S", "flops")}
    assert set(curves(*models(SIZES, at=[20 * s for s in SIZES], flops=given))) == {("S", "flops")}
    uneven = [1e9, 9e9, 1e9, 9e9]
    assert set(curves(*models(SIZES, at=uneven))) == {("S", "params"), ("S", "flops")}


@pytest.mark.parametrize(("bend", "apart"), [(0.05, False), (0.06, True)])
def test_they_are_two_tests_from_a_squared_correlation_of_998_thousandths_down(bend: float, apart: bool) -> None:
    """log flops bends off log params by a part of a decade in turn."""
    flops = [s * 10 ** (bend * (-1) ** k) for k, s in enumerate(SIZES)]
    r = np.corrcoef(np.log(SIZES), np.log(flops))[0, 1]
    assert bool(r**2 < 0.998) is apart
    assert (("S", "params") in curves(*models(SIZES, at=None, flops=flops))) is apart


def test_flops_that_fewer_models_have_than_params_give_way() -> None:
    some = [6e15, None, 6e17, 6e18]
    found = curves(*models(SIZES, at=None, flops=some))
    assert found["S", "params"] == SIZES
    missing = curves(*models([None, *SIZES[1:]], at=None, flops=[6e15, 6e16, 6e17, 6e18]))
    assert missing["S", "flops"] == [6e15, 6e16, 6e17, 6e18]


@pytest.mark.parametrize(("most", "shown"), [(1.05e9, False), (1.06e9, True)])
def test_unequal_tokens_are_told_from_five_percent_on(most: float, shown: bool) -> None:
    message = caveats(*models(SIZES, at=[1e9, 1e9, 1e9, most]), axis="params")["S", "params"]
    assert ("unequal numbers of tokens (1e+09 to 1.06e+09)" in message) is shown


def test_models_that_lack_the_axis_are_counted_in_a_caveat() -> None:
    message = caveats(*models([1e6, None, 1e8, 1e9], at=None, flops=None), axis="params")["S", "params"]
    assert "models without params, not on this axis: 1" in message
    assert "models without" not in caveats(*models(SIZES))["S", "params"]


def test_one_size_alone_is_no_axis() -> None:
    found = read(*models([1e8] * 4))
    assert not len(found.batch)
    assert sum(found.left_out.values()) == 4


def test_a_hypothesis_along_another_axis_adds_that_axis() -> None:
    given = models(SIZES, flops=[6e9 * s for s in SIZES])
    wish = SimpleNamespace(task="t", series="S", axis="params")
    assert set(curves(*given, registered=[wish])) == {("S", "flops"), ("S", "params")}
    same = [SimpleNamespace(task="t", series="S", axis="tokens")]
    assert set(curves(*given, registered=same)) == {("S", "flops")}, "tokens do not vary"


def test_losses_across_models_are_an_axis_where_they_are_known() -> None:
    found = curves(*models(SIZES, loss=[5.0, 4.0, 3.0, 2.0]))
    assert set(found) == {("S", "params"), ("S", "loss")}
    assert found["S", "loss"] == [2.0, 3.0, 4.0, 5.0]


# what is in no curve


def test_every_row_is_in_a_curve_or_counted_with_its_reason() -> None:
    no_place = rows("x", [None] * 2, series="A")
    only = rows("y", [1e9], series="B")
    untrained = rows("z", [0.0], series="C")
    earlier = [rows(f"m{k}", tokens(3), series="D", params=10.0 ** (6 + k)) for k in range(2)]
    left = read(no_place, only, untrained, *earlier).left_out

    def counted(word: str) -> int:
        return sum(n for why, n in left.items() if word in why)

    assert counted("no place on any axis") == 2
    assert counted("the only point of its series") == 1
    assert counted("untrained model without trained points") == 1
    assert counted("earlier point of a model with fewer than 6") == 4
    assert sum(left.values()) == 8
