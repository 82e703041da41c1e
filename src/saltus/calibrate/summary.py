"""Counts what was judged against what is true: confusion, false alarms, exact words, coverage of intervals, bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np

from saltus._version import __version__
from saltus.calibrate.counts import WORDS, Bar, Rate, confusion, rate
from saltus.calibrate.power import PowerRow
from saltus.calibrate.result import Calibration, Coverage
from saltus.calibrate.simulate import NULLS, Truth
from saltus.records import Analysis, Finding
from saltus.verdict import CLAIMS_LEAP

Pair = tuple[Truth, Finding]
"""A truth and what the judge made of it."""

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
WITH_ONSET = ("smooth", "artefact", "sharp", "transition", "split")


def summarise(
    pairs: Sequence[Pair], *, n: int, seed: int, analysis: Analysis, rows: Sequence[PowerRow] = ()
) -> Calibration:
    """Everything counted. n, seed, analysis and rows (power tables) are passed on."""
    clear = [p for p in pairs if p[0].clear]
    risen = _of(WITH_ONSET, pairs)
    nulls: list[str] = [word for word in WORDS if word in NULLS]
    alarms = {word: _share(_called_a_leap, _of([word], pairs)) for word in nulls}
    alarms["all"] = _share(_called_a_leap, _of(nulls, pairs))
    exact = {word: _share(_by_its_word, some) for word in WORDS if (some := _of([word], clear))}
    onset = {word: _onsets(_of([word], pairs)) for word in WITH_ONSET}
    onset["all"] = _onsets(risen)
    onset["bar"] = _onsets([p for p in risen if _at_the_bar(p[0])])
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
        width={word: _widths(_of([word], pairs)) for word in WITH_ONSET},
        cells=_cells(_of(nulls, pairs)),
        power=rows,
        bars=_bars(exact, alarms, one_run, onset),
    )


def _of(words: Iterable[str], pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs whose truth is one of the words."""
    wanted = frozenset(words)
    return [p for p in pairs if p[0].word in wanted]


def _share(hit: Callable[[Pair], bool], pairs: Sequence[Pair]) -> Rate:
    return rate(sum(map(hit, pairs)), len(pairs))


def _called_a_leap(pair: Pair) -> bool:
    return pair[1].verdict in CLAIMS_LEAP


def _by_its_word(pair: Pair) -> bool:
    return pair[1].verdict == pair[0].word


def _at_the_bar(truth: Truth) -> bool:
    return truth.log_axis and 10 <= truth.n_points <= 16 and 4.0 <= truth.range <= 6.0


def _onsets(pairs: Sequence[Pair]) -> Coverage:
    held, widths = 0, []
    for truth, finding in pairs:
        low, high = finding.onset_low, finding.onset_high
        if truth.onset is None or low is None or high is None:
            continue
        held += low <= truth.onset <= high
        widths.append(np.log10(high / low) if truth.log_axis else np.nan)
    return _coverage(held, widths, len(pairs))


def _widths(pairs: Sequence[Pair]) -> Coverage:
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


def _cells(nulls: Sequence[Pair]) -> list[dict[str, Any]]:
    """False alarms among null truths, by points, replication and twin."""
    cells = []
    for (low, high), replicated, soft in product(POINT_BINS, (False, True), (False, True)):
        alike = [
            p
            for p in nulls
            if low <= p[0].n_points <= high
            and (p[0].n_seeds > 1) == replicated
            and (p[0].soft_metric is not None) == soft
        ]
        alarms = sum(map(_called_a_leap, alike))
        row = {"points": [low, high], "replicated": replicated, "soft": soft, "nulls": len(alike), "alarms": alarms}
        cells.append(row)
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
