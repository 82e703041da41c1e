"""Quantities as people write them: `160M`, `1,000`, `3e9`."""

from __future__ import annotations

import re

SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_QUANTITY = re.compile(r"^\s*([0-9][0-9_,]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*([kmbgt])?\s*$", re.IGNORECASE)


def parse_quantity(text: str) -> float | None:
    """`160M` → 1.6e8, `1,000` → 1000.0; None where it is no number."""
    match = _QUANTITY.match(text)
    if not match:
        return None
    number = float(match[1].replace(",", "").replace("_", ""))
    return number * SUFFIX.get((match[2] or "").lower(), 1.0)
