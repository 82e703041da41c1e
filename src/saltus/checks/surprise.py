"""Was what followed the onset foreseen from what lay before it, in each channel?"""

from __future__ import annotations

from saltus.checks.kit import BuiltIn, Judged, code, number, p_text, text
from saltus.records import Evidence
from saltus.stats.measure import ChannelMeasures

CODE = code("saltus.checks.surprise")


def records(j: Judged, i: int) -> tuple[Evidence, ...]:
    m = j.measures
    hard = _one(j, i, m.hard, "hard")
    return (_one(j, i, m.soft, "soft"), hard) if m.has_soft[i] else (hard,)


def _one(j: Judged, i: int, c: ChannelMeasures, channel: str) -> Evidence:
    s = c.surprise
    name, question = (f"surprise {channel}", f"Was the level past the onset foreseen ({channel} score)?")
    p = number(s.p[i])
    if p is None:
        why = "fewer than three points before the onset: nothing to forecast from"
        return Evidence(name=name, question=question, code=CODE, why=why)
    low, high = number(s.low[i]), number(s.high[i])
    return Evidence(
        name=name,
        question=question,
        value=number(s.predicted[i]),
        low=low,
        high=high,
        unit="metric",
        passed=p >= j.analysis.surprise,
        code=CODE,
        why=f"a line through the {int(s.points[i])} points before the onset foresaw {text(number(s.predicted[i]))} "
        f"({text(low)} to {text(high)}); it was {text(number(s.observed[i]))}, {p_text(p)}",
        detail={"p": p, "observed": number(s.observed[i])},
    )


check = BuiltIn("surprise", frozenset({"value"}), records)
