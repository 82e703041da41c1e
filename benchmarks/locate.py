"""Finding an onset by asking few of 150 checkpoints: how many, how well, and whether the verdict is still the
same.

    python benchmarks/locate.py [--leaps 1000] [--nulls 300] [--words 100]

Leaps: one rise of any of the simulator's families, 0.02 to 1 decade wide, its onset anywhere from 10 % to 90 %
of the range, some on a trend, with random floors, items (50–5,000), seeds (1, 3, 5), grids (even in logs,
uneven, linear in steps, steps growing as a power), dispersion, and with or without a soft twin. Nulls: flat,
smooth and irregular sweeps as `saltus calibrate` makes them. The full sweep's interval is the ordinary one on
all 150 points; verdicts of full sweeps are compared on all nulls and on the first `--words` leaps, because
judging 150 points takes long. Bars: at most a fifth asked in every sweep, coverage ≥ 90 %, median width ratio ≤
2, verdicts on nulls equal in ≥ 90 %.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from saltus.calibrate import Fixed, Truth, shapes, simulate
from saltus.calibrate.draft import Canvas, Draft
from saltus.calibrate.sampling import measure as ask
from saltus.calibrate.settings import Setting, draw_setting
from saltus.calibrate.simulate import assemble, truth_of
from saltus.judging.judge import judge
from saltus.judging.share import cut
from saltus.planning.locate import looks
from saltus.records import Analysis, Finding
from saltus.runner.machine import host
from saltus.stats import locating
from saltus.stats.batch import Bools, CurveBatch
from saltus.stats.resample import take

POINTS = 150
GRIDS = ("log", "uneven", "linear", "schedule")
CHUNK = 40
# Weights over resamples are not compared here, so none are drawn.
ANALYSIS = Analysis(resamples=0, draws=400)


def leaps(n: int, rng: np.random.Generator) -> tuple[CurveBatch, list[Truth]]:
    """n sweeps with one leap each."""
    drafts = [_leap(rng) for _ in range(n)]
    return assemble(drafts, [ask(rng, d) for d in drafts]), [truth_of(d) for d in drafts]


def nulls(n: int, rng: np.random.Generator) -> tuple[CurveBatch, list[Truth]]:
    """n sweeps without a leap."""
    made = [
        simulate(1, rng, words=("flat", "smooth", "irregular"), fixed=Fixed(points=POINTS, grid=str(rng.choice(GRIDS))))
        for _ in range(n)
    ]
    return _joined([b for b, _ in made]), [t for _, [t] in made]


def _setting(rng: np.random.Generator) -> Setting:
    while True:
        setting = draw_setting(rng, Fixed(points=POINTS, grid=str(rng.choice(GRIDS))))
        if setting.log_axis:
            return setting


def _leap(rng: np.random.Generator) -> Draft:
    setting = _setting(rng)
    canvas = Canvas(setting)
    wide = float(10 ** rng.uniform(np.log10(0.02), 0.0))
    place = setting.x[0] + rng.uniform(0.1, 0.9) * setting.range
    family, shape = shapes.any_sigmoid(rng)
    trend = rng.uniform(0.05, 0.25) if rng.random() < 0.35 else 0.0
    rises = np.tile(shapes.at(shape, canvas.xs, place, wide), (setting.seeds, 1))
    soft = None
    if setting.soft is not None:
        _, other = shapes.any_sigmoid(rng)
        soft = np.tile(shapes.at(other, canvas.xs, place, wide), (setting.seeds, 1))
    return Draft(
        word="sharp",
        kind="leap",
        family=family,
        setting=setting,
        hard=(1 - trend) * rises + trend * canvas.ts,
        soft=soft,
        leap=rises[-1],
        soft_leap=None if soft is None else soft[-1],
        onset=place,
        leapt=setting.seeds,
    )


def _joined(batches: Sequence[CurveBatch]) -> CurveBatch:
    seeds = max(b.shape[1] for b in batches)

    def padded(a: np.ndarray, empty: float | bool) -> np.ndarray:
        return np.pad(a, ((0, 0), (0, seeds - a.shape[1]), (0, 0)), constant_values=empty)

    def channel(name: str):  # type: ignore[no-untyped-def]
        parts = [vars(getattr(b, name)) for b in batches]
        return replace(
            getattr(batches[0], name),
            **{
                k: np.concatenate([padded(p[k], np.nan) if p[k].ndim == 3 else p[k] for p in parts])
                for k in parts[0]
                if parts[0][k] is not None
            },
        )

    keys = tuple(replace(b.keys[0], task=f"task {i}", series=f"series {i}") for i, b in enumerate(batches))
    return replace(
        batches[0],
        keys=keys,
        x=np.concatenate([padded(b.x, np.nan) for b in batches]),
        raw_x=np.concatenate([padded(b.raw_x, np.nan) for b in batches]),
        seen=np.concatenate([padded(b.seen, False) for b in batches]),
        log_axis=np.concatenate([b.log_axis for b in batches]),
        hard=channel("hard"),
        soft=channel("soft"),
        has_soft=np.concatenate([b.has_soft for b in batches]),
        suspects=(),
    )


class Search:
    """One sweep being searched: its checkpoints and which were asked."""

    def __init__(self, batch: CurveBatch, c: int, aim: locating.Aim) -> None:
        whole = batch.seen[c].sum(axis=1).argmax()
        self.c, self.x = c, batch.x[c, whole][batch.seen[c, whole]]
        self.asked: Bools = np.zeros(len(self.x), dtype=bool)
        self.asked[list(locating.net(self.x, aim))] = True
        self.why = ""

    def mask(self, batch: CurveBatch) -> Bools:
        """(S, P): the asked points of every seed."""
        x = batch.x[self.c]
        return batch.seen[self.c] & np.isin(x, self.x[self.asked])


def searched(batch: CurveBatch, aim: locating.Aim) -> list[Search]:
    """Search every sweep of the batch, round by round together."""
    searches = [Search(batch, c, aim) for c in range(len(batch))]
    active = list(searches)
    while active:
        found = looks(asked_part(batch, active), ANALYSIS)
        going = []
        for search, look in zip(active, found, strict=True):
            step = locating.advance(search.x, search.asked, look, aim)
            search.why = step.why
            search.asked[list(step.ask)] = True
            if not step.stop:
                going.append(search)
        active = going
    return searches


def asked_part(batch: CurveBatch, searches: Sequence[Search]) -> CurveBatch:
    part = take(batch, np.array([s.c for s in searches]))
    part = replace(part, seen=np.stack([s.mask(batch) for s in searches]), suspects=())
    return cut(part, part.shape[1], int(part.seen.sum(axis=2).max()))


def rows(batch: CurveBatch, truths: Sequence[Truth], rng: np.random.Generator, words: int) -> Iterator[dict]:
    """What was found in every sweep; full verdicts for the first `words`."""
    aim = locating.Aim()
    searches = searched(batch, aim)
    found = judge(asked_part(batch, searches), ANALYSIS, rng)
    full = looks(batch, ANALYSIS)
    judged: list[Finding | None] = [None] * len(batch)
    if words:
        judged[:words] = judge(take(batch, np.arange(min(words, len(batch)))), ANALYSIS, rng)
    for s, f, look, whole, truth in zip(searches, found, full, judged, truths, strict=True):
        yield {
            "truth": truth.word,
            "verdict": f.verdict,
            "full_verdict": whole.verdict if whole else None,
            "asked": int(s.asked.sum()),
            "of": len(s.asked),
            "why": s.why,
            "seeds": truth.n_seeds,
            "items": truth.n_items,
            "true_width": truth.width_hard,
            "full_rises": look.rises and not look.turns,
            "has": f.onset is not None,
            "covers": _covers(f, truth),
            "width": _width(f, truth),
            "full_width": (look.high - look.low) * truth.range,
            "full_covers": _look_covers(look, truth),
        }


def _covers(f: Finding, truth: Truth) -> bool:
    if f.onset_low is None or f.onset_high is None or truth.onset is None:
        return False
    return f.onset_low <= truth.onset <= f.onset_high


def _width(f: Finding, truth: Truth) -> float:
    if f.onset_low is None or f.onset_high is None:
        return float("nan")
    a, b = f.onset_low, f.onset_high
    return float(np.log10(b / a)) if truth.log_axis else abs(b - a)


def _look_covers(look: locating.Look, truth: Truth) -> bool:
    if truth.onset_x is None:
        return False
    u = (truth.onset_x - look.origin) / look.span
    return look.low <= u <= look.high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaps", type=int, default=1000)
    parser.add_argument("--nulls", type=int, default=300)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--dump", help="write every row as JSON lines")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    began = time.perf_counter()
    tables: dict[str, list[dict]] = {"leaps": [], "nulls": []}
    for kind, make, n in (("leaps", leaps, arguments.leaps), ("nulls", nulls, arguments.nulls)):
        while len(tables[kind]) < n:
            count = min(CHUNK, n - len(tables[kind]))
            words = count if kind == "nulls" else max(0, min(count, arguments.words - len(tables[kind])))
            tables[kind] += rows(*make(count, rng), rng, words)
    if arguments.dump:
        with open(arguments.dump, "w") as file:
            file.writelines(json.dumps({"kind": k, **r}, default=float) + "\n" for k, t in tables.items() for r in t)
    show(tables, time.perf_counter() - began)


def show(tables: dict[str, list[dict]], seconds: float) -> None:
    machine, date = host(), time.strftime("%Y-%m-%d")
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}; {seconds:.0f} s")
    leap, null = tables["leaps"], tables["nulls"]
    out: dict[str, object] = {
        "benchmark": "locate",
        "cpu": machine["cpu"],
        "cores": machine["cores"],
        "date": date,
        "sweeps": len(leap),
        "nulls": len(null),
    }
    if leap:
        seen = [r for r in leap if r["full_rises"] or r["has"]]
        share = [r["asked"] / r["of"] for r in leap]
        ratio = [r["width"] / r["full_width"] for r in leap if r["has"] and r["full_rises"]]
        out |= {
            "asked_mean": np.mean(share),
            "asked_most": max(share),
            "given": np.mean([r["has"] for r in seen]),
            "covers": np.mean([r["covers"] for r in leap if r["has"]]),
            "covers_or_missed": np.mean([r["covers"] for r in seen]),
            "full_covers": np.mean([r["full_covers"] for r in leap if r["full_rises"]]),
            "ratio_median": np.median(ratio),
            "ratio_at_most_2": np.mean(np.array(ratio) <= 2),
            "ratio_of_means": np.sum([r["width"] for r in leap if r["has"] and r["full_rises"]])
            / np.sum([r["full_width"] for r in leap if r["has"] and r["full_rises"]]),
        }
        both = [r for r in leap if r["full_verdict"]]
        if both:
            out["leap_verdicts_equal"] = np.mean([r["verdict"] == r["full_verdict"] for r in both])
            print(Counter((r["full_verdict"], r["verdict"]) for r in both))
    if null:
        out["null_verdicts_equal"] = np.mean([r["verdict"] == r["full_verdict"] for r in null])
        out["null_asked_mean"] = np.mean([r["asked"] / r["of"] for r in null])
        for word in ("flat", "smooth", "irregular"):
            part = [r for r in null if r["truth"] == word]
            pairs = Counter((r["full_verdict"], r["verdict"]) for r in part if r["verdict"] != r["full_verdict"])
            equal = np.mean([r["verdict"] == r["full_verdict"] for r in part]) if part else float("nan")
            print(f"{word}: {len(part)} sweeps, equal {equal:.3f}; full → asked where not: {dict(pairs)}")
    for name, value in out.items():
        print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")
    kept = bool(
        leap
        and null
        and out["asked_most"] <= 0.2
        and out["covers"] >= 0.9  # type: ignore[operator]
        and out["ratio_median"] <= 2
        and out["null_verdicts_equal"] >= 0.9  # type: ignore[operator]
    )
    print(json.dumps(out | {"kept": kept}, default=lambda v: round(float(v), 4)))


if __name__ == "__main__":
    main()
