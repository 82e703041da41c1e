"""Ten thousand curves to verdicts: seconds, peak memory, growth with curves, and the ratio to a naive loop.

    python benchmarks/curves_speed.py [--most 10000] [--naive 40]

Curves have 12 points, 3 seeds and two channels, all words of the simulator mixed (2,500 truths, repeated for the larger
sizes); bootstrap and multiplicity are included. Each size runs in a process of its own; making the curves is not
counted, and its memory is reported apart. The naive loop fits one curve, seed and channel at a time with scipy's
optimiser: drift plus one rise in two forms from three starts, and nothing else (no bootstrap, no intervals, no twin).
The ratio is what that alone costs over our whole judgement.
The bar: 10,000 curves within 60 s and 2 GB on two cores, growing linearly.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from saltus.calibrate import Fixed, simulate
from saltus.judging.share import processors
from saltus.records import Analysis
from saltus.runner.machine import host
from saltus.stats.batch import CurveBatch, Floats

SIZES = (2_500, 5_000, 10_000)
FIXED = Fixed(points=12, seeds=3, soft=True)
WORDS = ("flat", "smooth", "artefact", "leap", "split", "irregular")


def curves(n: int) -> CurveBatch:
    """n measured curves of 12 points, 3 seeds, 2 channels."""
    made = simulate(min(n, SIZES[0]), np.random.default_rng(7), words=WORDS, fixed=FIXED)[0]
    times = -(-n // len(made))

    def repeated(record: Any) -> Any:
        arrays = {f.name: getattr(record, f.name) for f in fields(record)}
        return replace(
            record, **{name: np.concatenate([a] * times)[:n] for name, a in arrays.items() if isinstance(a, np.ndarray)}
        )

    keys = tuple(replace(made.keys[c % len(made)], task=f"task {c}", series=f"series {c}") for c in range(n))
    return replace(repeated(made), keys=keys, hard=repeated(made.hard), soft=repeated(made.soft), suspects=((),) * n)


def measure(n: int) -> dict[str, float]:
    """In this process: n curves to findings."""
    from saltus.judging.judge import judge

    batch = curves(n)
    before = _peak_mb()
    began, used = time.perf_counter(), time.process_time()
    findings = judge(batch, Analysis(), np.random.default_rng(1))
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    assert len(findings) == n
    return {"n": n, "seconds": seconds, "cpu_seconds": cpu, "peak_mb": _peak_mb(), "peak_before_mb": before}


def naive(n: int) -> dict[str, float]:
    """Seconds per curve of the loop over scipy's optimiser."""
    batch = curves(n)
    began = time.perf_counter()
    fits = 0
    for c in range(n):
        for s in range(3):
            seen = batch.seen[c, s]
            x = batch.x[c, s][seen]
            t = (x - x[0]) / (x[-1] - x[0])
            for channel in (batch.hard, batch.soft):
                fits += _fit_one(t, channel.value[c, s][seen])
    seconds = time.perf_counter() - began
    return {"n": n, "fits": fits, "seconds_per_curve": seconds / n}


def _fit_one(t: Floats, y: Floats) -> int:
    low, reach = float(y.min()), float(np.ptp(y)) or 1.0

    def logistic(p: Floats) -> Floats:
        return p[0] + p[1] * t + p[2] * expit((t - p[3]) / abs(p[4])) - y

    def gompertz(p: Floats) -> Floats:
        return p[0] + p[1] * t + p[2] * np.exp(-np.exp(np.clip(-(t - p[3]) / abs(p[4]), -50, 50))) - y

    bounds = ([-np.inf, 0.0, 0.0, 0.0, 1e-3], [np.inf, np.inf, np.inf, 1.0, 2.0])
    for form in (logistic, gompertz):
        for middle in (0.25, 0.5, 0.75):
            least_squares(form, [low, 0.1 * reach, reach, middle, 0.1], bounds=bounds)
    return 6


def _peak_mb() -> float:
    """Of this process and, once they have ended, of the processes that judged for it: so many times the largest."""
    own, largest = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own + processors() * largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10_000)
    parser.add_argument("--naive", type=int, default=40)
    parser.add_argument("--one", type=int, help="measure this size in this process")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}; {asdict(FIXED)}")
    rows = []
    for n in (size for size in SIZES if size <= arguments.most):
        command = [sys.executable, __file__, "--one", str(n)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print("  ".join(f"{k} {v:,.1f}" for k, v in rows[-1].items()))
    growth = (rows[-1]["seconds"] / rows[-1]["n"]) / (rows[0]["seconds"] / rows[0]["n"])
    print(f"seconds per curve at {rows[-1]['n']:,} over those at {rows[0]['n']:,}: {growth:.2f}")
    loop = naive(arguments.naive)
    ratio = loop["seconds_per_curve"] / (rows[-1]["seconds"] / rows[-1]["n"])
    print(f"naive loop: {1000 * loop['seconds_per_curve']:.0f} ms per curve for fits alone, {ratio:.1f} times ours")
    within = rows[-1]["seconds"] <= 60 and rows[-1]["peak_mb"] <= 2048
    print(f"{rows[-1]['n']:,} curves within 60 s and 2 GB: {'kept' if within else 'MISSED'}")
    print(
        json.dumps(
            {
                "benchmark": "curves_speed",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "growth": round(growth, 3),
                "naive_ratio": round(ratio, 2),
                "kept": within,
                "rows": [{k: round(v, 2) for k, v in row.items()} for row in rows],
            }
        )
    )


if __name__ == "__main__":
    main()
