"""From measurements to the facts that a verdict is looked up from, one array operation per fact.

Family-wide decisions come in from outside: which curves are `present` and whose jump is `significant` after
multiplicity, what integrity and scope are. So resamples reuse the family's thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from saltus.records import Analysis, Facts
from saltus.stats.batch import Bools, Floats
from saltus.stats.measure import Measures
from saltus.stats.shape import FALLING, FLAT, GRADUAL, JUMP, NON_MONOTONE, SHAPES, UNKNOWN, Shape

PRESENCE: tuple[Any, ...] = ("absent", "below_floor", "present", "unknown")
TWIN: tuple[Any, ...] = ("agrees", "explains", "contradicts", "missing")
PREDICTED: tuple[Any, ...] = ("yes", "no", "unknown")
PRESENT = PRESENCE.index("present")
TURNS = (FALLING, NON_MONOTONE)
"""What never leaves its floor does not turn: wanderings at the floor are flat."""
SOFT_RISE_P = 0.001
RANK_AGREES = 0.3


@dataclass(frozen=True)
class FactArrays:
    """The fields of `records.Facts` as arrays of codes over curves; −1 is None."""

    presence: np.ndarray
    shape_hard: np.ndarray
    shape_soft: np.ndarray
    predicted: np.ndarray
    twin: np.ndarray
    n_points: np.ndarray
    n_seeds: np.ndarray
    n_sharp: np.ndarray
    contradicting: np.ndarray
    onsets_together: np.ndarray
    two_populations: np.ndarray
    lone_point: np.ndarray

    def rows(self) -> np.ndarray:
        """(C, fields) of int."""
        return np.stack([getattr(self, f.name).astype(int) for f in fields(self)], axis=1)


def facts_of(codes: tuple[int, ...], **more: Any) -> Facts:
    """One row of codes → Facts; `more` sets integrity and scope."""
    v = dict(zip((f.name for f in fields(FactArrays)), codes, strict=True))
    return Facts(
        presence=PRESENCE[v["presence"]],
        shape_hard=SHAPES[v["shape_hard"]],
        shape_soft=SHAPES[v["shape_soft"]],
        predicted=PREDICTED[v["predicted"]],
        twin=TWIN[v["twin"]],
        n_points=v["n_points"],
        n_seeds=v["n_seeds"],
        n_sharp=v["n_sharp"],
        contradicting=bool(v["contradicting"]),
        onsets_together=_maybe(v["onsets_together"]),
        two_populations=_maybe(v["two_populations"]),
        lone_point=bool(v["lone_point"]),
        **more,
    )


def _maybe(code: int) -> bool | None:
    return None if code < 0 else bool(code)


def fact_arrays(m: Measures, present: Bools, significant: Bools, analysis: Analysis) -> FactArrays:
    """Codes of every fact of every curve."""
    shape_hard = np.where((m.hard.shape.code == JUMP) & ~significant, UNKNOWN, m.hard.shape.code)
    shape_hard = np.where((m.apart.disagree == 1) & (shape_hard == JUMP), UNKNOWN, shape_hard)
    shape_hard = np.where(m.apart.disagree == 2, NON_MONOTONE, shape_hard)
    found = _presence(m, present, analysis)
    shape_hard = np.where((found < PRESENT) & np.isin(shape_hard, TURNS), FLAT, shape_hard)
    shape_soft = np.where(m.has_soft, m.soft.shape.code, UNKNOWN)
    together, sharp, against = _replication(m, analysis)
    n_seeds = np.maximum(m.seeds.count, 1)
    return FactArrays(
        presence=found,
        shape_hard=shape_hard,
        shape_soft=shape_soft,
        predicted=_predicted(m, analysis),
        twin=_twin(m, shape_hard, shape_soft, analysis),
        n_points=m.hard.series.count.max(axis=1),
        n_seeds=n_seeds,
        n_sharp=sharp,
        contradicting=against,
        onsets_together=together,
        two_populations=np.where(n_seeds >= analysis.transition_seeds, m.seeds.two, -1),
        lone_point=m.presence.lone,
    )


def _presence(m: Measures, present: Bools, analysis: Analysis) -> np.ndarray:
    announced = m.has_soft & (m.soft.trend.rise_p < SOFT_RISE_P)
    seen = present & (np.abs(np.nan_to_num(m.presence.effect)) > analysis.present_margin)
    able = m.presence.mde <= analysis.max_mde
    return np.select([seen, ~able, announced], [2, 3, 1], 0)


def _predicted(m: Measures, analysis: Analysis) -> np.ndarray:
    p = np.where(m.has_soft, m.soft.surprise.p, m.hard.surprise.p)
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(p), 2, np.where(p < analysis.surprise, 1, 0))


def overlap(a: Shape, b: Shape, slack: Floats) -> Bools:
    """Onset intervals meet, or the onsets lie within `slack`."""
    meets = (a.onset_low <= b.onset_high) & (b.onset_low <= a.onset_high)
    return meets | (np.abs(a.onset - b.onset) <= slack)


def _twin(m: Measures, hard: np.ndarray, soft: np.ndarray, analysis: Analysis) -> np.ndarray:
    """missing; explains (prediction covers the jump); agrees (same place, or the same kind of shape); contradicts."""
    near = overlap(m.hard.shape, m.soft.shape, np.zeros(len(m)))
    jump = hard == JUMP
    soft_rises = m.soft.trend.rise_p < analysis.surprise
    explains = jump & (soft == GRADUAL) & m.link.covers & soft_rises
    both = jump & np.isin(soft, (JUMP, NON_MONOTONE)) & near
    with np.errstate(invalid="ignore"):
        rank = np.nan_to_num(m.link.rank)
    still = np.isin(hard, (FLAT, UNKNOWN)) & (rank > -RANK_AGREES)
    turning = np.isin(hard, (FALLING, NON_MONOTONE)) & (rank > RANK_AGREES)
    rising = (hard == GRADUAL) & np.isin(soft, (GRADUAL, UNKNOWN)) & (rank > RANK_AGREES)
    undecided = jump & (soft == UNKNOWN) & near & soft_rises
    agrees = both | still | turning | rising | undecided
    return np.select([~m.has_soft, explains, agrees], [3, 1, 0], 2)


def _replication(m: Measures, analysis: Analysis) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Onsets together (−1: fewer than two jumps), seeds sharp on their own, a seed that contradicts."""
    c, s = m.hard.series.count.shape
    h, f = m.hard.seed_shape, m.soft.seed_shape
    slack = np.repeat(m.limits.narrow, s)
    soft_ok = (np.isin(f.code, (JUMP, NON_MONOTONE)) & overlap(h, f, np.zeros(c * s))).reshape(c, s)
    soft_ok |= ~m.has_soft[:, None]
    own = np.where(m.has_soft[:, None], m.soft.surprise.p_seed, m.hard.surprise.p_seed)
    with np.errstate(invalid="ignore"):
        surprising = own < analysis.surprise
    jumps = (h.code == JUMP).reshape(c, s) & m.seeds.leapt_seed
    sharp = jumps & soft_ok & surprising
    onset = h.onset.reshape(c, s)
    low = np.where(jumps, onset, np.inf).min(axis=1)
    high = np.where(jumps, onset, -np.inf).max(axis=1)
    with np.errstate(invalid="ignore"):
        together = np.where(jumps.sum(axis=1) > 1, (high - low) <= slack.reshape(c, s)[:, 0], -1)
    full = m.hard.series.count >= analysis.min_points
    against = full & ((h.code == GRADUAL).reshape(c, s) | ~m.seeds.leapt_seed)
    return together.astype(int), sharp.sum(axis=1), against.any(axis=1)
