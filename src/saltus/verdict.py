"""One word for a capability in a series, looked up from facts that were established one by one.

`TABLE` is the verdict table of design.md section 6, in its order: the first row that applies decides.
A row is a word, a test on the facts and a sentence; nothing here estimates anything. Where the design
leaves a combination open the choice is written in docs/design/verdict.md. Known limit: the table
believes its facts, so contradicting ones (absent, yet two populations) get the first word that fits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from saltus.records import Analysis, Facts, Verdict

CLAIMS_LEAP: frozenset[Verdict] = frozenset({"split", "transition", "sharp"})
"""The words that claim a leap of the model: what a false alarm is counted over."""
HYPOTHESIS_LEAP: frozenset[Verdict] = frozenset({"transition", "sharp"})
"""What `expect: leap` in a study means, and what a report counts as leaps."""
NO_LEAP: frozenset[Verdict] = frozenset({"flat", "smooth", "artefact", "irregular"})
"""What `expect: no-leap` means."""
WITHOUT_WORD: frozenset[Verdict] = frozenset({"unresolved", "defective"})
"""What leaves a hypothesis undecided."""
LEAPT: frozenset[Verdict] = CLAIMS_LEAP | {"bound"}
"""Something leapt, if only in one format."""
JUMPED: frozenset[Verdict] = LEAPT | {"artefact"}
"""The hard score jumped, whatever the reason."""
RISES: frozenset[Verdict] = JUMPED | {"smooth"}
"""There is a rise with a place."""

_DEFAULTS = Analysis()


class Row(NamedTuple):
    """One row of the verdict table."""

    verdict: Verdict
    applies: Callable[[Facts, Analysis], bool]
    when: str


def _undecidable(f: Facts, a: Analysis) -> bool:
    return f.n_points < a.min_points or f.presence == "unknown" or f.lone_point


def _split(f: Facts, a: Analysis) -> bool:
    return f.n_seeds >= a.transition_seeds and f.two_populations is True


def _irregular(f: Facts, _: Analysis) -> bool:
    """The hard channel decides; the soft one counts if presence is `present` and the hard shape gradual or unknown."""
    turns = ("falling", "non_monotone")
    formless = f.presence == "present" and f.shape_hard in ("gradual", "unknown")
    return f.shape_hard in turns or (f.shape_soft in turns and formless)


def _flat(f: Facts, _: Analysis) -> bool:
    return f.presence in ("absent", "below_floor")


def _artefact(f: Facts, _: Analysis) -> bool:
    return f.shape_hard == "jump" and f.shape_soft == "gradual" and f.twin == "explains"


def _bound(f: Facts, _: Analysis) -> bool:
    return f.shape_hard == "jump" and f.scope in ("format", "elicitation")


def _sharp(f: Facts, _: Analysis) -> bool:
    """A soft channel that dips before it leaps (grokking's test loss) is non-monotone and still agrees."""
    both = f.twin == "agrees" and f.shape_soft in ("jump", "non_monotone")
    alone = f.twin == "missing" and f.shape_soft == "unknown"
    return f.shape_hard == "jump" and f.predicted == "no" and (both or alone)


def _transition(f: Facts, a: Analysis) -> bool:
    return (
        _sharp(f, a)
        and f.twin == "agrees"
        and f.n_seeds >= a.transition_seeds
        and f.n_sharp >= a.transition_share * f.n_seeds
        and not f.contradicting
        and f.onsets_together is True
    )


def _smooth(f: Facts, _: Analysis) -> bool:
    alone = f.twin == "missing" and f.shape_soft == "unknown"
    return f.shape_hard == "gradual" and (f.shape_soft == "gradual" or alone)


TABLE: tuple[Row, ...] = (
    Row(
        "defective",
        lambda f, _: f.integrity == "defective",
        "a disqualifying guard fired and the verdict changes without the suspected points",
    ),
    Row(
        "unresolved",
        lambda f, _: f.integrity == "doubtful",
        "the software that measures changes where the score rises, and one channel alone moves there",
    ),
    Row("unresolved", _undecidable, "too few points, presence unknown, or one point alone off the floor"),
    Row("split", _split, "several seeds, two populations at the end: some leapt, some did not"),
    Row("irregular", _irregular, "it falls, or turns, beyond noise and by a good part of the range"),
    Row("flat", _flat, "absent, with power to have seen it"),
    Row("artefact", _artefact, "the hard score jumps, the soft one is gradual and predicts the jump"),
    Row("bound", _bound, "the jump comes with one format or elicitation, over unrelated skills, and not in others"),
    Row("transition", _transition, "both channels jump together, unpredicted, in most seeds, at one place"),
    Row("sharp", _sharp, "both channels jump at one place, unpredicted; or the hard one, and there is no soft one"),
    Row("smooth", _smooth, "gradual in every channel"),
    Row("unresolved", lambda _f, _a: True, "no row of the table fits"),
)


def row_of(facts: Facts, analysis: Analysis = _DEFAULTS) -> Row:
    """The row of `TABLE` that decides; its `when` is the verdict's reason in one sentence."""
    return next(row for row in TABLE if row.applies(facts, analysis))


def decide(facts: Facts, analysis: Analysis = _DEFAULTS) -> Verdict:
    """The verdict on one capability in one series. Thresholds are `analysis`' `min_points` and `transition_*`."""
    return row_of(facts, analysis).verdict
