"""What a hosted model costs: the `price` of an entry."""

from __future__ import annotations

from typing import Any

from saltus.errors import UserError


def price(value: Any, where: str) -> dict[str, float]:
    """{input, output} for a million tokens. Raises UserError."""
    good = isinstance(value, dict) and value and set(value) <= {"input", "output"}
    numbers = value.values() if good else ()
    if not good or not all(isinstance(v, (int, float)) and v >= 0 for v in numbers):
        raise UserError(
            f"`price: {value}`",
            where=where,
            wanted="`price: {input: 0.15, output: 0.6}`, for a million tokens, in one currency",
        )
    return {name: float(value.get(name, 0.0)) for name in ("input", "output")}
