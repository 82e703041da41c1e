"""Small faults planted in the modules that decide: the direct tests must notice every one.

    python benchmarks/mutants.py [--only link.py] [--workers 2]

A mutant is one realistic slip: a comparison turned, a threshold moved, min for max, a forgotten abs, an off-by-one, a
wrong quantile, a dropped condition. Each is planted in a copy of the package, and the tests named for its module run on
the copy. Killed: a test fails. Survived: all pass. Stale: the old text no longer occurs exactly once, so the source
moved on and the mutant has to follow. Broken: the tests could not even be run. First all tests run unchanged, and must
pass. The bar: all killed.
Known limit: what nobody thought of is not planted. Tests of whole curves are not asked: of 21 they noticed one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from saltus.runner.machine import host

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "saltus"
COMPILED = shutil.ignore_patterns("__pycache__")
RUN = """
import sys, pytest, saltus
assert saltus.__file__.startswith(sys.argv[1]), f"{saltus.__file__} is not the copy"
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", *sys.argv[2:]]))
"""
TESTS = {
    "stats/link.py": "stats/test_link.py",
    "stats/facts.py": "stats/test_facts.py",
    "stats/presence.py": "stats/test_presence.py",
    "stats/seeds.py": "stats/test_seeds.py",
    "stats/surprise.py": "stats/test_surprise.py",
    "stats/shape.py": "stats/test_shape.py",
    "stats/trend.py": "stats/test_trend.py",
    "stats/monotone.py": "stats/test_monotone.py",
    "stats/family.py": "stats/test_onsets.py",
    "stats/multiplicity.py": "stats/test_onsets.py",
    "verdict.py": "test_verdict.py",
    "judging/caveats.py": "judging/test_caveats.py",
    "judging/judge.py": "judging/test_family_decisions.py",
    "analysis/hypotheses.py": "analysis/test_hypotheses.py",
    "page/answer.py": "page/test_untested.py",
    "analysis/provenance.py": "analysis/test_not_tested.py",
    "curves/axes.py": "curves/test_axes.py",
    "curves/pairing.py": "curves/test_pairing.py",
    **{f"checks/{name}.py": "checks/test_evidence.py" for name in ("presence", "shape", "surprise", "replication")},
}
"""Module → the tests that have to notice."""

MUTANTS = {
    "stats/link.py": [
        ("rankdata(np.where", "rankdata(method='ordinal', a=np.where", "ties are broken by position"),
        (" & (hard.source == soft.source)", "", "points of one place in each channel need not be the same"),
        (".max(axis=1) >= 5)", ".max(axis=1) >= 4)", "four shared points are enough"),
        (" & (moves > MOVES)", "", "a soft score that stands still explains too"),
        ("1 - 0.5 * OUTSIDE /", "1 - OUTSIDE /", "the quantile of a one-sided miss"),
        ("both & (order >= start) & (order <= arrive)", "both & (order > start) & (order <= arrive)", "off by one"),
        ("(order > start - 3)", "(order > start - 2)", "two points before the jump instead of three"),
        ("np.clip(left.rest / others, 1.0, MISFIT)", "np.clip(left.rest / others, 0.0, MISFIT)", "a fit too good"),
        ("return z.sum(axis=1) / np.sqrt(", "return z.sum(axis=1) / (", "seeds averaged, not added as witnesses"),
        ("use = (ok.sum(axis=2) >= 3)", "use = (ok.sum(axis=2) >= 2)", "two points have a rank correlation of ±1"),
    ],
    "stats/facts.py": [
        ("np.abs(np.nan_to_num(m.presence.effect))", "np.nan_to_num(m.presence.effect)", "abs forgotten"),
        ("m.presence.mde <= analysis.max_mde", "m.presence.mde >= analysis.max_mde", "power turned"),
        ("[seen, ~able, announced], [2, 3, 1]", "[seen, announced, ~able], [2, 1, 3]", "power asked last"),
        ("np.where(p < analysis.surprise, 1, 0)", "np.where(p <= analysis.surprise, 1, 0)", "its level surprises"),
        ("m.has_soft, m.soft.surprise.p, m.hard", "~m.has_soft, m.soft.surprise.p, m.hard", "the wrong channel"),
        ("(rank > -RANK_AGREES)", "(rank > RANK_AGREES)", "flat twins must agree by rank"),
        ("b.onset_high) & (b.onset_low", "b.onset_high) | (b.onset_low", "intervals always overlap"),
        ("(high - low) <= slack", "(high - low) <= 2 * slack", "onsets two jumps apart are together"),
        ("(m.hard.shape.code == JUMP) & ~significant", "(m.hard.shape.code == JUMP) & significant", "gate turned"),
        ("against = full & (", "against = (", "a seed of two points contradicts"),
        ("& m.link.covers & soft_rises", "& m.link.covers", "a soft score that need not rise explains"),
        ("SOFT_RISE_P = 0.001", "SOFT_RISE_P = 0.01", "a doubtful soft rise announces"),
        ("& m.seeds.leapt_seed\n", "\n", "a seed that jumps and comes back is sharp"),
        ("(found < PRESENT) & np.isin", "(found < 1) & np.isin", "what stays below its floor turns"),
    ],
    "stats/presence.py": [
        ("NEAR = 0.12", "NEAR = 0.24", "a skill passes for a floor"),
        ("wide = np.maximum(dispersion, 1.0)", "wide = np.minimum(dispersion, 1.0)", "scatter adds items"),
        ("tests * p_each.min(axis=1)", "p_each.min(axis=1)", "the best of all levels counts once"),
        ("np.maximum(n - k + 1, 1e-9)", "np.maximum(n - k, 1e-9)", "more than k, not k or more"),
        ("there & ((level > near) | (falls", "there & ((level != near) | (falls", "a network that guesses badly"),
        ("3.0 / np.maximum(n_last, 1)", "1.0 / np.maximum(n_last, 1)", "a bound of 63 %"),
        ("clear = np.abs(distance) > 3 *", "clear = np.abs(distance) > 2 *", "noise is off the floor"),
        ("float(ndtri(0.8))", "float(ndtri(0.5))", "half the power that is promised"),
        ("flat = chi2 < freedom", "flat = chi2 > freedom", "what rises is a floor"),
        ("off = np.abs(early - base) > 2.5", "off = early - base > 2.5", "earliest points below the nominal floor"),
        ("np.clip(points // 4, 2, 4)", "np.clip(points // 4, 1, 4)", "one point is a floor"),
        ("(floor.slack == 0) | worst", "(floor.slack == 0) | ~worst", "a guessed floor shows absence"),
    ],
    "stats/seeds.py": [
        ("LEAPT, STAYED = 0.5, 0.25", "LEAPT, STAYED = 0.5, 0.5", "nobody is between"),
        ("GAP_ERRORS = 4.0", "GAP_ERRORS = 2.0", "a gap that noise makes"),
        ("two &= (leapt | stayed).sum(axis=1) == count", "two &= count > 1", "some may be between"),
        ("/ (noise * np.sqrt(2))", "/ noise", "the error of one level for that of a difference"),
        ("np.maximum(total - within, 0)", "np.maximum(total, 0)", "sampling error passes for scatter of seeds"),
        ("window_means(series, min(2,", "window_means(series, min(1,", "the last point alone is the end"),
        ("goes = (most > margin)", "goes = (most > 0)", "noise leaps"),
    ],
    "stats/surprise.py": [
        ("series.ok & (order <= start)", "series.ok & (order < start)", "the last point before is not used"),
        (".sum(axis=2) / count**2", ".sum(axis=2) / count", "the error of a mean is that of one"),
        ("stdtr(freedom, -pooled)", "stdtr(freedom, -np.abs(pooled))", "a fall is a surprise as well"),
        ("NEEDED = 3", "NEEDED = 2", "a line through two points foretells"),
        ("cov[0] + 2 * at * cov[1] + at**2 * cov[2] + noise", "cov[0] + noise", "the slope's own error forgotten"),
        ("pooled = z.sum(axis=1) / np.sqrt(", "pooled = z.sum(axis=1) / (", "seeds averaged, not added"),
    ],
    "stats/shape.py": [
        ("np.minimum(share, analysis.jump_range)", "np.maximum(share, analysis.jump_range)", "max for min"),
        ("RISE_P = 0.01", "RISE_P = 0.05", "noise rises"),
        ("(trend.fall >= analysis.irregular_share * trend.spread)", "(trend.fall >= 0)", "every real fall turns it"),
        ("jump &= after >= analysis.points_after", "jump &= after >= 1", "one point after it makes a jump"),
        ("gradual = (width_low >=", "gradual = (width_high >=", "a rise that may be narrow is gradual"),
        ("(use.sum(axis=1) - 1) // 4]", "(use.sum(axis=1) - 1) // 2]", "the median of bounds for their quartile"),
        ("prior * series.paired + rss", "prior + rss", "shared items forgotten"),
        ("> 0.25 * _most(", "> 0.5 * _most(", "a seed that rises by less has no say"),
        ("(width_high <= limit.narrow + 1e-9)", "(best <= limit.narrow + 1e-9)", "a jump by its best width alone"),
    ],
    "stats/trend.py": [
        ("level[2] < -0.5 *", "level[2] < -0.25 *", "a slip is a fall"),
        ('side="left"', 'side="right"', "ties with the null count as beyond it"),
        ("if points < 9 else", "if points < 4 else", "no single points in short series"),
        ("0.4 * (series.count - 2)", "(series.count - 2)", "second differences counted as independent"),
        ("score = np.where(full, sign * z, -np.inf)", "score = np.where(full, z, -np.inf)", "falls are rises"),
    ],
    "stats/monotone.py": [
        ("share <= 0.1 + slack", "share <= 0.1 - slack", "noise begins the rise"),
        ("np.minimum(early, late)", "np.maximum(early, late)", "max for min"),
        ("np.minimum(tolerance / size, 0.08)", "np.maximum(tolerance / size, 0.08)", "a bound turned"),
        ("np.maximum(count - arrive, 0)", "np.maximum(count - arrive - 1, 0)", "off by one"),
        ("arrive - start >= 2", "arrive - start >= 1", "a single cell is narrowed"),
    ],
    "stats/family.py": [
        ("SKILLS = 3", "SKILLS = 2", "two skills make a format"),
        ("MOST = 0.6", "MOST = 0.3", "most may rise elsewhere"),
        ("ELSEWHERE = 0.4", "ELSEWHERE = 0.8", "other formats may leap there too"),
        ("+ log(together) + (together", "+ (together", "a factor of the scan statistic forgotten"),
        ("< RISE_P) & located", "< RISE_P)", "a rise without a place witnesses one"),
        ("leapt=(shape.code == JUMP) & significant", "leapt=(shape.code == JUMP)", "jumps that chance makes"),
    ],
    "stats/multiplicity.py": [
        ('"by" if dependent else "bh"', '"bh" if dependent else "by"', "turned"),
        ("(names == name) & np.isfinite(p)", "np.isfinite(p)", "one family of all"),
    ],
    "verdict.py": [
        ("f.n_sharp >= a.transition_share", "f.n_sharp > a.transition_share", "three of five are too few"),
        ("f.n_points < a.min_points", "f.n_points <= a.min_points", "off by one"),
        ("        and not f.contradicting\n", "", "a seed that stays behind replicates"),
        (' and f.twin == "explains"', "", "any gradual twin makes an artefact"),
        (' and f.predicted == "no" and', " and", "a leap that was foreseen is sharp"),
    ],
    "judging/caveats.py": [
        ("FALL_REPORTED = 0.01", "FALL_REPORTED = 0.02", "falls of noise are reported"),
        ("(mde / a.max_mde) ** 2", "(mde / a.max_mde)", "items by the effect, not by its square"),
        ("shape.dispersion[i] > 3 and", "shape.dispersion[i] > 2 and", "scatter told too early"),
        ("if leaps and facts.n_seeds < a.transition_seeds", "if leaps and facts.n_seeds < 2", "two seeds replicate"),
        ('a.disagree[i] == 2 else "; their', 'a.disagree[i] == 1 else "; their', "certainty turned"),
        ("t.fall[i] / max(t.spread[i], 1e-12)", "t.fall[i] / max(t.rise[i], 1e-12)", "a share of something else"),
    ],
    "judging/judge.py": [
        ("out[here] = max(good", "out[here] = min(good", "the gate of a family is its strictest p-value"),
        ("before.low <= new.onset <= before.high", "new.low <= before.onset <= new.high", "the wrong interval"),
        ("* 2 > int(there.sum())", "* 2 >= int(there.sum())", "half is most"),
        ('== "disqualifying" and counts:', '== "disqualifying":', "a suspicion convicts"),
        ("(k.family, k.series, k.task, k.axis)", "(k.family, k.series, k.task)", "two axes are no two looks at items"),
        ("before.verdict not in (", "before.verdict in (", "onsets of what does not rise"),
    ],
    "analysis/hypotheses.py": [
        ("fall[1] and fall[0] <= finding", "fall[1] or fall[0] <= finding", "every onset is at the fall"),
        ("        and f.slice is None\n", "", "the finding on some items settles it"),
        ("done >= 0.1", "done >= 0.5", "the fall begins in its middle"),
        ("max(first - 1, 0)", "first", "the point after the start for the one before it"),
        ("lowest = np.minimum.accumulate(loss)", "lowest = loss", "a bump in the loss undoes its fall"),
        ('"no-leap": NO_LEAP}', '"no-leap": NO_LEAP | {"bound"}}', "a leap in one format is none"),
        ('("undecided" if verdict in WITHOUT_WORD else "refuted")', '"refuted"', "what is unresolved refutes"),
        ('h.task in (f.task, f.task.split("[")[0])', "f.task.startswith(h.task)", "copying2 is copying"),
    ],
    "page/answer.py": [("all(f.n_seeds < 2 for", "any(f.n_seeds < 2 for", "one lone run hides replication")],
    "analysis/provenance.py": [("VARIES - varied(conditions)", "VARIES & varied(conditions)", "gaps turned")],
    "curves/axes.py": [
        ("MIN_POINTS = 6", "MIN_POINTS = 5", "five checkpoints are a series"),
        ("> 1.05 * pl.col", "> 1.5 * pl.col", "tokens that differ by half are equal"),
        ("** 2 < 0.998", "** 2 < 0.99", "two axes pass for one"),
        ('pl.col("place") == pl.col("place").max()', 'pl.col("place") == pl.col("place").min()', "the first point"),
        ("computed = 6.0 *", "computed = 2.0 *", "the forward pass alone"),
        ('pl.coalesce("flops", known)', 'pl.coalesce(known, "flops")', "what is given gives way"),
        ('"flops_known") >= pl.col("params_known")', '"flops_known") > pl.col("params_known")', "ties turned"),
    ],
    "curves/pairing.py": [
        (" and wish is not None and _is(hard, wish[0])", " and wish is not None", "the study's twin for every metric"),
        (" or self.twins.get(base_name(hard.name))", "", "a twin is wished by its full name only"),
        ("hards.sort(key=lambda m: not _is(m, wish[0]))", "pass", "the study's choice is forgotten"),
    ],
    "checks/presence.py": [
        ("abs(effect or 0.0)", "(effect or 0.0)", "abs forgotten"),
        ("False if able else None", "False", "absence without the power to see"),
    ],
    "checks/shape.py": [('"gradual": False, "flat": False}', '"flat": False}', "a gradual rise is left open")],
    "checks/surprise.py": [("passed=p >= j.analysis", "passed=p > j.analysis", "the level itself surprises")],
    "checks/replication.py": [
        ("leapt in (0, count)", "leapt == count", "nobody leapt is not the same"),
        ("np.ptp(onset[rose])", "np.ptp(onset)", "onsets of seeds that did not leap"),
    ],
}
"""Module → (old text, new text, what it means)."""


class Outcome(NamedTuple):
    """What became of one mutant, and the first test that noticed."""

    module: str
    meaning: str
    state: str
    noticed: str = ""


def asked(copy: Path, tests: list[str]) -> tuple[int, str]:
    """Exit status and output of pytest over tests that import the package from `copy`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(copy), str(ROOT / "tests")])}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, str(copy), *(str(ROOT / "tests" / t) for t in tests)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def planted(copy: Path, module: str, mutant: tuple[str, str, str]) -> Outcome:
    """Plants one mutant in a copy of the package, asks its tests, and takes it out again."""
    old, new, meaning = mutant
    path = copy / "saltus" / module
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        return Outcome(module, meaning, "stale")
    path.write_text(text.replace(old, new), encoding="utf-8")
    code, output = asked(copy, [TESTS[module]])
    path.write_text(text, encoding="utf-8")
    noticed = re.search(r"^FAILED \S+?::(\S+)", output, re.M)  # an error before any test ran notices nothing
    state = "killed" if noticed else "broken" if code else "survived"
    return Outcome(module, meaning, state, noticed[1] if noticed else "")


