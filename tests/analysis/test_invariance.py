"""What a table looks like never changes a finding: the order of its rows, repeated rows, the units of its numbers."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saltus.curves.assemble import assemble
from saltus.judging.findings import write_findings
from saltus.judging.judge import judge
from saltus.records import Analysis
from saltus.results.read import read

FEW = Analysis(draws=99, resamples=6)
SHAPES = {
    "flat": lambda u: 0.25 + 0 * u,
    "leap": lambda u: 0.25 + 0.6 / (1 + np.exp(-60 * (u - 0.55))),
    "smooth": lambda u: 0.25 + 0.6 * u,
    "falling": lambda u: 0.85 - 0.5 * u,
    "hump": lambda u: 0.3 + 0.5 * np.exp(-(((u - 0.5) / 0.2) ** 2)),
}
thorough = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    """A run or some seeds, one task or more, one or two metrics, some cells lost, some points told twice otherwise."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points, n = draw(st.integers(6, 13)), draw(st.sampled_from([50, 500, 5000]))
    last = draw(st.sampled_from([64, 4096]))
    billions = np.unique(np.round(np.geomspace(1, last, points) * 8) / 8)
    frames = []
    for task in draw(st.sampled_from([("a",), ("a_mc", "a_rc", "b_mc")])):
        shape = SHAPES[draw(st.sampled_from(sorted(SHAPES)))]
        for seed in range(draw(st.sampled_from([1, 1, 3]))):
            mean = shape(np.linspace(0, 1, len(billions)))
            rows = {
                "family": "F",
                "model": "F-1b",
                "seed": str(seed),
                "billions": billions,
                "task": task,
                "chance_level": 0.25,
                "n_items": n,
            }
            share = rng.binomial(n, mean) / n
            frames.append(pl.DataFrame({**rows, "metric": "acc", "value": share}))
            if draw(st.booleans()):
                soft = np.round(mean - 1 + rng.normal(0, 0.02, len(mean)), 4).clip(-3, -0.001)
                frames.append(pl.DataFrame({**rows, "metric": "gold_logprob", "value": soft}))
    table = pl.concat(frames, how="vertical_relaxed")
    lost = draw(st.lists(st.integers(0, table.height - 1), max_size=2))
    again = draw(st.lists(st.integers(0, table.height - 1), max_size=1))
    half = pl.when(pl.col("metric") == "acc").then(0.5).otherwise("value")
    other = table[again].with_columns(value=half)
    table = table.with_row_index("row").with_columns(
        value=pl.when(pl.col("row").is_in(lost)).then(None).otherwise("value")
    )
    return pl.concat([table.drop("row"), other])


def findings(table: pl.DataFrame, unit: str = "number") -> list[dict[str, Any]]:
    """Every finding in full, as it is written, from a file in which tokens are numbers or words ("12.5B")."""
    tokens = pl.col("billions") * 1e9
    if unit == "words":
        tokens = pl.concat_str([pl.col("billions").cast(pl.String), pl.lit("B")])
    elif unit == "millions":
        tokens = pl.concat_str([(pl.col("billions") * 1000).cast(pl.String), pl.lit("M")])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.csv"
        table.with_columns(train_tokens=tokens).drop("billions").write_csv(path)
        batch = assemble(read([path]).table.with_columns(source=pl.lit("r.csv"))).batch
        found = judge(batch, FEW, np.random.default_rng(1))
        write_findings(found, Path(folder) / "findings.jsonl")
        lines = (Path(folder) / "findings.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def close(a: Any, b: Any) -> bool:
    """Equal but for the last digits of numbers."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-7)
    return bool(a == b)


NUMBERS = (
    "verdict",
    "presence",
    "shape_hard",
    "shape_soft",
    "predicted",
    "twin",
    "replication",
    "scope",
    "integrity",
    "onset",
    "onset_low",
    "onset_high",
    "width_hard",
    "width_soft",
    "rise",
    "floor",
    "n_points",
    "n_items",
    "n_seeds",
    "dispersion",
    "minimum_detectable_effect",
    "caveats",
    "guards",
)


def message(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: f[k] for k in NUMBERS} for f in found]


@thorough
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_never_changes_a_finding(table: pl.DataFrame, chance: Any) -> None:
    order = list(range(table.height))
    chance.shuffle(order)
    assert findings(table[order]) == findings(table)


@thorough
@given(tables(), st.data())
def test_repeated_rows_never_change_a_finding(table: pl.DataFrame, data: st.DataObject) -> None:
    more = data.draw(st.lists(st.integers(0, table.height - 1), min_size=1, max_size=30))
    assert findings(pl.concat([table, table[more]])) == findings(table)


@thorough
@given(tables())
def test_per_cent_never_change_a_finding(table: pl.DataFrame) -> None:
    share = pl.col("metric") == "acc"
    hundred = (pl.when(share).then(pl.col(c) * 100).otherwise(c).alias(c) for c in ("value", "chance_level"))
    percent = table.with_columns(hundred)
    assert close(message(findings(percent)), message(findings(table)))


@thorough
@given(tables(), st.sampled_from(["words", "millions"]))
def test_declared_units_of_the_axis_never_change_a_finding(table: pl.DataFrame, unit: str) -> None:
    assert findings(table, unit) == findings(table)


@thorough
@given(tables(), st.integers(0, 2**32 - 1))
def test_order_and_repeats_of_single_answers_never_change_a_finding(table: pl.DataFrame, seed: int) -> None:
    """The same with a row per item: one answer told twice is one answer."""
    rng = np.random.default_rng(seed)
    hard = table.filter(pl.col("metric") == "acc", pl.col("value").is_not_null())
    hard = hard.unique(["task", "seed", "billions"], maintain_order=True)
    names = pl.DataFrame({"item_id": [f"i{k}" for k in range(40)]})
    items = hard.drop("n_items", "value").join(names, how="cross")
    mean = np.repeat(hard["value"].to_numpy(), 40)
    items = items.with_columns(value=pl.Series((rng.random(len(mean)) < mean).astype(float)))
    more = pl.concat([items, items.sample(fraction=0.3, seed=1)])
    assert findings(more.sample(fraction=1.0, shuffle=True, seed=2)) == findings(items)
