"""The page's answer in three plain sentences, and what was not tested.

Made from the findings alone: primary ones, on all items, under baseline where that was asked. Known limit: the
first sentence names at most three leaps; with more it counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from saltus.page.context import Hypothesis, ReportContext
from saltus.page.numbers import percent
from saltus.page.words import OUTCOMES, WORDS, heading, in_line, listed
from saltus.records import Finding, Verdict
from saltus.verdict import HYPOTHESIS_LEAP

NAMED_AT_MOST = 3
STABLE = 0.5
"""A verdict of less weight is named as unstable."""


def answer(findings: Sequence[Finding], context: ReportContext) -> list[str]:
    """What was found, what became of what was registered, how far to trust it."""
    whole = [f for f in findings if f.primary and f.slice is None]
    judged = [f for f in whole if f.condition == "baseline"]
    changed = [f for f in whole if f.condition != "baseline"]
    if not judged:
        judged, changed = changed, []
    return [_found(judged), _registered(context.hypotheses), _trust(judged, changed)]


def _found(judged: Sequence[Finding]) -> str:
    """What leaps, by name where few do; then what became of the rest."""
    if not judged:
        return "Nothing could be judged: there is no finding."
    if len(judged) == 1:
        return f"The one curve judged {WORDS[judged[0].verdict].one}: {heading(judged[0])}{in_line(judged[0])}."
    leaps = [f for f in judged if f.verdict in HYPOTHESIS_LEAP]
    rest = [_counted(word, judged) for word in WORDS if word not in HYPOTHESIS_LEAP]
    sentence = listed(part for part in rest if part)
    head = _leaps(leaps, len(judged))
    if not sentence:
        return f"{head}."
    return f"{head}; of the others, {sentence}." if leaps else f"{head}: {sentence}."


def _leaps(leaps: Sequence[Finding], total: int) -> str:
    if not leaps:
        return f"None of the {total:,} curves judged leaps"
    head = f"{len(leaps):,} of the {total:,} curves judged {'leaps' if len(leaps) == 1 else 'leap'}"
    if len(leaps) <= NAMED_AT_MOST:
        named = (heading(f) + in_line(f) + (", replicated" if f.verdict == "transition" else "") for f in leaps)
        return f"{head} ({'; '.join(named)})"
    replicated = sum(f.verdict == "transition" for f in leaps)
    if not replicated:
        return f"{head}, none of them replicated"
    return f"{head}, {replicated:,} of them replicated and in both scores"


def _counted(word: Verdict, judged: Sequence[Finding]) -> str:
    found = [f for f in judged if f.verdict == word]
    if not found:
        return ""
    sentence = f"{len(found):,} {WORDS[word].one if len(found) == 1 else WORDS[word].many}"
    if word in ("artefact", "bound", "split") and len(found) <= NAMED_AT_MOST:
        sentence += f" ({'; '.join(heading(f) for f in found)})"
    return sentence


def _registered(hypotheses: Sequence[Hypothesis]) -> str:
    if not hypotheses:
        return (
            "No hypothesis was registered in advance, so all of this is exploration: it suggests, and does not confirm."
        )
    parts = []
    for outcome, (_, word) in OUTCOMES.items():
        ids = [h.id for h in hypotheses if h.outcome == outcome]
        if ids:
            verb = "is" if len(ids) == 1 else "are"
            parts.append(f"{len(ids)} {verb} {word} ({', '.join(ids)})")
    if len(hypotheses) == 1:
        return f"The one hypothesis registered in advance is {OUTCOMES[hypotheses[0].outcome][1]}."
    return f"Of the {len(hypotheses)} hypotheses registered in advance, {listed(parts)}."


def _trust(judged: Sequence[Finding], changed: Sequence[Finding]) -> str:
    fired = sum(any(g.fired for g in f.guards) for f in judged)
    parts = [
        _mistakes(judged),
        _unstable(judged),
        _resting(sum(f.n_seeds < 2 for f in judged), len(judged), "on one training run alone"),
        _resting(
            sum(f.twin == "missing" for f in judged),
            len(judged),
            "on a single score, so that the metric itself may be at fault",
        ),
        f"{fired:,} {'shows' if fired == 1 else 'show'} signs of a faulty measurement" if fired else "",
        _conditions(judged, changed),
    ]
    sentence = listed(part for part in parts if part)
    return f"How far to trust it: {sentence or 'every curve has several training runs and both scores'}."


def _mistakes(judged: Sequence[Finding]) -> str:
    """False leaps to be expected by luck, beside the leaps found: over all curves, not over the leaps alone."""
    leaps = [f for f in judged if f.verdict in HYPOTHESIS_LEAP]
    rates = [f.false_alarm_rate for f in leaps if f.false_alarm_rate is not None]
    if rates:
        rate = max(rates)
        share = f"about {percent(rate)}" if rate >= 0.01 else f"fewer than {percent(0.01)}"
        alone = f"{share} of curves like these that do not leap would be called a leap by mistake"
        expected = sum(f.false_alarm_rate or 0.0 for f in judged)
        if expected < 0.5:
            return alone
        return (
            f"{alone}, so that {expected:,.0f} of the {len(judged):,} would be by luck alone, beside the "
            f"{len(leaps):,} found"
        )
    if leaps:
        return "how often this procedure sees a leap where there is none is not known at this size"
    return ""


def _unstable(judged: Sequence[Finding]) -> str:
    """Verdicts other than `unresolved` that most resamples do not repeat."""
    weak = [f for f in judged if f.verdict != "unresolved" and f.verdict_weights.get(f.verdict, 1.0) < STABLE]
    if not weak:
        return ""
    which = f" ({'; '.join(heading(f) for f in weak)})" if len(weak) <= NAMED_AT_MOST else ""
    verb = "verdict holds" if len(weak) == 1 else "verdicts hold"
    return f"{len(weak):,} {verb} in fewer than half of the resamples{which}"


def _conditions(judged: Sequence[Finding], changed: Sequence[Finding]) -> str:
    base = {(f.task, f.series, f.axis): f.verdict for f in judged}
    pairs = [(f.verdict, base.get((f.task, f.series, f.axis))) for f in changed]
    compared = [(word, before) for word, before in pairs if before is not None]
    if not compared:
        return ""
    other = sum(word != before for word, before in compared)
    return f"asked in other ways, {other:,} of {len(compared):,} curves get another verdict"


def _resting(some: int, whole: int, on: str) -> str:
    if not some:
        return ""
    if some == whole:
        return f"{'the curve' if whole == 1 else 'every curve'} rests {on}"
    return f"{some:,} of {whole:,} curves {'rests' if some == 1 else 'rest'} {on}"


def untested(findings: Sequence[Finding], context: ReportContext) -> list[str]:
    """What no finding here can speak about: what the caller knows, then what the findings show, each once."""
    judged = [f for f in findings if f.primary]
    sentence = list(context.not_tested)
    known = " ".join(sentence).lower()
    if not judged:
        return sentence
    for gap, words, line in (
        (
            all(f.condition == "baseline" for f in judged),
            ("condition", "wording"),
            "Other wordings, examples or contexts: every question was asked in one way.",
        ),
        (all(f.n_seeds < 2 for f in judged), ("seed", "replicat"), "Replication: no series has a second training run."),
        (
            all(f.axis != "loss" for f in judged),
            (" loss",),
            "Whether the same holds along the loss: no curve has it as its axis.",
        ),
        (
            all(f.localised is None for f in judged),
            ("network",),
            "Which part of the network carries a behaviour: nothing was removed or patched.",
        ),
        (
            all(f.scope == "unknown" for f in judged),
            ("shortcut", "memor"),
            "Whether a rise is the skill, memory of the items, or a shortcut: no twins of the items were compared.",
        ),
    ):
        if gap and not any(word in known for word in words):
            sentence.append(line)
    sentence.append("Anything beyond the last point of each series, and anything between two points.")
    return sentence