def share(copy: Path, mine: list[tuple[str, tuple[str, str, str]]]) -> list[Outcome]:
    """Every mutant of one worker, in its own copy."""
    shutil.copytree(SOURCE, copy / "saltus", ignore=COMPILED)
    found = []
    for module, mutant in mine:
        found.append(planted(copy, module, mutant))
        print(f"{found[-1].state:9} {module:24} {found[-1].meaning} ({found[-1].noticed})", flush=True)
    return found


def main() -> int:
    """Asks the tests about the package as it is, then about every mutant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="modules whose path contains this")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    machine, date, began = host(), time.strftime("%Y-%m-%d"), time.perf_counter()
    every = [(m, mutant) for m, mutants in MUTANTS.items() if arguments.only in m for mutant in mutants]
    modules = len({module for module, _ in every})
    print(f"{machine['cpu']}, {machine['cores']} cores, {date}; {len(every)} mutants of {modules} modules")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        shutil.copytree(SOURCE, whole / "saltus", ignore=COMPILED)
        code, output = asked(whole, sorted({TESTS[m] for m, _ in every}))
        if code:
            print(output, "\nthe tests fail without any mutant: nothing can be said")
            return 1
        copies = [Path(folder) / str(k) for k in range(arguments.workers)]
        with ThreadPoolExecutor(arguments.workers) as pool:
            parts = pool.map(share, copies, (every[k :: arguments.workers] for k in range(arguments.workers)))
            found = [outcome for part in parts for outcome in part]
    alive = [o for o in found if o.state != "killed"]
    print(f"{len(found) - len(alive)} of {len(found)} killed in {time.perf_counter() - began:.0f} s")
    for o in alive:
        print(f"{o.state.upper()}: {o.module}: {o.meaning}")
    figures = {"benchmark": "mutants", "mutants": len(found), "killed": len(found) - len(alive)}
    figures |= {"alive": [o._asdict() for o in alive], "seconds": round(time.perf_counter() - began, 1)}
    print(json.dumps({**figures, "machine": {k: machine[k] for k in ("cpu", "cores")}, "date": date}))
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
