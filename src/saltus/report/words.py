"""Plain language: what a verdict means, what a finding says in one sentence, and the page's answer in three.

Sentences are made from the findings alone, so they cannot say more than the findings do. Known limit: English only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from saltus.records import Finding, Verdict
from saltus.report.context import Hypothesis, ReportContext
from saltus.report.numbers import on_axis, percent, plain, span


@dataclass(frozen=True, slots=True)
class Word:
    """A verdict's symbol for terminals, its short name in a sentence, and its meaning."""

    symbol: str
    plural: str
    """ "3 …" in a sentence."""
    meaning: str


WORDS: dict[Verdict, Word] = {
    "transition": Word("⇈", "leap, in every way it was looked at",
                       "A leap in the model itself, in both scores, at the same place in most seeds."),
    "sharp": Word("↑", "leap, without replication",
                  "A leap that was not foreseeable from before it; too few seeds or scores to call it a transition."),
    "bound": Word("⊓", "leap in one format or way of asking only",
                  "A leap shared by unrelated skills in one format: the format was acquired, not the skills."),
    "artefact": Word("≈", "leap only in the metric",
                     "The hard score leaps, but a smooth score of the same answers predicts the leap."),
    "smooth": Word("↗", "rise gradually", "Gradual in every score: growth, no leap."),
    "split": Word("Y", "leap in some seeds and not in others",
                  "Two populations at the end: chance decides which runs acquire it."),
    "irregular": Word("∿", "fall or go up and down",
                      "Falls, or rises and falls again, by more than noise."),
    "flat": Word("–", "do not rise above what no skill scores",
                 "Nothing above the floor, though a rise large enough to matter would have been seen."),
    "unresolved": Word("?", "cannot be settled with these data",
                       "The data cannot tell. The finding says what would settle it."),
    "defective": Word("✗", "rest on faulty numbers",
                      "A fault of the measurement changes the verdict; the numbers are not to be used."),
}  # fmt: skip
"""In the order in which a page shows them."""

OUTCOMES = {
    "kept": ("✓", "kept"),
    "refuted": ("✗", "refuted"),
    "undecided": ("?", "undecided"),
}
LEAPS = ("transition", "sharp")
NAMED_AT_MOST = 3
_FIELD_WORDS = {
    "absent": "the skill is absent",
    "below_floor": "only the soft score moves; the hard score is at its floor",
    "present": "the skill is present",
    "unknown": "presence cannot be told",
}


def where(finding: Finding) -> str:
    """copying in induction-2l, under typos[rate=0.1], items of group a."""
    text = f"{finding.task} in {finding.series}"
    if finding.condition and finding.condition != "baseline":
        text += f", under {finding.condition}"
    return f"{text}, {finding.slice}" if finding.slice else text


def heading(finding: Finding) -> str:
    """where(), along its axis."""
    return f"{where(finding)}, along {finding.axis}"


def summary(finding: Finding) -> str:
    """One finding in plain sentences; also the text alternative of its chart."""
    hard = finding.metric_hard or "the hard score"
    said = [f"{heading(finding)}: {WORDS[finding.verdict].meaning}"]
    ends = _ends(finding)
    if ends is not None and finding.presence == "present":
        said.append(
            f"{hard} goes from {plain(ends[0], 2)} to {plain(ends[1], 2)}{_onset(finding)}."
        )
    elif ends is not None:
        said.append(f"{hard} ends at {plain(ends[1], 2)}; {_FIELD_WORDS[finding.presence]}.")
    if finding.floor is not None:
        said.append(f"An answerer without the skill scores {plain(finding.floor, 2)}.")
    said.append(_soft(finding))
    said.append(f"{finding.n_points} points, {finding.n_seeds} {'seed' if finding.n_seeds == 1 else 'seeds'}.")  # fmt: skip
    return " ".join(said)


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
        return (
            "There is no soft score: "
            + finding.reasons.get("metric_soft", "none was recorded")
            + "."
        )
    shape = {"jump": "jumps", "gradual": "moves gradually", "flat": "stays flat", "falling": "falls",
             "non_monotone": "goes up and down", "unknown": "has no shape that could be told"}  # fmt: skip
    said = {"agrees": " as the hard one does", "explains": ", and predicts the hard score",
            "contradicts": ", against the hard score", "missing": ""}  # fmt: skip
    return f"The soft score {soft} {shape[finding.shape_soft]}{said[finding.twin]}."


