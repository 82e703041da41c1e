"""Success rates too small for one answer per item: K samples of each, and what their law in scale says.

Estimators: pass@k without bias (Chen et al. 2021, arXiv 2107.03374); sampling until r passes, r/K and the
unbiased (r − 1)/(K − 1) (Hu et al. 2023, arXiv 2310.03262; Haldane 1945); exact binomial intervals (Clopper &
Pearson 1934), where 0 of K is the bound 3/K. The law: if the loss of an instance falls as a power of scale N,
its chance of passing is exp(−c·N^−a), so F = log(−log P) is a straight line in log N. F concave: faster than
that law ("accelerated emergence"); convex: slower, which tasks of several steps give. Instances differ in
difficulty and averaging P first bends the line, so every instance has its own level and its own slope, and only
the bend is shared: fitted by maximum likelihood, which takes a count of 0 as what it is. The bend's error comes
from leaving instances out (jackknife).
Known limits: slopes are drawn towards their mean, by a prior that the data do not choose; below five instances
that passed sometimes but not always there is no test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, gammaln
from scipy.stats import t as student

from saltus.stats.batch import Floats

Law = str
"""accelerated · standard · sub-scaling · undecided."""
SLOPE_SPREAD = 0.5
"""Prior standard deviation of an instance's slope, as a share of the mean slope."""
STRAIGHT = 0.5
"""A bend within ± this is none: in the middle, −log P then lies within a factor 1.65 of the straight line."""
FEWEST = 5


def pass_at_k(samples: ArrayLike, passed: ArrayLike, k: int) -> Floats:
    """Chance that at least one of k answers passes, 1 − C(K − r, k)/C(K, k); NaN where K < k. Broadcasts."""
    total, right = (np.asarray(a, dtype=float) for a in np.broadcast_arrays(samples, passed))
    wrong = total - right
    with np.errstate(invalid="ignore"):
        log_none = gammaln(wrong + 1) - gammaln(wrong - k + 1) + gammaln(total - k + 1) - gammaln(total + 1)
        value = np.where(wrong < k, 1.0, -np.expm1(np.minimum(log_none, 0.0)))
    return np.where(total < k, np.nan, value)


