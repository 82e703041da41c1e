"""Families pooled on one axis: a rise counts only where models at one place agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import assemble
from saltus.judging.judge import judge
from saltus.records import Analysis, Finding
from saltus.results.read import read
from saltus.stats.batch import CurveBatch
from saltus.stats.pooled import apart

from helpers.places import DATA_FOLDER
from helpers.planted import batch, flat, logistic

SAMPLE = DATA_FOLDER / "obsscaling_sample.parquet"
LEAP = logistic(10.7, 0.2, 0.05, 0.9)


def pool(odd: int, *, n: int = 1000, known: bool = True, pooled: bool = True) -> CurveBatch:
    """Forty models that leap together, but for `odd` large ones that never did."""
    x = np.linspace(8, 13, 40)
    curves = batch([[LEAP]], None, x=x, n=n, floor=0.05, rng=np.random.default_rng(1))
    value = curves.hard.value.copy()
    value[0, 0, 24 : 24 + 2 * odd : 2] = 0.05
    nothing = np.full(curves.shape, np.nan)
    hard = replace(curves.hard, value=value)
    if not known:
        hard = replace(hard, n=nothing, stderr=nothing, binomial=np.zeros(1, dtype=bool))
    keys = tuple(replace(k, pooled=pooled) for k in curves.keys)
    return replace(curves, keys=keys, hard=hard)


def found(curves: CurveBatch) -> Finding:
    return judge(curves, Analysis(resamples=20), np.random.default_rng(2))[0]


@pytest.mark.parametrize(("odd", "state"), [(0, 0), (1, 0), (2, 0), (4, 2), (7, 2)])
def test_several_odd_models_disagree_and_one_or_two_are_forgiven(odd: int, state: int) -> None:
    seen = apart(pool(odd), Analysis())
    assert (seen.models[0], seen.disagree[0]) == (40, state)
    assert seen.off[0] == odd


def test_only_pools_are_asked_and_noise_is_no_disagreement() -> None:
    assert apart(pool(7, pooled=False), Analysis()).models[0] == 0
    assert apart(pool(7, known=False), Analysis()).disagree[0] == 1
    x = np.linspace(8, 13, 60)
    for n in (20, 100, 2000):
        curves = batch([[flat(0.3)]] * 20, None, x=x, n=n, pooled=True, rng=np.random.default_rng(n))
        assert (apart(curves, Analysis()).disagree == 0).all()


def test_a_pool_whose_models_disagree_is_irregular_and_says_which() -> None:
    agreeing, disagreeing = found(pool(0)), found(pool(7))
    assert agreeing.verdict == "sharp"
    assert disagreeing.verdict == "irregular"
    assert set(disagreeing.verdict_weights) == {"irregular"}
    (message,) = [c for c in disagreeing.caveats if "--series family" in c]
    assert "of 40 models" in message
    (evidence,) = [e for e in disagreeing.evidence if e.name == "models agree"]
    assert evidence.passed is False


def test_without_errors_a_disagreeing_pool_has_no_shape_to_claim() -> None:
    one = found(pool(5, known=False))
    assert one.verdict not in ("sharp", "transition", "bound", "artefact")
    assert any("may be noise" in c for c in one.caveats)


def test_published_families_pooled_on_compute_are_not_sharp() -> None:
    """Ruan et al. 2024: three-digit addition leaps over the pool; at one compute some families do all, some none."""
    batch = assemble(read([SAMPLE]).table, series=("variant",), axis=("flops", "params")).batch
    assert all(key.pooled for key in batch.keys)
    findings = judge(batch, Analysis(resamples=10), np.random.default_rng(3))
    words = {(f.task, f.axis): f.verdict for f in findings if f.primary}
    assert words["arithmetic_3da", "flops"] == words["arithmetic_3da", "params"] == "irregular"
    assert not {"sharp", "transition", "split", "bound"} & set(words.values())


def test_a_family_by_itself_and_a_run_in_training_are_no_pools() -> None:
    rows = pl.DataFrame(
        {
            "family": ["A"] * 8 + ["B"] * 8,
            "model": [f"A-{i}b" for i in range(8)] + ["B-1b"] * 8,
            "params": [2.0**i * 1e8 for i in range(8)] + [1e9] * 8,
            "tokens": [1e11] * 8 + [2.0**i * 1e9 for i in range(8)],
            "task": "t",
            "metric": "acc",
            "n_items": 500,
            "value": [0.1 * i + 0.1 for i in range(8)] * 2,
        }
    )
    assert not any(k.pooled for k in assemble(rows.with_columns(series=pl.col("family"))).batch.keys)
