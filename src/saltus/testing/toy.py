"""The smallest task that scripted models can solve."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saltus.records import Answer, Floor, Item, Request, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyTask:
    """`copy: 4821 =`: the smallest task that scripted models can solve; asks by `format`.

    "cloze": log-likelihood of the target, scored `greedy_match` with `token_logprob`. "choices": of four choices,
    scored `acc` with `choice_prob`. "generate": scored `exact_match`, no soft twin.
    """

    format: str = "cloze"
    name: str = "toy"
    version: str = "1"
    skill: str = "copying"
    n: int = 1_000_000
    """How many items there are."""

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"generate" if self.format == "generate" else "loglikelihood"})

    @property
    def primary(self) -> tuple[str, str | None]:
        return {
            "cloze": ("greedy_match", "token_logprob"),
            "choices": ("acc", "choice_prob"),
            "generate": ("exact_match", None),
        }[self.format]

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"source": "saltus.testing.ToyTask", "n": self.n}

    def items(self, n: int | None, rng: np.random.Generator) -> Sequence[Item]:
        """Item i depends on i alone; the generator is not used."""
        return [self._item(i) for i in range(self.n if n is None else min(n, self.n))]

    def demos(self, item: Item, k: int, rng: np.random.Generator) -> Sequence[Item]:
        return [self._item(self.n + int(i)) for i in rng.integers(0, 10**6, k)]

    def _item(self, i: int) -> Item:
        target = f"{(i * 7919 + 1234) % 10_000_000:07d}"
        choices: tuple[str, ...] = ()
        if self.format == "choices":
            others = [f"{(i * 104729 + j * 3571 + 77) % 10_000_000:07d}" for j in range(1, 4)]
            choices = (*others[: i % 4], target, *others[i % 4 :])
        gold = (i % 4,) if choices else ()
        return Item(
            id=f"toy-{i}",
            question=f"copy: {target} =",
            target=target,
            choices=choices,
            gold=gold,
            group=f"group-{i % 10}",
            skill=self.skill,
            format=self.format,
            source="saltus.testing",
        )

    def prompt(self, item: Item) -> str:
        shots = "".join(f"{demo.question} {demo.target}\n" for demo in item.demos)
        return f"{item.context}{shots}{item.question}"

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        prompt = self.prompt(item)
        if self.format == "generate":
            yield Request(kind="generate", prompt=prompt)
            return
        for text in item.choices or (str(item.target),):
            yield Request(kind="loglikelihood", prompt=prompt, continuation=f" {text}")

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        hard, soft = self.primary
        if self.format == "generate":
            right = float(answers[0].text.strip() == item.target)
            return [Score(metric_hard=hard, hard=right, why_no_soft="text alone was asked for")]
        totals = [sum(answer.token_logprobs) for answer in answers]
        if self.format == "choices":
            top = max(totals)
            weights = [math.exp(total - top) for total in totals]
            value, graded = float(totals[item.gold[0]] == top), weights[item.gold[0]] / sum(weights)
        else:
            value, graded = float(bool(answers[0].greedy)), totals[0] / len(answers[0].token_ids)
        return [Score(metric_hard=hard, hard=value, metric_soft=soft, soft=graded)]

    def floor(self, items: Sequence[Item]) -> Floor:
        if self.format != "choices":
            return Floor(value=0.0, source="no answer without the skill", why_no_soft="not defined")
        share = Counter(item.gold[0] for item in items).most_common(1)[0][1] / max(1, len(items))
        return Floor(value=share, source="best constant position", nominal=0.25, soft=0.25)
