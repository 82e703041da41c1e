"""How does each channel rise: not at all, gradually, or in a jump; and does it fall?"""

from __future__ import annotations

from saltus.checks.kit import BuiltIn, Judged, code, number, p_text, text, unit_of
from saltus.records import Evidence
from saltus.stats.forms import MARGIN, NAMES
from saltus.stats.measure import ChannelMeasures
from saltus.stats.shape import FALL_P, SHAPES

CODE = code("saltus.checks.shape")


def records(j: Judged, i: int) -> tuple[Evidence, ...]:
    m = j.measures
    out = [_width(j, i, m.hard, "hard"), _sharper(j, i), _fall(j, i, m.hard, "hard"), _form(j, i)]
    if j.curves.keys[i].pooled:
        out.append(_agree(j, i))
    if m.has_soft[i]:
        out += [_width(j, i, m.soft, "soft"), _fall(j, i, m.soft, "soft")]
    return tuple(out)


def _width(j: Judged, i: int, c: ChannelMeasures, channel: str) -> Evidence:
    s, span = c.shape, float(j.measures.prepared.span[i])
    unit = unit_of(j.curves, i)
    low, best, high = (number(v[i] * span) for v in (s.width_low, s.width, s.width_high))
    if None not in (low, best, high):
        best = min(max(best, low), high)  # type: ignore[type-var]
    word = SHAPES[int(s.code[i])]
    narrow = float(j.measures.limits.narrow[i]) * span
    passed = {"jump": True, "gradual": False, "flat": False}.get(word)
    why = (
        f"{word}: 10–90 % width between {text(low)} and {text(high)} {unit}; a jump is at most {text(narrow)}, "
        f"a gradual rise at least {text(float(j.measures.limits.broad[i]) * span)}; "
        f"{s.before[i]:.0f} points before and {s.after[i]:.0f} after it"
    )
    if word == "flat":
        why = f"flat: no rise beyond noise ({p_text(number(c.trend.rise_p[i]))})"
    detail = {
        "shape": word,
        "largest_step": number(s.step[i]),
        "points_before": number(s.before[i]),
        "points_after": number(s.after[i]),
        "rise_p": number(c.trend.rise_p[i]),
        "dispersion": number(s.dispersion[i]),
    }
    rises = word not in ("flat", "falling")
    return Evidence(
        name=f"width {channel}",
        question=f"Is the rise of the {channel} score a jump?",
        value=best if rises else None,
        low=low if rises else None,
        high=high if rises else None,
        unit=unit,
        passed=passed,
        why=why,
        code=CODE,
        detail=detail,
    )


def _sharper(j: Judged, i: int) -> Evidence:
    question = "Would the best smooth curve look this sharp?"
    name = "sharper than smooth"
    if j.sharp_p is None or j.sharp_q is None:
        return Evidence(name=name, question=question, code=CODE, why="no bootstrap was run")
    p, q = number(j.sharp_p[i]), number(j.sharp_q[i])
    return Evidence(
        name=name,
        question=question,
        value=p,
        unit="p",
        code=CODE,
        detail={"q": q},
        passed=None if q is None else q < j.analysis.alpha,
        why=f"parametric bootstrap under the best smooth fit: {p_text(p)}, q = {text(q, 2)} over its family",
    )


def _form(j: Judged, i: int) -> Evidence:
    forms = j.measures.hard.forms
    weight = dict(zip(NAMES, forms.weight[i].tolist(), strict=True))
    decided = forms.decided(i)
    ranked = sorted(weight.items(), key=lambda item: -item[1])[:3]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in ranked)
    return Evidence(
        name="form hard",
        question="Which law fits the hard score?",
        value=decided or "undecided",
        code=CODE,
        why=f"AICc weights: {shares}; BIC {'prefers ' + decided if decided else 'does not decide'} by a margin of "
        f"{MARGIN:g}. Reported only: width decides sharpness",
        detail={"aicc_weights": weight},
    )


def _fall(j: Judged, i: int, c: ChannelMeasures, channel: str) -> Evidence:
    t = c.trend
    share = float(t.fall[i] / t.spread[i]) if t.spread[i] > 0 else 0.0
    real = bool(t.fall_p[i] < FALL_P)
    beyond = "beyond noise" if real else "within noise"
    return Evidence(
        name=f"fall {channel}",
        question=f"Is the {channel} score free of falls?",
        value=number(max(t.fall[i], 0.0)),
        unit="metric",
        passed=not real,
        code=CODE,
        why=f"largest fall is {max(share, 0):.0%} of the range, {beyond} ({p_text(number(t.fall_p[i]))})",
        detail={"share_of_range": share, "p": number(t.fall_p[i])},
    )


def _agree(j: Judged, i: int) -> Evidence:
    a = j.measures.apart
    state = int(a.disagree[i])
    return Evidence(
        name="models agree",
        question="Do models of several families at one place agree?",
        value=float(a.off[i]),
        unit="models",
        code=CODE,
        passed={0: True, 1: None, 2: False}[state],
        why=f"{a.off[i]} of {a.models[i]} models would have to be left out for the rest to agree"
        + ("; their errors are unknown" if state == 1 else " within the error of their items"),
        detail={"models": int(a.models[i])},
    )


check = BuiltIn("shape", frozenset({"value"}), records)
