"""How often the verdict is wrong, on simulated truth: every line that must hold, kept or missed.

    python benchmarks/calibration.py [--n 10000] [--seed 2026] [--power 50] [--page docs/calibration.md] [--ship]

Prints the bars, the confusion, false alarms with exact intervals, coverage of intervals, and what is said by true
width, items, points and seeds in the middle, where no word is certain.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.resources import files
from pathlib import Path

from rich.console import Console

from saltus.calibrate import calibrate
from saltus.calibrate.markdown import page
from saltus.calibrate.tables import render
from saltus.runner.machine import host


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--power", type=int, default=50, help="curves per cell; 0 for none")
    parser.add_argument("--page", type=Path, help="write the figures as this page of the docs")
    parser.add_argument("--ship", action="store_true", help="make it what the release says of itself")
    arguments = parser.parse_args()
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}")
    began = time.perf_counter()
    found = calibrate(arguments.n, arguments.seed, power_curves=arguments.power)
    seconds = time.perf_counter() - began
    Console(width=160).print(render(found))
    for bar in found.bars:
        print(bar)
    if arguments.ship:
        Path(files("saltus") / "calibration" / "calibration.json").write_text(found.to_json(), "utf-8")
    if arguments.page:
        command = f"python benchmarks/calibration.py --n {arguments.n} --seed {arguments.seed}"
        made = f"Made by `{command}` on {date}, {machine['cpu']}, {machine['cores']} cores."
        arguments.page.write_text(page(found, made), "utf-8")
    print(f"{arguments.n} truths and {len(found.power)} cells of the middle in {seconds:.0f} s")
    print(
        json.dumps(
            {
                "benchmark": "calibration",
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "n": arguments.n,
                "seed": arguments.seed,
                "seconds": round(seconds, 1),
                "missed": [bar.name for bar in found.bars if not bar.kept],
                "bars": {bar.name: bar.value for bar in found.bars},
            }
        )
    )


if __name__ == "__main__":
    main()
