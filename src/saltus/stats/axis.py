"""From positions back to raw units of the axis, and to the other axes of the same points."""

from __future__ import annotations

import numpy as np

from saltus.stats.batch import CurveBatch, Floats
from saltus.stats.series import Prepared


def raw_of(curves: CurveBatch, prepared: Prepared, i: int, u: Floats) -> Floats:
    """Raw axis values at positions u of curve i: exact on a log axis, linear between measured points elsewhere."""
    x = prepared.origin[i] + np.asarray(u, dtype=float) * prepared.span[i]
    measured = curves.seen[i] & np.isfinite(curves.x[i])
    if not measured.any():
        return np.full(np.shape(x), np.nan)
    at, raw = curves.x[i][measured], curves.raw_x[i][measured]
    if curves.log_axis[i]:
        positive = raw > 0
        shift = np.median(np.log10(raw[positive]) - at[positive]) if positive.any() else 0.0
        return np.asarray(10.0 ** (x + shift))
    order = np.argsort(at, kind="stable")
    return np.asarray(np.interp(x, at[order], raw[order]))


def other_axis(curves: CurveBatch, prepared: Prepared, i: int, name: str, u: Floats) -> Floats | None:
    """Values of another axis at positions u, between the measured points; None where fewer than two have it.

    Interpolated in the logarithm where all values are positive (loss and date: plainly).
    """
    values = curves.other_axes[name][i]
    good = curves.seen[i] & np.isfinite(curves.x[i]) & np.isfinite(values)
    if good.sum() < 2:
        return None
    at, there = curves.x[i][good], values[good]
    order = np.argsort(at, kind="stable")
    x = prepared.origin[i] + np.asarray(u, dtype=float) * prepared.span[i]
    logs = name not in ("loss", "date") and bool((there > 0).all())
    out = np.interp(x, at[order], np.log10(there[order]) if logs else there[order])
    return np.asarray(10.0**out if logs else out)
