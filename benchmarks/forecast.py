"""Forecasts of published scores that were hidden from the forecaster: error against the last value, coverage,
refusals.

    python benchmarks/forecast.py [--data ../shared/data] [--most 250]

In each data set the largest scales of every curve are hidden (the top two of a family of models, half a decade
of a training run), the rest goes through `saltus forecast` as it would for a user, and the hidden largest score
is compared with what was foretold. Per method: mean absolute error and how often the 95 % interval held.
"chosen" is what the user is given; where it was declined, nothing is counted but the refusal. Relative is the
error over the last value's on the same curves.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from saltus.curves.assemble import assemble
from saltus.planning.curves import points_of
from saltus.planning.forecast import LAST, Forecast, forecast_batch
from saltus.results.read import read
from saltus.runner.machine import host
from saltus.stats.batch import CurveBatch
from saltus.stats.resample import take

# data set, axis, points or decades hidden
CASES = (
    ("gadre_scaling", "flops", 0.5),
    ("obsscaling", "flops", 2),
    ("sloth_leaderboard", "flops", 2),
    ("olmo_ladder", "tokens", 0.5),
    ("pythia_evals", "tokens", 0.5),
    ("bigscience_checkpoints", "tokens", 0.3),
)


@dataclass(frozen=True)
class Hidden:
    """A truncated batch, the place of each curve's hidden score, and the score."""

    batch: CurveBatch
    at: np.ndarray
    truth: np.ndarray


def hide(batch: CurveBatch, how: float) -> Hidden:
    """Without the largest `how` places (a whole number) or decades of every curve."""
    seen, at, truth = batch.seen.copy(), np.full(len(batch), np.nan), np.full(len(batch), np.nan)
    for i in range(len(batch)):
        points = points_of(batch, i)
        places = points.places
        if len(places) < 6:
            continue
        cut = places[-int(how)] if how >= 1 else places[places > places[-1] - how][0]
        seen[i] &= ~(batch.x[i] >= cut - 1e-6)
        at[i], truth[i] = 10 ** places[-1], points.y[points.x == places[-1]].mean()
    return Hidden(replace(batch, seen=seen), at, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--most", type=int, default=250, help="curves per data set, evenly chosen")
    parser.add_argument("--only", help="one data set")
    arguments = parser.parse_args()
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}")
    rows: dict[str, dict[str, list[tuple[float, float, bool]]]] = {}
    declined: dict[str, float] = {}
    for name, axis, how in CASES:
        source = arguments.data / name / "evals.parquet"
        if not source.exists() or arguments.only not in (None, name):
            continue
        began = time.perf_counter()
        # Gadre's models differ in tokens per parameter, its `variant`: too few of each to hide any.
        keys = ("family",) if name == "gadre_scaling" else None
        batch = assemble(read([str(source)]).table, axis=axis, series=keys).batch
        if not len(batch):
            continue
        main_ones = np.flatnonzero([k.primary and k.axis == axis and k.slice is None for k in batch.keys])
        hidden = hide(take(batch, main_ones), how)
        # The rest stays in the batch: other families' small models are what components learn from.
        known = np.flatnonzero(np.isfinite(hidden.at))
        asked = np.full(len(hidden.at), np.nan)
        every = known[:: max(1, -(-len(known) // arguments.most))]
        asked[every] = hidden.at[every]
        found = [f for f in forecast_batch(hidden.batch, axis, asked) if np.isfinite(f.at)]
        rows[name] = score(found, hidden.truth[every])
        declined[name] = float(np.mean([f.declined is not None for f in found]))
        show(name, rows[name], (len(found), declined[name], time.perf_counter() - began))
    if not rows:
        print(f"no data in {arguments.data}: nothing to compare")
        print(json.dumps({"benchmark": "forecast", "skipped": "no published data"}))
        return
    merged: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
    for methods in rows.values():
        for method, misses in methods.items():
            merged[method] += misses
    show("all", merged, (sum(len(m[LAST]) for m in rows.values()), float(np.mean(list(declined.values()))), 0.0))
    print(
        json.dumps(
            {
                "benchmark": "forecast",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "methods": {m: summary(v) for m, v in merged.items()},
                "declined": declined,
                "chosen": {name: summary(m["chosen"]) for name, m in rows.items()},
            }
        )
    )


def score(found: list[Forecast], truth: np.ndarray) -> dict[str, list[tuple[float, float, bool]]]:
    """Method → (miss, the last value's miss, whether the interval held) per curve."""
    out: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
    for f, y in zip(found, truth, strict=True):
        still = abs(f.last_value - y)
        for r in f.records:
            if r.value is not None and r.low is not None and r.high is not None:
                out[r.method].append((abs(r.value - y), still, r.low <= y <= r.high))
        if f.value is not None and f.low is not None and f.high is not None:
            out["chosen"].append((abs(f.value - y), still, f.low <= y <= f.high))
    out.setdefault("chosen", [])
    return out


def summary(misses: list[tuple[float, float, bool]]) -> dict[str, float]:
    if not misses:
        return {"curves": 0}
    miss, still, held = (np.array(v, dtype=float) for v in zip(*misses, strict=True))
    return {
        "curves": len(miss),
        "error": round(float(miss.mean()), 4),
        "last": round(float(still.mean()), 4),
        "relative": round(float(miss.sum() / max(still.sum(), 1e-12)), 3),
        "coverage": round(float(held.mean()), 3),
    }


def show(name: str, methods: dict[str, list[tuple[float, float, bool]]], facts: tuple[int, float, float]) -> None:
    print(f"\n{name}: {facts[0]} curves, {facts[1]:.0%} declined, {facts[2]:.0f} s")
    for method in sorted(methods, key=lambda m: (m != "chosen", m)):
        s = summary(methods[method])
        if s["curves"]:
            print(
                f"  {method:13s} {s['curves']:5d}  error {s['error']:.3f}  last value {s['last']:.3f}  "
                f"relative {s['relative']:.2f}  coverage {s['coverage']:.2f}"
            )


if __name__ == "__main__":
    main()
