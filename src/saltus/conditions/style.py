"""The same question in other fixed words around it: `Q: … A:`, a dialogue, an instruction.

A finding that holds in one style only is about the style. The styles are those of `saltus.tasks.rendering`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saltus.conditions.leveled import Leveled, changed
from saltus.errors import UserError
from saltus.records import Item, NotApplicable
from saltus.tasks.base import Styled, Task
from saltus.tasks.options import one_of
from saltus.tasks.rendering import STYLE_KEY, STYLES


class Style(Leveled):
    """`style: [qa, plain, short, instruct, dialogue]`."""

    kind = "style"
    level_name = "name"
    promise = "invariant"
    varies = frozenset({"format"})

    def checked(self, level: Any) -> str:
        if level is None:
            raise UserError("`style` needs a name", wanted=", ".join(STYLES), do="`style: [qa, dialogue]`")
        return one_of("style", "level", level, STYLES)

    def apply(self, item: Item, task: Task, rng: np.random.Generator) -> Item | NotApplicable:
        if not isinstance(task, Styled) or self.level not in task.styles:
            return NotApplicable(why=f"`{task.name}` has one fixed format")
        return changed(item, "style", meta={**item.meta, STYLE_KEY: self.level})
