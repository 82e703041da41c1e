"""What our conditions share: one checked level, and how a changed item stays paired with its original."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from saltus.records import Item
from saltus.tasks.options import refuse_unknown


@dataclass(frozen=True, init=False)
class Leveled:
    """A condition with one level. Subclasses set the class attributes, check the level, and apply."""

    level: float | str | None

    kind = ""
    level_name = ""
    promise: Literal["invariant", "directional", "none"] = "none"
    varies: frozenset[str] = frozenset()

    def __init__(self, level: Any = None, **options: Any) -> None:
        refuse_unknown(self.kind, options, ("level",))
        object.__setattr__(self, "level", self.checked(level))

    def checked(self, level: Any) -> float | str | None:
        """The level in its own type. Raises UserError for one that makes no sense."""
        raise NotImplementedError


def changed(item: Item, relation: str, **parts: Any) -> Item:
    """item with parts replaced and, unless it is already a twin of another item, itself as parent.

    In a cross the relations are joined: "shots+typos".
    """
    if item.parent_id not in (None, item.id):
        return replace(item, **parts)
    if item.parent_id is not None and item.relation:
        relation = f"{item.relation}+{relation}"
    return replace(item, parent_id=item.id, relation=relation, **parts)
