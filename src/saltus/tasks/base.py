"""What a task is: items, how to ask them, how to score the answers, and what no skill would score.

A task knows nothing of models, tokenizers or stores. `ask` is a generator: it yields a request, receives the answer,
and may yield again, so dialogue and adaptive attacks need no second contract. `score` is pure: re-scoring
never asks a model. An entry point `saltus.tasks` names a callable `make(source, base, **options)` that returns a Task,
or a list of them where a name stands for a group; `source` is what follows the colon in `jsonl:items.jsonl` (None
without one), `base` the folder of the study.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from saltus import plugins
from saltus.records import Answer, Floor, Item, Request, Score


@runtime_checkable
class Task(Protocol):
    """See the module's docstring; `tasks/copying.py` is a short example."""

    name: str
    """With its options: `addition[digits=3]`. Unique within a study."""
    version: str
    """Changes whenever items, prompts or scores would."""
    needs: frozenset[str]
    """What a model must offer: {"loglikelihood"}, {"generate"}, …"""
    skill: str
    format: str
    """"cloze", "letters", "generate", "tokens", …"""
    primary: tuple[str, str | None]
    """(hard metric, soft metric) that the verdict is about, names in `metrics.py`."""
    provenance: Mapping[str, Any]
    """Source, licence, file hash or generator, n available."""

    def items(self, n: int | None, rng: np.random.Generator) -> Sequence[Item]:
        """The first n items (all when None), each the same whatever n is; lazily made where many."""
        ...

    def demos(self, item: Item, k: int, rng: np.random.Generator) -> Sequence[Item]:
        """k worked examples for item, never item itself. Raises UserError where there are too few."""
        ...

    def ask(self, item: Item) -> Generator[Request, Answer, None]: ...

    def score(self, item: Item, answers: Sequence[Answer]) -> Sequence[Score]:
        """Answers in the order asked. The first Score is the primary one."""
        ...

    def floor(self, items: Sequence[Item]) -> Floor: ...


def origin(task: Task) -> dict[str, str]:
    """Where its items come from, as far as `Task.provenance` says it: source, licence, sha256; under any usual name."""
    stated = task.provenance
    found = {
        "source": stated.get("source") or stated.get("generator") or stated.get("dataset"),
        "licence": stated.get("licence") or stated.get("license"),
        "sha256": stated.get("sha256") or plugins.file_of(task),
    }
    return {name: str(value) for name, value in found.items() if value}


@runtime_checkable
class Styled(Protocol):
    """A task that can render its items in other styles: what the condition `style` needs."""

    styles: tuple[str, ...]
    """Names in `tasks.rendering.STYLES`."""


@runtime_checkable
class Lengthens(Protocol):
    """A task that can make its items longer: what the condition `context` needs."""

    def longer(self, item: Item, factor: float, rng: np.random.Generator) -> Item:
        """A new item factor times as long, with its own right answer and item's id."""
        ...


@runtime_checkable
class Shows(Protocol):
    """A task whose requests show images, which `Request.images` names `sha256:…` by what they hold."""

    def image(self, name: str) -> bytes:
        """The bytes behind a name. The runner stores them once, under that name, and refuses others than it says."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """What the conversation about one item asks next."""

    index: int
    """Of the item among those that are conducted."""
    request: Request
    reply: Callable[[Answer], None]
    """Takes the answer, or a failure; may be called from any thread."""


@dataclass(frozen=True, slots=True)
class Over:
    """The end of the conversation about one item: exactly one of the three is there."""

    index: int
    outcome: str | None = None
    """What `score` reads beside the answers and nobody could find out again: a tool's effect, a judge's word."""
    error: str | None = None
    refused: str | None = None
    """Why this model can never be asked this item."""


@runtime_checkable
class Conducts(Protocol):
    """A task that leads its conversations itself, many at a time: agents with tools and sandboxes.

    Its `ask` shows how a conversation opens and is not run. `score` gets all answers in the order asked and, last,
    one whose text is the outcome.
    """

    def conduct(self, items: Sequence[Item], offers: frozenset[str]) -> Generator[Sequence[Turn | Over], None, None]:
        """Talks about all items to a model that offers so much, until each is over; ended early by `close`."""
        ...
