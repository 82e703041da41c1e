"""From curves to findings: per curve (batched), over the family, decide, and say so in full.

`judge` is the whole instrument behind one call. Stages: measure every curve; bootstrap; multiplicity over the
family; onsets that coincide over tasks; facts; `verdict.decide`; guards, by judging again without the suspected
points; weights of the words over resamples; axes compared. Curves of equal shape are computed together and
every curve sees noise that depends only on its own shape, so neither order nor company changes a finding,
except through multiplicity and clustering.
Known limit: resamples reuse the family's thresholds and scopes instead of recomputing them.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from saltus.checks.compose import Context, finding
from saltus.checks.kit import Judged
from saltus.records import Analysis, Evidence, Finding, Guard, Integrity, Verdict
from saltus.stats.axis import raw_of
from saltus.stats.batch import Bools, CurveBatch, Floats
from saltus.stats.bootstrap import sharp_p
from saltus.stats.display import draw
from saltus.stats.facts import fact_arrays, facts_of
from saltus.stats.family import gathered, onsets, scopes
from saltus.stats.measure import Measures, measure
from saltus.stats.multiplicity import q_values
from saltus.stats.resample import take, verdict_weights
from saltus.stats.series import canonical, prepare
from saltus.verdict import decide

PIECE = 256
"""Curves computed together."""
BUILT_IN = ("presence", "shape", "surprise", "twin", "replication", "legacy")


@dataclass(frozen=True)
class Part:
    """Some curves of equal shape, measured. `index`: their places in the whole batch."""

    index: np.ndarray
    curves: CurveBatch
    measures: Measures
    sharp_p: Floats
    draws: np.ndarray


@dataclass(frozen=True)
class Gates:
    """The family's decisions: p-value thresholds of presence and of a jump, per curve of the whole batch."""

    presence: Floats
    jump: Floats


def judge(curves: CurveBatch, analysis: Analysis, rng: np.random.Generator) -> list[Finding]:
    """One finding per curve, in the order of the batch.

    rng: source of the seed of all draws; the same generator state gives the same findings.
    """
    if not len(curves):
        return []
    seed = int(rng.integers(2**62))
    extra = _plug_ins(curves, rng)
    batch, repeats = canonical(curves)
    parts = _parts(batch, analysis, seed)
    p_presence, p_sharp = (_gather(parts, len(batch), get) for get in (
        lambda part: part.measures.presence.p, lambda part: part.sharp_p))  # fmt: skip
    families = [key.family for key in batch.keys]
    shared = _share_items(batch)
    q_presence, q_sharp = (_q(p, families, shared) for p in (p_presence, p_sharp))
    gates = Gates(
        _threshold(p_presence, q_presence, families, analysis.alpha),
        _threshold(p_sharp, q_sharp, families, analysis.alpha),
    )
    scope, scope_why = _scopes(batch, parts, gates, analysis)
    guarded = _guards(batch, parts, gates, scope, analysis, seed)
    found: list[Finding | None] = [None] * len(batch)
    sizes = Counter(families)

    def finish(part: Part) -> None:
        index = part.index
        judged = Judged(
            part.curves,
            part.measures,
            analysis,
            q_presence[index],
            part.sharp_p,
            q_sharp[index],
            draw(part.measures),
        )
        codes = _codes(part, gates, analysis)
        words = _Words(analysis, [scope[i] for i in index], [guarded[i][0] for i in index])
        weights = verdict_weights(
            part.curves, part.measures, (gates.presence[index], part.sharp_p <= gates.jump[index]),
            words, analysis, np.random.default_rng([seed, 2]),
        )  # fmt: skip
        for k, i in enumerate(index.tolist()):
            facts = facts_of(codes[k], scope=scope[i], integrity=guarded[i][0])
            found[i] = finding(judged, k, Context(
                facts=facts, verdict=decide(facts, analysis), weights=weights[k], guards=guarded[i][1],
                family_size=sizes[families[i]], dependent=shared, scope_why=scope_why[i],
                repeats=repeats[i], draws=int(part.draws[k]), extra=extra[i],
            ))  # fmt: skip

    _each(finish, parts)
    return _compare_axes([f for f in found if f is not None])


class _Words:
    """The verdict of (curve, codes), remembered: few combinations of facts occur."""

    def __init__(
        self, analysis: Analysis, scope: Sequence[str], integrity: Sequence[Integrity]
    ) -> None:
        self.analysis, self.scope, self.integrity = analysis, scope, integrity
        self.known: dict[tuple[object, ...], Verdict] = {}

    def __call__(self, i: int, codes: tuple[int, ...]) -> Verdict:
        key = (codes, self.scope[i], self.integrity[i])
        if key not in self.known:
            facts = facts_of(codes, scope=self.scope[i], integrity=self.integrity[i])
            self.known[key] = decide(facts, self.analysis)
        return self.known[key]