def answer(findings: Sequence[Finding], context: ReportContext) -> list[str]:
    """The page's answer: what was found, what became of what was registered, how far to trust it."""
    judged = [f for f in findings if f.primary and f.slice is None]
    return [_found(judged), _registered(context.hypotheses), _trust(judged, context)]


def _found(judged: Sequence[Finding]) -> str:
    if not judged:
        return "Nothing could be judged: there is no finding."
    tally = Counter(f.verdict for f in judged)
    parts = [
        f"{tally[word]} {WORDS[word].plural}{_names(judged, word)}" for word in WORDS if tally[word]
    ]
    curves = "the one curve" if len(judged) == 1 else f"the {len(judged):,} curves"
    return f"Of {curves} judged, {listed(parts)}."


def _names(judged: Sequence[Finding], word: Verdict) -> str:
    """Which curves leapt, where they are few enough to name."""
    found = [f for f in judged if f.verdict == word]
    if word not in (*LEAPS, "artefact", "bound", "split") or len(found) > NAMED_AT_MOST:
        return ""
    return f" ({'; '.join(heading(f) for f in found)})"


def _registered(hypotheses: Sequence[Hypothesis]) -> str:
    if not hypotheses:
        return "No hypothesis was registered in advance, so all of this is exploration: it suggests, and does not confirm."
    parts = []
    for outcome, (_, word) in OUTCOMES.items():
        ids = [h.id for h in hypotheses if h.outcome == outcome]
        if ids:
            parts.append(
                f"{len(ids)} {'was' if len(ids) == 1 else 'were'} {word} ({', '.join(ids)})"
            )
    return f"Of {len(hypotheses)} {_plural('hypothesis', len(hypotheses))} registered in advance, {listed(parts)}."


def _trust(judged: Sequence[Finding], context: ReportContext) -> str:
    parts = []
    leaps = [f for f in judged if f.verdict in LEAPS]
    rates = [f.false_alarm_rate for f in leaps if f.false_alarm_rate is not None]
    if rates:
        parts.append(
            f"about {percent(max(rates))} of curves like these without a leap would be called one by mistake"
        )
    elif leaps:
        parts.append("how often this procedure calls a leap by mistake at this size is not known")
    single = sum(f.n_seeds < 2 for f in judged)
    if single:
        parts.append(f"{_all_of(single, len(judged))} on one training run only")
    twinless = sum(f.twin == "missing" for f in judged)
    if twinless:
        parts.append(
            f"{_all_of(twinless, len(judged))} without a soft score, so a fault of the metric cannot be excluded"
        )
    fired = sum(any(g.fired for g in f.guards) for f in judged)
    if fired:
        parts.append(f"{fired} show signs of a faulty measurement")
    if not parts:
        parts.append("every curve has several training runs and both scores, and no guard fired")
    return f"How far to trust it: {listed(parts)}."


def _all_of(some: int, whole: int) -> str:
    if some == whole:
        return "the one curve rests" if whole == 1 else "every curve rests"
    return f"{some:,} of {whole:,} curves rest"


def untested(findings: Sequence[Finding], context: ReportContext) -> list[str]:
    """What no finding here can speak about, from the caller and from the findings themselves."""
    said = list(context.not_tested)
    judged = [f for f in findings if f.primary]
    if not judged:
        return said
    if all(f.condition == "baseline" for f in judged):
        said.append("Other wordings, examples or contexts: every question was asked in one way.")
    if all(f.n_seeds < 2 for f in judged):
        said.append("Replication: no series has a second training run.")
    axes = {f.axis for f in judged}
    if "loss" not in axes:
        said.append("Whether the same holds along the loss: no curve has it as its axis.")
    if all(f.localised is None for f in judged):
        said.append(
            "Which part of the network carries a behaviour: nothing was removed or patched."
        )
    if all(f.scope == "unknown" for f in judged):
        said.append(
            "Whether a rise is the skill, memory of the items, or a shortcut: no fresh or perturbed twins were compared."
        )
    said.append("Anything beyond the last point of each series, and anything between two points.")
    return said


def listed(parts: Iterable[str]) -> str:
    """a; b; and c — with commas where no part has one."""
    items = list(parts)
    if len(items) < 2:
        return "".join(items)
    mark = "; " if any("," in item or ";" in item for item in items) else ", "
    return f"{mark.join(items[:-1])}{mark.rstrip() if mark == '; ' else ''} and {items[-1]}"


def _plural(word: str, n: int) -> str:
    return word if n == 1 else {"hypothesis": "hypotheses"}.get(word, word + "s")
