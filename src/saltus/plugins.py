"""Finds parts by name: tasks, conditions, model adapters, checks; ours and everybody else's alike.

A part is one object under an entry point `saltus.<kind>`. Names are looked up without importing the others,
so a broken plug-in breaks only the study that asks for it.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args

from saltus.errors import UserError, nearest

Kind = Literal["tasks", "conditions", "models", "checks"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@cache
def _found(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"saltus.{kind}")}


def names(kind: Kind) -> list[str]:
    """The names of all installed parts of a kind, sorted."""
    return sorted(_found(kind))


def load(kind: Kind, name: str, where: str = "") -> Any:
    """The part of that name. Raises UserError with the nearest known name if there is none."""
    points = _found(kind)
    if name not in points:
        raise UserError(
            f"unknown {kind[:-1]} `{name}`",
            where=where,
            wanted=nearest(name, points),
            do=f"`saltus {kind}` lists what is installed",
        )
    try:
        return points[name].load()
    except ImportError as error:
        raise UserError(
            f"the {kind[:-1]} `{name}` cannot be imported: {error}",
            where=where or points[name].value,
            do="install what it needs, or remove the package that registers it",
        ) from error
