"""Are the bootstrap's p-values honest where the truth is smooth, but barely?

    python benchmarks/p_values.py [--curves 400] [--seed 5] [--jitter 0.0]

One rise of 0.6 over a floor of 0.25 in five decades, one run, binomial noise (and jitter, if asked for), of each
sigmoid of the simulator in turn, its middle between 40 and 60 % of the range. Its 10–90 % width is just more than the
rule calls a jump (here 0.2 of the range) and gradual (0.25): 0.28, 0.35, 0.5 of the range. Printed is the share of
p-values of the jump (hard channel) below .05 and .01, and of curves that were called a leap or an artefact: width
decides that, not the p-value alone. The p-value is 1 where the best jump gains nothing over the best smooth curve.
Known limit: one rise per curve, no drift, even grids.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

from saltus.calibrate import shapes
from saltus.calibrate.draft import Canvas, Draft
from saltus.calibrate.sampling import measure
from saltus.calibrate.settings import Setting
from saltus.calibrate.simulate import assemble
from saltus.judging.judge import judge
from saltus.records import Analysis, Finding
from saltus.runner.machine import host
from saltus.verdict import CLAIMS_LEAP

DECADES = 5.0
WIDTHS = (0.28, 0.35, 0.5)
POINTS = (12, 20)
ITEMS = (500, 5000)
LEVELS = (0.05, 0.01)


def setting(points: int, items: int, jitter: float) -> Setting:
    """Everything but the shape."""
    return Setting(
        axis="tokens",
        log_axis=True,
        x=7.0 + np.linspace(0.0, DECADES, points),
        seeds=1,
        items=items,
        items_known=True,
        stderr_known=True,
        floor=0.25,
        nominal=0.25,
        floor_known=0.25,
        floor_source="computed",
        rise=0.6,
        shared_items=0.0,
        jitter=jitter,
        persistence=0.0,
        soft=None,
    )


def truths(around: Setting, count: int, rng: np.random.Generator) -> list[Draft]:
    """`count` smooth rises per width, the forms in turn."""
    canvas, forms = Canvas(around), sorted(shapes.SIGMOIDS)
    out = []
    for width in WIDTHS:
        for i in range(count):
            form = forms[i % len(forms)]
            middle = around.x[0] + rng.uniform(0.4, 0.6) * DECADES
            rise = shapes.at(shapes.SIGMOIDS[form], canvas.xs, middle, width * DECADES)[None]
            out.append(
                Draft(word="smooth", kind=f"{width}", family=form, setting=around, hard=rise, soft=None, onset=middle)
            )
    return out


def shares(found: list[Finding]) -> dict[str, float]:
    """Of p-values below each level, and of curves called a leap."""
    p = np.array([1.0 if f.p_value is None else f.p_value for f in found])
    out = {f"p<{level}": round(float(np.mean(p < level)), 3) for level in LEVELS}
    leaps = float(np.mean([f.verdict in (*CLAIMS_LEAP, "artefact") for f in found]))
    return {"curves": len(found), **out, "called_leap": round(leaps, 3)}


def main() -> int:
    """Judges every cell of points × items and prints by width and by form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=int, default=400, help="per width, points and items")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--jitter", type=float, default=0.0, help="in logits, beyond sampling")
    arguments = parser.parse_args()
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}; jitter {arguments.jitter}")
    began = time.process_time()
    analysis = Analysis(resamples=1)
    rng = np.random.default_rng(arguments.seed)
    rows: list[dict[str, object]] = []
    everything: list[tuple[Draft, Finding]] = []
    for points in POINTS:
        for items in ITEMS:
            drafts = truths(setting(points, items, arguments.jitter), arguments.curves, rng)
            batch = assemble(drafts, [measure(rng, d) for d in drafts])
            found = judge(batch, analysis, np.random.default_rng(arguments.seed))
            everything += zip(drafts, found, strict=True)
            for width in WIDTHS:
                mine = [f for d, f in zip(drafts, found, strict=True) if d.kind == f"{width}"]
                rows.append({"points": points, "items": items, "width": width, **shares(mine)})
                print("  ".join(f"{k} {v}" for k, v in rows[-1].items()))
    by_form = {}
    for form in sorted(shapes.SIGMOIDS):
        by_form[form] = shares([f for d, f in everything if d.family == form])
        print(f"{form:14s}", "  ".join(f"{k} {v}" for k, v in by_form[form].items()))
    by_width = {w: shares([f for d, f in everything if d.kind == f"{w}"]) for w in WIDTHS}
    for w, figures in by_width.items():
        print(f"width {w:<8}", "  ".join(f"{k} {v}" for k, v in figures.items()))
    print(
        json.dumps(
            {
                "benchmark": "p_values",
                "jitter": arguments.jitter,
                "seed": arguments.seed,
                "rows": rows,
                "by_form": by_form,
                "by_width": by_width,
                "all": shares([f for _, f in everything]),
                "cpu_seconds": round(time.process_time() - began, 1),
                "machine": {k: machine[k] for k in ("cpu", "cores")},
                "date": date,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
