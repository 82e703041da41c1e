"""Floors: what an answerer without the skill scores, computed from the items themselves.

Nominal chance is not what skill-less answerers reach (an untrained Pythia scores .53 on PIQA and .21 on SciQ), so
simple guessers are let loose on the items and the best one is the floor. A guesser that learns from answers
(the commonest one, say) learns on one half of the items and guesses on the other, so that luck with small
numbers does not pass for a floor.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import islice

from saltus.records import Floor, Item

MOST = 20_000
"""Items looked at; more would move a floor by less than 0.004."""


def looked_at(items: Sequence[Item]) -> tuple[list[Item], str]:
    """The items a floor is computed over, and how to call them in its source."""
    chosen = list(islice(items, MOST))
    return chosen, f"these {len(chosen)} items" if len(chosen) == len(
        items
    ) else f"the first {MOST} items"


def best(guessers: Mapping[str, Sequence[float]], over: str, *, nominal: float | None = None,
         soft: float | None = None, why_no_soft: str | None = None) -> Floor:  # fmt: skip
    """The floor set by the guesser with the highest mean score; each sequence is one score per item."""
    means = {name: math.fsum(scores) / len(scores) for name, scores in guessers.items() if scores}
    if not means:
        return Floor(value=nominal or 0.0, source="no items: nominal chance", nominal=nominal,
                     soft=soft, why_no_soft=why_no_soft)  # fmt: skip
    name = max(means, key=lambda n: means[n])
    value, n = means[name], len(guessers[name])
    spread = math.fsum((s - value) ** 2 for s in guessers[name]) / max(1, n - 1)
    return Floor(
        value=value, source=f"best trivial guesser over {over}: {name}", stderr=math.sqrt(spread / n),
        nominal=nominal, soft=soft, why_no_soft=why_no_soft,
    )  # fmt: skip


def commonest(answers: Sequence[Hashable]) -> list[float]:
    """Score per item of always giving the answer commonest in the other half; ties share."""
    scores = [0.0] * len(answers)
    for mine, other in ((0, 1), (1, 0)):
        counts = Counter(answers[other::2])
        top = max(counts.values(), default=0)
        tied = {answer for answer, count in counts.items() if count == top}
        for i in range(mine, len(answers), 2):
            scores[i] = (answers[i] in tied) / len(tied) if tied else 0.0
    return scores


def frequency_logprob(answers: Sequence[Hashable], classes: int) -> float | None:
    """Mean log-probability (nats) given to each answer by its frequency in the other half, plus one each."""
    if len(answers) < 2:
        return None
    total = 0.0
    for mine, other in ((0, 1), (1, 0)):
        counts = Counter(answers[other::2])
        n = sum(counts.values()) + classes
        total += math.fsum(math.log((counts[a] + 1) / n) for a in answers[mine::2])
    return total / len(answers)
