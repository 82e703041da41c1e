"""The item as its task made it: what every other condition is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from saltus.conditions.leveled import Leveled
from saltus.errors import UserError
from saltus.records import Item
from saltus.tasks.base import Task


class Baseline(Leveled):
    """No change at all."""

    kind = "baseline"
    promise = "invariant"
    varies: frozenset[str] = frozenset()

    def checked(self, level: Any) -> None:
        if level is not None:
            raise UserError(f"`baseline` has no level, and {level!r} is given", do="write `baseline`")

    def apply(self, item: Item, task: Task, rng: np.random.Generator) -> Item:
        return item
