"""Options of tasks and conditions as a user writes them, checked with a message that helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from saltus.errors import UserError, nearest

T = TypeVar("T", int, float)


def refuse_unknown(part: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises UserError naming the nearest known option."""
    known = sorted(known)
    for name in given:
        if name not in known:
            raise UserError(
                f"`{part}` has no option `{name}`",
                wanted=nearest(name, known) if known else "no options",
                do=f"options: {', '.join(known)}" if known else f"write `{part}` alone",
            )


def refuse_source(part: str, source: str | None) -> None:
    """Raises UserError where a source follows the name of a part that generates its items."""
    if source is not None:
        raise UserError(
            f"`{part}:{source}` names a source",
            wanted=f"`{part}` alone: it makes its items itself",
            do=f"write `{part}`, with options as `{{{part}: {{…}}}}`",
        )


def whole(part: str, name: str, value: Any, low: int, high: int) -> int:
    """value as an integer from low to high, or UserError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or not low <= value <= high:
        raise UserError(f"`{name}` of `{part}` is {value!r}", wanted=f"a whole number from {low} to {high}")
    return int(value)


def share(part: str, name: str, value: Any, low: float, high: float) -> float:
    """value as a number from low to high, or UserError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UserError(f"`{name}` of `{part}` is {value!r}", wanted=f"a number from {low:g} to {high:g}")
    return float(value)


def flag(part: str, name: str, value: Any) -> bool:
    """value as true or false, or UserError."""
    if not isinstance(value, bool):
        raise UserError(f"`{name}` of `{part}` is {value!r}", wanted="true or false")
    return value


def text(part: str, name: str, value: Any) -> str | None:
    """value as a text or None, or UserError."""
    if value is not None and not isinstance(value, str):
        raise UserError(f"`{name}` of `{part}` is {value!r}", wanted="a text, in quotes where it is white space")
    return value


def texts(part: str, name: str, value: Any) -> tuple[str, ...]:
    """value as texts: one, a list of them, or none; else UserError."""
    values = [] if value is None else value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(v, str | int | float) and not isinstance(v, bool) and v != "" for v in values):
        raise UserError(f"`{name}` of `{part}` is {value!r}", wanted="a text or a list of texts, none empty")
    return tuple(map(str, values))


def one_of(part: str, name: str, value: Any, known: Iterable[str]) -> str:
    """value if it is among known, or UserError naming the nearest."""
    known = sorted(known)
    if value not in known:
        raise UserError(
            f"`{name}` of `{part}` is {value!r}",
            wanted=nearest(str(value), known),
            do=f"choose among: {', '.join(known)}",
        )
    return str(value)


def named(part: str, chosen: Mapping[str, tuple[Any, Any]]) -> str:
    """`addition[digits=3]`: the part's name with the options whose (value, default) differ, or alone."""
    shown = ",".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, (v, d) in chosen.items() if v != d)
    return f"{part}[{shown}]" if shown else part
