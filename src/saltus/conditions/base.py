"""What a condition is: a pure change of an item, deterministic by (seed, item id), paired with the original.

An entry point `saltus.conditions` names a class or callable `make(level=None, **options) -> Condition`. A changed item
keeps the original's id in `parent_id`; its own `id` stays that of the original, because the condition is a
column of its own. A condition that cannot apply says so by name: `NotApplicable(why=…)`.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import numpy as np

from saltus.records import Item, NotApplicable, condition_label
from saltus.tasks.base import Task


@runtime_checkable
class Condition(Protocol):
    """See the module's docstring; `conditions/typos.py` is a short example."""

    kind: str
    level: float | str | None
    level_name: str
    """What the level is called in ids: `typos[rate=0.02]`; "" where there is no level."""
    promise: Literal["invariant", "directional", "none"]
    """invariant: the right answer and a sound model's score stay; directional: the score may only fall."""

    def apply(self, item: Item, task: Task, rng: np.random.Generator) -> Item | NotApplicable: ...


def condition_id(condition: Condition) -> str:
    """`baseline`, `typos[rate=0.02]`: what the results table calls it."""
    return condition_label(condition.kind, condition.level_name, condition.level)
