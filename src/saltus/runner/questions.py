"""What a study asks of one model, made lazily: items × conditions × repeats, item outermost.

Conditions of one item stand next to each other so that shared prefixes are near. What is rendered depends on the
study alone, so the first `Work.keep` questions are kept for the next model of a series; the rest are made again,
which keeps memory flat. Tasks and conditions are third-party code: what they raise becomes a failure of that item.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from saltus.conditions.base import Condition, condition_id
from saltus.hashing import former_hash, seed_from
from saltus.records import Answer, Item, NotApplicable, Request
from saltus.store.rows import item_json, version_of
from saltus.tasks.base import Task

MOST_TURNS = 10_000


@dataclass(frozen=True, slots=True)
class Question:
    """An item under a condition, rendered as far as it goes without an answer."""

    task: Task
    index: int
    condition: str
    item: Item
    raw: bytes
    """The item's canonical JSON."""
    item_hash: str | None
    requests: tuple[Request, ...]
    closed: bool
    """No further request can follow: the task read no answer."""
    refused: str | None = None
    failed: str | None = None
    digest: Any = None
    """A running hash over everything but the repeat."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, once: the unit that is done, failed or refused."""

    question: Question
    repeat: int
    ask_id: bytes


@dataclass
class Work:
    """All questions of a study; iterate `asks(task, …)` per model."""

    seed: int
    repeats: int
    limit: int | None
    conditions: Sequence[tuple[Condition, ...]]
    keep: int = 10_000
    """Questions kept between models; 0 for a single model."""
    _items: dict[str, Sequence[Item]] = field(default_factory=dict)
    _latest: tuple[str, int, Item] | None = None
    """Items may be made when looked at; the conditions of one share it."""
    _kept: dict[tuple[str, int, str], Question] = field(default_factory=dict)

    def items(self, task: Task) -> Sequence[Item]:
        """The task's items, the same for every model and whatever the limit is."""
        if task.name not in self._items:
            rng = np.random.default_rng(seed_from(self.seed, task.name))
            self._items[task.name] = task.items(self.limit, rng)
        return self._items[task.name]

    def count(self, task: Task, part: int = 0, parts: int = 1) -> int:
        """How many asks of the task there are."""
        items = len(range(part, len(self.items(task)), parts))
        return items * len(self.conditions) * self.repeats

    def asks(self, task: Task, part: int = 0, parts: int = 1) -> Iterator[Ask]:
        """Every ask of a task; with parts, those whose item index leaves the remainder `part`."""
        items = self.items(task)
        named = [("+".join(condition_id(c) for c in cross), cross) for cross in self.conditions]
        for index in range(part, len(items), parts):
            for name, cross in named:
                question = self._question(task, index, name, cross)
                for repeat in range(self.repeats):
                    digest = question.digest.copy()
                    digest.update(b"%d" % repeat)
                    yield Ask(question, repeat, digest.digest())

    def _question(self, task: Task, index: int, name: str, cross: tuple[Condition, ...]) -> Question:
        place = (task.name, index, name)
        question = self._kept.get(place)
        if question is None:
            question = self._render(task, index, name, cross)
            if len(self._kept) < self.keep:
                self._kept[place] = question
        return question

    def _render(self, task: Task, index: int, name: str, cross: tuple[Condition, ...]) -> Question:
        item = self._item(task, index)
        refused = failed = item_hash = None
        raw, closed = b"", True
        requests: tuple[Request, ...] = ()
        try:
            changed = self._apply(item, task, cross)
            if isinstance(changed, NotApplicable):
                refused = changed.why
            else:
                item, raw = changed, item_json(changed)
                item_hash = "sha256:" + hashlib.sha256(raw).hexdigest()
                requests, closed = requests_after(task, item)
        except Exception as error:  # noqa: BLE001 — a plug-in's fault must not end the study
            failed = f"the task or condition failed: {type(error).__name__}: {error}"
        # An ask is named as saltus 0.1 named it, so that a migrated store knows what it was asked.
        former = former_hash(item) if item_hash is not None else None
        body = (task.name, version_of(task), name, self.seed, index, item.id, former, refused)
        digest = hashlib.blake2b(repr(body).encode("utf-8", "surrogatepass"), digest_size=16)
        for request in requests:
            digest.update(_spelled(request))
        return Question(task, index, name, item, raw, item_hash, requests, closed, refused, failed, digest)

    def _item(self, task: Task, index: int) -> Item:
        if self._latest is None or self._latest[:2] != (task.name, index):
            self._latest = (task.name, index, self.items(task)[index])
        return self._latest[2]

    def _apply(self, item: Item, task: Task, cross: tuple[Condition, ...]) -> Item | NotApplicable:
        for condition in cross:
            if condition.kind == "baseline":
                continue
            rng = np.random.default_rng(seed_from(self.seed, condition_id(condition), item.id))
            changed = condition.apply(item, task, rng)
            if isinstance(changed, NotApplicable):
                return changed
            item = changed
        return item

    def seeded(self, request: Request, item: Item, repeat: int) -> Request:
        """Sampled generation gets its seed; everything else needs none, and repeats share an answer.

        A task that asks for several samples itself tells them apart by seeds of its own, which later repeats mix in.
        """
        if request.kind != "generate" or request.settings.temperature <= 0:
            return request
        if request.seed is None:
            return replace(request, seed=seed_from(self.seed, item.id, repeat))
        if repeat == 0:
            return request
        return replace(request, seed=seed_from(self.seed, item.id, repeat, request.seed))


class _NeedAnswer(BaseException):
    """The task looked at an answer that is not there yet. Not an Exception: no task may swallow it."""


class _Unread:
    """Stands for an answer until somebody looks at it."""

    def _look(self, *_: Any) -> Any:
        raise _NeedAnswer

    __getattr__ = __bool__ = __eq__ = __len__ = __iter__ = __getitem__ = _look  # type: ignore[assignment]
    __hash__ = _look  # type: ignore[assignment]


UNREAD: Any = _Unread()


def requests_after(task: Task, item: Item, answers: Sequence[Answer] = ()) -> tuple[tuple[Request, ...], bool]:
    """(all requests that are certain given these answers, whether no more can follow).

    A task that yields a request per choice without reading what comes back has them all pooled at once; one that
    reads is replayed from the start with the answers so far. Raises ValueError after MOST_TURNS requests.
    """
    talk = task.ask(item)
    asked: list[Request] = []
    try:
        asked.append(next(talk))
        while len(asked) <= MOST_TURNS:
            at = len(asked) - 1
            asked.append(talk.send(answers[at] if at < len(answers) else UNREAD))
        raise ValueError(f"more than {MOST_TURNS} requests for one item")
    except StopIteration:
        return tuple(asked), True
    except _NeedAnswer:
        return tuple(asked), False
    finally:
        talk.close()


def _spelled(request: Request) -> bytes:
    s = request.settings
    text = repr(
        (
            request.kind,
            request.prompt,
            request.messages,
            request.continuation,
            request.seed,
            request.observe,
            s.max_tokens,
            s.temperature,
            s.top_p,
            s.stop,
            *([request.images] if request.images else []),
        )
    )
    return text.encode("utf-8", "surrogatepass")
