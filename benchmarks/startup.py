"""What it costs to start: `import saltus` (bar 0.5 s, without torch), `saltus --help` (bar 0.7 s).

    python benchmarks/startup.py

The fastest of five runs of each, and beside it a bare interpreter, because the disk and other work set the rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime

from saltus.runner.machine import host

COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "import saltus": ([sys.executable, "-c", "import saltus, sys; assert 'torch' not in sys.modules"], 0.5),
    "saltus --help": ([sys.executable, "-c", "from saltus.cli.main import main; main()", "--help"], 0.7),
}


def fastest(command: list[str], runs: int = 5) -> float:
    """Seconds of the fastest of some runs."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    machine = host()
    print(f"{machine['cpu']}, {machine['cores']} cores, {datetime.now(UTC):%Y-%m-%d}")
    figures: dict[str, object] = {"cpu": machine["cpu"], "cores": machine["cores"]}
    for name, (command, bar) in COMMANDS.items():
        seconds = fastest(command)
        verdict = "" if bar is None else f"  bar {bar} s: {'kept' if seconds <= bar else 'MISSED'}"
        print(f"{name:16} {seconds:6.3f} s{verdict}")
        figures[name] = round(seconds, 4)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
