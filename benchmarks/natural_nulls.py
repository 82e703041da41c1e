"""Leaps injected into real noise: are they found as often as simulation promises, and is nothing found without them?

    python benchmarks/natural_nulls.py [DATA_FOLDER] [--models 70m 410m 1.4b 12b] [--seed 1]

The noise is that of the Pythia runs on the 57 MMLU subjects and LogiQA, which no Pythia model ever learnt: shared
items, label biases, slow drifts. A leap gives every item a threshold of its own; beyond it the item is answered
right, so the score rises from chance by `rise` along a logistic of 0.1 or 0.3 decade (10–90 %), its middle between
the fourth and the third-last checkpoint. The promise: the same leap at the same place in simulated noise around the
curve's own level, independent and as large as that curve's between neighbouring checkpoints, with the same floor. What
of the real noise is slow drift, the promise does not have; the share is printed. Power is shown apart for leaps between
checkpoints at most `DENSE` decades apart and in the wider gaps of the grid.
Known limits: one leap per curve; every row of the table is a family of its own for multiplicity.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from saltus.curves.assemble import assemble
from saltus.judging.judge import judge
from saltus.records import Analysis, Finding
from saltus.results.read import read
from saltus.runner.machine import host
from saltus.stats.batch import Bools, CurveBatch, Floats
from saltus.verdict import CLAIMS_LEAP

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
TASKS = "^(hendrycksTest-.*|logiqa)$"
RISES = (0.1, 0.2, 0.3, 0.5, 0.7)
WIDTHS = (0.1, 0.3)
CHANCE = 0.25
DENSE = 0.32
BEFORE, AFTER = 3, 2
Z = 1.96


@dataclass(frozen=True)
class Leap:
    """One leap per curve: (C,) middle and width in decades, and (C, 1, P) how much of it is done at each point."""

    middle: Floats
    done: Floats
    dense: Bools


def nulls(folder: Path, models: Sequence[str]) -> CurveBatch:
    """The real curves: accuracy of v1 runs, zero-shot, along tokens; one seed each."""
    table = read([folder / "pythia_evals" / "evals.parquet"]).table
    names = [f"pythia-{m}" for m in models]
    rows = table.filter(
        (pl.col("variant").cast(pl.String) == "v1")
        & (pl.col("n_shot") == 0)
        & (pl.col("metric").cast(pl.String) == "acc")
        & pl.col("task").cast(pl.String).str.contains(TASKS)
        & pl.col("model").cast(pl.String).is_in(names)
    )
    return assemble(rows, axis="tokens").batch


def draw(batch: CurveBatch, rng: np.random.Generator) -> Leap:
    """A place and a width for every curve."""
    c, _, p = batch.shape
    cell = rng.integers(BEFORE, p - AFTER, size=c)
    x = batch.x[:, 0, :]
    rows = np.arange(c)
    left, right = x[rows, cell], x[rows, np.minimum(cell + 1, p - 1)]
    middle = left + rng.uniform(0.0, 1.0, c) * (right - left)
    width = rng.choice(WIDTHS, c)
    slope = 2 * np.log(9.0) / width
    done = 1.0 / (1.0 + np.exp(-slope[:, None] * (x - middle[:, None])))
    return Leap(middle, done[:, None, :], (right - left) <= DENSE)


def injected(batch: CurveBatch, leap: Leap, rise: float, rng: np.random.Generator) -> CurveBatch:
    """The real curves with the leap in them: items beyond their threshold are right, the others as they were."""
    n = np.nan_to_num(batch.hard.n, nan=1.0).astype(int)
    right = np.rint(np.nan_to_num(batch.hard.value) * n).astype(int)
    sure = np.rint(n * leap.done * rise / (1 - CHANCE)).astype(int)
    gained = rng.hypergeometric(n - right, right, np.minimum(sure, n))
    return _with(batch, (right + gained) / n)


def promised(batch: CurveBatch, leap: Leap, rise: float, jitter: Floats, rng: np.random.Generator) -> CurveBatch:
    """The same leap in simulated noise: the curve's own level, errors as large as between its checkpoints."""
    level = np.nanmedian(batch.hard.value, axis=2, keepdims=True)
    mean = level + (1 - level) * leap.done * rise / (1 - CHANCE)
    sigma = np.sqrt(jitter[:, None, None] * mean * (1 - mean) / batch.hard.n)
    return _with(batch, np.clip(rng.normal(mean, sigma), 0.0, 1.0))


def _with(batch: CurveBatch, value: Floats) -> CurveBatch:
    value = np.where(np.isfinite(batch.hard.value), value, np.nan)
    stderr = np.sqrt(np.clip(value * (1 - value), 1e-4, None) / batch.hard.n)
    return replace(batch, hard=replace(batch.hard, value=value, stderr=stderr))


