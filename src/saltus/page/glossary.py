"""How every number on the page was computed, in words and a formula: the targets of the page's links.

Terms of the finding itself are written here. A check that nobody here knows (a plug-in's) is described by its
own question and its code, taken from the evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from saltus.records import Finding


@dataclass(frozen=True, slots=True)
class Term:
    """One entry of the glossary."""

    key: str
    title: str
    how: str
    formula: str = ""
    module: str = ""
    """Where the computation lives."""
    code: tuple[str, ...] = ()
    """Modules and versions that computed it, from the evidence."""


_TERMS = (
    Term(
        "verdict",
        "Verdict",
        "A word looked up from the facts below it (presence, shapes, predicted, twin, "
        "replication, scope, integrity): the first row of a fixed table that applies. No "
        "score is added up and nothing is tuned per curve.",
        "verdict = first rule that holds",
        module="saltus.verdict",
    ),
    Term(
        "weight",
        "Weight of the verdict",
        "The fitted curve of every seed and score is given fresh noise of the estimated size "
        "and judged anew from the start; the weight says how often the same word comes out. "
        "It is a stability, not a probability of being right.",
        "times the word came out ÷ resamples",
        module="saltus.stats.resample",
    ),
    Term(
        "onset",
        "Onset",
        "Where the rise is half done, in raw units of the axis. The interval joins what every"
        " curve form that fits about as well says with the two measured points around it.",
        "x at floor + ½ · rise; interval = profile set ∪ bracketing points",
        module="saltus.stats.shape",
    ),
    Term(
        "width",
        "Width",
        "How much of the axis the rise from 10 % to 90 % takes, in decades on a logarithmic "
        "axis. The interval joins the bounds that any monotone curve through the points must "
        "keep with the profile over several curve forms.",
        "log₁₀ x(90 %) − log₁₀ x(10 %)",
        module="saltus.stats.shape",
    ),
    Term(
        "smoothest",
        "Smoothest admissible width",
        "The widest rise that the points still allow: how gradual the truth could be without "
        "being contradicted by these data.",
        "max width over curves whose deviance stays within the 95 % bound of the best",
        module="saltus.stats.shape",
    ),
    Term(
        "rise",
        "Rise",
        "From where the fitted curve starts to where it ends.",
        "upper level − lower level",
        module="saltus.stats.monotone",
    ),
    Term(
        "floor",
        "Floor",
        "What an answerer without the skill scores, computed rather than assumed: from "
        "untrained points, constant answers, or the best guesser that never does the task. "
        "Where only nominal chance is known and the earliest points are flat at another "
        "level, those points. Nominal chance (one in so many choices) is kept apart and drawn"
        " dotted.",
        module="saltus.stats.presence",
    ),
    Term(
        "points",
        "Points, items, seeds",
        "Measured models on the axis, questions behind each, and independent training runs of the series.",
    ),
    Term(
        "dispersion",
        "Dispersion",
        "How many times larger the scatter around the curve is than sampling of the items "
        "alone would make it; misfit of the curve counts as scatter. One is pure sampling; "
        "errors are widened by its root.",
        "φ = residual variance ÷ binomial variance",
        module="saltus.stats.shape",
    ),
    Term(
        "mde",
        "Minimum detectable effect",
        "The smallest rise these points and items would have shown in four cases of five. A "
        "flat verdict says no more than that nothing above this happened.",
        "(z₁₋α⁄₂ + z₀.₈) · standard error",
        module="saltus.stats.presence",
    ),
    Term(
        "p",
        "p-value",
        "How often the best smooth curve of this very finding, given fresh noise of the same "
        "items and dispersion, would look at least this sharp. Draws stop early where the "
        "answer is clear; very small values are read off a fitted tail.",
        "simulated smooth curves at least as sharp ÷ simulated curves",
        module="saltus.stats.bootstrap",
    ),
    Term(
        "q",
        "q-value",
        "The p-value corrected for how many curves were looked at, within its family: "
        "registered hypotheses are one family, everything else is another.",
        "Benjamini–Hochberg; Benjamini–Yekutieli where findings share items",
        module="saltus.stats.multiplicity",
    ),
    Term(
        "false_alarm",
        "False-alarm rate",
        "How often a curve without a leap, simulated at this size, is called one by this very"
        " procedure; looked up in the calibration shipped with the release.",
        "false calls ÷ simulated smooth and flat curves",
        module="saltus.calibrate",
    ),
    Term(
        "presence",
        "Presence",
        "Whether the score leaves its floor, by a test corrected for the family and by more "
        "than a margin. Shares are tested exactly, at an effective number of items; a score "
        "of 0 out of n is the bound 3 ÷ n.",
        "q < α and score − floor > margin",
        module="saltus.stats.presence",
    ),
    Term(
        "shape",
        "Shape",
        "Per score: a jump if, after a fitted drift, the rest of the rise carries most of it "
        "within a narrow width; gradual if even the lower bound of the width is a good part "
        "of the range and no step holds half; otherwise flat, falling, non-monotone or "
        "unknown.",
        module="saltus.stats.shape",
    ),
    Term(
        "surprise",
        "Predicted, and the forecast",
        "A straight line through the points before the rise (up to its 10 % crossing) is "
        "carried forward with its predictive distribution, slope error included. The outcome "
        "is unpredicted if a level as high as the one seen is too unlikely. Tested in the "
        "soft score where there is one; seeds are independent witnesses.",
        "P(level at least this high | line through the points before)",
        module="saltus.stats.surprise",
    ),
    Term(
        "twin",
        "Twin",
        "The same answers scored twice: right or wrong (hard), and by how likely or how "
        "nearly right (soft). The hard score is fitted as a monotone function of the soft one"
        " with each point left out in turn; if the left-out points of the jump lie in their "
        "prediction intervals together, the leap is in the metric: an artefact.",
        "hard ≈ monotone(soft), out of sample",
        module="saltus.stats.link",
    ),
    Term(
        "replication",
        "Replication",
        "How many independent seeds leap, that is reach at least half of the highest one’s "
        "rise; whether they do so at the same place; and whether they end as one population "
        "or two.",
        module="saltus.stats.seeds",
    ),
    Term(
        "scope",
        "Scope",
        "Whether the rise belongs to the skill or to a format, a way of asking, memory of the"
        " items, or a shortcut: seen by comparing onsets over tasks and scores over "
        "conditions.",
        module="saltus.stats.family",
    ),
    Term(
        "integrity",
        "Integrity and guards",
        "Faults of a harness that look like emergence (mixed precision, stale answers, "
        "truncated prompts, a harness that changed where the score rises …) are looked for. Most "
        "guards count only if verdict or onset changes without the suspected points; doubtful is a "
        "rise in one score alone where the measuring software changed.",
        module="saltus.curves.guards",
    ),
    Term("localised", "Localised", "Whether a part of the network was shown to carry the behaviour, by removing it."),
    Term(
        "robustness",
        "Robustness over conditions",
        "The same items under a changed wording, number of examples or context, paired item by item with the original.",
        "mean of (changed − baseline) over pairs",
        module="saltus.checks.robustness",
    ),
    Term(
        "spark",
        "Small curves",
        "Hard score as a line (shares run from 0 to at least one half), soft score fainter on"
        " its own scale, onset as a tick; seeds averaged.",
        module="saltus.page.sparks",
    ),
)
TERMS = {term.key: term for term in _TERMS}
_ALIASES = {
    "predicted": "surprise",
    "forecast": "surprise",
    "shape_hard": "shape",
    "shape_soft": "shape",
    "drift": "shape",
    "fall": "shape",
    "sharper": "p",
    "more than one point": "presence",
    "jump": "shape",
    "seeds": "replication",
    "guards": "integrity",
    "p_value": "p",
    "q_value": "q",
    "minimum_detectable_effect": "mde",
}


def term_of(evidence_name: str) -> str | None:
    """The glossary key of an evidence's name: exact, aliased, or by its first word; None if unknown."""
    name = evidence_name.lower()
    for key in (name, re.split(r"[_.:\s]", name)[0]):
        if key in TERMS:
            return key
        if key in _ALIASES:
            return _ALIASES[key]
    return None


def anchor(evidence_name: str) -> str:
    """The id of the glossary entry that explains an evidence."""
    key = term_of(evidence_name)
    return f"m-{key}" if key else "m-x-" + re.sub(r"[^a-z0-9]+", "-", evidence_name.lower())[:40]


def glossary(findings: Sequence[Finding]) -> list[Term]:
    """Every term, with the code that computed it here; then the checks that only their evidence describes."""
    codes: dict[str, set[str]] = {}
    unknown: dict[str, Term] = {}
    for finding in findings:
        for evidence in finding.evidence:
            where = anchor(evidence.name)
            if evidence.code:
                codes.setdefault(where, set()).add(evidence.code)
            if term_of(evidence.name) is None and where not in unknown:
                unknown[where] = Term(where.removeprefix("m-"), evidence.name, evidence.question)
    every = [*TERMS.values(), *unknown.values()]
    return [replace(t, code=tuple(sorted(codes.get(f"m-{t.key}", ())))) for t in every]
