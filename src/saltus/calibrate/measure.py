"""Judge simulated curves and count: confusion, false alarms, exact words, coverage of intervals, bars.

The judge sees the curves in mixed batches, as an analysis of published results would be: multiplicity control works
over each batch. Every number depends on `seed` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from saltus._version import __version__
from saltus.calibrate.counts import WORDS, Bar, Rate, confusion, rate
from saltus.calibrate.families import formats
from saltus.calibrate.power import PowerRow, power
from saltus.calibrate.result import Calibration, Coverage
from saltus.calibrate.sampling import measure
from saltus.calibrate.simulate import NULLS, Truth, assemble, simulate, truth_of
from saltus.records import Analysis, Finding
from saltus.stats.batch import CurveBatch
from saltus.verdict import CLAIMS_LEAP

Judge = Callable[[CurveBatch, Analysis, np.random.Generator], Sequence[Finding]]

CHUNK = 1000
EXACT_BARS = {
    "flat": 0.90,
    "smooth": 0.85,
    "artefact": 0.80,
    "sharp": 0.80,
    "transition": 0.85,
    "split": 0.90,
    "irregular": 0.85,
    "unresolved": 0.80,
}
POINT_BINS = ((6, 9), (10, 15), (16, 30))


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
    return summarise(truths, findings, n=n, seed=seed, analysis=analysis, rows=rows)


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


def summarise(
    truths: Sequence[Truth],
    findings: Sequence[Finding],
    *,
    n: int,
    seed: int,
    analysis: Analysis,
    rows: Sequence[PowerRow] = (),
) -> Calibration:
    """Count what was found against what was true."""
    pairs = list(zip(truths, findings))
    alarms: dict[str, Rate] = {
        word: rate(
            sum(f.verdict in CLAIMS_LEAP for t, f in pairs if t.word == word), sum(t.word == word for t in truths)
        )
        for word in WORDS
        if word in NULLS
    }
    alarms["all"] = rate(sum(r.k for r in alarms.values()), sum(r.n for r in alarms.values()))
    clear = [(t, f) for t, f in pairs if t.clear]
    exact = {
        word: rate(sum(f.verdict == word for t, f in clear if t.word == word), sum(t.word == word for t, f in clear))
        for word in WORDS
        if any(t.word == word for t, f in clear)
    }
    onset = {word: _onsets([p for p in pairs if p[0].word == word]) for word in _WITH_ONSET}
    onset["all"] = _onsets([p for p in pairs if p[0].word in _WITH_ONSET])
    onset["bar"] = _onsets([p for p in pairs if p[0].word in _WITH_ONSET and _at_the_bar(p[0])])
    one_run = sum(f.verdict == "transition" and t.n_seeds == 1 for t, f in pairs)
    return Calibration(
        version=__version__,
        seed=seed,
        n=n,
        analysis=asdict(analysis),
        confusion=confusion((t.word, f.verdict) for t, f in clear),
        kinds=confusion((f"{t.word}: {t.kind}", f.verdict) for t, f in pairs),
        exact=exact,
        false_alarms=alarms,
        one_run_transitions=one_run,
        onset=onset,
        width={word: _widths([p for p in pairs if p[0].word == word]) for word in _WITH_ONSET},
        cells=_cells(pairs),
        power=rows,
        bars=_bars(exact, alarms, one_run, onset),
    )


_WITH_ONSET = ("smooth", "artefact", "sharp", "transition", "split")


def _at_the_bar(truth: Truth) -> bool:
    return truth.log_axis and 10 <= truth.n_points <= 16 and 4.0 <= truth.range <= 6.0


def _onsets(pairs: Sequence[tuple[Truth, Finding]]) -> Coverage:
    held, widths = 0, []
    for truth, finding in pairs:
        low, high = finding.onset_low, finding.onset_high
        if truth.onset is None or low is None or high is None:
            continue
        held += low <= truth.onset <= high
        widths.append(np.log10(high / low) if truth.log_axis else np.nan)
    return _coverage(held, widths, len(pairs))


def _widths(pairs: Sequence[tuple[Truth, Finding]]) -> Coverage:
    """Coverage of the true 10–90 % width of the hard channel."""
    held, widths = 0, []
    for truth, finding in pairs:
        low, high = finding.width_hard.low, finding.width_hard.high
        if truth.width_hard is None or low is None or high is None:
            continue
        held += low - 1e-9 <= truth.width_hard <= high + 1e-9
        widths.append(high - low if truth.log_axis else np.nan)
    return _coverage(held, widths, len(pairs))


def _coverage(held: int, widths: Sequence[float], asked: int) -> Coverage:
    known = [w for w in widths if np.isfinite(w)]
    return Coverage(
        rate=rate(held, len(widths)),
        median_width=float(np.median(known)) if known else None,
        given=rate(len(widths), asked),
    )


def _cells(pairs: Sequence[tuple[Truth, Finding]]) -> list[dict[str, Any]]:
    """Null truths and false alarms, by points, replication and twin."""
    cells = []
    for low, high in POINT_BINS:
        for replicated in (False, True):
            for with_soft in (False, True):
                called = [
                    f.verdict in CLAIMS_LEAP
                    for t, f in pairs
                    if t.word in NULLS
                    and low <= t.n_points <= high
                    and (t.n_seeds > 1) == replicated
                    and (t.soft_metric is not None) == with_soft
                ]
                cells.append(
                    {
                        "points": [low, high],
                        "replicated": replicated,
                        "soft": with_soft,
                        "nulls": len(called),
                        "alarms": sum(called),
                    }
                )
    return cells


def _bars(
    exact: Mapping[str, Rate], alarms: Mapping[str, Rate], one_run: int, onset: Mapping[str, Coverage]
) -> list[Bar]:
    """The lines of the calibration promise, in order."""
    bars = [_most("nulls called a leap", alarms["all"].value, 0.03)]
    bars += [_most(f"{word} called a leap", alarms[word].value, 0.05) for word in alarms if word != "all"]
    bars.append(Bar("one run called a transition", "= 0", float(one_run), one_run == 0))
    bars += [_least(f"{word} by its word", _value(exact, word), b) for word, b in EXACT_BARS.items()]
    covered, wide = onset["all"].rate.value, onset["bar"].median_width
    within = covered is not None and 0.90 <= covered <= 0.97
    bars.append(Bar("onset intervals that hold the truth", "0.90 to 0.97", covered, within))
    bars.append(_most("median onset interval, decades (10–16 points, 4–6 decades)", wide, 0.8))
    return bars


def _value(rates: Mapping[str, Rate], word: str) -> float | None:
    return rates[word].value if word in rates else None


def _most(name: str, value: float | None, limit: float) -> Bar:
    return Bar(name, f"≤ {limit:.2f}", value, value is not None and value <= limit)


def _least(name: str, value: float | None, limit: float) -> Bar:
    return Bar(name, f"≥ {limit:.2f}", value, value is not None and value >= limit)
