"""`inspect:FILE.py@task` and `inspect:package/task`: tasks written for Inspect, run over a series by Inspect itself.

Solver, tools, sandbox, limits and scorer are Inspect's; every call to the model goes through the store with the
identity of any other question, so a stopped run goes on without asking twice, and any model of saltus can be
measured. The item-level scores that Inspect's scorer gave are stored with the answers. Options: args (of the task),
max_tokens, temperature, at_once, tools, roles, logs, name, skill; see docs/inspect.md.

Limits: one evaluation at a time; epochs are the study's `repeats`; a sample that was scored is not scored again when
only its scorer changes unless the task's file did; images only with `inspect:` models, tools with others only in words
(`tools: emulate`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saltus.errors import MissingExtra, UserError
from saltus.hashing import content_hash
from saltus.records import Answer, Floor, Item, Request, Score, Settings
from saltus.tasks import floors, options
from saltus.tasks.base import Over, Turn

if TYPE_CHECKING:
    from saltus.tasks.inspect.run import How
    from saltus.tasks.inspect.samples import Loaded

OPTIONS = ("args", "max_tokens", "temperature", "at_once", "tools", "roles", "logs", "name", "skill")
MAX_TOKENS = 2048
"""What Inspect's local providers generate at most where a task does not say."""


@dataclass
class InspectTask:
    """A task of Inspect's behind the contract of every task."""

    name: str
    skill: str
    source: str
    version: str
    loaded: Loaded
    how: How
    needs: frozenset[str] = frozenset({"generate"})
    provenance: Mapping[str, Any] = field(default_factory=dict)
    again: Any = None
    """Makes the same task in another process, where Inspect's objects cannot go."""

    def __reduce__(self) -> tuple[Any, ...]:
        return self.again, ()

    @property
    def format(self) -> str:
        return "letters" if any(s.choices for s in self.loaded.samples) else "generate"

    @property
    def primary(self) -> tuple[str, str | None]:
        return self.loaded.primary

    def items(self, n: int | None, rng: np.random.Generator) -> Sequence[Item]:
        from saltus.tasks.inspect.samples import as_item

        samples = self.loaded.samples[:n]
        return [as_item(s, i, self.loaded, self.source) for i, s in enumerate(samples)]

    def demos(self, item: Item, k: int, rng: np.random.Generator) -> Sequence[Item]:
        raise UserError(
            "a task of Inspect's shows worked examples itself",
            where=self.name,
            do="give their number in `args`, by the task's own name for it",
        )

    def ask(self, item: Item) -> Generator[Request, Answer, None]:
        """The sample's input before the solver adds to it: for people to read. Inspect does the asking."""
        from saltus.tasks.inspect.samples import opening

        answer = yield Request(kind="generate", prompt=opening(item, self.loaded), settings=self.how.settings)
        assert answer.key is not None  # reads it: more turns may follow

    def conduct(self, items: Sequence[Item], offers: frozenset[str]) -> Generator[Sequence[Turn | Over], None, None]:
        """One evaluation after another, each with every sample at most once."""
        from saltus.tasks.inspect.run import Evaluation
        from saltus.tasks.inspect.samples import as_sample

        rounds: list[dict[str, int]] = []
        for index, item in enumerate(items):
            free = next((r for r in rounds if item.id not in r), None)
            if free is None:
                rounds.append(free := {})
            free[item.id] = index
        for some in rounds:
            samples = {i: as_sample(items[i], self.loaded) for i in some.values()}
            evaluation = Evaluation(samples, self.loaded.shares, self.how, offers)
            yield from evaluation.events(self.loaded.task)

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        """What Inspect's scorer stated, from the outcome that ends the answers."""
        from saltus.tasks.inspect.scores import scores_of

        last = answers[-1] if answers else None
        if last is None or last.finish != "outcome":
            hard, soft = self.primary
            why = "Inspect did not bring the sample to its end"
            return [Score(metric_hard=hard, hard=None, metric_soft=soft, why_no_hard=why, why_no_soft=why)]
        return scores_of(item, last.text)

    def floor(self, items: Sequence[Item]) -> Floor:
        chosen = list(items)
        if all(item.choices and item.gold for item in chosen):
            return floors.of_choices(chosen)
        return floors.of_targets(chosen)


def make(source: str | None = None, base: Path | None = None, **given: Any) -> InspectTask:
    """The task of a file or an installed package. Raises UserError, MissingExtra without Inspect."""
    if not source:
        raise UserError("`inspect` names no task", wanted="`inspect:FILE.py@task` or `inspect:package/task`")
    part = f"inspect:{source}"
    options.refuse_unknown(part, given, OPTIONS)
    args, roles = _table(part, "args", given), _table(part, "roles", given)
    try:
        from saltus.tasks.inspect.run import How
        from saltus.tasks.inspect.samples import load
    except ImportError as error:
        raise MissingExtra("`inspect:`", "inspect") from error
    from importlib.metadata import version

    folder = base or Path()
    loaded = load(source, folder, args, part)
    config: dict[str, Any] = {}
    if "max_tokens" in given:
        config["max_tokens"] = options.whole(part, "max_tokens", given["max_tokens"], 1, 1 << 20)
    if "temperature" in given:
        config["temperature"] = options.share(part, "temperature", given["temperature"], 0, 10)
    tools = options.one_of(part, "tools", given.get("tools", "native"), ("native", "emulate"))
    logs = given.get("logs")
    how = How(
        settings=Settings(max_tokens=MAX_TOKENS),
        config=config,
        roles=roles,
        emulates=tools == "emulate",
        at_once=options.whole(part, "at_once", given.get("at_once", 16), 1, 10_000),
        logs=folder / str(logs) if logs else None,
    )
    shown = {k: (v, None) for k, v in {**args, **config}.items()} | {"tools": (tools, "native")}
    images = any(_has_images(s) for s in loaded.samples)
    task = loaded.task
    return InspectTask(
        name=str(given.get("name") or options.named(part, shown)),
        skill=str(given.get("skill") or task.name),
        source=source,
        loaded=loaded,
        how=how,
        version=content_hash([1, str(task.version), args, config, roles, tools])[7:19],
        needs=frozenset({"generate", *(["images"] if images else [])}),
        provenance={
            "source": source,
            "sha256": loaded.sha256,
            "n": len(loaded.samples),
            "args": args,
            "roles": roles,
            "scorers": list(loaded.scorers),
            "sandbox": task.sandbox.type if task.sandbox else None,
            "inspect_ai": version("inspect_ai"),
        },
        again=partial(make, source, base, **given),
    )


def _table(part: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    value = given.get(name) or {}
    if not isinstance(value, dict):
        raise UserError(f"`{name}` of `{part}` is {value!r}", wanted=f"`{name}: {{name: value}}`")
    return value


def _has_images(sample: Any) -> bool:
    from saltus.tasks.inspect.samples import _images

    return bool(_images(sample))
