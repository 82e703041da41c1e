"""The curve forms that everything is fitted with, tabulated once in units of the range.

A node is a form, a midpoint m and a 10–90 % width w, both as shares of the range; its basis rises from 0 at the
first point to 1 at the last. With a constant and a drift beside it, each node is a linear model, so a whole
grid is fitted by matrix products, for all curves, seeds and bootstrap draws at once, with no optimiser. The
forms cover the usual laws: logistic (a step as w → 0; with m or w outside the range: exponential take-off and
saturation), Gompertz (pᴸ, pass rates whose log(−log) is linear), its mirror image (pass@K of a power law), and a ramp
(hinge). docs/concepts/laws.md has the table.
Places and widths between nodes are found from the best one on (`refine`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from saltus.stats.batch import Floats

LOGISTIC, GOMPERTZ, MIRRORED, RAMP = range(4)
FORMS = ("logistic", "gompertz", "mirrored gompertz", "ramp")
_LOGISTIC = float(2 * np.log(9.0))
_GOMPERTZ = float(np.log(np.log(10.0)) - np.log(-np.log(0.9)))
_HALF = float(-np.log(np.log(2.0)))
WIDTH_EDGES = np.array(
    [0.0, 0.02, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.225, 0.25, 0.275, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7]
)
"""Lower edges of the width bins of a profile, shares of the range; a last bin holds drifts."""
TABLE = 4000
MID_EDGES = np.linspace(0.0, 1.0, 81)[:-1]
"""Lower edges of the midpoint bins of a profile."""


@dataclass(frozen=True)
class Nodes:
    """G nodes sorted by width within the range; shares of the range throughout."""

    form: np.ndarray
    m: Floats
    w: Floats
    low: Floats
    """Value of the unscaled form at the first point."""
    rise: Floats
    """Its rise over the range."""
    width: Floats
    """10–90 % width of the part within the range."""
    mid: Floats
    """Where that part has half of its rise."""
    start: Floats
    """Where it has a tenth of its rise."""
    end: Floats
    width_bins: np.ndarray
    """First node of each width bin (for reduceat)."""
    bin_width: Floats
    """Typical width in each width bin."""
    by_form: np.ndarray
    """Order of nodes by form, and …"""
    form_bins: np.ndarray
    """… the first of each form in that order."""
    by_mid: np.ndarray
    """Order of nodes by midpoint, and …"""
    mid_bins: np.ndarray
    """… first of each midpoint bin in that order."""
    mid_bin_centres: Floats

    def __len__(self) -> int:
        return len(self.m)


def value(form: np.ndarray, z: Floats) -> Floats:
    """Unscaled forms at z = (u − m)/w; `form` broadcasts against z."""
    out = np.empty_like(z)
    for kind in range(4):
        here = form == kind
        out[here] = _value_of(kind, z[here])
    return out


def _value_of(kind: int, z: np.ndarray) -> np.ndarray:
    """One unscaled form, in the precision of z."""
    with np.errstate(over="ignore", under="ignore"):
        if kind == LOGISTIC:
            return np.asarray(1 / (1 + np.exp(-_LOGISTIC * z)))
        if kind == GOMPERTZ:
            return np.asarray(np.exp(-np.exp(-(_GOMPERTZ * z + _HALF))))
        if kind == MIRRORED:
            return np.asarray(-np.expm1(-np.exp(_GOMPERTZ * z - _HALF)))
        return np.clip(0.5 + 0.8 * z, 0, 1)


def inverse(form: np.ndarray, share: Floats) -> Floats:
    """z at which the unscaled form has that value (0 < share < 1)."""
    q = np.clip(share, 1e-12, 1 - 1e-12)
    logistic = np.log(q / (1 - q)) / _LOGISTIC
    gompertz = (-np.log(-np.log(q)) - _HALF) / _GOMPERTZ
    mirrored = (np.log(-np.log1p(-q)) + _HALF) / _GOMPERTZ
    return np.choose(form, [logistic, gompertz, mirrored, (q - 0.5) / 0.8])


FINE, COARSE = range(2)
"""Grids: for the data; for bootstrap draws and for links between channels."""
_WIDTHS = (0.01, 0.03, 0.06, 0.1, 0.14, 0.18, 0.22, 0.255, 0.29, 0.33, 0.4, 0.5, 0.65, 0.85, 1.2)
_THIN = (0.02, 0.06, 0.1, 0.15, 0.2, 0.255, 0.3, 0.4, 0.55, 0.8, 1.2)


def _spread(level: int) -> list[tuple[int, float, float]]:
    """(form, w, m) of every node of a grid; midpoints beyond the range draw take-offs and saturations."""
    found = []
    for w in _WIDTHS if level == FINE else _THIN:
        beyond = w if w < 0.3 else 0.4
        low, high = -min(beyond, 0.4), 1 + max(beyond, 0.5 if w >= 0.3 else 0.0)
        forms: tuple[int, ...] = (LOGISTIC, GOMPERTZ, MIRRORED, RAMP)
        if level == FINE:
            count = 61 if w <= 0.1 else 57 if w < 0.3 else 39
            forms = (LOGISTIC,) if w <= 0.03 else (LOGISTIC, RAMP) if w <= 0.06 else forms
        else:
            count = 41 if w <= 0.06 else 27 if w <= 0.1 else 19 if w <= 0.2 else 41 if w <= 0.3 else 13
            forms = (LOGISTIC,) if w <= 0.06 else forms[:3]
        found += [(form, w, m) for form in forms for m in np.linspace(low, high, count)]
    return found


@cache
def nodes(level: int = FINE) -> Nodes:
    """The nodes of a grid."""
    spread = _spread(level)
    form = np.array([s[0] for s in spread])
    w, m = (np.array([s[i] for s in spread]) for i in (1, 2))
    low, high = value(form, -m / w), value(form, (1 - m) / w)
    rise = high - low
    places = [m + w * inverse(form, low + share * rise) for share in (0.1, 0.5, 0.9)]
    start, mid, end = (np.clip(p, 0, 1) for p in places)
    keep = np.flatnonzero(rise > 2e-3)
    keep = keep[np.argsort((end - start)[keep], kind="stable")]
    width, mid = (end - start)[keep], mid[keep]
    width_bin = np.searchsorted(WIDTH_EDGES, width, side="right") - 1
    by_mid = np.argsort(mid, kind="stable")
    mid_bin = np.searchsorted(MID_EDGES, mid[by_mid], side="right") - 1
    used, first = np.unique(mid_bin, return_index=True)
    present, width_first = np.unique(width_bin, return_index=True)
    return Nodes(
        by_form=np.argsort(form[keep], kind="stable"),
        form_bins=np.searchsorted(np.sort(form[keep]), np.unique(form)),
        form=form[keep],
        m=m[keep],
        w=w[keep],
        low=low[keep],
        rise=rise[keep],
        width=width,
        mid=mid,
        start=start[keep],
        end=end[keep],
        width_bins=width_first,
        bin_width=np.array([np.median(width[width_bin == b]) for b in present]),
        by_mid=by_mid,
        mid_bins=first,
        mid_bin_centres=MID_EDGES[used] + 0.5 * (MID_EDGES[1] - MID_EDGES[0]),
    )


@cache
def _table(level: int) -> np.ndarray:
    """(TABLE + 1, G) float32: every node at evenly spaced positions."""
    grid = nodes(level)
    u = np.linspace(0, 1, TABLE + 1, dtype=np.float32)[:, None]
    out = np.empty((TABLE + 1, len(grid)), dtype=np.float32)
    for kind in range(4):
        here = np.flatnonzero(grid.form == kind)
        m, w, low, rise = (a[here].astype(np.float32) for a in (grid.m, grid.w, grid.low, grid.rise))
        out[:, here] = (_value_of(kind, (u - m) / w) - low) / rise
    return out


def place(u: Floats) -> np.ndarray:
    """The nearest of the tabulated positions."""
    return np.rint(np.clip(u, 0, 1) * TABLE).astype(np.int32)


def basis(u: Floats, level: int = FINE) -> np.ndarray:
    """(N, P, G) float32: every node at positions u (N, P), scaled to rise from 0 to 1 over the range.

    Looked up at the nearest of 4,001 positions: off by at most 0.0014 of the rise for a width of a tenth of the range.
    """
    return _table(level)[place(u)]


def basis_at(u: Floats, chosen: np.ndarray) -> np.ndarray:
    """(N, P, K) float32: the chosen fine nodes (N, K) of each row at its positions u (N, P)."""
    return _table(FINE)[place(u)[:, :, None], chosen[:, None, :]]


def curve_of(grid: Nodes, node: np.ndarray, u: Floats) -> Floats:
    """Scaled value of one node per row at positions u (N, P)."""
    z = (u - grid.m[node][:, None]) / grid.w[node][:, None]
    raw = value(np.broadcast_to(grid.form[node][:, None], z.shape), z)
    return (raw - grid.low[node][:, None]) / grid.rise[node][:, None]
