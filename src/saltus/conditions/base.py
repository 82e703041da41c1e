"""What a condition is: a pure change of an item, deterministic by (seed, item id), paired with the original.

An entry point `saltus.conditions` names a class or callable `make(level=None, **options) -> Condition`. A changed item
keeps the original's id in `parent_id`; its own `id` stays that of the original, because the condition is a
column of its own. A condition that cannot apply says so by name: `NotApplicable(why=…)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from saltus.errors import UserError
from saltus.records import Item, NotApplicable, condition_label
from saltus.stats.batch import Promise
from saltus.tasks.base import Task

VARIES = frozenset(
    {
        *("wording", "format", "shots", "order", "context", "language", "knowledge", "identity", "image", "hostility"),
        "elicitation",
    }
)
"""What can be varied about a question, and what a report calls not tested where nothing varied it."""


@runtime_checkable
class Condition(Protocol):
    """See the module's docstring; `conditions/typos.py` is a short example."""

    kind: str
    level: float | str | None
    level_name: str
    """What the level is called in ids: `typos[rate=0.02]`; "" where there is no level."""
    promise: Literal["invariant", "directional", "none"]
    """invariant: the right answer and a sound model's score stay; directional: the score may only move one way, by
    default down (a condition may set `direction`, −1 or 1); none: anything."""
    varies: frozenset[str]
    """What it changes, of `VARIES`: a report says of what was not varied that it was not tested."""

    def apply(self, item: Item, task: Task, rng: np.random.Generator) -> Item | NotApplicable: ...


def promise_of(conditions: Sequence[Condition]) -> Promise:
    """Of conditions applied one after the other: what all of them promise, else nothing."""
    promises = {Promise(c.promise, int(getattr(c, "direction", -1))) for c in conditions if c.kind != "baseline"}
    kinds = {p.kind for p in promises}
    if kinds <= {"invariant"}:
        return Promise("invariant")
    directions = {p.direction for p in promises if p.kind == "directional"}
    if "none" in kinds or len(directions) > 1:
        return Promise("none")
    return Promise("directional", directions.pop())


def varied(conditions: Iterable[Condition]) -> frozenset[str]:
    """What the conditions change, of `VARIES`. Raises UserError for a condition that names anything else."""
    out: set[str] = set()
    for condition in conditions:
        own = frozenset(getattr(condition, "varies", ()))
        if own - VARIES:
            raise UserError(
                f"the condition `{condition.kind}` varies {', '.join(sorted(own - VARIES))}",
                wanted=f"`varies` of {', '.join(sorted(VARIES))}",
                do="fix it in the file that makes the condition",
            )
        out |= own
    return frozenset(out)


def condition_id(condition: Condition) -> str:
    """`baseline`, `typos[rate=0.02]`: what the results table calls it."""
    return condition_label(condition.kind, condition.level_name, condition.level)
