"""Plain language: what a verdict means, and what one finding says in a few sentences.

Sentences are made from the findings alone, so they cannot say more than the findings do. Known limit: English
only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from saltus.page.numbers import on_axis, span, tidy
from saltus.records import Finding, Verdict
from saltus.verdict import JUMPED


@dataclass(frozen=True, slots=True)
class Word:
    """A verdict's symbol for terminals, how a sentence says it of one curve and of several, its meaning."""

    symbol: str
    one: str
    many: str
    meaning: str


WORDS: dict[Verdict, Word] = {
    "transition": Word(
        "⇈", "leaps", "leap", "A leap in the model itself, in both scores, at the same place in most seeds."
    ),
    "sharp": Word(
        "↑",
        "leaps",
        "leap",
        "A leap that was not foreseeable from before it, with too few seeds or scores to call it a transition.",
    ),
    "bound": Word(
        "⊓",
        "leaps in one format or way of asking only",
        "leap in one format or way of asking only",
        "A leap shared by unrelated skills in one format: the format was acquired, not the skills.",
    ),
    "artefact": Word(
        "≈",
        "only seems to leap, because of its metric",
        "only seem to leap, because of their metric",
        "The hard score leaps, but a smooth score of the same answers predicts the leap.",
    ),
    "smooth": Word("↗", "rises gradually", "rise gradually", "Gradual in every score: growth, no leap."),
    "split": Word(
        "Y",
        "leaps in some training runs and not in others",
        "leap in some training runs and not in others",
        "Two populations at the end: chance decides which runs acquire it.",
    ),
    "irregular": Word(
        "∿",
        "falls, or rises and falls",
        "fall, or rise and fall",
        "Falls, or rises and falls again, by more than noise.",
    ),
    "flat": Word(
        "–",
        "stays where no skill scores",
        "stay where no skill scores",
        "Nothing above the floor, though a rise large enough to matter would have been seen.",
    ),
    "unresolved": Word(
        "?",
        "cannot be settled with these data",
        "cannot be settled with these data",
        "The data cannot tell. The finding says what would settle it.",
    ),
    "defective": Word(
        "✗",
        "rests on faulty numbers",
        "rest on faulty numbers",
        "A fault of the measurement changes the verdict; the numbers are not to be used.",
    ),
}
"""In the order in which a page shows them."""

OUTCOMES = {"kept": ("✓", "kept"), "refuted": ("✗", "refuted"), "undecided": ("?", "undecided")}
_FIELD_WORDS = {
    "absent": "the skill is absent",
    "below_floor": "only the soft score moves; the hard score is at its floor",
    "present": "the skill is present",
    "unknown": "presence cannot be decided",
}


def in_line(finding: Finding) -> str:
    """What must stand beside the word of a leap wherever it is printed; "" for nothing."""
    doubted = any(g.fired and g.severity == "doubt" for g in finding.guards)
    return " (harness changed there)" if doubted and finding.verdict in JUMPED else ""


def where(finding: Finding) -> str:
    """copying in induction-2l, under typos[rate=0.1], items of group a."""
    text = f"{finding.task} in {finding.series}"
    if finding.condition and finding.condition != "baseline":
        text += f", under {finding.condition}"
    return f"{text}, {finding.slice}" if finding.slice else text


def heading(finding: Finding) -> str:
    """where(), along its axis."""
    return f"{where(finding)}, along {finding.axis}"


def described(finding: Finding) -> str:
    """The text alternative of a finding's chart: what it is about, and its summary."""
    return f"{heading(finding)}: {summary(finding)}"


def summary(finding: Finding) -> str:
    """One finding in plain sentences."""
    hard = finding.metric_hard or "the hard score"
    sentences = [WORDS[finding.verdict].meaning]
    if in_line(finding):
        sentences.append("The harness changed where it rises.")
    ends = _ends(finding)
    if ends is not None and finding.presence == "present":
        sentences.append(f"Its {hard} goes from {tidy(ends[0], 2)} to {tidy(ends[1], 2)}{_onset(finding)}.")
    elif ends is not None:
        sentences.append(f"Its {hard} ends at {tidy(ends[1], 2)}; {_FIELD_WORDS[finding.presence]}.")
    if finding.floor is not None:
        sentences.append(f"An answerer without the skill scores {tidy(finding.floor, 2)}.")
    sentences.append(_soft(finding))
    seeds = "one seed" if finding.n_seeds == 1 else f"{finding.n_seeds} seeds"
    sentences.append(f"{finding.n_points} points, {seeds}.")
    return " ".join(sentences)


def _ends(finding: Finding) -> tuple[float, float] | None:
    """Mean of the seeds' first and last hard values, in the order of growth."""
    firsts, lasts = [], []
    for seed in finding.curve.get("seeds", ()):
        values = [p["value"] for p in seed.get("hard") or () if p.get("value") is not None]
        xs = [p["x"] for p in seed.get("hard") or () if p.get("value") is not None]
        if values:
            if finding.axis == "loss" and xs[0] < xs[-1]:
                values = values[::-1]
            firsts.append(values[0])
            lasts.append(values[-1])
    return (sum(firsts) / len(firsts), sum(lasts) / len(lasts)) if firsts else None


def _onset(finding: Finding) -> str:
    if finding.onset is None:
        return ""
    text = f", half of it by {on_axis(finding.onset, finding.axis, unit=True)}"
    if finding.onset_low is not None and finding.onset_high is not None:
        text += f" (between {span(finding.onset_low, finding.onset_high, finding.axis).replace(' – ', ' and ')})"
    return text


def _soft(finding: Finding) -> str:
    soft = finding.metric_soft
    if soft is None:
        return "There is no soft score: " + finding.reasons.get("metric_soft", "none was recorded") + "."
    shape = {
        "jump": "jumps",
        "gradual": "moves gradually",
        "flat": "stays flat",
        "falling": "falls",
        "non_monotone": "goes up and down",
        "unknown": "has no shape that could be decided",
    }
    sentences = {
        "agrees": " as the hard one does",
        "explains": ", and predicts the hard score",
        "contradicts": ", against the hard score",
        "missing": "",
    }
    return f"The soft score {soft} {shape[finding.shape_soft]}{sentences[finding.twin]}."


def listed(parts: Iterable[str], mark: str = ", ") -> str:
    """a, b and c; with another mark a; b; and c, for parts that hold commas."""
    items = list(parts)
    joint = " and " if mark == ", " else f"{mark}and "
    return joint.join(filter(None, [mark.join(items[:-1]), *items[-1:]]))
