"""Is it the metric: does the soft twin, which cannot jump by thresholding, predict the hard score's jump?"""

from __future__ import annotations

from saltus.checks.kit import BuiltIn, Judged, code, number, text
from saltus.records import Evidence

CODE = code("saltus.checks.twin")
QUESTION = "Does the soft twin predict the hard score's rise, out of sample?"


def records(j: Judged, i: int) -> tuple[Evidence, ...]:
    m, key = j.measures, j.curves.keys[i]
    if not m.has_soft[i]:
        why = key.why_no_soft or "there is no soft twin of this score"
        return (Evidence(name="twin", question=QUESTION, why=why, code=CODE),)
    worst, share = number(m.link.worst[i]), number(m.link.share[i])
    if worst is None:
        why = "too few points with both scores to leave the rise out and predict it"
        return (Evidence(name="twin", question=QUESTION, why=why, code=CODE),)
    covers = bool(m.link.covers[i])
    inside = "covered by" if covers else "outside"
    return (
        Evidence(
            name="twin",
            question=QUESTION,
            value=share,
            unit="share of the rise",
            passed=covers,
            code=CODE,
            why=f"with each point left out, the soft score makes {text(share, 2)} of the hard score's rise; "
            f"the rise is {inside} the prediction interval (largest miss {text(worst, 2)} standard errors, "
            f"{text(number(m.link.limit[i]), 2)} allowed); the soft score itself rises across it by "
            f"{text(number(m.link.moves[i]), 2)} standard errors",
            detail={"worst": worst, "rank_correlation": number(m.link.rank[i])},
        ),
    )


check = BuiltIn("twin", frozenset({"value", "soft"}), records)
