"""Rates and laws from repeated samples: how often a planted law is named, and whether intervals hold.

    python benchmarks/below_floor.py [--sims 100]

Instances have levels and slopes of their own; the middle of F = log(−log P) lies `bend` above its chord. Shares
of each law over the simulations, coverage of the bend's 95 % interval, and what the same test makes of success
rates that were averaged over instances first. Then coverage of the exact interval of a rate, and bias of the
two estimators of sampling until r passes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter

import numpy as np

from saltus.runner.machine import host
from saltus.stats.batch import Floats
from saltus.stats.passk import bend, exact_interval, pass_until

DESIGNS = ((20, 5, 50), (50, 6, 20), (100, 6, 100), (200, 8, 10), (10, 4, 200))
BENDS = (-1.0, 0.0, 1.0)


def planted(design: tuple[int, int, int], curve: float, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    instances, scales, samples = design
    u = np.linspace(-1, 1, scales)
    level, slope = rng.normal(1.0, 1.0, instances), rng.normal(-1.0, 0.3, instances)
    f = level[:, None] + slope[:, None] * u - curve * (u**2 - 1)
    passed = rng.binomial(samples, np.exp(-np.exp(f)))
    return 8 + 2 * (u + 1), passed.astype(float), np.full(f.shape, float(samples))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=100)
    sims = parser.parse_args().sims
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}; {sims} simulations a row")
    rng, rows = np.random.default_rng(3), []
    for design in DESIGNS:
        for curve in BENDS:
            sets = [planted(design, curve, rng) for _ in range(sims)]
            found = [bend(*data) for data in sets]
            pooled = [_chord(x, r, k) for x, r, k in sets]
            tested = [f for f in found if np.isfinite(f.bend)]
            row = {
                "instances": design[0],
                "scales": design[1],
                "samples": design[2],
                "bend": curve,
                "laws": dict(Counter(f.law for f in found)),
                "coverage": round(float(np.mean([f.low <= curve <= f.high for f in tested])), 3),
                "mean": round(float(np.mean([f.bend for f in tested])), 3),
                "averaged_first": round(float(np.nanmean(pooled)), 3),
            }
            rows.append(row)
            print("  ".join(f"{k} {v}" for k, v in row.items()))
    held = _rates(rng, 20 * sims)
    print(f"exact interval of a rate of 0.003 over 1,000 samples holds in {held['coverage']:.3f}")
    print(f"until 4 passes at 0.01: r/K {held['r_over_k']:.5f}, (r−1)/(K−1) {held['unbiased']:.5f}")
    print(
        json.dumps(
            {
                "benchmark": "below_floor",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "sims": sims,
                "rows": rows,
                **held,
            }
        )
    )


def _chord(x: Floats, passed: Floats, samples: Floats) -> float:
    """The bend of rates averaged over instances first; NaN where a rate is 0 or 1."""
    with np.errstate(all="ignore"):
        f = np.log(-np.log(passed.sum(axis=0) / samples.sum(axis=0)))
    f = np.where(np.isfinite(f), f, np.nan)
    u = 2 * (x - x.min()) / np.ptp(x) - 1
    return float(-np.polyfit(u, f, 2)[0]) if np.isfinite(f).all() else float("nan")


def _rates(rng: np.random.Generator, sims: int) -> dict[str, float]:
    low, high = exact_interval(1000, rng.binomial(1000, 0.003, sims))
    until = [pass_until(rng.random(4000) < 0.01, passes=4) for _ in range(sims)]
    kept = [u for u in until if u is not None]
    return {
        "coverage": float(np.mean((low <= 0.003) & (high >= 0.003))),
        "r_over_k": float(np.mean([u.rate for u in kept])),
        "unbiased": float(np.mean([u.unbiased for u in kept if u.unbiased is not None])),
    }


if __name__ == "__main__":
    main()
