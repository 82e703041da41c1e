"""The whole instrument on curves of known truth: the right word, nothing missing, nothing that should not matter."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from saltus.judging.finding_schema import check_reasons
from saltus.judging.findings import dump_finding
from saltus.judging.judge import judge
from saltus.records import Analysis, Finding
from saltus.stats.batch import Channel, CurveBatch, Suspect
from saltus.stats.resample import take

from helpers.planted import Curve, batch, flat, logistic


def words(hard: list[Curve], soft: list[Curve] | None, count: int = 6) -> Counter[str]:
    found = findings(hard, soft, count)
    return Counter(f.verdict for f in found)


def findings(hard: list[Curve], soft: list[Curve] | None, count: int = 6) -> list[Finding]:
    curves = batch([hard] * count, None if soft is None else [soft] * count, rng=np.random.default_rng(11))
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


def mixed(rng: np.random.Generator) -> CurveBatch:
    """A leap, a slow rise and nothing, three seeds each."""
    slow = (logistic(10.5, 4.0, 0.1, 0.8), logistic(10.5, 4.0, 0.1, 0.7))
    truths = [rise(0.2), slow, (flat(0.1), flat(0.1))]
    return batch([[h] * 3 for h, _ in truths], [[s] * 3 for _, s in truths], rng=rng)


def verdicts(curves: CurveBatch) -> list[Finding]:
    return judge(curves, Analysis(resamples=12, draws=99), np.random.default_rng(5))


def same(a: Finding, b: Finding) -> bool:
    """Everything that decides, to the last digit."""
    names = ("verdict", "verdict_weights", "p_value", "width_hard", "width_soft", "presence", "twin")
    return all(getattr(a, name) == getattr(b, name) for name in names)


def test_the_order_of_curves_seeds_and_points_never_changes_a_finding() -> None:
    curves = mixed(np.random.default_rng(1))
    plain = verdicts(curves)
    turned = take(curves, np.array([2, 0, 1]))
    back = np.arange(curves.shape[2])[::-1]

    def shuffle(a: np.ndarray) -> np.ndarray:
        return a[:, ::-1][:, :, back]

    def channel(c: Channel) -> Channel:
        return replace(c, value=shuffle(c.value), stderr=shuffle(c.stderr), n=shuffle(c.n))

    turned = replace(
        turned,
        x=shuffle(turned.x),
        raw_x=shuffle(turned.raw_x),
        seen=shuffle(turned.seen),
        hard=channel(turned.hard),
        soft=channel(turned.soft),
        keys=tuple(replace(k, seeds=k.seeds[::-1]) for k in turned.keys),
    )
    again = verdicts(turned)
    for before, after in ((0, 1), (1, 2), (2, 0)):
        assert same(plain[before], again[after])


def test_the_unit_of_the_axis_never_changes_a_finding() -> None:
    curves = mixed(np.random.default_rng(2))
    millions = replace(curves, x=curves.x - 6, raw_x=curves.raw_x / 1e6)
    for a, b in zip(verdicts(curves), verdicts(millions), strict=True):
        assert same(a, b)
        if a.onset is not None:
            assert b.onset == pytest.approx(a.onset / 1e6)


def test_a_repeated_seed_counts_once_and_is_said() -> None:
    curves = mixed(np.random.default_rng(3))
    one = replace(curves, seen=curves.seen & (np.arange(3) == 0)[None, :, None])

    def copy(a: np.ndarray) -> np.ndarray:
        return np.repeat(a[:, :1], 3, axis=1)

    def channel(c: Channel) -> Channel:
        return replace(c, value=copy(c.value), stderr=copy(c.stderr), n=copy(c.n))

    thrice = replace(curves, hard=channel(curves.hard), soft=channel(curves.soft))
    for a, b in zip(verdicts(one), verdicts(thrice), strict=True):
        assert same(a, b)
        assert b.n_seeds == 1
        assert any("repeat another" in c for c in b.caveats)


def suspected(severity: str, mask: np.ndarray) -> Finding:
    curves = mixed(np.random.default_rng(4))
    bad = Suspect("stale answers", severity, "two checkpoints are identical", mask)  # type: ignore[arg-type]
    return verdicts(replace(curves, suspects=((bad,), (), ())))[0]


def test_a_disqualifying_guard_convicts_only_where_the_verdict_hangs_on_its_points() -> None:
    early, late = np.zeros((3, 12), dtype=bool), np.zeros((3, 12), dtype=bool)
    early[0, 1] = True
    late[:, 7:] = True
    innocent, guilty = suspected("disqualifying", early), suspected("disqualifying", late)
    assert (innocent.verdict, innocent.integrity) == ("transition", "ok")
    assert not innocent.guards[0].fired
    assert (guilty.verdict, guilty.integrity) == ("defective", "defective")
    assert guilty.guards[0].changes is not None
    assert guilty.guards[0].points


def test_a_caution_without_points_stands_beside_the_verdict() -> None:
    found = suspected("caution", np.zeros((3, 12), dtype=bool))
    assert (found.verdict, found.integrity) == ("transition", "suspect")


def test_few_points_a_lone_point_and_a_missing_hard_score_are_unresolved_with_what_to_add() -> None:
    leap = logistic(10.7, 0.2, 0.1, 0.8)
    short = batch([[leap]], None, x=np.linspace(9, 12, 5), rng=np.random.default_rng(5))
    lone = batch([[lambda x: np.where(x > 12.9, 0.5, 0.1)]], None, rng=np.random.default_rng(6))
    for curves in (short, lone):
        found = verdicts(curves)[0]
        assert found.verdict == "unresolved"
        assert found.next_data
    bare = batch([[leap]], [[leap]], rng=np.random.default_rng(7))
    bare = replace(bare, hard=replace(bare.hard, value=np.full(bare.shape, np.nan)))
    found = verdicts(bare)[0]
    assert found.verdict == "unresolved"
    assert check_reasons(found) == []
