"""What a user did can be wrong; then saltus says what it found, what it wanted, what to type next.

A `UserError` is the only exception the command line turns into a message instead of a traceback (exit
code 2). Everything else that escapes is a fault of saltus and shows its traceback on purpose.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """Something the user can fix.

    found: what was there. where: file, line, key, column or row. wanted: what would have been right.
    do: what to type or change next.
    """

    def __init__(self, found: str, *, where: str = "", wanted: str = "", do: str = "") -> None:
        self.found, self.where, self.wanted, self.do = found, where, wanted, do
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.found}" if self.where else self.found]
        if self.wanted:
            lines.append(f"  wanted: {self.wanted}")
        if self.do:
            lines.append(f"  do:     {self.do}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled part by part, since errors come back from workers in other processes."""
        return _remade, (type(self), self.found, self.where, self.wanted, self.do)


class MissingExtra(UserError):
    """An optional dependency is needed and absent."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that are not installed",
            wanted=f"the extra `{extra}`",
            do=f"pip install 'saltus[{extra}]'",
        )


def _remade(kind: type[UserError], found: str, where: str, wanted: str, do: str) -> UserError:
    error = kind.__new__(kind)
    UserError.__init__(error, found, where=where, wanted=wanted, do=do)
    return error


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known word, or lists them all when none is near."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return "one of: " + ", ".join(known) if known else "none is known"


def reason(error: BaseException) -> str:
    """One line that says what happened."""
    text = " ".join(str(error).split()) or "no reason given"
    kind = type(error).__name__
    return text if kind in ("ModelError", "UserError") else f"{kind}: {text}"
