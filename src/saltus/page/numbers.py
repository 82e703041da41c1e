"""Numbers as people read them: few digits, units, superscripts; and never a digit more than is known.

Counts use k, M, B, T (thousand, million, billion, trillion), as the field does for tokens and parameters;
operations are powers of ten. A missing number is an em dash here; its reason stands beside it on the page.
"""

from __future__ import annotations

import math

from saltus.records import Quantity

NARROW = "\u202f"
NBSP = "\u00a0"
MISSING = "—"
UNITS = {"tokens": "tokens", "params": "parameters", "flops": "FLOP", "step": "steps", "loss": "nats", "date": ""}
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_PREFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def plain(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent between 1e-4 and 1e6."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-4:
        return power(value, digits)
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value:.{decimals}f}"
    if "." in text and size >= 1000:
        text = text.split(".")[0]
    return text.replace("-", "−")


def tidy(value: float | None, digits: int = 3) -> str:
    """plain() without trailing zeros, for a number that stands alone."""
    text = plain(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text and "×" not in text else text


def power(value: float | None, digits: int = 2) -> str:
    """2.1 × 10²¹; a mantissa of one is left out."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    mantissa = f"{value / 10**exponent:.{digits - 1}f}"
    if mantissa in ("10.0", "10"):
        mantissa, exponent = "1.0", exponent + 1
    ten = "10" + str(exponent).translate(_SUPERSCRIPT)
    if float(mantissa) == 1:
        return ten
    return f"{mantissa.replace('-', '−')}{NARROW}×{NARROW}{ten}"


def count(value: float | None, digits: int = 2) -> str:
    """2.3 M, 300 B, 41 k; below a thousand as it is."""
    if value is None or not math.isfinite(value):
        return MISSING
    for size, prefix in _PREFIXES:
        if abs(value) >= size * (1 - 0.5 * 10**-digits):
            return f"{_trim(value / size, digits)}{NARROW}{prefix}"
    return _trim(value, 3)


def _trim(value: float, digits: int) -> str:
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def on_axis(value: float | None, axis: str, *, unit: bool = False, digits: int = 2) -> str:
    """A raw axis value: 2.3 M, 3.1 × 10²¹, 2.31, 2023.5; with its unit if wanted."""
    if value is None or not math.isfinite(value):
        return MISSING
    if axis == "flops":
        text = power(value, digits)
    elif axis == "date":
        text = f"{value:.1f}"
    elif axis == "loss":
        text = plain(value, 3)
    elif axis in UNITS:
        text = count(value, digits)
    else:
        text = plain(value, 3)
    name = UNITS.get(axis, "") if unit else ""
    return f"{text}{NBSP}{name}" if name else text


def span(low: float | None, high: float | None, axis: str) -> str:
    """An interval on an axis, both ends: 470 k – 1.1 M."""
    if low is None and high is None:
        return MISSING
    a, b = on_axis(low, axis), on_axis(high, axis)
    if a == b:
        a, b = on_axis(low, axis, digits=3), on_axis(high, axis, digits=3)
    return f"{a} – {b}"


def interval(low: float | None, high: float | None) -> str:
    """[0.086, 0.142]: as many decimals as its width asks for; an unknown end is stated."""
    if low is None and high is None:
        return MISSING
    if low is None or high is None or not _ordinary(low, high):
        return f"[{_end(low, 'unknown')}, {_end(high, 'unknown')}]"
    decimals = min(6, max(0, 1 - math.floor(math.log10(high - low))))
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]".replace("-", "−")


def _ordinary(low: float, high: float) -> bool:
    """Neither endless nor too far apart or too close for fixed decimals."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return False
    return low < high and max(abs(low), abs(high)) < 1e5 and high - low > 1e-4


def _end(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else plain(value, 2)


def brief(value: Quantity) -> str:
    """A quantity without its interval, for a narrow column: 0.31 dec."""
    if value.value is None:
        return MISSING
    unit = {"decades": "dec", "decade": "dec"}.get(value.unit, value.unit)
    return f"{plain(value.value, 2)}{NBSP}{unit}" if unit else plain(value.value, 2)


def quantity(value: Quantity) -> str:
    """0.31 decades [0.12, 0.55]."""
    if value.value is None and value.low is None and value.high is None:
        return MISSING
    head = plain(value.value, 2) if value.value is not None else ""
    unit = f"{NBSP}{value.unit}" if value.unit and head else ""
    tail = interval(value.low, value.high) if value.low is not None or value.high is not None else ""
    return f"{head}{unit} {tail}".strip()


def chance(p: float | None) -> str:
    """A probability: 0.03, < 0.001."""
    if p is None or not math.isfinite(p):
        return MISSING
    return f"<{NARROW}0.001" if p < 0.001 else plain(p, 2)


def percent(share: float | None) -> str:
    """62 %, < 1 %."""
    if share is None or not math.isfinite(share):
        return MISSING
    if 0 < share < 0.01:
        return f"<{NARROW}1{NARROW}%"
    return f"{100 * share:.0f}{NARROW}%"


def duration(seconds: float | None) -> str:
    """41 s, 6.2 min, 3.4 h."""
    if seconds is None:
        return MISSING
    if seconds < 90:
        return f"{plain(seconds, 2)}{NARROW}s"
    if seconds < 5400:
        return f"{plain(seconds / 60, 2)}{NARROW}min"
    return f"{plain(seconds / 3600, 2)}{NARROW}h"
