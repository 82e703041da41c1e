"""What each metric name means: its role, range, direction, and the transform that makes it fit to analyse.

The first known pair in `PREFERENCE` that a task has is its primary one, unless study or task say otherwise. An unknown metric is
kept, treated as soft when it leaves [0, 1] and hard otherwise, and the report says that it was guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Role = Literal["hard", "soft", "mechanism"]
Transform = Literal["identity", "negate", "log", "neg_log"]


@dataclass(frozen=True, slots=True)
class Metric:
    """How to read one metric name. Range is that of the raw value."""

    name: str
    role: Role
    low: float
    high: float
    higher_is_better: bool
    transform: Transform = "identity"
    """Applied before analysis; afterwards higher is better. Perplexities become −log (nats)."""
    binomial: bool = False
    """A share of right-or-wrong items: n_items gives its sampling error."""
    about: str = ""


def _hard(name: str, about: str = "", *, binomial: bool = True) -> Metric:
    return Metric(name, "hard", 0.0, 1.0, True, binomial=binomial, about=about)


KNOWN: dict[str, Metric] = {
    m.name: m
    for m in (
        _hard("acc", "share of items whose most likely choice is right"),
        _hard("acc_norm", "the same, log-likelihood per byte of the choice"),
        _hard("exact_match", "generated text equals a target, byte for byte"),
        _hard("exact_match_stripped", "the same after white space is normalised"),
        _hard("greedy_match", "every target token is the most likely one"),
        Metric("gold_logprob", "soft", -math.inf, 0.0, True,
               about="mean log-probability of the right answer per item, nats"),
        Metric("token_logprob", "soft", -math.inf, 0.0, True,
               about="mean log-probability per target token, nats"),
        Metric("choice_prob", "soft", 0.0, 1.0, True,
               about="probability of the right choice among the choices"),
        Metric("brier", "soft", 0.0, 1.0, False, "negate",
               about="(1 − choice_prob)², target-conditioned (Schaeffer et al. 2023)"),
        Metric("token_acc", "soft", 0.0, 1.0, True,
               about="share of target tokens that are the most likely one, given the right ones before"),
        Metric("edit_similarity", "soft", 0.0, 1.0, True,
               about="1 − edit distance / longer length"),
    )
}  # fmt: skip
