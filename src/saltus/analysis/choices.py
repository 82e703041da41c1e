"""What a user may choose about reading a table, from the command line's words or from Python."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saltus.errors import UserError, nearest
from saltus.results.coordinates import Places, compiled
from saltus.results.table import AXES
from saltus.results.wide import Tables

FACTORS = ("skill", "format", "elicitation")
SLICES = ("difficulty", "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a user may choose about reading a table; everything else is the study's `analysis`."""

    axis: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    twin: Mapping[str, str] = field(default_factory=dict)
    factor: Mapping[str, str] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[str, ...] | None = None
    """Checks beside the installed ones, as `plugins.load` names them."""
    formats: tuple[str, ...] | None = None
    """Formats beside the installed ones, likewise."""
    wide: str | None = None
    """The metric of every numeric column that is no known one; "" is `leaderboard_score`."""
    metric: str | None = None
    """The metric of tables that name none."""
    percent: tuple[str, ...] | None = None
    """Columns, tasks or metrics in per cent; () is all shares."""
    better: Mapping[str, bool] = field(default_factory=dict)
    """Metric → whether higher is better."""
    coords: str | None = None
    """A CSV that says where models stand."""
    pattern: str | None = None
    """A pattern of paths or model arguments with coordinates in braces."""

    @property
    def tables(self) -> Tables:
        percent = None if self.percent is None else frozenset(self.percent)
        return Tables(wide=self.wide, metric=self.metric, percent=percent, better=self.better)

    @property
    def places(self) -> Places:
        return Places(coords=Path(self.coords) if self.coords else None, pattern=self.pattern)

    def arguments(self) -> dict[str, Any]:
        """As `curves.assemble` takes them."""
        return {
            "axis": self.axis or None,
            "series": self.series or None,
            "twin": self.twin or None,
            "factor": self.factor or None,
            "slices": self.slices,
        }


def parse_choices(
    *,
    axis: Sequence[str] | None = None,
    series: str | None = None,
    twin: Sequence[str] | None = None,
    factor: Sequence[str] | None = None,
    slices: Sequence[str] | None = None,
    rename: Sequence[str] | None = None,
    checks: Sequence[str] | None = None,
    formats: Sequence[str] | None = None,
) -> Choices:
    """From the command line's words. Raises UserError with the nearest valid one."""
    for word in axis or ():
        _known(word, AXES, "--axis")
    for word in slices or ():
        _known(word, SLICES, "--slice")
    return Choices(
        axis=tuple(axis or ()),
        series=tuple(s.strip() for s in series.split(",")) if series else (),
        twin=_pairs(twin, "--twin", "acc=ppl"),
        factor={column: _pattern(p) for column, p in _pairs(factor, "--factor", "task=…").items()},
        slices=tuple(slices or ()),
        rename=_pairs(rename, "--rename", "score=value"),
        checks=tuple(checks) if checks else None,
        formats=tuple(formats) if formats else None,
    )


def parse_reading(
    *,
    wide: str | None = None,
    metric: str | None = None,
    percent: str | None = None,
    coords: str | None = None,
    pattern: str | None = None,
    lower: Sequence[str] | None = None,
    higher: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The same for how files are read: arguments of Choices. Raises UserError."""
    if pattern:
        compiled(pattern)
    return {
        "wide": wide,
        "metric": metric,
        "percent": None if percent is None else tuple(p.strip() for p in percent.split(",") if p.strip()),
        "better": dict.fromkeys(higher or (), True) | dict.fromkeys(lower or (), False),
        "coords": coords,
        "pattern": pattern,
    }


def _known(word: str, known: Sequence[str], option: str) -> None:
    if word not in known:
        raise UserError(f"{option} {word}", wanted=nearest(word, known), do=f"fix {option}")


def _pairs(given: Sequence[str] | None, option: str, example: str) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        left, sign, right = text.partition("=")
        if not (left and sign and right):
            raise UserError(f"{option} {text}", wanted=f"two names with = between, e.g. {example}")
        pairs[left] = right
    return pairs


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise UserError(
            f"--factor {text}: {error}",
            wanted="a regular expression with named groups",
            do="--factor 'task=(?P<skill>.*)_(?P<format>mc|rc)'",
        ) from error
    for name in groups:
        _known(name, FACTORS, "--factor group")
    return text
