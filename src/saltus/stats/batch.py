"""Curves as arrays: the only thing that `stats/` and `checks/` ever see.

All curves of an analysis are judged together, so every array has a leading curve axis C, then seeds S, then points
P, padded at the end. A padded or unmeasured entry has `seen` False and NaN in every float array;
nothing may read it. Values are already oriented: higher is better in both channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Promise:
    """What a sound model does under a condition."""

    kind: Literal["invariant", "directional", "none"]
    direction: int = -1
    """Where directional: the way in which the score may move, −1 down or 1 up."""


@dataclass(frozen=True)
class CurveKey:
    """What one curve is about: one series × task × condition × axis × hard metric × slice."""

    series: str
    task: str
    condition: str
    axis: str
    metric_hard: str | None
    metric_soft: str | None
    slice: str | None = None
    primary: bool = True
    family: str = "exploration"
    """Multiplicity family: "registered" for hypotheses, "exploration" for the rest."""
    skill: str | None = None
    format: str | None = None
    elicitation: str | None = None
    source: str | None = None
    floor_source: str = "nominal"
    """ "untrained points", "earliest points", "computed: …", "declared" or "nominal"."""
    seeds: tuple[str, ...] = ("",)
    """Labels along the seed axis."""
    why_no_soft: str | None = None
    caveats: tuple[str, ...] = ()
    """Stated by the assembler: unequal tokens, rows left out."""
    pooled: bool = False
    """Different models of several families lie on this one curve."""
    token_length: float | None = None
    """Mean target tokens L, where known: pᴸ."""
    promise: Promise | None = None
    """Of the curve's condition; None where nobody says."""


@dataclass(frozen=True)
class Suspect:
    """Points of one curve that a guard suspects."""

    guard: str
    severity: Literal["disqualifying", "doubt", "caution"]
    why: str
    mask: Bools
    """(S, P): True where suspected; all False for a caution about the whole curve."""
    standing: bool = False
    """It fires by itself: the curve is not judged again without the points."""
    rising: bool = False
    """It counts only where the score rises."""
    alone: bool = False
    """One channel alone moves there, or there is but one."""
    harmless: bool = False
    """It becomes a caveat and does not lower the finding's integrity."""
    dropped: bool = False
    """The points are left out from the start: the verdict is given without them."""


@dataclass(frozen=True)
class Channel:
    """One of the twins, for all curves: arrays (C, S, P) unless stated otherwise."""

    value: Floats
    """Metric's own transformed unit: a share in [0, 1] for accuracies, nats for log-probabilities."""
    stderr: Floats
    """Published or estimated standard error of value; NaN where unknown."""
    n: Floats
    """Items behind the value; NaN where unknown."""
    binomial: Bools
    """(C,) the value is a share of n right-or-wrong items."""
    floor: Floats
    """(C,) what no skill scores; NaN where unknown."""
    floor_stderr: Floats
    """(C,) 0 where the floor is exact."""
    nominal_floor: Floats
    """(C,) 1/k and the like; NaN where unknown."""
    ceiling: Floats
    """(C,) best possible value; +inf where there is none."""
    bottom: Floats
    """(C,) worst possible value; -inf where there is none."""
    step_stderr: Floats | None = None
    """(C, S, P): standard error of value[p] − value[p−1] from paired items; NaN where items are not paired."""


@dataclass(frozen=True)
class CurveBatch:
    """C curves with up to S seeds and P points, sorted by x along P within each seed."""

    keys: tuple[CurveKey, ...]
    x: Floats
    """(C, S, P) fitted axis: log10 of params, tokens, step, flops; −loss in nats; date in years."""
    raw_x: Floats
    """(C, S, P) raw units of the axis."""
    seen: Bools
    """(C, S, P) the point exists in this seed (the hard channel is measured there, or the soft one is)."""
    log_axis: Bools
    """(C,) x is a log10: widths are in decades."""
    hard: Channel
    soft: Channel
    """All NaN for curves without a soft twin; then `has_soft` is False."""
    has_soft: Bools
    """(C,)"""
    other_axes: dict[str, Floats] = field(default_factory=dict)
    """Axis name → (C, S, P) raw values at the same points, for onsets in other units; NaN where absent."""
    suspects: tuple[tuple[Suspect, ...], ...] = ()
    """Per curve, what the guards suspect; () means none for all."""
    point_names: tuple[tuple[tuple[str, ...], ...], ...] = ()
    """Per curve, per seed, per point: the model behind it, for messages; () where unknown."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, S, P)."""
        return self.x.shape  # type: ignore[return-value]
