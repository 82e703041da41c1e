"""From curves to findings: per curve (batched), over the family, decide, and say so in full.

`judge` is the whole instrument behind one call. Stages: measure every curve; bootstrap; multiplicity over the
family; onsets that coincide over tasks; facts; `verdict.decide`; guards, by judging again without the suspected
points; weights of the words over resamples; axes compared. A `Bench` does what concerns single curves, here what
concerns the family: neither the order of curves nor the other curves in the batch change a finding, except through
multiplicity and clustering.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from saltus.judging.processes import Benches
from saltus.judging.share import Gates, Ruling, Short
from saltus.records import Analysis, Finding, Guard, Integrity
from saltus.stats.batch import Bools, CurveBatch, Floats, Suspect
from saltus.stats.family import scopes
from saltus.stats.multiplicity import q_values
from saltus.stats.series import canonical


def judge(curves: CurveBatch, analysis: Analysis, rng: np.random.Generator) -> list[Finding]:
    """One finding per curve, in the order of the batch.

    rng: source of the seed of all draws; the same generator state gives the same findings.
    """
    if not len(curves):
        return []
    seed = int(rng.integers(2**62))
    batch, repeats = canonical(curves)
    families = [key.family for key in batch.keys]
    sizes, shared = Counter(families), _share_items(batch)
    with Benches(batch, analysis, seed) as benches:
        p_presence, p_sharp = benches.p_values()
        q_presence, q_sharp = (q_values(p, families, dependent=shared) for p in (p_presence, p_sharp))
        gates = Gates(
            _threshold(p_presence, q_presence, families, analysis.alpha),
            _threshold(p_sharp, q_sharp, families, analysis.alpha),
        )
        scope, why = scopes(batch.keys, benches.onsets(gates))
        guarded = _guards(batch, *benches.shorts(gates, scope), analysis.min_points)
        rulings = [
            Ruling(
                q_presence=float(q_presence[i]),
                q_sharp=float(q_sharp[i]),
                scope=scope[i],
                scope_why=why[i],
                integrity=guarded[i][0],
                guards=guarded[i][1],
                family_size=sizes[families[i]],
                dependent=shared,
                repeats=repeats[i],
            )
            for i in range(len(batch))
        ]
        return _compare_axes(benches.findings(gates, rulings))


def _share_items(batch: CurveBatch) -> bool:
    """Whether a family holds several findings on the same items: other metrics, slices or conditions of one task."""
    seen = Counter((k.family, k.series, k.task, k.axis) for k in batch.keys)
    return any(count > 1 for count in seen.values())


def _threshold(p: Floats, q: Floats, families: Sequence[str], alpha: float) -> Floats:
    """The largest p-value that was accepted in each curve's family; alpha over its size where none was."""
    names = np.asarray(families, dtype=object)
    out = np.zeros(len(p))
    for name in set(families):
        here = names == name
        good = p[here][np.nan_to_num(q[here], nan=1.0) < alpha]
        out[here] = max(good.max(initial=0.0), alpha / here.sum())
    return out


def _guards(
    batch: CurveBatch, before: Sequence[Short], after: Mapping[tuple[int, int], Short], least: int
) -> list[tuple[Integrity, tuple[Guard, ...]]]:
    """Integrity and guards of every curve: suspects count only if verdict or onset changes without them."""
    out: list[tuple[Integrity, tuple[Guard, ...]]] = [("ok", ())] * len(batch)
    for i, several in enumerate(batch.suspects):
        if several:
            mine = {s: after[i, s] for s in range(len(several)) if (i, s) in after}
            out[i] = _integrity(batch, i, before[i], mine, least)
    return out


def _emptied(batch: CurveBatch, i: int, mask: Bools, least: int) -> bool:
    """Most points are suspected and too few others are left: whatever the word was, it rested on them."""
    there = batch.seen[i] & (np.isfinite(batch.hard.value[i]) | np.isfinite(batch.soft.value[i]))
    left = int((there & ~mask).sum(axis=1).max())
    return left < least and int((there & mask).sum()) * 2 > int(there.sum())


def _integrity(
    batch: CurveBatch, i: int, before: Short, after: Mapping[int, Short], least: int
) -> tuple[Integrity, tuple[Guard, ...]]:
    guards, worst = [], 0
    rises = before.verdict not in ("flat", "unresolved", "irregular")
    for s, suspect in enumerate(batch.suspects[i]):
        new = after.get(s)
        fired, counts, changes = True, False, None
        if suspect.dropped:
            changes = "the verdict is given without it"
        elif suspect.standing:
            fired = counts = before.verdict != "flat" or not suspect.rising
            changes = None if fired else "nothing rises there"
        elif new is not None:
            emptied = _emptied(batch, i, suspect.mask, least)
            fired, changes = _difference(before, new, rises=rises, emptied=emptied)
            counts = fired
        if fired:
            worst = max(worst, _weight(suspect, counts=counts))
        guards.append(
            Guard(
                name=suspect.guard,
                severity=suspect.severity,
                fired=fired,
                why=suspect.why,
                points=_names(batch, i, suspect.mask),
                changes=changes,
            )
        )
    integrity: tuple[Integrity, ...] = ("ok", "suspect", "doubtful", "defective")
    return integrity[worst], tuple(guards)


def _difference(before: Short, new: Short, *, rises: bool, emptied: bool) -> tuple[bool, str]:
    """Whether verdict or onset is another one without the suspected points, and what becomes of them."""
    if emptied:
        return True, "too few points are left to judge"
    if new.verdict != before.verdict:
        return True, f"{before.verdict} becomes {new.verdict}"
    if rises and not (before.low <= new.onset <= before.high):
        return True, f"onset moves from {before.onset:.3g} to {new.onset:.3g}"
    return False, "nothing changes"


def _weight(suspect: Suspect, *, counts: bool) -> int:
    """What a guard that fired makes of the finding: 0 ok, 1 suspect, 2 doubtful, 3 defective."""
    if suspect.harmless:
        return 0
    if suspect.severity == "disqualifying" and counts:
        return 3
    return 2 if suspect.severity == "doubt" and counts and suspect.alone else 1


def _names(batch: CurveBatch, i: int, mask: Bools) -> tuple[str, ...]:
    """Suspected points as "seed @ axis value"."""
    key = batch.keys[i]
    return tuple(
        f"{key.seeds[s] or key.series} @ {batch.raw_x[i, s, p]:g}"
        for s, p in zip(*np.nonzero(mask & np.isfinite(batch.raw_x[i])), strict=True)
    )


def _compare_axes(found: list[Finding]) -> list[Finding]:
    """A verdict that changes between tests (tokens, params, flops across models, loss) says so."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, f in enumerate(found):
        groups[f.series, f.task, f.condition, f.metric_hard, f.slice].append(i)
    for members in groups.values():
        words = {found[i].axis: found[i].verdict for i in members}
        if len(set(words.values())) < 2:
            continue
        for i in members:
            others = [f"{w} along {a}" for a, w in sorted(words.items()) if w != found[i].verdict]
            caveat = (
                f"The verdict changes with the axis: {found[i].verdict} along {found[i].axis}, {', '.join(others)}."
            )
            found[i] = replace(found[i], caveats=(*found[i].caveats, caveat))
    return found
