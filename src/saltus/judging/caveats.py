"""What a finding says in sentences: caveats beside its verdict, and what data would settle it."""

from __future__ import annotations

import numpy as np

from saltus.checks.kit import Judged, number, p_text, text, unit_of
from saltus.records import Facts
from saltus.stats.axis import raw_of
from saltus.stats.shape import FALL_P
from saltus.verdict import LEAPT

FALL_REPORTED = 0.01
"""A fall after a rise is reported from here on, though only one below `FALL_P` changes a word."""

MISSED = 3
"""Points that a drawn curve may miss, less one, before a caveat says so: a steep rise misses one or two."""


def caveats(j: Judged, i: int, facts: Facts, verdict: str) -> list[str]:
    """Caveats of curve i, the assembler's own first."""
    m, a = j.measures, j.analysis
    out = list(j.curves.keys[i].caveats)
    leaps = verdict in LEAPT
    if facts.presence == "below_floor":
        out.append("THE SOFT TWIN RISES WHILE THE HARD SCORE IS AT ITS FLOOR: the behaviour may be about to appear.")
    if leaps and facts.twin == "missing":
        out.append("There is no soft twin: whether the leap is in the model or only in the metric is not known.")
    if leaps and facts.n_seeds < a.transition_seeds:
        runs = "one run" if facts.n_seeds == 1 else f"{facts.n_seeds} seeds"
        out.append(f"Seen in {runs}: replication is not known.")
    if verdict == "sharp" and facts.n_seeds >= a.transition_seeds:
        out.append(_not_replicated(facts, a.transition_share))
    if verdict == "smooth" and facts.predicted == "no":
        out.append("The rise is gradual, but its take-off was not foreseen from the points before it.")
    if m.apart.disagree[i]:
        out.append(_disagree(j, i))
    t = m.hard.trend
    rises = facts.presence == "present" and facts.shape_hard in ("jump", "gradual", "unknown")
    if t.fall_p[i] < FALL_REPORTED and verdict != "irregular" and rises:
        share = t.fall[i] / max(t.spread[i], 1e-12)
        noise = "beyond noise" if t.fall_p[i] < FALL_P else "noise is possible"
        p = p_text(number(t.fall_p[i]))
        out.append(f"The hard score falls by {share:.0%} of its range after a peak, {noise} ({p}).")
    if m.has_soft[i] and facts.shape_soft in ("falling", "non_monotone") and verdict != "irregular":
        out.append("The soft score falls or turns somewhere: see its chart.")
    if m.hard.shape.dispersion[i] > 3 and m.hard.series.known[i]:
        out.append(
            f"Scatter is {text(float(m.hard.shape.dispersion[i]), 2)} times what {_items(m, i)} items allow; "
            "intervals allow for it."
        )
    if facts.presence == "present" and facts.shape_hard == "flat":
        out.append("The score is off its floor from the first point on: the rise, if any, lies before the series.")
    return out + _misfits(j, i)


def _misfits(j: Judged, i: int) -> list[str]:
    """What the drawn curves leave out, worded for whoever takes the line for the points."""
    if j.drawn is None:
        return []
    out = []
    for channel, missed in j.drawn.misfit.items():
        measured = j.measures.hard if channel == "hard" else j.measures.soft
        if missed.points[i] < MISSED or (channel == "soft" and not j.measures.has_soft[i]):
            continue
        place = text(float(raw_of(j.curves, j.measures.prepared, i, missed.at[i : i + 1])[0]))
        of, by, share = measured.series.ok[i].sum(), text(float(missed.by[i]), 2), missed.by[i] / missed.range[i]
        out.append(
            f"The drawn curve of the {channel} score misses {missed.points[i]} of {of} points beyond noise, by up to "
            f"{by} ({share:.0%} of the range, at {j.curves.keys[i].axis} {place}): no law tried follows it there; "
            "widths and onset allow for it."
        )
    return out


