"""Evidence from repeated samples, from item rows of known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from saltus.checks import pass_rate
from saltus.checks.base import View
from saltus.runner.loop import run
from saltus.store import Store
from saltus.testing import forget

from helpers.item_views import table, view
from helpers.small_study import Sampled, SmallStudy


def seen(rates: dict[float, np.ndarray], repeats: int, *, greedy: bool = False) -> View:
    """Answers of items whose chance of passing at each place is known."""
    rng = np.random.default_rng(5)
    chances = {float(np.log10(tokens)): rate for tokens, rate in rates.items()}
    frame = table(
        {"baseline": lambda x, i: chances[x][i]},
        tokens=list(rates),
        items=len(next(iter(rates.values()))),
        repeats=repeats,
        same_repeats=greedy,
        rng=rng,
    )
    return view(frame)


def ask(of: View) -> tuple[Any, Any]:
    """(rate, law) of the one curve."""
    rng = np.random.default_rng(0)
    return pass_rate.rate(of, rng)[0], pass_rate.law(of, rng)[0]


def law(instances: int, bend: float) -> dict[float, np.ndarray]:
    rng = np.random.default_rng(2)
    level, u = rng.normal(1.2, 0.8, instances), np.linspace(-1, 1, 5)
    return {float(10 ** (8 + a)): np.exp(-np.exp(level - 1.2 * a - bend * (a**2 - 1))) for a in u}


def test_rates_and_law_are_recovered() -> None:
    truth = law(40, 1.0)
    rate, bent = ask(seen(truth, 60))
    last = truth[max(truth)].mean()
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low <= last <= rate.high
    points = rate.detail["points"]
    assert [p["items"] for p in points] == [40] * 5
    assert points[-1]["pass_at"]["60"] > points[-1]["pass_at"]["10"] > points[-1]["pass_at"]["1"]
    assert bent.passed is True
    assert bent.detail["law"] == "accelerated"


def test_a_straight_law_is_not_called_accelerated() -> None:
    _, bent = ask(seen(law(60, 0.0), 60))
    assert bent.passed is False
    assert bent.detail["law"] == "standard"


def test_zero_passes_at_a_model_are_a_bound() -> None:
    truth = law(40, 0.0)
    truth[min(truth)] = np.zeros(40)
    rate, _ = ask(seen(truth, 60))
    first = rate.detail["points"][0]
    assert first["rate"] == 0
    assert abs(first["high"] - 3 / 2400) < 1e-5


def test_greedy_repeats_are_no_samples() -> None:
    only, none = ask(seen(law(20, 0.0), 10, greedy=True))
    assert none is None
    assert only.passed is None
    assert only.value is None
    assert "greedy" in only.why


def test_without_repeats_there_is_no_evidence() -> None:
    assert ask(seen(law(20, 0.0), 1)) == (None, None)


def test_a_store_with_repeats_carries_rates(tmp_path: Path) -> None:
    """From scripted models that sample, through runner and store, to evidence."""
    study = SmallStudy(task_list=(Sampled(),), repeats=8, points=4, limit=12, options={"midpoint": 0.6, "width": 0.5})
    store = Store(tmp_path / "small.saltus")
    forget()
    assert run(study, store).asked == 12 * 8 * 4
    rate, _ = ask(view(store.item_table(study).collect()))
    points = rate.detail["points"]
    assert [p["samples"] for p in points] == [96.0] * 4
    assert points[-1]["rate"] > points[0]["rate"]