def jitter_of(batch: CurveBatch) -> Floats:
    """(C,) noise between neighbouring checkpoints over binomial noise: second differences (methods.md, section 4)."""
    y, n = batch.hard.value[:, 0, :], batch.hard.n[:, 0, :]
    second = y[:, :-2] - 2 * y[:, 1:-1] + y[:, 2:]
    level = np.nanmean(y, axis=1)
    return np.asarray(np.nanmean(second**2, axis=1) / 6 / (level * (1 - level) / np.nanmedian(n)))


def spread_of(batch: CurveBatch) -> Floats:
    """(C,) variance about a curve's own mean over binomial variance: noise and slow drift together."""
    y, n = batch.hard.value[:, 0, :], batch.hard.n[:, 0, :]
    level = np.nanmean(y, axis=1)
    return np.asarray(np.nanvar(y, axis=1) / (level * (1 - level) / np.nanmedian(n)))


def interval(hits: int, n: int) -> tuple[float, float]:
    """Wilson, 95 %."""
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def share(found: Sequence[Finding], pick: Bools, words: frozenset[str]) -> str:
    """Percent of the picked findings with one of those words, with its interval."""
    mine = [f for f, ok in zip(found, pick) if ok]
    hits = sum(f.verdict in words for f in mine)
    low, high = interval(hits, len(mine))
    return f"{100 * hits / max(len(mine), 1):5.0f} [{100 * low:3.0f}, {100 * high:3.0f}]"


def covered(found: Sequence[Finding], leap: Leap) -> tuple[int, int]:
    """How many onset intervals hold the true middle, of those findings that have one and are present."""
    have = [(f, m) for f, m in zip(found, leap.middle) if f.presence == "present" and f.onset_low is not None]
    return sum(np.log10(f.onset_low) <= m <= np.log10(f.onset_high) for f, m in have), len(have)  # type: ignore[arg-type]


def main() -> int:
    """Judges the nulls as they are, then with leaps of every size, real and promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=None)
    parser.add_argument("--models", nargs="+", default=["70m", "410m", "1.4b", "12b"])
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    folder = args.data or DATA
    if not (folder / "pythia_evals" / "evals.parquet").exists():
        print(f"no {folder}/pythia_evals/evals.parquet: the noise is that of the Pythia evaluations")
        return 2 if args.data else 0
    began = time.process_time()
    batch = nulls(folder, args.models)
    analysis = Analysis()
    rng = np.random.default_rng(args.seed)
    quiet = judge(batch, analysis, np.random.default_rng(args.seed))
    false = sum(f.verdict in CLAIMS_LEAP for f in quiet)
    words = {w: sum(f.verdict == w for f in quiet) for w in sorted({f.verdict for f in quiet})}
    low, high = interval(false, len(quiet))
    jitter = jitter_of(batch)
    items = batch.hard.n[np.isfinite(batch.hard.n)]
    print(
        f"{len(batch)} natural nulls, {batch.shape[2]} checkpoints, {items.min():.0f}–{items.max():.0f} items; "
        f"variance over binomial {np.median(jitter):.2f} between neighbours, {np.median(spread_of(batch)):.2f} in all"
    )
    print(f"without injection: {false} leaps of {len(quiet)} [{100 * low:.1f}, {100 * high:.1f} %]; {words}\n")
    print("leap found, % with 95 % interval" + " " * 20 + "present, %    onset covered")
    print("rise  noise      dense grid       in gaps          all              all             all")
    rows = []
    for rise in RISES:
        leap = draw(batch, rng)
        for name in ("real", "promised"):
            with_leap = injected(batch, leap, rise, rng) if name == "real" else promised(batch, leap, rise, jitter, rng)
            found = judge(with_leap, analysis, np.random.default_rng(args.seed))
            rows.append(_row(found, leap, rise, name))
            print(rows[-1].pop("line"))
    print(
        json.dumps(
            {
                "benchmark": "natural_nulls",
                "curves": len(batch),
                "false_alarms": false,
                "words": words,
                "rows": rows,
                "cpu_seconds": round(time.process_time() - began, 1),
                "machine": {k: host()[k] for k in ("cpu", "cores")},
                "date": time.strftime("%Y-%m-%d"),
            }
        )
    )
    return 0


def _row(found: Sequence[Finding], leap: Leap, rise: float, name: str) -> dict[str, object]:
    everything = np.ones(len(found), dtype=bool)
    present = sum(f.presence == "present" for f in found) / len(found)
    inside, have = covered(found, leap)
    leaps = [f.verdict in CLAIMS_LEAP for f in found]
    line = (
        f"{rise:4.1f}  {name:9s}{share(found, leap.dense, CLAIMS_LEAP)}  {share(found, ~leap.dense, CLAIMS_LEAP)}  "
        f"{share(found, everything, CLAIMS_LEAP)}   {100 * present:5.0f}        {inside}/{have}"
    )
    return {
        "line": line,
        "rise": rise,
        "noise": name,
        "leap": round(float(np.mean(leaps)), 3),
        "leap_dense": round(float(np.mean(np.array(leaps)[leap.dense])), 3),
        "smooth": round(sum(f.verdict == "smooth" for f in found) / len(found), 3),
        "present": round(present, 3),
        "onset_covered": round(inside / max(have, 1), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
