"""One bench of the judge: some curves, from measures to findings, as the family's decisions come in.

The same code works here and in a process of its own (`processes`). Curves of equal shape are computed together, and
every curve sees noise that depends only on its own shape, so neither the order of curves nor the other curves in the
batch change a finding.
Known limit: resamples reuse the family's thresholds and scopes instead of recomputing them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from saltus.checks.kit import Judged
from saltus.judging.finding import Context, finding
from saltus.records import Analysis, Finding, Guard, Integrity, Verdict
from saltus.stats.axis import raw_of
from saltus.stats.batch import CurveBatch, Floats
from saltus.stats.bootstrap import sharp_p
from saltus.stats.display import draw
from saltus.stats.facts import fact_arrays, facts_of
from saltus.stats.family import Onsets, gathered, onsets
from saltus.stats.measure import Measures, measure
from saltus.stats.resample import take, verdict_weights
from saltus.stats.series import prepare
from saltus.verdict import decide

PIECE = 256
"""Curves computed together."""
Result = TypeVar("Result")


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
    """The family's decisions: p-value thresholds of presence and of a jump, per curve (C,)."""

    presence: Floats
    jump: Floats

    def of(self, rows: np.ndarray) -> Gates:
        return Gates(self.presence[rows], self.jump[rows])


@dataclass(frozen=True)
class Short:
    """The part of a finding that a guard compares; onsets in raw units of the axis."""

    verdict: Verdict
    onset: float
    low: float
    high: float


@dataclass(frozen=True)
class Ruling:
    """What only the whole family knows of one curve."""

    q_presence: float
    q_sharp: float
    scope: str
    scope_why: str
    integrity: Integrity
    guards: tuple[Guard, ...]
    family_size: int
    dependent: bool
    repeats: int


class Bench:
    """Measures its curves when made; then answers the family's questions about them, in this order."""

    def __init__(self, curves: CurveBatch, analysis: Analysis, seed: int, *, threads: bool = True) -> None:
        self.curves, self.analysis, self.seed, self.threads = curves, analysis, seed, threads
        self.parts = self._measured(curves)
        self.gates: Gates
        self.rulings: Sequence[Ruling]

    def p_values(self) -> tuple[Floats, Floats]:
        """(C,) of presence, and of a jump."""
        presence, sharp = np.full((2, len(self.curves)), np.nan)
        for part in self.parts:
            presence[part.index], sharp[part.index] = part.measures.presence.p, part.sharp_p
        return presence, sharp

    def onsets(self, gates: Gates) -> Onsets:
        """Where each curve rose, for the clusters of the family."""
        return gathered(
            [
                (part.index, onsets(part.measures, part.sharp_p <= gates.jump[part.index], self.analysis))
                for part in self.parts
            ]
        )

    def shorts(self, gates: Gates, scope: Sequence[str]) -> tuple[list[Short], dict[tuple[int, int], Short]]:
        """Every curve as it stands; and (curve, suspect) as it would without the suspected points."""
        suspects = self.curves.suspects
        asked = [(i, s, one) for i, several in enumerate(suspects) for s, one in enumerate(several)]
        masked = [(i, s) for i, s, one in asked if one.mask.any() and not (one.standing or one.dropped)]
        before = self._shorts(self.parts, gates, scope)
        if not masked:
            return before, {}
        rows = np.array([i for i, _ in masked])
        left = take(self.curves, rows)
        mask = np.stack([suspects[i][s].mask for i, s in masked])
        left = replace(left, seen=left.seen & ~mask, suspects=())
        after = self._shorts(self._measured(left), gates.of(rows), [scope[i] for i in rows])
        return before, dict(zip(masked, after, strict=True))

    def findings(self, gates: Gates, rulings: Sequence[Ruling]) -> list[Finding]:
        """One finding per curve, in their order."""
        self.rule(gates, rulings)
        found: dict[int, Finding] = {}
        for some in self._each(self.findings_of, range(len(self.parts))):
            found.update(some)
        return [found[i] for i in range(len(self.curves))]

    def rule(self, gates: Gates, rulings: Sequence[Ruling]) -> int:
        """Take the family's decisions; how many parts have findings to give."""
        self.gates, self.rulings = gates, rulings
        return len(self.parts)

    def findings_of(self, k: int) -> dict[int, Finding]:
        """Place in the bench → finding, of one part: findings are large, so nobody need hold all of them twice."""
        part, found = self.parts[k], {}
        own = [self.rulings[i] for i in part.index.tolist()]
        judged = Judged(
            part.curves,
            part.measures,
            self.analysis,
            np.array([r.q_presence for r in own]),
            part.sharp_p,
            np.array([r.q_sharp for r in own]),
            draw(part.measures),
        )
        mine = self.gates.of(part.index)
        codes = self._codes(part, mine)
        words = _Words(self.analysis, [r.scope for r in own], [r.integrity for r in own])
        weights = verdict_weights(
            part.curves,
            part.measures,
            (mine.presence, part.sharp_p <= mine.jump),
            words,
            self.analysis,
            np.random.default_rng([self.seed, 2]),
        )
        for n, (i, r) in enumerate(zip(part.index.tolist(), own, strict=True)):
            facts = facts_of(codes[n], scope=r.scope, integrity=r.integrity)
            found[i] = finding(
                judged,
                n,
                Context(
                    facts=facts,
                    verdict=decide(facts, self.analysis),
                    weights=weights[n],
                    guards=r.guards,
                    family_size=r.family_size,
                    dependent=r.dependent,
                    scope_why=r.scope_why,
                    repeats=r.repeats,
                    draws=int(part.draws[n]),
                ),
            )
        return found

    def _measured(self, curves: CurveBatch) -> list[Part]:
        def work(piece: tuple[np.ndarray, tuple[int, int]]) -> Part:
            index, size = piece
            part = cut(take(curves, index), *size)
            m = measure(part, prepare(part), self.analysis)
            p, draws = sharp_p(
                m.prepared.hard,
                m.hard.fit,
                m.hard.shape.dispersion,
                m.limits,
                self.analysis,
                np.random.default_rng([self.seed, 1]),
            )
            return Part(index, part, m, p, draws)

        return self._each(work, _pieces(curves))

    def _shorts(self, parts: Sequence[Part], gates: Gates, scope: Sequence[str]) -> list[Short]:
        out: dict[int, Short] = {}
        for part in parts:
            words = _Words(self.analysis, [scope[i] for i in part.index], ["ok"] * len(part.index))
            shape, codes = part.measures.hard.shape, self._codes(part, gates.of(part.index))
            for k, i in enumerate(part.index.tolist()):
                u = np.array([shape.onset[k], shape.onset_low[k], shape.onset_high[k]])
                onset, low, high = raw_of(part.curves, part.measures.prepared, k, u)
                out[i] = Short(words(k, codes[k]), onset, min(low, high), max(low, high))
        return [out[i] for i in range(len(out))]

    def _codes(self, part: Part, gates: Gates) -> list[tuple[int, ...]]:
        present = part.measures.presence.p <= gates.presence
        significant = part.sharp_p <= gates.jump
        facts = fact_arrays(part.measures, present, significant, self.analysis)
        return [tuple(r) for r in facts.rows().tolist()]

    def _each(self, work: Callable[..., Result], parts: Sequence[object]) -> list[Result]:
        """Over parts, on as many threads as there are processors: numpy releases the lock."""
        workers = min(len(parts), processors()) if self.threads else 1
        if workers < 2:
            return [work(part) for part in parts]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(work, parts))


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Words:
    """The verdict of (curve, codes), remembered: few combinations of facts occur."""

    def __init__(self, analysis: Analysis, scope: Sequence[str], integrity: Sequence[Integrity]) -> None:
        self.analysis, self.scope, self.integrity = analysis, scope, integrity
        self.known: dict[tuple[object, ...], Verdict] = {}

    def __call__(self, i: int, codes: tuple[int, ...]) -> Verdict:
        key = (codes, self.scope[i], self.integrity[i])
        if key not in self.known:
            facts = facts_of(codes, scope=self.scope[i], integrity=self.integrity[i])
            self.known[key] = decide(facts, self.analysis)
        return self.known[key]


