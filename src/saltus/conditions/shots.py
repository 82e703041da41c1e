"""Worked examples before the question: how many, and in which order.

Elicitation decides much of what "emerges" (Lu et al. 2024), so the number is a condition, and scores are compared
within one number. An item has the same examples in every cross: they depend on (seed, `shots[n=…]`,
item id).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saltus.conditions.leveled import Leveled, changed
from saltus.errors import UserError
from saltus.records import Item, NotApplicable
from saltus.tasks.base import Task
from saltus.tasks.options import whole


class Shots(Leveled):
    """`shots: [0, 1, 5]`: that many worked examples, chosen by the task; 0 takes away those an item brings."""

    kind = "shots"
    level_name = "n"
    varies = frozenset({"shots"})

    def checked(self, level: Any) -> int:
        if level is None:
            raise UserError("`shots` needs a number", wanted="how many examples", do="`shots: [1, 5]`")
        return whole("shots", "level", level, 0, 10_000)

    def apply(self, item: Item, task: Task, rng: np.random.Generator) -> Item | NotApplicable:
        try:
            demos = tuple(task.demos(item, int(self.level or 0), rng)) if self.level else ()
        except UserError as error:
            return NotApplicable(why=error.found)
        return changed(item, "shots", demos=demos)


class ShotOrder(Leveled):
    """`shot_order: [1, 2, 3]`: the same worked examples in another order, one per number; 0 leaves it as it is.

    Cross it with shots: `cross: [[shots, shot_order]]`.
    """

    kind = "shot_order"
    level_name = "order"
    promise = "invariant"
    varies = frozenset({"order"})

    def checked(self, level: Any) -> int:
        if level is None:
            raise UserError(
                "`shot_order` needs a number", wanted="which of the random orders", do="`shot_order: [1, 2, 3]`"
            )
        return whole("shot_order", "level", level, 0, 10_000)

    def apply(self, item: Item, task: Task, rng: np.random.Generator) -> Item | NotApplicable:
        n = len(item.demos)
        if n < 2:
            found = "one worked example has" if n else "no worked examples have"
            return NotApplicable(why=f"{found} no other order; cross it with shots")
        order = rng.permutation(n) if self.level else range(n)
        return changed(item, "shot-order", demos=tuple(item.demos[i] for i in order))
