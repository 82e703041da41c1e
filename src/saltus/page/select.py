"""Which findings get a full section, so that a page of thousands stays small: a stated rule under a byte budget.

The index goes by: what a hypothesis rests on, primary before secondary, whole before slices, verdict (leaps
first, flat last), baseline before changed conditions, larger rises first. Full sections go in turn to the
next finding of each verdict in that order, so that leaps and artefacts are both shown, until `FULL_BYTES`
are used or `MOST_FULL` are drawn; flat findings get one only in a report of at most `FEW` findings, or when
a hypothesis rests on them. Everybody else has a row with a small curve, while `MOST_BYTES` last; the page
says how many are left to the machine-readable file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest

from saltus.page.words import WORDS
from saltus.records import Finding

MOST_BYTES = 3_000_000
FULL_BYTES = 1_300_000
SPARE_BYTES = 20_000
"""Kept free for what the index adds besides its rows."""
MOST_FULL = 40
FEW = 24
_ORDER = {word: i for i, word in enumerate(WORDS)}


def ordered(findings: Sequence[Finding], named: frozenset[str] = frozenset()) -> list[Finding]:
    """Findings in the order of the index; `named` are the ids a hypothesis rests on."""

    def rank(finding: Finding) -> tuple[object, ...]:
        rise = finding.rise.value
        return (
            finding.finding_id not in named,
            not finding.primary,
            finding.slice is not None,
            _ORDER[finding.verdict],
            finding.condition != "baseline",
            -(rise if rise is not None else 0.0),
            finding.series,
            finding.task,
            finding.finding_id,
        )

    return sorted(findings, key=rank)


def in_full(in_order: Sequence[Finding], named: frozenset[str] = frozenset()) -> list[Finding]:
    """Who gets a full section if the bytes allow, in the order of the page."""
    if len(in_order) <= FEW:
        return list(in_order)
    first = [f for f in in_order if f.finding_id in named]
    rest = [f for f in in_order if f.finding_id not in named and f.verdict != "flat"]
    chosen = first
    for primary in (True, False):
        by_word: dict[str, list[Finding]] = defaultdict(list)
        for finding in rest:
            if finding.primary is primary:
                by_word[finding.verdict].append(finding)
        turns = chain.from_iterable(zip_longest(*by_word.values()))
        chosen = [*chosen, *(f for f in turns if f is not None)]
    kept = {f.finding_id for f in chosen[:MOST_FULL]}
    return [f for f in in_order if f.finding_id in kept]


def rule(full: int, rows: int, total: int, findings_file: str) -> str:
    """The rule in words, with what it did here."""
    sentence = f"{full:,} of {total:,} findings have a section of their own"
    if full < total:
        sentence += (
            ": those a hypothesis rests on, then primary before secondary, each verdict but flat in turn, "
            f"larger rises first; at most {MOST_FULL} and about {FULL_BYTES / 1e6:.1f} MB"
        )
    sentence += "."
    if rows < total:
        sentence += f" {total - rows:,} findings without a row here are in {findings_file}, in full."
    return sentence