def exact_interval(samples: ArrayLike, passed: ArrayLike, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Clopper–Pearson bounds of the pass rate; (0, 3/K) where none of K passed: one-sided 95 %, 1 − alpha^(1/K)."""
    k, r = (np.asarray(a, dtype=float) for a in np.broadcast_arrays(samples, passed))
    low = np.where(r > 0, betaincinv(np.maximum(r, 1e-9), k - r + 1, alpha / 2), 0.0)
    high = np.where(r < k, betaincinv(r + 1, np.maximum(k - r, 1e-9), 1 - alpha / 2), 1.0)
    none = (r == 0) & (k > 0)
    bound = -np.expm1(np.log(alpha) / np.maximum(k, 1))
    return np.where(k > 0, low, 0.0), np.where(k > 0, np.where(none, bound, high), 1.0)


@dataclass(frozen=True)
class Until:
    """Sampling stopped at the r-th pass, after K answers."""

    passes: int
    samples: int
    rate: float
    """r/K, the most likely one."""
    unbiased: float | None
    """(r − 1)/(K − 1); None for r = 1, where it would be 0 whatever was seen."""
    low: float
    high: float
    """Exact: P(K or fewer) and P(K or more) answers are alpha/2 at the ends."""


def pass_until(hits: ArrayLike, passes: int = 2, alpha: float = 0.05) -> Until | None:
    """Read answers (K,) in their order up to the `passes`-th pass; None where there are fewer."""
    where = np.flatnonzero(np.asarray(hits, dtype=bool))
    if len(where) < passes:
        return None
    samples = int(where[passes - 1]) + 1
    low = float(betaincinv(passes, samples - passes + 1, alpha / 2))
    high = float(betaincinv(passes, max(samples - passes, 1e-9), 1 - alpha / 2))
    unbiased = (passes - 1) / (samples - 1) if passes > 1 else None
    return Until(passes, samples, passes / samples, unbiased, low, 1.0 if samples == passes else high)


@dataclass(frozen=True)
class Bend:
    """How F = log(−log P) runs over log scale, instances kept apart."""

    law: Law
    bend: float
    """F in the middle of the range above the chord through its ends: > 0 is concave, faster than the law."""
    low: float
    high: float
    slope: float
    """Fall of F per decade, averaged over instances: the law's exponent a."""
    p: float
    """Two-sided, of no bend."""
    instances: int
    """Those that passed sometimes but not always; only they inform the bend."""
    averaged: Floats
    """(P,) mean of F over those instances at every scale, on the fitted lines."""
    why: str = ""


def bend(x: ArrayLike, passed: ArrayLike, samples: ArrayLike, alpha: float = 0.05) -> Bend:
    """Test the law. x (P,): log10 scale; passed, samples (I, P) of every instance; samples 0 where not asked.

    At least three scales and five instances that passed sometimes; else the law is "undecided" and `why` says so.
    """
    at, r, k = (np.asarray(a, dtype=float) for a in (x, passed, samples))
    total = r.sum(axis=1)
    mixed = (total > 0) & (total < k.sum(axis=1))
    r, k = r[mixed], k[mixed]
    nothing = np.full(len(at), np.nan)
    why = ""
    if len(np.unique(at)) < 3:
        why = f"{len(np.unique(at))} scales: a bend needs three"
    elif len(r) < FEWEST:
        why = f"{len(r)} instances passed sometimes but not always: the test needs {FEWEST}"
    if why:
        nan = float("nan")
        return Bend("undecided", nan, nan, nan, nan, nan, len(r), nothing, why)
    u = 2 * (at - at.min()) / np.ptp(at) - 1
    theta, curve = _fit(u, r, k)
    value = float(-curve[1])
    error, freedom = _jackknife(u, r, k, (theta, curve))
    quantile = float(student.ppf(1 - alpha / 2, freedom))
    low, high = value - quantile * error, value + quantile * error
    p = float(2 * student.sf(abs(value) / max(error, 1e-12), freedom))
    law = "accelerated" if low > 0 else "sub-scaling" if high < 0 else "undecided"
    if max(abs(low), abs(high)) <= STRAIGHT:
        law = "standard"
    sentence = (
        ""
        if law != "undecided"
        else (f"the bend lies between {low:.2g} and {high:.2g}: more instances, samples or scales would tell")
    )
    averaged = (theta[:, :1] + theta[:, 1:] * u + curve[1] * (u**2 - 1)).mean(axis=0)
    slope = float(-2 * theta[:, 1].mean() / np.ptp(at))
    return Bend(law, value, low, high, slope, p, len(r), averaged, sentence)


def _fit(
    u: Floats, r: Floats, k: Floats, start: tuple[Floats, Floats] | None = None, rounds: int = 60
) -> tuple[Floats, Floats]:
    """(I, 2) level and slope of every instance, (2,) mean slope and bend: Fisher scoring, instances eliminated.

    F = level + slope·u + bend·(u² − 1), so the bend is what the middle lies off the chord.
    """
    count, q = len(r), u**2 - 1
    if start is None:
        rate = np.clip((r.sum(axis=1) + 0.5) / (k.sum(axis=1) + 1), 1e-6, 1 - 1e-6)
        theta = np.stack([np.log(-np.log(rate)), np.full(count, -0.5)], axis=1)
        shared = np.array([-0.5, 0.0])
    else:
        theta, shared = start[0].copy(), start[1].copy()
    for _ in range(rounds):
        f = np.clip(theta[:, :1] + theta[:, 1:] * u + shared[1] * q, -12.0, 4.0)
        rate = np.clip(np.exp(-np.exp(f)), 1e-12, 1 - 1e-9)
        slope_of_p = -np.exp(f) * rate
        weight = k * slope_of_p**2 / (rate * (1 - rate))
        score = (r - k * rate) * slope_of_p / (rate * (1 - rate))
        prior = 1 / (SLOPE_SPREAD * max(abs(shared[0]), 0.2)) ** 2
        step_i, step_c = _scoring_step(u, q, weight, score, (theta, shared, prior))
        size = min(1.0, 2.0 / max(np.abs(step_i).max(), abs(step_c), 1e-9))
        theta = np.clip(theta + size * step_i, -12.0, 12.0)
        shared = np.array([theta[:, 1].mean(), shared[1] + size * step_c])
        if max(np.abs(step_i).max(), abs(step_c)) < 1e-6:
            break
    return theta, shared


def _scoring_step(
    u: Floats, q: Floats, weight: Floats, score: Floats, now: tuple[Floats, Floats, float]
) -> tuple[Floats, float]:
    """One step: 2 × 2 blocks per instance and one shared bend, by the Schur complement."""
    theta, shared, prior = now
    a = np.empty((len(theta), 2, 2))
    a[:, 0, 0] = weight.sum(axis=1) + 1e-4
    a[:, 0, 1] = a[:, 1, 0] = (weight * u).sum(axis=1)
    a[:, 1, 1] = (weight * u**2).sum(axis=1) + prior
    b = np.stack([(weight * q).sum(axis=1), (weight * q * u).sum(axis=1)], axis=1)
    g = np.stack([score.sum(axis=1), (score * u).sum(axis=1) - prior * (theta[:, 1] - shared[0])], axis=1)
    solved_b, solved_g = (np.linalg.solve(a, v[..., None])[..., 0] for v in (b, g))
    information = (weight * q**2).sum() - (b * solved_b).sum()
    step = ((score * q).sum() - (b * solved_g).sum()) / max(information, 1e-9)
    return solved_g - solved_b * step, float(step)


def _jackknife(u: Floats, r: Floats, k: Floats, fitted: tuple[Floats, Floats]) -> tuple[float, int]:
    """Standard error of the bend from leaving groups of instances out, and its degrees of freedom."""
    groups = min(len(r), 20)
    member: NDArray[np.int_] = np.arange(len(r)) % groups
    left = []
    for g in range(groups):
        keep = member != g
        _, shared = _fit(u, r[keep], k[keep], (fitted[0][keep], fitted[1]), rounds=15)
        left.append(shared[1])
    spread = np.array(left) - np.mean(left)
    return float(np.sqrt((groups - 1) / groups * (spread**2).sum())), groups - 1
