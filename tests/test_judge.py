"""The whole instrument on curves of known truth: the right word, nothing missing, and nothing that should not matter."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from planted import Curve, batch, flat, logistic

from saltus.finding_schema import check_reasons
from saltus.findings import dump_finding
from saltus.judge import judge
from saltus.records import Analysis, Finding


def words(hard: list[Curve], soft: list[Curve] | None, count: int = 6) -> Counter[str]:
    found = findings(hard, soft, count)
    return Counter(f.verdict for f in found)


def findings(hard: list[Curve], soft: list[Curve] | None, count: int = 6) -> list[Finding]:
    curves = batch(
        [hard] * count, None if soft is None else [soft] * count, rng=np.random.default_rng(11)
    )
    return judge(curves, Analysis(resamples=3, draws=99), np.random.default_rng(5))


def rise(width: float, shift: float = 0.0) -> tuple[Curve, Curve]:
    return logistic(10.7 + shift, width, 0.1, 0.8), logistic(10.7 + shift, width, 0.1, 0.7)


def test_a_leap_in_both_channels_of_one_run_is_sharp_and_never_a_transition() -> None:
    hard, soft = rise(0.2)
    assert words([hard], [soft]) == {"sharp": 6}


def test_the_same_leap_in_three_seeds_is_a_transition() -> None:
    pairs = [rise(0.2, shift) for shift in (-0.1, 0.0, 0.1)]
    assert words([h for h, _ in pairs], [s for _, s in pairs]) == {"transition": 6}


def test_one_seed_that_stays_behind_splits_the_population() -> None:
    hard, soft = rise(0.2)
    assert words([hard, flat(0.1), hard], [soft, flat(0.1), soft]) == {"split": 6}


def test_a_rise_over_decades_is_smooth() -> None:
    hard, soft = rise(3.5)
    assert words([hard] * 3, [soft] * 3)["smooth"] >= 5


def test_nothing_is_flat() -> None:
    assert words([flat(0.1)], [flat(0.1)]) == {"flat": 6}


def test_a_rise_and_a_collapse_are_irregular() -> None:
    def hump(x: np.ndarray) -> np.ndarray:
        return 0.2 + 0.4 * np.exp(-((x - 10.5) ** 2))

    assert words([hump], [hump]) == {"irregular": 6}


@pytest.mark.parametrize("soft", [True, False])
def test_every_field_is_filled_or_has_its_reason(soft: bool) -> None:
    for truth in (rise(0.2), (flat(0.1), flat(0.1))):
        found = findings([truth[0]], [truth[1]] if soft else None, 2)
        assert [r for f in found for r in check_reasons(f)] == []
        assert all(dump_finding(f) for f in found)
        assert all(abs(sum(f.verdict_weights.values()) - 1) < 1e-9 for f in found)
