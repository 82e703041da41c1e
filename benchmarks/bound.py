"""How often leaps that only share a format are called bound to it, and how often those that came with it are.

    python benchmarks/bound.py [--groups 400] [--seed 3]

Simulated series of four to six skills in letters and as cloze (`calibrate.families`), every second one a control whose
skills leap at places of their own. Prints words by kind and number of checkpoints.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict

import numpy as np

from saltus.calibrate.counts import rate
from saltus.calibrate.families import formats
from saltus.calibrate.sampling import measure
from saltus.calibrate.simulate import assemble
from saltus.judging.judge import judge
from saltus.records import Analysis
from saltus.runner.machine import host


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=400)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}")
    rng, began = np.random.default_rng(arguments.seed), time.perf_counter()
    drafts = formats(rng, arguments.groups, Analysis())
    curves = assemble(drafts, [measure(rng, draft) for draft in drafts])
    found = judge(curves, Analysis(resamples=1), rng)
    words: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for draft, finding in zip(drafts, found, strict=True):
        if draft.label is None or draft.label[2] != "letters":
            continue
        points = "20 checkpoints or more" if draft.points >= 20 else "fewer than 20 checkpoints"
        for row in (draft.kind, f"{draft.kind}, {points}"):
            words[row][finding.verdict] += 1
    shares = {}
    for row in sorted(words):
        bound = rate(words[row]["bound"], words[row].total())
        shares[row] = bound.value
        rest = ", ".join(f"{n} {w}" for w, n in words[row].most_common() if w != "bound")
        print(f"{row:48} bound {bound!s:40} {rest}")
    print(f"{arguments.groups} series in {time.perf_counter() - began:.0f} s")
    print(
        json.dumps(
            {
                "benchmark": "bound",
                "groups": arguments.groups,
                "seed": arguments.seed,
                "bound": shares,
                "cpu": machine["cpu"],
                "cores": machine["cores"],
                "date": date,
            }
        )
    )


if __name__ == "__main__":
    main()
