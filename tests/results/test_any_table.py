"""Whatever a table holds, reading and assembling it ends in curves that keep their promises, or in a UserError."""

import random

import numpy as np
import polars as pl
import pytest

from saltus.curves.assemble import assemble
from saltus.errors import UserError
from saltus.results.read import read

NUMBERS = [0, 0.0, 1e9, 2e9, -5, None, float("nan"), float("inf"), 1e300, 3.5, 7]
VALUES = [0.0, 0.1, 0.5, 0.5, 1.0, None, float("nan"), 0.77, -0.0001, 1.0001, 12.0, 1e9]
WORDS = ["a", "b", "m-1b-step5", "", None, "x-7b", "ünï", "1000"]
WHOLES = [0, 1, 5, None, 100, -1]
METRICS = ["acc", "ppl", "acc_norm", "weird", "exact_match", "exact_match_stripped", "gold_logprob", "off_menu", None]
COLUMNS = {
    **dict.fromkeys(("params", "tokens", "flops", "step", "loss", "date", "stderr", "difficulty"), NUMBERS),
    **dict.fromkeys(("value", "floor", "nominal_floor", "truncated"), VALUES),
    **dict.fromkeys(
        (
            "series",
            "family",
            "model",
            "seed",
            "task",
            "skill",
            "format",
            "condition",
            "slice",
            "variant",
            "source",
            "item_id",
            "group",
            "dtype",
            "prompt_hash",
            "bos",
        ),
        WORDS,
    ),
    **dict.fromkeys(("repeat", "n_shot", "n_items"), WHOLES),
    "metric": METRICS,
}


def any_table(rng: random.Random) -> pl.DataFrame:
    n = rng.choice([1, 2, 7, 40, 200])
    chosen = {"task", "metric", "value", "tokens"} | {c for c in COLUMNS if rng.random() < 0.45}
    return pl.DataFrame({c: rng.choices(COLUMNS[c], k=n) for c in sorted(chosen)}, strict=False)


@pytest.mark.parametrize("seed", range(60))
def test_curves_that_keep_their_promises_or_a_message(tmp_path, seed):
    rng = random.Random(seed)
    frame = any_table(rng)
    path = tmp_path / rng.choice(["r.csv", "r.parquet"])
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    try:
        table = read([path]).table
    except UserError:
        return
    batch = assemble(table, slices=rng.choice([(), ("group", "difficulty")])).batch
    assert np.isfinite(batch.x[batch.seen]).all()
    ordered = np.where(batch.seen, batch.x, np.finfo(float).max)
    assert (np.diff(ordered, axis=2) >= 0).all()
    for channel in (batch.hard, batch.soft):
        assert not np.isinf(channel.value).any()
        assert np.isnan(channel.value[~batch.seen]).all()
    primary = [(k.series, k.task, k.condition, k.axis) for k in batch.keys if k.primary]
    assert len(primary) == len(set(primary))
    assert len(batch.suspects) == len(batch)
