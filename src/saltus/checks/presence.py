"""Is the behaviour there: does the hard score leave its floor, and could we have seen it if it did?

Known limit: the floor's own items are taken as independent of the curve's.
"""

from __future__ import annotations

from saltus.checks.kit import BuiltIn, Judged, code, number, p_text, text
from saltus.records import Evidence

CODE = code("saltus.checks.presence")


def records(j: Judged, i: int) -> tuple[Evidence, ...]:
    found, floor, a = j.measures.presence, j.measures.floor, j.analysis
    level, effect, mde = (number(v[i]) for v in (floor.value, found.effect, found.mde))
    p = number(found.p[i])
    q = None if j.presence_q is None else number(j.presence_q[i])
    if level is None or p is None:
        why = "no floor is known: give `floor` or `nominal_floor`, or an untrained model"
        return (Evidence(name="presence", question=QUESTION, why=why, code=CODE),)
    seen = (p if q is None else q) < a.alpha and abs(effect or 0.0) > a.present_margin
    able = mde is not None and mde <= a.max_mde
    passed = True if seen else False if able else None
    state = "leaves" if seen else "does not leave" if able else "could leave unseen"
    guessed = float(floor.slack[i]) > 0
    sentence = (
        f"the score {state} its floor {text(level)} ({floor.source[i]}): largest distance {text(effect)}, {p_text(p)}"
        + ("" if q is None else f", q = {q:.2g}")
        + ("" if mde is None else f"; an effect of {text(mde)} would have been found with 80 % power")
    )
    if guessed:
        sentence += (
            f"; a floor up to {float(floor.slack[i]):g} above the earliest points is allowed for: give `floor` or "
            "`nominal_floor`, or an untrained model"
        )
    bound = number(found.zero_bound[i])
    if bound is not None:
        sentence += f"; every score is 0, so each is the bound {text(bound)} (3/n)"
    detail = {
        "p": p,
        "q": q,
        "floor": level,
        "floor_source": str(floor.source[i]),
        "mde": mde,
        "zero_bound": bound,
        "points_off_floor": int(found.off[i]),
    }
    first = Evidence(
        name="presence",
        question=QUESTION,
        value=effect,
        unit="above floor",
        passed=passed,
        why=sentence,
        code=CODE,
        detail=detail,
        low=number(found.low[i]) if effect == number(found.last[i]) else None,
        high=number(found.high[i]) if effect == number(found.last[i]) else None,
    )
    lone = bool(found.lone[i])
    second = Evidence(
        name="more than one point",
        question="Is more than one position off the floor?",
        value=float(found.off[i]),
        unit="positions",
        passed=(not lone) if seen else None,
        code=CODE,
        why="one point alone is off the floor: a step, a slope and a slip fit it equally"
        if lone
        else f"{int(found.off[i])} positions are off the floor",
    )
    return first, second


QUESTION = "Does the hard score leave its floor?"
check = BuiltIn("presence", frozenset({"value", "n_items"}), records)
