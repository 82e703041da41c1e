"""Typing mistakes in question and context, never in choices, targets or worked examples.

Four kinds, equally often: two neighbouring letters swapped, a letter left out, a letter doubled, a neighbouring key hit
instead. The rate is mistakes per letter; a fraction of a mistake is made with that probability. HELM and CheckList
(Ribeiro et al. 2020) have the idea; a mistake can still change a meaning (`form` for `from`), which nobody checks here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saltus.conditions.leveled import Leveled, changed
from saltus.errors import UserError
from saltus.records import Item, NotApplicable
from saltus.tasks.base import Task
from saltus.tasks.options import share

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


class Typos(Leveled):
    """`typos: [0.02, 0.1]`."""

    kind = "typos"
    level_name = "rate"
    promise = "directional"
    varies = frozenset({"wording"})

    def checked(self, level: Any) -> float:
        if level is None:
            raise UserError("`typos` needs a rate", wanted="mistakes per letter", do="`typos: [0.02, 0.1]`")
        rate = share("typos", "level", level, 0.0, 1.0)
        if rate == 0:
            raise UserError("`typos` with rate 0 changes nothing", wanted="a rate above 0")
        return rate

    def apply(self, item: Item, task: Task, rng: np.random.Generator) -> Item | NotApplicable:
        if item.format == "tokens":
            return NotApplicable(why=f"`{task.name}` is made of tokens, not of words that could be mistyped")
        if not any(c.isalpha() for c in item.question + item.context):
            return NotApplicable(why="there are no letters in the question")
        rate = float(self.level or 0)
        context = mistyped(item.context, rate, rng)
        return changed(item, "typos", context=context, question=mistyped(item.question, rate, rng))


def mistyped(text: str, rate: float, rng: np.random.Generator) -> str:
    """text with rate · letters mistakes, at most one per letter."""
    cells = list(text)
    letters = [i for i, c in enumerate(cells) if c.isalpha()]
    count = min(len(letters), int(rate * len(letters) + rng.random()))
    if not count:
        return text
    places = sorted(rng.choice(len(letters), count, replace=False).tolist())
    free = set(letters)
    for kind, place in zip(rng.integers(0, 4, count).tolist(), places):
        at = letters[place]
        if at in free:
            free -= _mistake(cells, at, kind, free, rng)
    return "".join(cells)


def _mistake(cells: list[str], at: int, kind: int, free: set[int], rng: np.random.Generator) -> set[int]:
    """Makes one mistake in cells; returns the places it used up."""
    letter = cells[at]
    if kind == 0 and at + 1 in free and cells[at + 1] != letter:
        cells[at], cells[at + 1] = cells[at + 1], letter
        return {at, at + 1}
    if kind == 1 and (at + 1 in free or at - 1 in free):  # a word of one letter stays
        cells[at] = ""
    elif kind == 2:
        cells[at] = letter * 2
    else:
        cells[at] = _neighbour(letter, rng)
    return {at}


def _neighbour(letter: str, rng: np.random.Generator) -> str:
    """A key beside letter's on a QWERTY keyboard, in its case; letters without one are doubled."""
    for row in _ROWS:
        at = row.find(letter.lower())
        if at >= 0:
            beside = row[max(0, at - 1) : at] + row[at + 1 : at + 2]
            hit = beside[int(rng.integers(len(beside)))]
            return hit.upper() if letter.isupper() else hit
    return letter * 2
