"""How large a report is and how long it takes to write, from a handful of findings to thousands.

    python benchmarks/report_size.py [--counts 10 100 1000 5000]

Findings are those of the tests: 27 checkpoints, both twins, ten kinds of curve. Prints bytes, seconds of processor
time, how many full sections and index rows the size rule gave, and the size of one full chart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from saltus.page import select
from saltus.page.charts import finding_spec
from saltus.page.page import write_report
from saltus.page.svg import render
from saltus.runner.machine import host

from helpers import report_examples as examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100, 1000, 5000])
    arguments = parser.parse_args()
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}")
    finding = examples.small()[0]
    chart = render(finding_spec(finding), title="", about="", key="k")
    print(f"one full chart, 2 x 63 points with bars: {len(chart):,} bytes")
    rows = [measured(n) for n in arguments.counts]
    met = all(row["bytes"] < select.MOST_BYTES for row in rows)
    print(
        json.dumps(
            {
                "benchmark": "report_size",
                "machine": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
                "chart_bytes": len(chart),
                "rows": rows,
                "limit": select.MOST_BYTES,
                "met": met,
            }
        )
    )


def measured(n: int) -> dict[str, float]:
    findings = examples.many(n)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        path = write_report(findings, examples.context(), Path(folder) / "report.html")
        seconds = time.process_time() - began
        html = path.read_text(encoding="utf-8")
        size = path.stat().st_size
    full, rows = html.count('<article class="sa-finding"'), html.count('<span class="sa-v ')
    print(f"{n:>6} findings: {size / 1e6:.2f} MB, {seconds:.1f} s, {full} in full, {rows} rows")
    return {"findings": n, "bytes": size, "seconds": round(seconds, 2), "full": full, "rows": rows}


if __name__ == "__main__":
    main()