def _each(work, parts: Sequence[object]) -> list:  # type: ignore[no-untyped-def, type-arg]
    """Run over parts on as many threads as there are processors; numpy lets go of the lock."""
    workers = min(
        len(parts), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    )
    if workers < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, parts))


def _parts(batch: CurveBatch, analysis: Analysis, seed: int) -> list[Part]:
    """Curves grouped by seeds and points actually there, cut to that size, in pieces."""
    sizes: dict[tuple[int, int], list[int]] = defaultdict(list)
    live = np.asarray(batch.seen.any(axis=2))
    seeds = batch.shape[1] - np.argmax(live[:, ::-1], axis=1)
    seeds = np.where(live.any(axis=1), seeds, 1)
    points = np.maximum(batch.seen.sum(axis=2).max(axis=1), 2)
    for i, size in enumerate(zip(seeds.tolist(), points.tolist(), strict=True)):
        sizes[size].append(i)
    pieces = [
        (np.array(rows[k : k + PIECE]), size)
        for size, rows in sorted(sizes.items()) for k in range(0, len(rows), PIECE)
    ]  # fmt: skip

    def work(piece: tuple[np.ndarray, tuple[int, int]]) -> Part:
        index, size = piece
        part = cut(take(batch, index), *size)
        m = measure(part, prepare(part), analysis)
        p, draws = sharp_p(
            m.prepared.hard,
            m.hard.fit,
            m.hard.shape.dispersion,
            m.limits,
            analysis,
            np.random.default_rng([seed, 1]),
        )
        return Part(index, part, m, p, draws)

    return _each(work, pieces)


def cut(curves: CurveBatch, seeds: int, points: int) -> CurveBatch:
    """The batch without padding beyond `seeds` and `points` (unseen points are moved to the end first)."""
    order = np.argsort(~curves.seen, axis=2, kind="stable")[:, :seeds, :points]

    def move(a: np.ndarray) -> np.ndarray:
        return np.take_along_axis(a[:, :seeds], order, axis=2)

    def channel(c):  # type: ignore[no-untyped-def]
        step = None if c.step_stderr is None else move(c.step_stderr)
        return replace(c, value=move(c.value), stderr=move(c.stderr), n=move(c.n), step_stderr=step)

    suspects = tuple(
        tuple(
            replace(s, mask=np.take_along_axis(s.mask[:seeds], order[i], axis=1)) for s in several
        )
        for i, several in enumerate(curves.suspects)
    )
    return replace(
        curves, x=move(curves.x), raw_x=move(curves.raw_x), seen=move(curves.seen),
        hard=channel(curves.hard), soft=channel(curves.soft), suspects=suspects,
        other_axes={k: move(v) for k, v in curves.other_axes.items()}, point_names=(),
    )  # fmt: skip


def _gather(parts: Sequence[Part], count: int, get) -> Floats:  # type: ignore[no-untyped-def]
    out = np.full(count, np.nan)
    for part in parts:
        out[part.index] = get(part)
    return out


def _share_items(batch: CurveBatch) -> bool:
    """Whether a family holds several findings on the same items: other metrics, slices or conditions of one task."""
    seen = Counter((k.family, k.series, k.task, k.axis) for k in batch.keys)
    return any(count > 1 for count in seen.values())


def _q(p: Floats, families: Sequence[str], dependent: bool) -> Floats:
    return q_values(p, families, dependent=dependent)


def _threshold(p: Floats, q: Floats, families: Sequence[str], alpha: float) -> Floats:
    """The largest p-value that was accepted in each curve's family; alpha over its size where none was."""
    names = np.asarray(families, dtype=object)
    out = np.zeros(len(p))
    for name in set(families):
        here = names == name
        good = p[here][np.nan_to_num(q[here], nan=1.0) < alpha]
        out[here] = max(good.max(initial=0.0), alpha / here.sum())
    return out


def _codes(part: Part, gates: Gates, analysis: Analysis) -> list[tuple[int, ...]]:
    present = part.measures.presence.p <= gates.presence[part.index]
    significant = part.sharp_p <= gates.jump[part.index]
    return [
        tuple(r) for r in fact_arrays(part.measures, present, significant, analysis).rows().tolist()
    ]


def _scopes(
    batch: CurveBatch, parts: Sequence[Part], gates: Gates, analysis: Analysis
) -> tuple[list[str], list[str]]:
    pieces = [
        (part.index, onsets(part.measures, part.sharp_p <= gates.jump[part.index], analysis))
        for part in parts
    ]
    return scopes(batch.keys, gathered(pieces))


