"""Floors: what an answerer without the skill scores, computed from the items themselves.

Nominal chance is not what skill-less answerers reach (an untrained Pythia scores .53 on PIQA and .21 on SciQ), so
simple guessers are let loose on the items and the best one is the floor. What is learnt from the items (which
answer is commonest, which guesser is best) is learnt on other items than it is scored on, so that luck with small
numbers does not pass for a floor.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import islice

from saltus.records import Floor, Item

MOST = 20_000
"""Items looked at; more would move a floor by less than 0.004."""


def looked_at(items: Sequence[Item]) -> tuple[list[Item], str]:
    """The items a floor is computed over, and how to call them in its source.

    In an order fixed by their ids alone, so that neither sorted nor alternating items bias what is learnt.
    """
    chosen = list(islice(items, MOST))
    every = len(chosen) == len(items)
    chosen.sort(key=lambda item: hashlib.blake2b(item.id.encode(), digest_size=8).digest())
    return chosen, f"these {len(chosen)} items" if every else f"the first {MOST} items"


def best(
    guessers: Mapping[str, Sequence[float]],
    over: str,
    *,
    nominal: float | None = None,
    soft: float | None = None,
    why_no_soft: str | None = None,
) -> Floor:
    """The floor set by the best guesser; each sequence is one score per item.

    The best is chosen on one half of the items and counted on the other, both ways: the highest of several equally
    good ones would lie above all of them by luck.
    """
    names = [name for name, scores in guessers.items() if len(scores)]
    if not names:
        return Floor(
            value=nominal or 0.0, source="no items: nominal chance", nominal=nominal, soft=soft, why_no_soft=why_no_soft
        )
    n = len(guessers[names[0]])
    chosen = [_best_of(guessers, names, half) for half in (1, 0)]
    crossed = [guessers[chosen[i % 2]][i] for i in range(n)]
    value = math.fsum(crossed) / n
    spread = math.fsum((score - value) ** 2 for score in crossed) / max(1, n - 1)
    named = " or ".join(dict.fromkeys(chosen))
    return Floor(
        value=value,
        source=f"best trivial guesser over {over}: {named}",
        stderr=math.sqrt(spread / n),
        nominal=nominal,
        soft=soft,
        why_no_soft=why_no_soft,
    )


def _best_of(guessers: Mapping[str, Sequence[float]], names: Sequence[str], half: int) -> str:
    """The guesser with the highest score on every second item, from the one numbered half."""
    return max(names, key=lambda name: math.fsum(guessers[name][half::2]))


def commonest(rights: Sequence[Sequence[Hashable]]) -> list[float]:
    """Score per item, given its right answers, of always giving what is right most often among others.

    Ties are broken at random, in expectation.
    """
    scores = [0.0] * len(rights)
    for mine, others in _folds(len(rights)):
        counts = Counter(answer for i in others for answer in rights[i])
        top = max(counts.values(), default=0)
        tied = {answer for answer, count in counts.items() if count == top}
        for i in mine:
            scores[i] = len(tied.intersection(rights[i])) / len(tied) if tied else 0.0
    return scores


def _folds(n: int) -> Iterator[tuple[range, range]]:
    """(items to score, items to learn from): four quarters, each learning from the other one of its own half.

    So that the half on which `best` chooses a guesser tells nothing of the half on which it counts it.
    """
    for half in (0, 1):
        for quarter in (0, 2):
            yield range(half + quarter, n, 4), range(half + 2 - quarter, n, 4)


def of_choices(items: Sequence[Item]) -> Floor:
    """The floor of multiple choice: guessers that never read the question."""
    chosen, over = looked_at(items)
    golds = [item.gold for item in chosen]
    texts = [[item.choices[g] for g in item.gold] for item in chosen]
    guessers = {
        "a choice at random": [len(i.gold) / len(i.choices) for i in chosen],
        "always the same position": commonest(golds),
        "the longest choice": [_share(i, [len(c) for c in i.choices]) for i in chosen],
        "the shortest choice": [_share(i, [-len(c) for c in i.choices]) for i in chosen],
        "the choice that is most often right elsewhere": _familiar(chosen, texts),
    }
    nominal = math.fsum(guessers["a choice at random"]) / len(chosen) if chosen else None
    return best(guessers, over, nominal=nominal, why_no_soft="a guesser that does not read gives no log-probability")


def of_targets(items: Sequence[Item]) -> Floor:
    """The floor of open answers: always giving the commonest one."""
    chosen, over = looked_at(items)
    rights = [(i.target,) if isinstance(i.target, str) else i.target for i in chosen]
    return best(
        {"the commonest answer": commonest(rights)},
        over,
        nominal=0.0,
        why_no_soft="a guesser that does not read gives no log-probability",
    )


def _share(item: Item, values: Sequence[float]) -> float:
    """How much of the best-valued choices is right."""
    top = max(values)
    tied = [k for k, value in enumerate(values) if value == top]
    return sum(k in item.gold for k in tied) / len(tied)


def _familiar(items: Sequence[Item], texts: Sequence[Sequence[str]]) -> list[float]:
    scores = [0.0] * len(items)
    for mine, others in _folds(len(items)):
        counts = Counter(text for i in others for text in texts[i])
        for i in mine:
            scores[i] = _share(items[i], [counts[c] for c in items[i].choices])
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
