"""Addition modulo a prime: the task on which networks first memorise and later, suddenly, generalise (grokking).

Power et al. 2022 (arXiv 2201.02177). Which pairs a network was trained on decides what a score means, so the split
lives here, and the zoo trains on exactly the pairs that `split` gives. The split is the same for all training
seeds of a series: one study asks all of them the same held-out pairs.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from saltus.errors import UserError
from saltus.records import Answer, Floor, Item, Request, Score
from saltus.scoring import target_scores
from saltus.tasks import floors, options
from saltus.tasks.draws import LazyItems

Pairs = np.ndarray
"""(n, 2) integers from 0 to p − 1."""


@cache
def split(p: int, fraction: float, seed: int = 0) -> tuple[Pairs, Pairs]:
    """(training pairs, held-out pairs) of all p² ordered pairs; round(fraction · p²) are for training.

    Depends on its arguments alone, both parts in random order, read-only.
    """
    order = np.random.default_rng([p, seed]).permutation(p * p)
    pairs = np.stack(np.divmod(order, p), axis=1)
    pairs.flags.writeable = False
    n = round(fraction * p * p)
    return pairs[:n], pairs[n:]


@dataclass(frozen=True, kw_only=True)
class ModularAddition:
    """`12 + 40 =` → ` 52` (mod p), asked over held-out pairs, or over the training pairs to see memory."""

    p: int = 59
    fraction: float = 0.4
    split_seed: int = 0
    part: str = "held_out"

    version: ClassVar[str] = "1"
    needs: ClassVar[frozenset[str]] = frozenset({"loglikelihood"})
    skill: ClassVar[str] = "modular arithmetic"
    format: ClassVar[str] = "tokens"
    primary: ClassVar[tuple[str, str | None]] = ("greedy_match", "gold_logprob")
    _pairs: Pairs = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        train, held_out = split(self.p, self.fraction, self.split_seed)
        object.__setattr__(self, "_pairs", train if self.part == "train" else held_out)

    @property
    def name(self) -> str:
        chosen = {
            "p": (self.p, 59),
            "fraction": (self.fraction, 0.4),
            "split_seed": (self.split_seed, 0),
            "part": (self.part, "held_out"),
        }
        return options.named("modular_addition", chosen)

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {
            "generator": f"saltus.tasks.modular_addition@{self.version}",
            "licence": "Apache-2.0",
            "n": len(self._pairs),
            "split": [self.p, self.fraction, self.split_seed],
            "part": self.part,
        }

    def items(self, n: int | None, rng: np.random.Generator) -> Sequence[Item]:
        """The pairs in the split's own random order, at most all of them; rng is not needed."""
        available = len(self._pairs)
        return LazyItems(self._item, available if n is None else min(n, available))

    def _item(self, index: int) -> Item:
        a, b = self._pairs[index].tolist()
        return Item(
            id=f"{a}+{b}%{self.p}",
            question=f"{a} + {b} =",
            target=str((a + b) % self.p),
            difficulty=float(a + b >= self.p),
            skill=self.skill,
            format=self.format,
            source=f"modular_addition {self.part}",
        )

    def demos(self, item: Item, k: int, rng: np.random.Generator) -> NoReturn:
        raise UserError("modular addition has no worked examples: its networks read one problem at a time")

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        yield Request(kind="loglikelihood", prompt=item.question, continuation=f" {item.target}")

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        return target_scores(answers, soft="gold_logprob")

    def floor(self, items: Sequence[Item]) -> Floor:
        """The best of: the commonest answer, repeating an operand."""
        chosen, over = floors.looked_at(items)
        targets = [str(i.target) for i in chosen]
        operands = [i.question.removesuffix(" =").split(" + ") for i in chosen]
        guessers = {
            "the commonest answer": floors.commonest([(t,) for t in targets]),
            "the first number": [float(o[0] == t) for o, t in zip(operands, targets)],
            "the second number": [float(o[1] == t) for o, t in zip(operands, targets)],
        }
        soft = floors.frequency_logprob(targets, self.p)
        why = "fewer than two items" if soft is None else None
        return floors.best(guessers, over, nominal=1 / self.p, soft=soft, why_no_soft=why)


def make(source: str | None = None, base: Path | None = None, **given: Any) -> ModularAddition:
    """`modular_addition`, options p, fraction, split_seed, part (held_out or train)."""
    options.refuse_source("modular_addition", source)
    options.refuse_unknown("modular_addition", given, ("p", "fraction", "split_seed", "part"))
    task = ModularAddition
    p = options.whole("modular_addition", "p", given.get("p", task.p), 3, 997)
    fraction = options.share("modular_addition", "fraction", given.get("fraction", task.fraction), 0.01, 0.99)
    seed = options.whole("modular_addition", "split_seed", given.get("split_seed", 0), 0, 2**31)
    part = options.one_of("modular_addition", "part", given.get("part", task.part), ("held_out", "train"))
    return task(p=p, fraction=fraction, split_seed=seed, part=part)
