"""A drafted truth: true mean curves of both twins, per seed, before any noise.

Fractions are of the full rise: 0 is the floor, 1 the top. Each array runs over the points and then over
the fine grid, so that what is measured and what is true come from one evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from saltus.calibrate.decidable import crossing, width
from saltus.calibrate.settings import FINE, Setting
from saltus.records import Verdict
from saltus.stats.batch import Bools, Floats


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What recipes make and simulate.py measures."""

    word: Verdict
    kind: str
    """Which variant of the word: "single run", "no soft twin", "few points" …"""
    family: str
    setting: Setting
    hard: Floats
    """(S, P + FINE) fraction of the rise; may turn, or go below 0."""
    soft: Floats | None
    leap: Floats | None = None
    """(P + FINE,) the jump component of the typical seed, 0 to 1, where there is one."""
    soft_leap: Floats | None = None
    """The same of the soft twin."""
    onset: float | None = None
    """Fitted axis; the mean over leaping seeds."""
    clear: bool = True
    """False: the word is true, but the noise hides it even from an oracle."""
    leapt: int = 0
    token_length: float | None = None
    label: tuple[str, str, str] | None = None
    """Series, skill and format, where the curve is one of a family."""
    suspect: Bools | None = None
    """(P,) points a disqualifying guard suspects."""

    @property
    def points(self) -> int:
        return len(self.setting.x)

    def hard_mean(self) -> Floats:
        """(S, P) true share of right answers."""
        part = self.hard[:, : self.points]
        return np.clip(self.setting.floor + self.setting.rise * part, 0.0, 1.0)

    def soft_mean(self) -> Floats:
        """(S, P) true soft value."""
        assert self.soft is not None
        assert self.setting.soft is not None
        twin = self.setting.soft
        return twin.low + (twin.high - twin.low) * self.soft[:, : self.points]

    def crossing(self, which: str, level: float) -> float:
        """Where the mean over seeds crosses `level` of its rise within the range, read off the fine grid."""
        curves = self.hard if which == "hard" else self.soft
        assert curves is not None
        return crossing(self.setting.fine(), curves[:, -FINE:].mean(axis=0), level)

    def width(self, which: str) -> float:
        """10–90 % width of the leap where there is one, else of the whole rise of the last seed."""
        leap = self.leap if which == "hard" else self.soft_leap
        curves = self.hard if which == "hard" else self.soft
        assert curves is not None
        return width(self.setting.fine(), (curves[-1] if leap is None else leap)[-FINE:])


@dataclass(frozen=True)
class Canvas:
    """Where recipes evaluate: the points and the fine grid in one array."""

    setting: Setting
    xs: Floats = field(init=False)
    ts: Floats = field(init=False)
    """The same in 0 … 1 of the range."""

    def __post_init__(self) -> None:
        xs = np.concatenate([self.setting.x, self.setting.fine()])
        object.__setattr__(self, "xs", xs)
        object.__setattr__(self, "ts", (xs - self.setting.x[0]) / self.setting.range)