def _pieces(curves: CurveBatch) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Curves grouped by seeds and points actually there: (places in the batch, that size)."""
    sizes: dict[tuple[int, int], list[int]] = defaultdict(list)
    live = np.asarray(curves.seen.any(axis=2))
    seeds = curves.shape[1] - np.argmax(live[:, ::-1], axis=1)
    seeds = np.where(live.any(axis=1), seeds, 1)
    points = np.maximum(curves.seen.sum(axis=2).max(axis=1), 2)
    for i, size in enumerate(zip(seeds.tolist(), points.tolist(), strict=True)):
        sizes[size].append(i)
    return [
        (np.array(rows[k : k + PIECE]), size)
        for size, rows in sorted(sizes.items())
        for k in range(0, len(rows), PIECE)
    ]


def cut(curves: CurveBatch, seeds: int, points: int) -> CurveBatch:
    """The batch without padding beyond `seeds` and `points` (unseen points are moved to the end first)."""
    order = np.argsort(~curves.seen, axis=2, kind="stable")[:, :seeds, :points]

    def move(a: np.ndarray) -> np.ndarray:
        return np.take_along_axis(a[:, :seeds], order, axis=2)

    def channel(c):  # type: ignore[no-untyped-def]
        step = None if c.step_stderr is None else move(c.step_stderr)
        return replace(c, value=move(c.value), stderr=move(c.stderr), n=move(c.n), step_stderr=step)

    suspects = tuple(
        tuple(replace(s, mask=np.take_along_axis(s.mask[:seeds], order[i], axis=1)) for s in several)
        for i, several in enumerate(curves.suspects)
    )
    return replace(
        curves,
        x=move(curves.x),
        raw_x=move(curves.raw_x),
        seen=move(curves.seen),
        hard=channel(curves.hard),
        soft=channel(curves.soft),
        suspects=suspects,
        other_axes={k: move(v) for k, v in curves.other_axes.items()},
        point_names=(),
    )
