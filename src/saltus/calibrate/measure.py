"""Judges simulated curves.

The judge sees the curves in mixed batches, as an analysis of published results would be: multiplicity control works
over each batch. Every number depends on `seed` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from saltus.calibrate.families import formats
from saltus.calibrate.power import power
from saltus.calibrate.result import Calibration
from saltus.calibrate.sampling import measure
from saltus.calibrate.simulate import Truth, assemble, simulate, truth_of
from saltus.calibrate.summary import summarise
from saltus.records import Analysis, Finding
from saltus.stats.batch import CurveBatch

Judge = Callable[[CurveBatch, Analysis, np.random.Generator], Sequence[Finding]]

CHUNK = 1000


def calibrate(
    n: int = 4000,
    seed: int = 17,
    analysis: Analysis | None = None,
    *,
    judge: Judge | None = None,
    power_curves: int = 20,
) -> Calibration:
    """Simulate n truths and about n / 20 more in families, judge them, and say how often the verdict is wrong.

    judge: what to measure; saltus' own when None. power_curves: curves per cell of the power tables; 0 leaves them
    out. Costs about as much as judging n + 110 · power_curves curves.
    """
    analysis = analysis or Analysis()
    judge = judge or _own_judge()
    truths, findings = _judged(n, seed, analysis, judge)
    rows = power(power_curves, seed, analysis, judge) if power_curves else []
    return summarise(list(zip(truths, findings, strict=True)), n=n, seed=seed, analysis=analysis, rows=rows)


def _own_judge() -> Judge:
    from saltus.judging.judge import judge

    return judge


def _judged(n: int, seed: int, analysis: Analysis, judge: Judge) -> tuple[list[Truth], list[Finding]]:
    truths: list[Truth] = []
    findings: list[Finding] = []
    streams = np.random.SeedSequence(seed).spawn(-(-n // CHUNK))
    for start, stream in zip(range(0, n, CHUNK), streams):
        making, judging = (np.random.default_rng(s) for s in stream.spawn(2))
        batch, made = simulate(min(CHUNK, n - start), making, analysis=analysis)
        truths += made
        findings += judge(batch, analysis, judging)
    families = _judged_families(max(2, n // 200), seed, analysis, judge)
    return truths + families[0], findings + families[1]


def _judged_families(groups: int, seed: int, analysis: Analysis, judge: Judge) -> tuple[list[Truth], list[Finding]]:
    making, judging = np.random.SeedSequence([seed, 2]).spawn(2)
    rng = np.random.default_rng(making)
    drafts = formats(rng, groups, analysis)
    batch = assemble(drafts, [measure(rng, draft) for draft in drafts])
    found = list(judge(batch, analysis, np.random.default_rng(judging)))
    return [truth_of(draft) for draft in drafts], found
