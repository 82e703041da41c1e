"""The same skill over a longer context: a longer period to copy, more digits to add than were trained on.

Only tasks that generate their items can do it: they have a method `longer`. The item is a new one of the same
kind with its own right answer; it keeps the original's id, so that answers stay paired.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saltus.conditions.leveled import Leveled, changed
from saltus.errors import UserError
from saltus.records import Item, NotApplicable
from saltus.tasks.base import Lengthens, Task
from saltus.tasks.options import share


class LongerContext(Leveled):
    """`context: [1.5, 2]`: that many times as long."""

    kind = "context"
    level_name = "factor"
    promise = "directional"
    varies = frozenset({"context"})

    def checked(self, level: Any) -> float:
        if level is None:
            raise UserError("`context` needs a factor", wanted="how many times as long", do="`context: [2]`")
        if level == 1:
            raise UserError("`context` with factor 1 changes nothing", wanted="a factor above 1")
        return share("context", "level", level, 1.0, 1000.0)

    def apply(self, item: Item, task: Task, rng: np.random.Generator) -> Item | NotApplicable:
        if not isinstance(task, Lengthens):
            return NotApplicable(why=f"`{task.name}` cannot make its items longer")
        longer = task.longer(item, float(self.level or 1), rng)
        kept = {name: getattr(longer, name) for name in _OF_THE_QUESTION}
        return changed(item, "longer-context", **kept)


_OF_THE_QUESTION = ("question", "context", "choices", "target", "gold", "difficulty", "group", "source", "meta")
