"""Addition of n-digit numbers: all digits must be right at once, so the score may leap where the skill climbs.

The metric artefact of Schaeffer et al. 2023 (arXiv 2304.15004): exact match over L tokens goes like the L-th power
of the probability per token. So the soft twin is the log-probability per digit. Text format: `saltus.zoo.tokens`:
operands padded with zeros to n digits, the answer in n + 1 digits, least significant first, no spaces.
Option `reversed: false` writes the answer the usual way; `generate: true` also lets the model write it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from saltus.errors import UserError
from saltus.records import Answer, Floor, Item, Request, Score, Settings
from saltus.scoring import generated_scores, target_scores
from saltus.tasks import floors, options
from saltus.tasks.draws import DEFAULT_ITEMS, LazyItems, permuted, tag
from saltus.tasks.rendering import Style, prompt

STYLE = Style(delimiter="", separator="\n")


@dataclass(frozen=True, kw_only=True)
class Addition:
    """`123+456=` → `9750` (579 padded and reversed); items are drawn without replacement from all pairs."""

    digits: int = 3
    reversed: bool = True
    generate: bool = False

    version: ClassVar[str] = "1"
    skill: ClassVar[str] = "addition"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"loglikelihood", "generate"} if self.generate else {"loglikelihood"})

    @property
    def format(self) -> str:
        return "generate" if self.generate else "tokens"

    @property
    def primary(self) -> tuple[str, str | None]:
        return ("exact_match" if self.generate else "greedy_match"), "token_logprob"

    @property
    def name(self) -> str:
        shown = {"digits": (self.digits, None), "reversed": (self.reversed, True), "generate": (self.generate, False)}
        return options.named("addition", shown)

    @property
    def provenance(self) -> Mapping[str, Any]:
        generator = f"saltus.tasks.addition@{self.version}"
        return {"generator": generator, "licence": "Apache-2.0", "n": 10 ** (2 * self.digits)}

    def items(self, n: int | None, rng: np.random.Generator) -> Sequence[Item]:
        """n different pairs, at most all; None gives 1000."""
        seed = int(rng.integers(2**63))
        length = min(DEFAULT_ITEMS if n is None else n, 10 ** (2 * self.digits))
        return LazyItems(partial(self._item, seed, tag(seed)), length)

    def _item(self, seed: int, tagged: str, index: int) -> Item:
        a, b = divmod(permuted(index, 10 ** (2 * self.digits), seed), 10**self.digits)
        return self._sum(f"{a}+{b}-{tagged}", a, b, self.digits, {"seed": seed, "index": index})

    def _sum(self, id_: str, a: int, b: int, digits: int, meta: Mapping[str, Any]) -> Item:
        written = f"{a + b:0{digits + 1}d}"
        carries = _carries(a, b)
        return Item(
            id=id_,
            question=f"{a:0{digits}d}+{b:0{digits}d}=",
            target=written[::-1] if self.reversed else written,
            difficulty=float(carries),
            group=f"carries={carries}",
            skill=self.skill,
            format=self.format,
            source=f"addition, {digits} digits",
            meta=meta,
        )

    def longer(self, item: Item, factor: float, rng: np.random.Generator) -> Item:
        """A new sum with factor times as many digits, at least one more."""
        digits = max(self.digits + 1, round(self.digits * factor))
        a, b = (int("".join(map(str, rng.integers(0, 10, digits)))) for _ in range(2))
        return self._sum(item.id, a, b, digits, {})

    def demos(self, item: Item, k: int, rng: np.random.Generator) -> Sequence[Item]:
        """Pairs from the far half of the permutation that items are the beginning of; never the item's own."""
        half = 10 ** (2 * self.digits) // 2
        if "seed" not in item.meta or k >= half:
            raise UserError(
                f"{k} worked examples for `{item.question}` are wanted",
                wanted=f"fewer than {half}, for a {self.digits}-digit sum that no condition replaced",
            )
        seed, own = int(item.meta["seed"]), int(item.meta["index"])
        far = (half + int(i) for i in rng.choice(half, k + 1, replace=False))
        return tuple(self._item(seed, tag(seed), i) for i in far if i != own)[:k]

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        text, target = prompt(item, STYLE), str(item.target)
        if self.generate:
            settings = Settings(max_tokens=len(target) + 1, stop=("\n",))
            yield Request(kind="generate", prompt=text, settings=settings)
        yield Request(kind="loglikelihood", prompt=text, continuation=target)

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        return generated_scores(item, answers) if self.generate else target_scores(answers)

    def floor(self, items: Sequence[Item]) -> Floor:
        """The best of: the commonest answer, the commonest digit at each place, repeating an operand.

        Soft: the frequency of each digit at its place, learned on one half of the items and scored on the other.
        """
        chosen, over = floors.looked_at(items)
        targets = [str(i.target) for i in chosen]
        if not targets:
            return floors.best({}, over, why_no_soft="no items")
        length = len(targets[0])
        places = [floors.commonest([(t[k : k + 1],) for t in targets]) for k in range(length)]
        operands = [i.question[:-1].split("+") for i in chosen]
        guessers = {
            "the commonest answer": floors.commonest([(t,) for t in targets]),
            "the commonest digit at each place": [math.prod(hits) for hits in zip(*places)],
            "the first number": [self._repeats(o[0], t) for o, t in zip(operands, targets)],
            "the second number": [self._repeats(o[1], t) for o, t in zip(operands, targets)],
        }
        soft = [floors.frequency_logprob([t[k : k + 1] for t in targets], 10) for k in range(length)]
        known = [s for s in soft if s is not None]
        nominal = 1 / (2 * 10 ** (length - 1) - 1)
        return floors.best(
            guessers,
            over,
            nominal=nominal,
            soft=math.fsum(known) / length if known else None,
            why_no_soft=None if known else "fewer than two items",
        )

    def _repeats(self, operand: str, target: str) -> float:
        return float((operand[::-1] + "0" if self.reversed else "0" + operand) == target)


def _carries(a: int, b: int) -> int:
    """How many places carry when a and b are added."""
    carried = count = 0
    while a or b:
        carried = int(a % 10 + b % 10 + carried >= 10)
        count += carried
        a, b = a // 10, b // 10
    return count


def make(source: str | None = None, base: Path | None = None, **given: Any) -> Addition:
    """`addition`, options digits (1–9), reversed, generate."""
    options.refuse_source("addition", source)
    options.refuse_unknown("addition", given, ("digits", "reversed", "generate"))
    digits = options.whole("addition", "digits", given.get("digits", 3), 1, 9)
    reversed_ = options.flag("addition", "reversed", given.get("reversed", True))
    generate = options.flag("addition", "generate", given.get("generate", False))
    return Addition(digits=digits, reversed=reversed_, generate=generate)
