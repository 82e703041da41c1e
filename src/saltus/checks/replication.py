"""Is it luck: how many seeds leapt, together or apart, and did they end as one population or two?"""

from __future__ import annotations

import numpy as np

from saltus.checks.kit import BuiltIn, Judged, code, number, text, unit_of
from saltus.records import Evidence
from saltus.stats.mixture import two_against_one

CODE = code("saltus.checks.replication")
QUESTION = "Do the seeds of this series do the same?"


def records(j: Judged, i: int) -> tuple[Evidence, ...]:
    m = j.measures
    s = m.seeds
    count = int(s.count[i])
    if count < 2:
        why = "one run: nothing is known about the next one"
        return (Evidence(name="replication", question=QUESTION, why=why, code=CODE),)
    leapt, two = int(s.leapt[i]), bool(s.two[i])
    why = f"{leapt} of {count} seeds reach at least half of the highest one's rise"
    why += "; they end as two populations" if two else "; they end as one population"
    shape = m.hard.seed_shape
    onset = shape.onset.reshape(len(m), -1)[i] * m.prepared.span[i]
    rose = s.leapt_seed[i]
    spread = float(np.ptp(onset[rose])) if rose.sum() > 1 else None
    if spread is not None:
        why += f"; their onsets lie {text(spread, 2)} {unit_of(j.curves, i)} apart at most"
    mixed = two_against_one(s.final[i], s.error[i])
    if mixed.bic is not None:
        prefers = "two laws" if mixed.bic > 0 else "one law"
        why += f"; of their last levels BIC prefers {prefers} by {text(abs(mixed.bic))}"
    detail = {
        "leapt": leapt,
        "two_populations": two,
        "between_seed_sd": number(s.between[i]),
        "onset_spread": spread,
        "mixture": {"bic": mixed.bic, "lower": mixed.lower},
        "leapt_by": _leapt_by(j, i),
        "final": [number(v) for v in s.final[i][: len(rose)]],
    }
    return (
        Evidence(
            name="replication",
            question=QUESTION,
            value=leapt / count,
            unit="share of seeds",
            passed=not two and leapt in (0, count),
            why=why,
            code=CODE,
            detail=detail,
        ),
    )


def _leapt_by(j: Judged, i: int) -> list[list[float]]:
    """[position on the fitted axis, share of seeds that had leapt by then], where it changes."""
    m = j.measures
    onset = m.hard.seed_shape.onset.reshape(len(m), -1)[i]
    rose = m.seeds.leapt_seed[i]
    count = int(m.seeds.count[i])
    at = np.sort(onset[rose]) * m.prepared.span[i] + m.prepared.origin[i]
    return [[float(x), (k + 1) / count] for k, x in enumerate(at)]


check = BuiltIn("replication", frozenset({"value", "seed"}), records)
