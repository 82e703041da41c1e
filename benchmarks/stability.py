"""How far verdict weights move when a checkpoint or a tenth of the items is dropped.

    python benchmarks/stability.py [--curves 600] [--seed 8]

Curves are the simulator's, all words mixed; only those are counted that were decided before anything was dropped
(verdict not unresolved or defective). Each is judged again without one checkpoint drawn by lot (of all seeds, then of
one seed), and with 90 % of its items. The move is the total variation between `verdict_weights` before and after.
`nothing` drops nothing and draws other random numbers: what the resampling alone moves. The bar: at most 0.1.
Clear: the word had a weight of at least 0.9. Why a curve moved by more than 0.1 is the first of: fewer points than
`min_points` are left; the leap has fewer than `points_before` or `points_after` left; the dropped point lay beside the
rise (within the interval of the onset and one point to either side); other.
Known limits: items are thinned at each checkpoint apart, as if every checkpoint had lost others, which moves curves
more than dropping the same items everywhere would; soft scores get the noise of fewer items where their errors are
stated, and stay as they are elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from saltus.calibrate import Truth, simulate
from saltus.judging.judge import judge
from saltus.records import Analysis, Finding
from saltus.runner.machine import host
from saltus.stats.batch import CurveBatch, Floats
from saltus.verdict import CLAIMS_LEAP

KEPT = 0.9
SMALL = 0.1
CLEAR = 0.9
NO_WORD = ("unresolved", "defective")


@dataclass(frozen=True)
class Changed:
    """The curves with something dropped; `point` (C,) is the dropped checkpoint on the fitted axis, NaN if none."""

    curves: CurveBatch
    point: Floats


def without_point(batch: CurveBatch, rng: np.random.Generator, *, every_seed: bool) -> Changed:
    """One trained checkpoint of every curve by lot, in all seeds or in one."""
    seen, point = batch.seen.copy(), np.full(len(batch), np.nan)
    for c in range(len(batch)):
        trained = batch.seen[c] & np.isfinite(batch.x[c])
        p = int(rng.choice(np.flatnonzero(trained.any(axis=0))))
        seeds = np.flatnonzero(trained[:, p])
        point[c] = batch.x[c, seeds[0], p]
        seen[c, seeds if every_seed else rng.choice(seeds), p] = False
    return Changed(replace(batch, seen=seen), point)


def without_items(batch: CurveBatch, truths: Sequence[Truth], rng: np.random.Generator) -> Changed:
    """Nine tenths of the items at every point, drawn without replacement."""
    items = np.array([t.n_items for t in truths])[:, None, None]
    kept = np.broadcast_to((items * KEPT).astype(int), batch.shape)
    right = np.rint(np.nan_to_num(batch.hard.value) * items).astype(int)
    value = rng.hypergeometric(right, np.maximum(items - right, 0), kept) / kept
    hard = replace(
        batch.hard,
        value=np.where(np.isfinite(batch.hard.value), value, np.nan),
        n=np.where(np.isfinite(batch.hard.n), kept, np.nan),
        stderr=batch.hard.stderr / np.sqrt(KEPT),
    )
    extra = np.nan_to_num(batch.soft.stderr) * np.sqrt(1 / KEPT - 1)
    noisy = batch.soft.value + extra * rng.standard_normal(batch.shape)
    low, high = (
        np.nan_to_num(a, nan=b)[:, None, None] for a, b in ((batch.soft.bottom, -np.inf), (batch.soft.ceiling, np.inf))
    )
    soft = replace(
        batch.soft, value=np.clip(noisy, low, high), n=batch.soft.n * KEPT, stderr=batch.soft.stderr / np.sqrt(KEPT)
    )
    return Changed(replace(batch, hard=hard, soft=soft), np.full(len(batch), np.nan))


def moved(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Total variation."""
    words = set(before) | set(after)
    return 0.5 * sum(abs(before.get(w, 0.0) - after.get(w, 0.0)) for w in words)


