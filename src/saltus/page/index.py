"""All findings in small: a legend with counts, a map of verdicts, an index row each, the conditions compared."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from saltus.page import numbers as num
from saltus.page.sparks import spark
from saltus.page.text import name, safe
from saltus.page.words import WORDS, in_line
from saltus.records import Finding
from saltus.verdict import LEAPT

MOST_NOTES = 40
MOST_MAP_CELLS = 3_000
MOST_CONDITIONS = 300
_SIZE = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}

Line = dict[str, Any]


def legend(findings: Sequence[Finding]) -> list[Line]:
    """The verdicts that occur, in order, with how often and what they mean."""
    tally = Counter(f.verdict for f in findings)
    return [
        {"verdict": word, "count": f"{tally[word]:,}", "meaning": about.meaning}
        for word, about in WORDS.items()
        if tally[word]
    ]


def natural(label: str) -> list[Any]:
    """A sort key that puts 70m before 160m before 1b, and step 9 before step 10."""
    parts = re.split(r"(\d+(?:\.\d+)?)([kmbt]?)(?![a-z])", label.lower())
    return [
        float(part) * _SIZE.get(parts[i + 1] or "", 1.0) if i % 3 == 1 else (part or "")
        for i, part in enumerate(parts)
        if i % 3 != 2
    ]


def maps(findings: Sequence[Finding], slugs: Mapping[str, str]) -> list[Line]:
    """Per axis, a table of verdicts: tasks down, series across; where there is enough to compare."""
    judged = [f for f in findings if f.primary and f.slice is None and f.condition == "baseline"]
    drawn = []
    for axis in dict.fromkeys(f.axis for f in judged):
        cells = {(f.task, f.series): f for f in judged if f.axis == axis}
        series = sorted({s for _, s in cells}, key=natural)
        if len(cells) < 6 or len(series) < 2:
            continue
        drawn.append(_map(axis, cells, series, slugs))
    return drawn


def _map(axis: str, cells: Mapping[tuple[str, str], Finding], series: list[str], slugs: Mapping[str, str]) -> Line:
    order = {word: i for i, word in enumerate(WORDS)}
    best: dict[str, list[int]] = defaultdict(list)
    for (task, _), finding in cells.items():
        best[task].append(order[finding.verdict])
    leaps = Counter(task for (task, _), finding in cells.items() if finding.verdict in LEAPT)
    tasks = sorted(best, key=lambda t: (-leaps[t], sum(best[t]) / len(best[t]), natural(t)))
    shown = tasks[: max(1, MOST_MAP_CELLS // len(series))]
    caption = "Primary findings under baseline; tasks that leap most come first."
    if len(shown) < len(tasks):
        caption += f" {len(tasks) - len(shown):,} more tasks are in the index."
    return {
        "axis": name(axis),
        "caption": caption,
        "series": [name(s) for s in series],
        "rows": [{"task": name(task), "cells": [_cell(cells.get((task, s)), slugs) for s in series]} for task in shown],
    }


def _cell(finding: Finding | None, slugs: Mapping[str, str]) -> Line | None:
    if finding is None:
        return None
    return {"verdict": finding.verdict, "slug": slugs.get(finding.finding_id)}


def notes(findings: Sequence[Finding]) -> tuple[list[str], dict[str, int], int]:
    """The commonest caveats, numbered from 1, and how many different ones are left out."""
    tally = Counter(caveat for f in findings for caveat in f.caveats)
    kept = [caveat for caveat, _ in tally.most_common(MOST_NOTES)]
    return kept, {caveat: i + 1 for i, caveat in enumerate(kept)}, len(tally) - len(kept)


def row(finding: Finding, slugs: Mapping[str, str], numbered: Mapping[str, int]) -> Line:
    """One line of the index."""
    has_onset = finding.onset_low is not None or finding.onset_high is not None
    return {
        "spark": spark(finding),
        "slug": slugs.get(finding.finding_id),
        "primary": finding.primary,
        "task": name(finding.task),
        "condition": " ".join(
            part
            for part in (_not_baseline(finding.condition), name(finding.slice or ""), in_line(finding).strip())
            if part
        ),
        "series": name(finding.series),
        "axis": name(finding.axis),
        "metric": name(finding.metric_hard or num.MISSING),
        "verdict": finding.verdict,
        "weight": num.percent(finding.verdict_weights.get(finding.verdict)),
        "onset": num.on_axis(finding.onset, finding.axis),
        "span": num.span(finding.onset_low, finding.onset_high, finding.axis) if has_onset else "",
        "width": num.brief(finding.width_hard),
        "q": num.chance(finding.q_value),
        "notes": [numbered[c] for c in finding.caveats if c in numbered],
    }


def _not_baseline(condition: str) -> str:
    return "" if condition == "baseline" else name(condition)


def conditions(findings: Sequence[Finding]) -> list[Line]:
    """Curves that were judged under more than baseline, each against its baseline."""
    groups: dict[tuple[Any, ...], list[Finding]] = defaultdict(list)
    for f in findings:
        if f.primary and f.slice is None:
            groups[(f.task, f.series, f.axis, f.metric_hard)].append(f)
    lines = []
    for group in groups.values():
        if len(group) < 2:
            continue
        base = next((f for f in group if f.condition == "baseline"), None)
        for f in sorted(group, key=lambda f: (f.condition != "baseline", natural(f.condition))):
            lines.append(
                {
                    "task": name(f.task),
                    "series": name(f.series),
                    "axis": name(f.axis),
                    "condition": name(f.condition) + in_line(f),
                    "verdict": f.verdict,
                    "onset": num.on_axis(f.onset, f.axis, unit=True),
                    "against": _against(f, base),
                }
            )
    return lines[:MOST_CONDITIONS]


def _against(finding: Finding, base: Finding | None) -> str:
    if base is None:
        return "no baseline was judged"
    if finding is base:
        return "the baseline itself"
    word = "same word" if finding.verdict == base.verdict else f"{base.verdict} becomes {finding.verdict}"
    if finding.onset is None or base.onset is None or finding.axis in ("loss", "date"):
        return word
    apart = _apart(finding, base)
    return f"{word}; onset at {num.plain(finding.onset / base.onset, 2)} times the baseline’s{apart}"


def _apart(finding: Finding, base: Finding) -> str:
    ends = (finding.onset_low, finding.onset_high, base.onset_low, base.onset_high)
    if any(end is None for end in ends):
        return ""
    low, high, base_low, base_high = ends
    overlap = low <= base_high and base_low <= high  # type: ignore[operator]
    return ", within the intervals" if overlap else ", beyond both intervals"


def left_over(count: int, findings_file: str) -> str:
    """What a shortened list of notes states about the rest."""
    return safe(f"{count:,} rarer notes are in {findings_file}.") if count else ""