def _guards(
    batch: CurveBatch, parts: Sequence[Part], gates: Gates, scope: Sequence[str], analysis: Analysis, seed: int
) -> list[tuple[Integrity, tuple[Guard, ...]]]:  # fmt: skip
    """Integrity and guards of every curve: suspects count only if verdict or onset changes without them."""
    out: list[tuple[Integrity, tuple[Guard, ...]]] = [("ok", ())] * len(batch)
    again = [(i, s) for i, several in enumerate(batch.suspects) for s in range(len(several))]
    if not again:
        return out
    masked = [(i, s) for i, s in again if batch.suspects[i][s].mask.any()]
    before = _short(parts, gates, scope, analysis, len(batch))
    after: dict[tuple[int, int], _Short] = {}
    if masked:
        rows = np.array([i for i, _ in masked])
        sub = take(batch, rows)
        mask = np.stack([batch.suspects[i][s].mask for i, s in masked])
        sub = replace(sub, seen=sub.seen & ~mask, suspects=())
        own = Gates(gates.presence[rows], gates.jump[rows])
        shorts = _short(
            _parts(sub, analysis, seed), own, [scope[i] for i in rows], analysis, len(rows)
        )
        after = dict(zip(masked, shorts, strict=True))
    for i in {i for i, _ in again}:
        mine = {s: after[i, s] for k, s in masked if k == i}
        out[i] = _integrity(batch, i, before[i], mine, analysis.min_points)
    return out


@dataclass(frozen=True)
class _Short:
    """The part of a finding that a guard compares."""

    verdict: Verdict
    onset: float
    low: float
    high: float


def _short(
    parts: Sequence[Part], gates: Gates, scope: Sequence[str], analysis: Analysis, count: int
) -> list[_Short]:
    out: list[_Short | None] = [None] * count
    for part in parts:
        words = _Words(analysis, [scope[i] for i in part.index], ["ok"] * len(part.index))
        shape = part.measures.hard.shape
        for k, (i, codes) in enumerate(
            zip(part.index.tolist(), _codes(part, gates, analysis), strict=True)
        ):
            u = np.array([shape.onset[k], shape.onset_low[k], shape.onset_high[k]])
            onset, low, high = raw_of(part.curves, part.measures.prepared, k, u)
            out[i] = _Short(words(k, codes), onset, min(low, high), max(low, high))
    return [s for s in out if s is not None]


def _emptied(batch: CurveBatch, i: int, mask: Bools, least: int) -> bool:
    """Most points are suspected and too few others are left: whatever the word was, it rested on them."""
    there = batch.seen[i] & np.isfinite(batch.hard.value[i])
    left = int((there & ~mask).sum(axis=1).max())
    return left < least and int((there & mask).sum()) * 2 > int(there.sum())


def _integrity(
    batch: CurveBatch, i: int, before: _Short, after: Mapping[int, _Short], least: int
) -> tuple[Integrity, tuple[Guard, ...]]:
    guards, worst = [], 0
    rises = before.verdict not in ("flat", "unresolved", "irregular")
    for s, suspect in enumerate(batch.suspects[i]):
        new = after.get(s)
        moved = new is not None and rises and not (before.low <= new.onset <= before.high)
        emptied = _emptied(batch, i, suspect.mask, least)
        changed = new is not None and (new.verdict != before.verdict or moved or emptied)
        fired = changed if new is not None else True
        changes = None
        if new is not None:
            changes = "too few points are left to judge" if emptied else (
                f"{before.verdict} becomes {new.verdict}" if new.verdict != before.verdict else
                f"onset moves from {before.onset:.3g} to {new.onset:.3g}" if moved else "nothing changes")  # fmt: skip
        if fired:
            worst = max(worst, 2 if suspect.severity == "disqualifying" and changed else 1)
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
    integrity: tuple[Integrity, ...] = ("ok", "suspect", "defective")
    return integrity[worst], tuple(guards)


def _names(batch: CurveBatch, i: int, mask: Bools) -> tuple[str, ...]:
    """Suspected points as "seed @ axis value"."""
    key = batch.keys[i]
    return tuple(
        f"{key.seeds[s] or key.series} @ {batch.raw_x[i, s, p]:g}"
        for s, p in zip(*np.nonzero(mask & batch.seen[i]), strict=True)
    )


def _plug_ins(curves: CurveBatch, rng: np.random.Generator) -> list[list[Evidence]]:
    """Evidence of checks that others registered. It is attached to findings and decides nothing."""
    from saltus import plugins

    out: list[list[Evidence]] = [[] for _ in range(len(curves))]
    for name in plugins.names("checks"):
        if name in BUILT_IN:
            continue
        check = plugins.load("checks", name)
        try:
            found = list(check(curves, rng))
        except Exception as error:  # noqa: BLE001  somebody else's check must not cost the user the verdicts
            why = f"the check failed: {type(error).__name__}: {error}"
            found = [Evidence(name=name, question=name, why=why)] * len(curves)
        for evidence, mine in zip(found, out, strict=True):
            mine.append(evidence)
    return out


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
            said = f"The verdict changes with the axis: {found[i].verdict} along {found[i].axis}, {', '.join(others)}."
            found[i] = replace(found[i], caveats=(*found[i].caveats, said))
    return found