def reason(before: Finding, after: Finding, changed: Changed, c: int, analysis: Analysis) -> str:
    """Why a curve moved, as far as what was dropped says."""
    if after.n_points < analysis.min_points:
        return "too few points left"
    width = next((e.detail for e in after.evidence if e.name == "width hard"), {})
    sides = [width.get("points_before"), width.get("points_after")]
    least = (analysis.points_before, analysis.points_after)
    few = any(s is not None and s < n for s, n in zip(sides, least, strict=True))
    if before.verdict in (*CLAIMS_LEAP, "artefact", "split") and few:
        return "too few points beside the leap"
    return "beside the rise" if _beside(before, changed, c) else "other"


def _beside(before: Finding, changed: Changed, c: int) -> bool:
    """At most one point lies between the dropped one and the interval of the onset."""
    if np.isnan(changed.point[c]) or before.onset_low is None or before.onset_high is None:
        return False
    ends = np.array([before.onset_low, before.onset_high])
    low, high = sorted(np.log10(ends) if changed.curves.log_axis[c] else -ends)
    left = np.unique(changed.curves.x[c][changed.curves.seen[c]])
    between = (left > changed.point[c]) & (left < low) | (left < changed.point[c]) & (left > high)
    return int(between.sum()) <= 1


def row(
    name: str, before: Sequence[Finding], after: Sequence[Finding], changed: Changed, analysis: Analysis
) -> dict[str, object]:
    """Figures of one way of dropping, overall and by whether the word was clear."""
    decided = [c for c, f in enumerate(before) if f.verdict not in NO_WORD]
    clear = np.array([before[c].verdict_weights.get(before[c].verdict, 0) >= CLEAR for c in decided])
    by = np.array([moved(before[c].verdict_weights, after[c].verdict_weights) for c in decided])
    other_word = np.array([before[c].verdict != after[c].verdict for c in decided])
    out: dict[str, object] = {"dropped": name}
    for group, pick in (("all", clear | ~clear), ("clear", clear), ("unclear", ~clear)):
        out[group] = _figures(by[pick], other_word[pick])
    large = [c for c, d in zip(decided, by, strict=True) if d > SMALL]
    why = Counter(reason(before[c], after[c], changed, c, analysis) for c in large)
    out["reasons"] = dict(why.most_common())
    words = Counter(f"{before[c].verdict} → {after[c].verdict}" for c in large)
    out["words"] = dict(words.most_common())
    return out


def _figures(by: Floats, other_word: Floats) -> dict[str, float]:
    if not len(by):
        return {"curves": 0}
    return {
        "curves": len(by),
        "mean": round(float(by.mean()), 3),
        **{f"q{q}": round(float(np.quantile(by, q / 100)), 2) for q in (50, 80, 90, 95)},
        "at_most_0.1": round(float(np.mean(by <= SMALL)), 3),
        "other_word": round(float(np.mean(other_word)), 3),
    }


def main() -> int:
    """Judges the curves whole and four times changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=int, default=600)
    parser.add_argument("--seed", type=int, default=8)
    arguments = parser.parse_args()
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}; {arguments.curves} simulated curves")
    began = time.process_time()
    analysis = Analysis()
    rng = np.random.default_rng(arguments.seed)
    batch, truths = simulate(arguments.curves, rng)
    before = judge(batch, analysis, np.random.default_rng(1))
    ways = {
        "nothing": (Changed(batch, np.full(len(batch), np.nan)), 2),
        "a checkpoint of all seeds": (without_point(batch, rng, every_seed=True), 1),
        "a checkpoint of one seed": (without_point(batch, rng, every_seed=False), 1),
        "10 % of the items": (without_items(batch, truths, rng), 1),
    }
    rows = []
    for name, (changed, seed) in ways.items():
        after = judge(changed.curves, analysis, np.random.default_rng(seed))
        rows.append(row(name, before, after, changed, analysis))
        print(f"\n{name} dropped; total variation of verdict_weights:")
        for group in ("all", "clear", "unclear"):
            print(f"  {group:8s}", "  ".join(f"{k} {v}" for k, v in rows[-1][group].items()))  # type: ignore[attr-defined]
        print(f"  moved by more than {SMALL}: {rows[-1]['reasons']}; {rows[-1]['words']}")
    print(
        json.dumps(
            {
                "benchmark": "stability",
                "curves": arguments.curves,
                "seed": arguments.seed,
                "rows": rows,
                "cpu_seconds": round(time.process_time() - began, 1),
                "machine": {k: machine[k] for k in ("cpu", "cores")},
                "date": date,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
