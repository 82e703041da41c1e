"""What the zoo holds: names, what each series shows, its recipe, and how long it trains. Imports no torch.

A name stands for one recipe per seed. Options (`width: 32`) make another recipe and so another place in the cache.
Seconds are those `benchmarks/zoo_training.py` printed on one core; other machines differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from saltus.errors import UserError, nearest
from saltus.zoo.addition import Addition
from saltus.zoo.grokking import Grokking
from saltus.zoo.induction import Induction
from saltus.zoo.training import Course

WIDTHS = (16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One name in the zoo."""

    name: str
    shows: str
    """What a study of it should find, in a sentence."""
    task: str
    """The task to ask, as a study writes it."""
    seeds: tuple[int, ...]
    """Trained unless the study says otherwise."""
    seconds: float
    """To train one seed of one recipe."""
    courses: Callable[[], tuple[Course, ...]]
    """The recipes of the series: one, or one per size."""
    options: tuple[str, ...] = ()
    """Fields of the recipe that a study may set."""


EXHIBITS: Mapping[str, Exhibit] = {
    exhibit.name: exhibit
    for exhibit in (
        Exhibit(
            name="induction-2l",
            shows="in-context copying appears in one narrow window of training",
            task="copying",
            seeds=(0, 1, 2),
            seconds=30,
            courses=lambda: (Induction(),),
            options=("width",),
        ),
        Exhibit(
            name="induction-1l",
            shows="one layer cannot form the circuit: the negative control",
            task="copying",
            seeds=(0,),
            seconds=20,
            courses=lambda: (Induction(name="induction-1l", layers=1),),
            options=("width",),
        ),
        Exhibit(
            name="induction-width",
            shows="copying appears with width: one network of each of seven sizes",
            task="copying",
            seeds=(0,),
            seconds=20,
            courses=lambda: tuple(Induction(width=width) for width in WIDTHS),
        ),
        Exhibit(
            name="grokking",
            shows="held-out accuracy leaps long after the training pairs are memorised",
            task="modular_addition",
            seeds=(0, 1, 2),
            seconds=17,
            courses=lambda: (Grokking(),),
        ),
        Exhibit(
            name="addition",
            shows="exact match leaps while the probability per digit climbs: an artefact of the metric",
            task="addition",
            seeds=(0, 1, 2),
            seconds=35,
            courses=lambda: (Addition(),),
        ),
    )
}


def exhibit(name: str, where: str = "") -> Exhibit:
    """The exhibit of that name. Raises UserError with the nearest known one."""
    if name not in EXHIBITS:
        raise UserError(
            f"the zoo has no series `{name}`", where=where, wanted=nearest(name, EXHIBITS), do="`saltus zoo` lists them"
        )
    return EXHIBITS[name]


def courses(name: str, options: Mapping[str, Any] | None = None, where: str = "") -> tuple[Course, ...]:
    """The recipes behind a name, options applied. Raises UserError for an option or value it does not have."""
    shown = exhibit(name, where)
    chosen = dict(options or {})
    for key in chosen:
        if key not in shown.options:
            raise UserError(
                f"`zoo:{name}` has no option `{key}`",
                where=where,
                wanted=nearest(key, (*shown.options, "seeds", "cache")),
            )
    try:
        return tuple(replace(course, **chosen) for course in shown.courses())  # type: ignore[type-var]
    except (ValueError, TypeError) as error:
        raise UserError(f"`zoo:{name}` with {chosen}: {error}", where=where) from error
