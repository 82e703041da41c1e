"""How long published results take from file to curves: a million item-level rows, and a folder of one's own.

    python benchmarks/read_speed.py [RESULTS ...] [--rows 1000000]

Prints seconds to read (beside those of reading the Parquet file with nothing done to it), seconds from rows to curves
with guards, processor seconds of both, since other work on a machine stretches the clock only, and the peak of memory.
Each set runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from saltus.curves.assemble import assemble
from saltus.results.read import read
from saltus.runner.machine import host


def item_rows(rows: int, seed: int) -> pl.DataFrame:
    """Item-level answers: 20 checkpoints, 500 items a task, a hard and a soft metric, skills that rise."""
    rng = np.random.default_rng(seed)
    points, items = 20, 500
    tasks = max(1, rows // (points * items * 2))
    ability = np.linspace(-2, 2, points)[:, None, None] + rng.normal(0, 0.5, (1, tasks, 1))
    logit = ability - rng.normal(0, 1, (1, tasks, items))
    chance = 1 / (1 + np.exp(-logit))
    hard = (rng.random(chance.shape) < chance).astype(float)
    shape = (points, tasks, items)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")).reshape(3, -1)
    base = pl.DataFrame(
        {
            "series": "S",
            "model": "m",
            "step": (grid[0] + 1) * 1000.0,
            "tokens": (grid[0] + 1) * 2e9,
            "task": grid[1],
            "item_id": grid[2],
        }
    )
    named = [pl.format("task-{}", "task").alias("task"), pl.format("item-{}", "item_id").alias("item_id")]
    base = base.with_columns(named)
    return pl.concat(
        [
            base.with_columns(metric=pl.lit("acc"), value=pl.Series(hard.ravel())),
            base.with_columns(metric=pl.lit("gold_logprob"), value=pl.Series(np.log(chance).ravel())),
        ]
    )


def measure(source: str) -> dict[str, float | str]:
    """Times of one source in this process."""
    files = [f for f in [Path(source), *Path(source).glob("*.parquet")] if f.suffix == ".parquet"]
    began = time.perf_counter()
    for file in files:
        pl.read_parquet(file)
    bare = time.perf_counter() - began
    began, cpu = time.perf_counter(), time.process_time()
    reading = read([source])
    read_seconds, read_cpu = time.perf_counter() - began, time.process_time() - cpu
    began, cpu = time.perf_counter(), time.process_time()
    assembled = assemble(reading.table)
    return {
        "source": Path(source).name,
        "rows": reading.table.height,
        "curves": len(assembled.batch),
        "bare_seconds": round(bare, 3),
        "read_seconds": round(read_seconds, 2),
        "read_cpu_seconds": round(read_cpu, 2),
        "assemble_seconds": round(time.perf_counter() - began, 2),
        "assemble_cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="*")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"{arguments.rows} item rows.parquet"
        item_rows(arguments.rows, 2026).write_parquet(made)
        found = []
        for source in [str(made), *arguments.results]:
            command = [sys.executable, __file__, "--measure", source]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found.append(json.loads(out.splitlines()[-1]))
            print(found[-1])
    print(
        json.dumps(
            {"benchmark": "read_speed", "cpu": machine["cpu"], "cores": machine["cores"], "date": date, "sets": found}
        )
    )


if __name__ == "__main__":
    main()