def _disagree(j: Judged, i: int) -> str:
    a, axis = j.measures.apart, j.curves.keys[i].axis
    x, y, later, less = (text(float(v)) for v in a.steepest[i])
    noise = "" if a.disagree[i] == 2 else "; their errors are unknown, so it may be noise"
    return (
        f"Families are pooled and disagree: {a.off[i]} of {a.models[i]} models stand against the rest (one scores "
        f"{y} at {axis} {x}, another {less} at {later}){noise}. Judge each family by itself: --series family."
    )


def _items(m: object, i: int) -> str:
    n = m.hard.series.n[i]  # type: ignore[attr-defined]
    return f"{np.nanmedian(n):.0f}" if np.isfinite(n).any() else "the"


def _not_replicated(facts: Facts, share: float) -> str:
    if facts.contradicting:
        return "At least one seed rises gradually or not at all: the leap is not replicated."
    if facts.onsets_together is False:
        return "The seeds leap at different places: the leap is not replicated at one onset."
    needed = f"{share:.0%} are needed to call it replicated"
    return f"{facts.n_sharp} of {facts.n_seeds} seeds are sharp by themselves; {needed}."


def next_data(j: Judged, i: int, facts: Facts, verdict: str) -> list[str]:
    """What to add, with numbers; empty where the verdict stands on enough."""
    m, a = j.measures, j.analysis
    out: list[str] = []
    if facts.n_points < a.min_points:
        out.append(f"{a.min_points - facts.n_points} more points at least: there are {facts.n_points}.")
    mde, n = number(m.presence.mde[i]), m.hard.series.n[i]
    items = float(np.nanmedian(n)) if np.isfinite(n).any() else None
    if facts.presence == "unknown":
        if mde is not None and items:
            need = items * (mde / a.max_mde) ** 2
            out.append(
                f"About {np.ceil(need):.0f} items instead of {items:.0f}: "
                f"the smallest effect found now is {text(mde, 2)}."
            )
        else:
            out.append("A floor: an untrained model, or the score of the best trivial guesser.")
    if facts.lone_point and verdict == "unresolved":
        out.append(
            "At least two points beyond the one that is off the floor, "
            "and a point between it and the last one at the floor."
        )
    if verdict == "unresolved" and facts.presence == "present" and not facts.lone_point:
        out += _for_shape(j, i, facts)
    if verdict == "sharp" and facts.n_seeds < a.transition_seeds:
        out.append(
            f"{a.transition_seeds - facts.n_seeds} more seeds (or series) to tell a transition from one run's luck."
        )
    if verdict == "flat":
        out.append(f"Larger or later models: nothing above {text(mde, 2)} is there up to the last point.")
    return out


def _for_shape(j: Judged, i: int, facts: Facts) -> list[str]:
    m, a = j.measures, j.analysis
    s, span, unit = m.hard.shape, float(m.prepared.span[i]), unit_of(j.curves, i)
    out = []
    if facts.shape_hard == "unknown":
        if s.before[i] < a.points_before:
            out.append(f"{a.points_before - int(s.before[i])} more points before the rise.")
        if s.after[i] < a.points_after:
            out.append(f"{a.points_after - int(s.after[i])} more points after it.")
        low, high = s.width_low[i] * span, s.width_high[i] * span
        limit = float(m.limits.narrow[i]) * span
        if np.isfinite(high) and high > limit:
            out.append(
                f"Points between the last one before and the first one after the rise, {text(limit / 3, 2)} "
                f"{unit} apart or closer: its width is somewhere between {text(low, 2)} and {text(high, 2)} {unit}."
            )
    if facts.shape_hard == "jump" and facts.predicted != "no":
        out.append("More points, or more items, before the onset: what followed could have been foreseen from them.")
    if m.has_soft[i] and facts.shape_soft == "unknown":
        out.append("A soft score with less noise (more items): its own shape is not known.")
    if facts.shape_hard == "flat":
        out.append("Earlier points: the score is off its floor from the first one on.")
    return out or ["A finer series around the rise, with the same items."]
