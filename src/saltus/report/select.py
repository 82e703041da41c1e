"""Which findings get a full section, so that a page of thousands stays small: a stated rule under a byte budget.

Order: what a hypothesis names, then primary before secondary, then by verdict (leaps first, flat last), then by
the size of the rise. Full sections go down that order until `FULL_BYTES` are used or `MOST_FULL` are drawn;
flat findings get one only in a report of at most `FEW` findings, or when a hypothesis names them. Everybody
else has a row with a small curve, until `ROW_BYTES` are used; the page says how many are left to the machine-
readable file.
"""

from __future__ import annotations

from collections.abc import Sequence

from saltus.records import Finding
from saltus.report.words import WORDS

MOST_BYTES = 3_000_000
FULL_BYTES = 1_300_000
ROW_BYTES = 1_250_000
MOST_FULL = 40
FEW = 24
_ORDER = {word: i for i, word in enumerate(WORDS)}


def ordered(findings: Sequence[Finding], named: frozenset[str] = frozenset()) -> list[Finding]:
    """Findings in the order of the page; `named` are the ids a hypothesis rests on."""

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


def wants_full(finding: Finding, total: int, named: frozenset[str] = frozenset()) -> bool:
    """Whether a finding gets a full section if the budget reaches it."""
    if finding.finding_id in named or total <= FEW:
        return True
    return finding.verdict != "flat"


def rule(full: int, rows: int, total: int, findings_file: str) -> str:
    """The rule in words, with what it did here."""
    said = f"{full:,} of {total:,} findings have a section of their own"
    if full < total:
        said += (
            ": those a hypothesis rests on, then primary before secondary, leaps first, "
            "larger rises first, flat ones last; "
            f"at most {MOST_FULL} and about {FULL_BYTES / 1e6:.1f} MB"
        )
    said += "."
    if rows < total:
        said += f" {total - rows:,} findings without a row here are in {findings_file}, in full."
    return said
