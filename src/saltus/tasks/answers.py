"""What of a written answer is compared with the right one: `extract` finds it, `normalise` levels what does not matter.

Both are applied to what the model wrote and to the targets, before exact match; the answer that is stored stays
as it was written. The steps of `normalise` are taken in one order, whatever order they are named in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from saltus.errors import UserError, nearest

EXTRACTS = ("first_line", "last_number", "choice_letter", "regex")
REGEX = "regex:"

_NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w)")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)
_LETTER = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?i:answer|choice|option)(?i:\s+is)?\s*[:=]?\s*[(\[*]*([A-Z])\b(?!')",
        r"[(\[]([A-Z])[)\]]",
        r"^\W*([A-Z])(?:\W|$)(?!\s*[a-z])",
        r"(?<!\w)([B-HJ-Z])(?!\w)",
    )
)
"""Tried in this order: named as the answer, in brackets, alone at the start, standing alone anywhere."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads an answer; two that read alike are equal."""

    extract: str | None = None
    """One of EXTRACTS, `regex:` with its pattern behind it: group 1, or the whole match where there is none."""
    normalise: tuple[str, ...] = ()
    """Names in STEPS."""

    def answer(self, text: str) -> str:
        """What a written answer says; empty where nothing is found."""
        return self._levelled(self._found(text) or "")

    def target(self, text: str) -> str:
        """A right answer in the same form. What would leave nothing of it is not done to it."""
        found = self._found(text)
        found = text if found is None else found
        return self._levelled(found) or found

    def _found(self, text: str) -> str | None:
        if self.extract is None:
            return text
        if self.extract.startswith(REGEX):
            match = re.search(self.extract.removeprefix(REGEX), text)
            return None if match is None else match[1 if match.re.groups else 0]
        return {"first_line": _first_line, "last_number": _last_number, "choice_letter": _letter}[self.extract](text)

    def _levelled(self, text: str) -> str:
        for name in self.normalise:
            text = STEPS[name](text)
        return text


def reader_of(part: str, given: Mapping[str, Any]) -> Reader | None:
    """The reader that the options `extract` and `normalise` describe; None where neither is given."""
    extract, normalise = given.get("extract"), given.get("normalise")
    if extract is None and not normalise:
        return None
    return Reader(_extract(part, extract), _normalise(part, normalise))


def _extract(part: str, value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    if text.startswith(REGEX):
        try:
            re.compile(text.removeprefix(REGEX))
        except re.error as error:
            raise UserError(
                f"`extract` of `{part}` is {value!r}: {error}", wanted="a Python regular expression behind `regex:`"
            ) from error
        return text
    if text not in EXTRACTS or text == "regex":
        raise UserError(
            f"`extract` of `{part}` is {value!r}",
            wanted="a pattern behind it: `regex:PATTERN`" if text == "regex" else nearest(text, EXTRACTS),
            do="choose among: first_line, last_number, choice_letter, regex:PATTERN",
        )
    return text


def _normalise(part: str, value: Any) -> tuple[str, ...]:
    names = re.split(r"[+,\s]+", value.strip()) if isinstance(value, str) else list(value or ())
    for name in names:
        if name not in STEPS:
            raise UserError(
                f"`normalise` of `{part}` names {name!r}",
                wanted=nearest(str(name), STEPS),
                do=f"choose among: {', '.join(STEPS)}",
            )
    return tuple(name for name in STEPS if name in names)


def _first_line(text: str) -> str | None:
    return next((line for line in text.splitlines() if line.strip()), None)


def _last_number(text: str) -> str | None:
    found = _NUMBER.findall(text)
    return _plain(found[-1]) if found else None


def _letter(text: str) -> str | None:
    for pattern in _LETTER:
        if match := pattern.search(text):
            return match[1]
    return None


def _numbers(text: str) -> str:
    """`1,000` and `+1000.0` as `1000`, `−3` as `-3`, `007` as `7`."""
    return _NUMBER.sub(lambda m: _plain(m[0]), text)


def _plain(number: str) -> str:
    value = format(Decimal(number.replace(",", "").replace("−", "-")), "f")
    whole, dot, rest = value.partition(".")
    rest = rest.rstrip("0")
    shown = whole + (dot + rest if rest else "")
    return "0" if shown == "-0" else shown


def _without_punctuation(text: str) -> str:
    """Without marks and symbols, but the point and the sign of a number."""
    return "".join(c for i, c in enumerate(text) if _of_number(text, i) or unicodedata.category(c)[0] not in "PS")


def _of_number(text: str, at: int) -> bool:
    """Whether a character is the point or the sign of a number."""
    before, char, after = text[at - 1 : at], text[at], text[at + 1 : at + 2]
    if char == "-":
        return after.isdigit() and not before.isalnum()
    return char == "." and before.isdigit() and after.isdigit()


STEPS: dict[str, Callable[[str], str]] = {
    "casefold": str.casefold,
    "numbers": _numbers,
    "punctuation": _without_punctuation,
    "articles": lambda text: _ARTICLE.sub("", text),
    "whitespace": lambda text: " ".join(text.split()),
    "strip": str.strip,
}
"""In the order in which they are taken. `whitespace` makes one space of any run and none at the ends."""
