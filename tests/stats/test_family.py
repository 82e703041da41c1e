"""Leaps of one format at one place are bound to it; leaps at independent places are not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from saltus.calibrate.families import formats
from saltus.calibrate.sampling import measure as sampled
from saltus.calibrate.simulate import assemble
from saltus.judging.judge import judge
from saltus.records import Analysis
from saltus.stats.batch import CurveKey
from saltus.stats.family import CHANCE, Onsets, chance, room, scopes
from saltus.stats.series import prepare
from saltus.stats.shape import limits

from helpers.planted import batch, logistic


def keys(skills: int, formats: str = "mc rc", metrics: str = "acc") -> list[CurveKey]:
    return [
        CurveKey(
            "s", f"t{i}_{form}", "baseline", "tokens", metric, None, primary=metric == "acc", skill=f"t{i}", format=form
        )
        for form in formats.split()
        for i in range(skills)
        for metric in metrics.split()
    ]


def onsets(places: list[float], *, leapt: list[bool] | None = None, width: float = 0.3) -> Onsets:
    """Leaps at places of a range of four decades, on a grid that lets a leap be seen anywhere in it."""
    at = np.array(places)
    jump = np.array(leapt if leapt is not None else [True] * len(at))
    none, n = np.zeros(len(at), dtype=bool), np.full(len(at), 1.0)
    return Onsets(
        leapt=jump,
        rose=jump,
        climbed=none,
        judged=~none,
        at=at,
        low=at - width / 2,
        high=at + width / 2,
        limit=n,
        room=4.0 * n,
    )


def test_leaps_of_one_format_at_one_place_are_bound_to_it_and_others_are_not() -> None:
    places = [10.0, 10.1, 10.05, 9.95] * 2
    scope, why = scopes(keys(4), onsets(places, leapt=[True] * 4 + [False] * 4))
    assert scope == ["format"] * 4 + ["unknown"] * 4
    assert "mc" in why[0]
    assert "4 of 4 skills" in why[0]
    assert set(scopes(keys(4), onsets(places))[0]) == {"general"}, "all formats leap there"


def test_leaps_apart_or_without_another_format_are_not_bound() -> None:
    apart = onsets([9.0, 10.0, 11.0, 12.0] * 2, leapt=[True] * 4 + [False] * 4)
    assert set(scopes(keys(4), apart)[0]) == {"unknown"}
    together = onsets([10.0] * 4)
    assert set(scopes(keys(4, formats="mc"), together)[0]) == {"unknown"}


def test_metrics_of_one_task_are_one_witness() -> None:
    """Two skills under two metrics each are two skills, not four."""
    places = [10.0] * 4 + [12.0] * 4
    found = onsets(places, leapt=[True] * 4 + [False] * 4)
    assert set(scopes(keys(2, metrics="acc acc_norm"), found)[0]) == {"unknown"}
    found = onsets([10.0] * 8 + [12.0] * 8, leapt=[True] * 8 + [False] * 8)
    scope, why = scopes(keys(4, metrics="acc acc_norm"), found)
    assert scope[:8] == ["format"] * 8
    assert "4 of 4 skills" in why[0]


def test_a_format_in_which_most_skills_rise_elsewhere_was_not_acquired_there() -> None:
    places = [10.0] * 4 + [8.6, 9.2, 10.9, 11.5] + [12.0] * 8
    leapt = [True] * 8 + [False] * 8
    assert set(scopes(keys(8), onsets(places, leapt=leapt, width=0.1))[0]) == {"unknown"}


@pytest.mark.parametrize(("skills", "together"), [(4, 4), (6, 5), (8, 6)])
def test_the_bound_on_chance_holds_for_even_places(skills: int, together: int) -> None:
    rng = np.random.default_rng(1)
    places = np.sort(rng.uniform(0, 1, (200_000, skills)), axis=1)
    tight = (places[:, together - 1 :] - places[:, : skills - together + 1]).min(axis=1)
    for window in (0.1, 0.2, 0.3):
        seen, bound = np.mean(tight <= window), chance(skills, together, window, 1.0)
        assert seen <= bound
        assert seen >= 0.1 * bound or bound > 0.5, "and is no empty promise"
    assert chance(5, 5, 0.0, 1.0) == 0.0
    assert chance(5, 5, 9.0, 1.0) == 1.0


def test_room_is_where_the_grid_lets_a_leap_be_seen() -> None:
    def of(x: np.ndarray) -> float:
        curves = batch([[logistic(10.5, 0.3, 0.1, 0.8)]], None, x=x, rng=np.random.default_rng(1))
        ready = prepare(curves)
        narrow = limits(ready.span, curves.log_axis, Analysis()).narrow
        return float(room(ready.hard, narrow, Analysis())[0] * ready.span[0])

    even = np.linspace(8, 12, 9)  # cells of half a decade; two before and one after are out
    assert of(even) == pytest.approx(0.5 * 5)
    gap = np.array([8.0, 8.2, 8.4, 10.4, 10.8, 11.2, 11.6, 12.0])  # nothing narrow fits two decades
    assert of(gap) == pytest.approx(0.4 * 3)


def test_independent_places_are_rarely_bound_whatever_the_grid_rounds_them_to() -> None:
    """Onsets read off a grid coincide more often than places do."""
    rng, hits, families = np.random.default_rng(2), 0, 2000
    for _ in range(families):
        skills, cells = int(rng.integers(4, 9)), int(rng.integers(7, 25))
        cell = 4.0 / cells
        true = rng.uniform(0, 4.0, skills)
        read = np.where(rng.random(skills) < 0.5, (np.floor(true / cell) + 0.5) * cell, true)
        leapt = [True] * skills + [False] * skills
        found = onsets([*read, *[9.0] * skills], leapt=leapt, width=1.2 * cell)
        hits += "format" in scopes(keys(skills), found)[0]
    assert hits <= 3 * CHANCE * families


@pytest.mark.slow
def test_families_of_formats_through_the_judge() -> None:
    """Bound where all leap within 0.2 decade, sharp where each has its place; loose by what 80 families cannot tell."""
    rng = np.random.default_rng(8)
    drafts = formats(rng, 80, Analysis())
    curves = assemble(drafts, [sampled(rng, draft) for draft in drafts])
    found = judge(curves, Analysis(resamples=1), np.random.default_rng(1))
    words = Counter(
        (d.kind, f.verdict)
        for d, f in zip(drafts, found, strict=True)
        if d.label is not None and d.label[2] == "letters"
    )
    one, own = ({v: n for (k, v), n in words.items() if k.startswith(kind)} for kind in ("one", "own"))
    assert one["bound"] >= 0.85 * sum(one.values())
    assert own.get("bound", 0) <= 0.06 * sum(own.values())
