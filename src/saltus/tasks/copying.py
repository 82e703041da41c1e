"""In-context copying of random tokens: the behaviour that induction heads bring, often within few training steps.

Olsson et al. 2022 (arXiv 2209.11895). A random sequence is repeated; the model must give the next token of the second
copy. The question is asked in the first half of that copy: towards its end, somebody who only counts finds the
target as one of the few tokens not yet repeated, and the floor would rise to one. Tokens within a period may recur,
as they do in training, so even perfect copying ends a little below 1. Text format: `saltus.zoo.tokens`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from saltus.errors import UserError
from saltus.records import Answer, Floor, Item, Request, Score
from saltus.scoring import target_scores
from saltus.tasks import floors, options
from saltus.tasks.draws import DEFAULT_ITEMS, Draws, LazyItems, tag

WORDS = tuple(f"t{i}" for i in range(64))
_SLIPS = tuple(0.5**k for k in range(1, 12))
"""Shares of probability that a guesser may keep back for all 64 words."""


@dataclass(frozen=True, kw_only=True)
class Copying:
    """`t3 t17 t5 t3 t17` → ` t5`: periods from `shortest` to `longest`, 64 words."""

    shortest: int = 8
    longest: int = 24

    version: ClassVar[str] = "1"
    needs: ClassVar[frozenset[str]] = frozenset({"loglikelihood"})
    skill: ClassVar[str] = "in-context copying"
    format: ClassVar[str] = "tokens"
    primary: ClassVar[tuple[str, str | None]] = ("greedy_match", "gold_logprob")

    @property
    def name(self) -> str:
        shown = {"shortest": (self.shortest, 8), "longest": (self.longest, 24)}
        return options.named("copying", shown)

    @property
    def provenance(self) -> Mapping[str, Any]:
        generator = f"saltus.tasks.copying@{self.version}"
        return {"generator": generator, "licence": "Apache-2.0", "n": None}

    def items(self, n: int | None, rng: np.random.Generator) -> Sequence[Item]:
        """Without end, so None gives 1000."""
        seed = int(rng.integers(2**63))
        return LazyItems(partial(self._item, seed, tag(seed)), DEFAULT_ITEMS if n is None else n)

    def _item(self, seed: int, tagged: str, index: int) -> Item:
        draws = Draws(seed, index)
        period = self.shortest + draws.below(self.longest - self.shortest + 1)
        return self._repeated(f"{index}-{tagged}", period, draws)

    def _repeated(self, id_: str, period: int, draws: Draws) -> Item:
        words = [WORDS[draws.below(64)] for _ in range(period)]
        seen = 1 + draws.below(period // 2)
        return Item(
            id=id_,
            question=" ".join(words + words[:seen]),
            target=words[seen],
            difficulty=float(period),
            skill=self.skill,
            format=self.format,
            source=f"copying, period {period}",
            meta={"period": period, "seen": seen},
        )

    def longer(self, item: Item, factor: float, rng: np.random.Generator) -> Item:
        """A new item whose period is factor times as long."""
        period = max(2, round(item.meta["period"] * factor))
        return self._repeated(item.id, period, Draws(int(rng.integers(2**63)), 0))

    def demos(self, item: Item, k: int, rng: np.random.Generator) -> NoReturn:
        raise UserError("copying has no worked examples: the first copy is the only one it needs")

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        yield Request(kind="loglikelihood", prompt=item.question, continuation=f" {item.target}")

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        return target_scores(answers, soft="gold_logprob")

    def floor(self, items: Sequence[Item]) -> Floor:
        """The best guesser that only counts the words of the context and knows nothing of their order.

        Soft: that guesser keeps back the share of probability, for all 64 words, that suits these items best.
        """
        chosen, over = floors.looked_at(items)
        counted = [(Counter(i.question.split()), str(i.target)) for i in chosen]
        if not counted:
            return floors.best({}, over, nominal=1 / 64, why_no_soft="no items")
        scores = {
            f"a word {name}, by counting words only": [given(c).get(t, 0.0) for c, t in counted]
            for name, given in _COUNTERS.items()
        }
        hits = max(scores.values(), key=math.fsum)
        soft = max(math.fsum(math.log((1 - e) * h + e / 64) for h in hits) for e in _SLIPS)
        return floors.best(scores, over, nominal=1 / 64, soft=soft / len(hits))


def _uniform(words: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(words, 1 / len(words))


def _with(pick: Callable[..., int], counts: Mapping[str, int]) -> dict[str, float]:
    wanted = pick(counts.values())
    return _uniform([word for word, n in counts.items() if n == wanted])


def _by_share(counts: Mapping[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {word: n / total for word, n in counts.items()}


_COUNTERS: dict[str, Callable[[Mapping[str, int]], dict[str, float]]] = {
    "of the context": lambda counts: _uniform(list(counts)),
    "as often as it occurs": _by_share,
    "that occurs most often": partial(_with, max),
    "that occurs least often": partial(_with, min),
}


def make(source: str | None = None, base: Path | None = None, **given: Any) -> Copying:
    """`copying`, options shortest and longest (periods)."""
    options.refuse_source("copying", source)
    options.refuse_unknown("copying", given, ("shortest", "longest"))
    shortest = options.whole("copying", "shortest", given.get("shortest", 8), 2, 10_000)
    longest = options.whole("copying", "longest", given.get("longest", max(24, shortest)), shortest, 10_000)
    return Copying(shortest=shortest, longest=longest)
