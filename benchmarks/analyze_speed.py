"""How long `saltus analyze` takes on a folder of published results, from files to the report, and its peak memory.

    python benchmarks/analyze_speed.py [RESULTS ...]

Default: the Pythia evaluations beside the checkout, if they are there (bars: 120 s in the first form, 60 s with the
full statistics; 2 GB). Processor seconds are printed too: other work on a machine stretches the clock only.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from saltus.runner.machine import host

DEFAULT = Path(__file__).parent.parent.parent / "shared" / "data" / "pythia_evals"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="*", default=[str(DEFAULT)])
    given = parser.parse_args().results
    if not all(Path(path).exists() for path in given):
        print(f"skipped: {', '.join(given)} is not there; give a folder of results")
        print(json.dumps({"skipped": given}))
        return
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", "from saltus.cli.main import main; main()", "analyze", *given]
        began = time.perf_counter()
        subprocess.run([*command, "--out", out], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        findings = sum(1 for _ in (Path(out) / "findings.jsonl").open())
        page = (Path(out) / "report.html").stat().st_size
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    machine = host()
    figures = {
        "cpu": machine["cpu"],
        "cores": machine["cores"],
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "results": given,
        "findings": findings,
        "seconds": round(seconds, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_gb": round(used.ru_maxrss / 2**20, 2),
        "report_mb": round(page / 1e6, 2),
    }
    for name, value in figures.items():
        print(f"{name:18} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
