"""How long each series of the zoo trains on one core, and what its checkpoints show.

    python benchmarks/zoo_training.py [NAME ...] [--cache FOLDER]

Trains every seed afresh in a temporary folder (or trains what is missing in FOLDER) and prints one table per seed.
Seconds are processor seconds of one thread, so that whatever else runs on the machine does not count. The last line is
one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import date
from typing import Any

from saltus.runner.machine import host
from saltus.zoo.cache import Job, jobs
from saltus.zoo.training import train

NAMES = ("induction-2l", "induction-1l", "grokking", "addition")
SHOWN = (
    "loss",
    "copy_loss",
    "copy_accuracy",
    "held_out_loss",
    "held_out_prob",
    "held_out_accuracy",
    "uniform_loss",
    "digit_prob",
    "digit_accuracy",
    "product",
    "exact_match",
)


def measure(job: Job) -> dict[str, Any]:
    """Trains one seed and prints its curves."""
    start, wall = time.process_time(), time.perf_counter()
    train(job.course, job.seed, job.folder)
    seconds, passed = time.process_time() - start, time.perf_counter() - wall
    print(f"\n{job.label}: {seconds:.1f} s of one core ({passed:.1f} s on the clock)")
    cards = [card for _, card in job.checkpoints()]
    columns = [name for name in SHOWN if name in cards[0]]
    print("  step    tokens", *(f"{name:>17}" for name in columns))
    for card in cards:
        values = (f"{card[name]:17.4f}" for name in columns)
        print(f"{card['step']:6d} {card['tokens']:9d}", *values)
    return {
        "series": job.course.name,
        "seed": job.seed,
        "seconds": round(seconds, 1),
        "params": cards[-1]["params"],
        "checkpoints": len(cards),
        **{name: round(cards[-1][name], 4) for name in columns},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--cache")
    chosen = parser.parse_args()
    found = host()
    print(f"{found['cpu']}, {found['cores']} cores, {date.today()}")
    with tempfile.TemporaryDirectory() as temporary:
        rows = [measure(job) for name in chosen.names for job in jobs(name, cache=chosen.cache or temporary)]
    print(json.dumps({"date": str(date.today()), "host": found, "rows": rows}))


if __name__ == "__main__":
    sys.exit(main())
