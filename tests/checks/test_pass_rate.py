"""Evidence from repeated samples, from item rows of known truth."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from saltus.checks.pass_rate import evidence
from saltus.runner.loop import run
from saltus.store import Store
from saltus.testing import forget

from helpers.small_study import Sampled, SmallStudy


def finding(task: str = "t") -> Any:
    """What `evidence` reads of a finding."""
    return SimpleNamespace(
        finding_id="f",
        series="s",
        task=task,
        condition="baseline",
        axis="tokens",
        metric_hard="exact_match",
        slice=None,
    )


def rows(rates: dict[float, np.ndarray], repeats: int, *, greedy: bool = False) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    out = []
    for tokens, rate in rates.items():
        for i, p in enumerate(rate):
            hits = rng.random(repeats) < p
            hits[:] = hits[0] if greedy else hits
            out += [
                {
                    "series": "s",
                    "model": "m",
                    "tokens": tokens,
                    "task": "t",
                    "condition": None,
                    "metric": "exact_match",
                    "item_id": f"i{i}",
                    "repeat": k,
                    "value": float(h),
                }
                for k, h in enumerate(hits)
            ]
    return pl.DataFrame(out)


def law(instances: int, bend: float) -> dict[float, np.ndarray]:
    rng = np.random.default_rng(2)
    level, u = rng.normal(1.2, 0.8, instances), np.linspace(-1, 1, 5)
    return {float(10 ** (8 + a)): np.exp(-np.exp(level - 1.2 * a - bend * (a**2 - 1))) for a in u}


def test_rates_and_law_are_recovered() -> None:
    truth = law(40, 1.0)
    rate, bent = evidence(rows(truth, 60), [finding()])["f"]
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
    _, bent = evidence(rows(law(60, 0.0), 60), [finding()])["f"]
    assert bent.passed is False
    assert bent.detail["law"] == "standard"


def test_zero_passes_at_a_model_are_a_bound() -> None:
    truth = law(40, 0.0)
    truth[min(truth)] = np.zeros(40)
    rate, _ = evidence(rows(truth, 60), [finding()])["f"]
    first = rate.detail["points"][0]
    assert first["rate"] == 0
    assert abs(first["high"] - 3 / 2400) < 1e-5


def test_greedy_repeats_are_no_samples() -> None:
    (only,) = evidence(rows(law(20, 0.0), 10, greedy=True), [finding()])["f"]
    assert only.passed is None
    assert only.value is None
    assert "greedy" in only.why


def test_without_repeats_there_is_no_evidence() -> None:
    assert evidence(rows(law(20, 0.0), 1), [finding()]) == {}


def test_other_findings_get_nothing() -> None:
    assert evidence(rows(law(20, 0.0), 5), [finding("another")]) == {}


def test_a_store_with_repeats_carries_rates(tmp_path: Path) -> None:
    """From scripted models that sample, through runner and store, to evidence."""
    study = SmallStudy(task_list=(Sampled(),), repeats=8, points=4, limit=12, options={"midpoint": 0.6, "width": 0.5})
    store = Store(tmp_path / "small.saltus")
    forget()
    assert run(study, store).asked == 12 * 8 * 4
    items = store.item_table(study)
    one = finding("sampled")
    one.series = items.collect()["series"][0]
    rate, _ = evidence(items, [one])["f"]
    points = rate.detail["points"]
    assert [p["samples"] for p in points] == [96.0] * 4
    assert points[-1]["rate"] > points[0]["rate"]
