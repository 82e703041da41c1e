"""A study small enough for tests: scripted models, toy tasks, and every knob a test wants to turn."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from saltus.conditions.base import Condition, condition_id
from saltus.conditions.baseline import Baseline
from saltus.hashing import content_hash
from saltus.models.base import AskPolicy, SeriesEntry
from saltus.records import Answer, Item, NotApplicable, Request, Score, Settings
from saltus.tasks.base import Task
from saltus.testing import ToyTask


@dataclass(frozen=True)
class SmallStudy:
    """What the runner and the store read of a study."""

    task_list: tuple[Task, ...] = (ToyTask(),)
    condition_list: tuple[tuple[Condition, ...], ...] = ((Baseline(),),)
    options: dict[str, Any] = field(default_factory=dict)
    """Of the scripted series."""
    limit: int | None = 20
    repeats: int = 1
    seed: int = 17
    points: int = 3
    base: Path = Path()
    ask: AskPolicy = field(default_factory=AskPolicy)

    @property
    def data(self) -> dict[str, Any]:
        return {"study": "small", "limit": self.limit, "seed": self.seed, "repeats": self.repeats}

    @property
    def study_id(self) -> str:
        return content_hash(self.data)

    def entries(self) -> list[SeriesEntry]:
        options = {"points": self.points, **self.options}
        return [SeriesEntry(scheme="scripted", source="leap", options=options)]

    def tasks(self) -> list[Task]:
        return list(self.task_list)

    def asked(self, entry: SeriesEntry, tasks: Sequence[Task]) -> list[Task]:
        return list(tasks)

    def conditions(self) -> list[tuple[Condition, ...]]:
        return list(self.condition_list)

    def condition_id(self, conditions: tuple[Condition, ...]) -> str:
        return "+".join(condition_id(c) for c in conditions)


@dataclass(frozen=True)
class Shout:
    """A condition that changes the question, or (level "same") the item only, or refuses odd items."""

    level: str | None = None
    kind: str = "shout"
    level_name: str = "how"
    promise: str = "none"

    def apply(self, item: Item, task: Task, rng: np.random.Generator) -> Item | NotApplicable:
        if self.level == "even" and int(item.id.split("-")[1]) % 2:
            return NotApplicable(why="the item's number is odd")
        if self.level == "broken":
            raise RuntimeError("this condition is broken")
        changed = replace(item, parent_id=item.id, relation="perturbed")
        if self.level == "same":
            return replace(changed, meta={"draw": int(rng.integers(10**6))})
        return replace(changed, context=f"{rng.integers(10**6)} LISTEN! ")


@dataclass(frozen=True, kw_only=True)
class Dialogue(ToyTask):
    """Asks, reads the answer, and asks again with what was said; the second turn depends on the first."""

    name: str = "dialogue"
    format: str = "generate"
    turns: int = 3

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        message = ""
        for turn in range(self.turns):
            answer = yield Request(kind="generate", prompt=f"{message}{turn}. {item.question}")
            message += f"{answer.text}\n"

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        right = sum(a.text.strip() == item.target for a in answers) / len(answers)
        return [Score(metric_hard="exact_match", hard=right, why_no_soft="text alone")]


@dataclass(frozen=True, kw_only=True)
class Sampled(ToyTask):
    """Generation at temperature 1, which needs a seed."""

    name: str = "sampled"
    format: str = "generate"

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        yield Request(kind="generate", prompt=item.question, settings=Settings(temperature=1.0))


@dataclass(frozen=True, kw_only=True)
class Several(ToyTask):
    """Asks for several samples of one prompt itself, the first without a seed of its own."""

    name: str = "several"
    format: str = "generate"
    samples: int = 3

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        for sample in range(self.samples):
            yield Request(
                kind="generate", prompt=item.question, settings=Settings(temperature=1.0), seed=sample or None
            )
