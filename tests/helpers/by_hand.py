"""Measurements written down by hand: series, rises and facts of known numbers, for tests that compute the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

import numpy as np

from saltus.checks.kit import Judged
from saltus.records import Analysis
from saltus.stats.batch import Channel, CurveBatch, Floats
from saltus.stats.measure import Measures, measure
from saltus.stats.monotone import Cells, cells
from saltus.stats.series import Series, canonical, prepare

from helpers.planted import batch, logistic

Record = TypeVar("Record")


def series(
    y: Any,
    *,
    u: Sequence[float] | None = None,
    var: Any = 1.0,
    n: float = np.nan,
    known: bool = True,
    paired: float = 1.0,
) -> Series:
    """Values (C, S, P), NaN where a seed has no (further) point; evenly spaced over the range unless u is given."""
    y = np.asarray(y, dtype=float)
    ok = np.isfinite(y)
    at = np.broadcast_to(np.linspace(0, 1, y.shape[2]) if u is None else np.asarray(u, dtype=float), y.shape)
    return Series(
        u=np.where(ok, at, 0.0),
        y=np.where(ok, y, 0.0),
        var=np.where(ok, np.broadcast_to(var, y.shape), 1.0),
        n=np.where(ok, n, np.nan),
        ok=ok,
        known=np.full(len(y), known),
        source=np.broadcast_to(np.arange(y.shape[2]), y.shape).copy(),
        paired=np.full(len(y), paired),
    )


def rise_at(of: Series, start: int | Sequence[int], arrive: int | Sequence[int]) -> Cells:
    """The cells of every seed, with the last point before the rise and the first one after it as given."""
    c, s, p = of.y.shape
    u, y, ok, w = (a.reshape(c * s, p) for a in (of.u, of.y, of.ok, of.weight))
    found = cells(u, y, ok, w, np.zeros((c * s, p)), np.zeros((c * s, p)))
    return replace(
        found, start=np.broadcast_to(start, c * s).astype(int), arrive=np.broadcast_to(arrive, c * s).astype(int)
    )


def channel(of: Series, *, floor: float, floor_stderr: float = 0.0, **changes: Any) -> Channel:
    """The channel that such a series would come from: shares of right-or-wrong items unless changed."""
    c = len(of.y)
    made = Channel(
        value=np.where(of.ok, of.y, np.nan),
        stderr=np.where(of.ok, np.sqrt(of.var), np.nan),
        n=of.n,
        binomial=np.isfinite(of.n).any(axis=(1, 2)),
        floor=np.full(c, floor),
        floor_stderr=np.full(c, floor_stderr),
        nominal_floor=np.full(c, np.nan),
        ceiling=np.ones(c),
        bottom=np.zeros(c),
    )
    return replace(made, **changes)


def changed(record: Record, changes: dict[str, Any]) -> Record:
    """A copy of nested frozen records with the fields at these dotted paths replaced."""
    for path, value in changes.items():
        first, _, rest = path.partition(".")
        record = replace(record, **{first: changed(getattr(record, first), {rest: value}) if rest else value})  # type: ignore[type-var]
    return record


def measured(curves: CurveBatch) -> Measures:
    """As the judge measures them."""
    curves, _ = canonical(curves)
    return measure(curves, prepare(curves), Analysis())


@cache
def _leap(seeds: int, soft: bool) -> tuple[CurveBatch, Measures]:
    rise = logistic(10.7, 0.2, 0.1, 0.8)
    curves = batch([[rise] * seeds], [[rise] * seeds] if soft else None, rng=np.random.default_rng(3))
    curves, _ = canonical(curves)
    return curves, measured(curves)


def leap(changes: dict[str, Any] | None = None, *, seeds: int = 3, soft: bool = True) -> Measures:
    """Measures of one clear leap, three seeds and a soft twin, with fields at dotted paths replaced.

    A number or word becomes an array of the field's own shape.
    """
    return _with(_leap(seeds, soft)[1], changes or {})


def judged(changes: dict[str, Any] | None = None, *, seeds: int = 3, soft: bool = True, **more: Any) -> Judged:
    """The same as checks and caveats see it; `more`: analysis, presence_q, sharp_p, sharp_q, or fields of the key."""
    curves, measures = _leap(seeds, soft)
    own = {k: more.pop(k) for k in ("analysis", "presence_q", "sharp_p", "sharp_q") if k in more}
    curves = replace(curves, keys=tuple(replace(k, **more) for k in curves.keys))
    return Judged(curves, _with(measures, changes or {}), own.pop("analysis", Analysis()), **own)


def _with(m: Measures, changes: dict[str, Any]) -> Measures:
    arrays = {path: np.broadcast_to(value, np.shape(_at(m, path))).copy() for path, value in changes.items()}
    return changed(m, arrays)


def _at(record: Any, path: str) -> Floats:
    for name in path.split("."):
        record = getattr(record, name)
    return record  # type: ignore[no-any-return]
