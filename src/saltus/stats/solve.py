"""The inner arithmetic of `fit`: one rise beside one drift, in closed form for every node at once.

The drift is straight over the whole range, or sets in with the rise and climbs to the end: abilities that are
acquired in a leap mostly go on growing, and a line through all of it would make the leap look wide. Drift and rise
are both held at or above 0, so every candidate is monotone. In the direction of a rise made orthogonal to constant
and drift, the gain is the square of one product; signs and shares are conditions on that product alone. Draws of one
row share its weights, so all but two products are computed once for all of them.
Known limits: single precision, so sums of squares below 1e-6 of the total are noise; a drift that sets in does so at
the nearest of 39 positions; never both drifts at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from saltus.stats import grid
from saltus.stats.batch import Floats

HUGE = np.float32(1e30)
_HINGES = np.linspace(0.0, 0.95, 39)


@dataclass(frozen=True)
class Shares:
    """What part of the whole rise the node beside a drift must carry to be a rise, and may not reach in an even drift.

    Between them a curve is neither: a leap of half the rise is no proof of a leap, but no smooth curve does it.
    """

    rise: float
    even: float


@dataclass(frozen=True)
class Tables:
    """Values of K nodes at P positions of N rows, float32."""

    rise: np.ndarray
    """(N, P, K)"""
    late: np.ndarray | None
    """(N, P, H) drifts that set in at H places, or None: only the straight drift is tried."""
    both: np.ndarray | None
    """(N, P, K) product of each node with the drift that sets in where it rises."""
    of: np.ndarray | None
    """(K,) which of the H drifts is each node's; None where they are in the order of the nodes."""


def hinge_of(g: grid.Nodes) -> np.ndarray:
    """(K,) the place in `_HINGES` that is nearest to each node's midpoint."""
    return np.clip(np.rint(g.mid / _HINGES[1]), 0, len(_HINGES) - 1).astype(int)


def late_drift(g: grid.Nodes, node: np.ndarray, u: Floats) -> Floats:
    """(R, Q) the drift that sets in with one node per row: 0 before it, rising to 1 at the end of the range."""
    start = _HINGES[hinge_of(g)[node]][:, None]
    return np.maximum(u - start, 0.0) / (1.0 - start)


@cache
def _late_table() -> np.ndarray:
    """(TABLE + 1, H)"""
    u = np.linspace(0, 1, grid.TABLE + 1)[:, None]
    return (np.maximum(u - _HINGES, 0.0) / (1.0 - _HINGES)).astype(np.float32)


@cache
def _both_table(level: int) -> np.ndarray:
    """(TABLE + 1, K)"""
    places = grid.basis(np.linspace(0, 1, grid.TABLE + 1)[None], level)[0]
    return places * _late_table()[:, hinge_of(grid.nodes(level))]


def tables(u: Floats, level: int, *, late: bool = True) -> Tables:
    """All nodes of a grid at positions u (N, P)."""
    rise = grid.basis(u, level)
    if not late:
        return Tables(rise, None, None, None)
    place = grid.place(u)
    return Tables(rise, _late_table()[place], _both_table(level)[place], hinge_of(grid.nodes(level)))


def tables_at(u: Floats, chosen: np.ndarray) -> Tables:
    """The chosen fine nodes (N, K) of each row at its positions u (N, P)."""
    rise = grid.basis_at(u, chosen)
    of = hinge_of(grid.nodes())[chosen]
    late = _late_table()[grid.place(u)[:, :, None], of[:, None, :]]
    return Tables(rise, late, rise * late, None)


@dataclass(frozen=True)
class Solved:
    """Of every node (N, B, S, K): how much of the sum of squares it takes away, beside which drift, as what."""

    total: np.ndarray
    """(N, B, S, 1) sum of squares of a constant."""
    gain: np.ndarray
    """Beside the straight drift, or alone where that would fall."""
    rise: np.ndarray
    """Whether the node then carries `share.rise` of the whole."""
    even: np.ndarray
    """Whether it stays below `share.even`."""
    late: np.ndarray | None
    """Gain beside the drift that sets in with the node; −1 where the node does not carry `share.rise` beside it."""

    def rises(self, nodes: slice, among: np.ndarray | None) -> np.ndarray:
        """(N, B, S) smallest sum of squares of the rises among some nodes (of them, where `among` (N, K') is true).

        HUGE where there is none.
        """
        part = np.where(self.rise[..., nodes], self.gain[..., nodes], -1)
        if self.late is not None:
            np.maximum(part, self.late[..., nodes], out=part)
        if among is not None:
            part = np.where(among[:, None, None], part, -1)
        return self._rss(part.max(axis=3))

    def evens(self) -> np.ndarray:
        """(N, B, S) smallest sum of squares of the even drifts."""
        return self._rss(np.where(self.even, self.gain, -1).max(axis=3))

    def least(self) -> np.ndarray:
        """(N, B, S) smallest sum of squares of all."""
        best = self.gain.max(axis=3)
        if self.late is not None:
            best = np.maximum(best, self.late.max(axis=3))
        return self._rss(best)

    def apart(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Sums of squares as a rise, as a drift, as an even drift (HUGE where a node is none); and late wins."""
        rss = self.total - self.gain
        rise, drift = np.where(self.rise, rss, HUGE), np.where(self.rise, HUGE, rss)
        if self.late is None:
            return rise, drift, np.where(self.even, rss, HUGE), np.zeros(rss.shape, dtype=bool)
        own = np.where(self.late >= 0, self.total - self.late, HUGE)
        wins = own < rise
        return np.minimum(rise, own), drift, np.where(self.even, rss, HUGE), wins

    def _rss(self, gain: np.ndarray) -> np.ndarray:
        return np.where(gain >= 0, self.total[..., 0] - gain, HUGE)


def solve(basis: Tables, u: Floats, w: Floats, y: Floats, share: Shares) -> Solved:
    """Every node on every row: basis of u (N, P); w (N, S, P); y (N, B, S, P)."""
    n, b, s, p = y.shape
    f = basis.rise
    total = np.maximum(w.sum(axis=2), 1e-30)
    yc = y - ((w[:, None] * y).sum(axis=3) / total[:, None])[..., None]
    xc = u[:, None] - ((w * u[:, None]).sum(axis=2) / total)[..., None]
    xx = np.maximum((w * xc**2).sum(axis=2), 1e-30)
    xc = xc / np.sqrt(xx)[..., None]
    w32, wx = w.astype(np.float32), (w * xc).astype(np.float32)
    sums = np.concatenate([w32, wx], axis=1) @ f
    per = (1 / total).astype(np.float32)[:, None, :, None]
    sf, sfx = sums[:, :s][:, None], sums[:, s:][:, None]
    raw = (w32 @ (f * f))[:, None]
    sff = raw - sf * sf * per
    varies = sff > np.float32(1e-5) * raw
    sff = np.where(varies, sff, 1)
    wy = (w[:, None] * yc).astype(np.float32).reshape(n, b * s, p)
    nodes = _Nodes((wy @ f).reshape(n, b, s, -1), sff, varies)

    xy = (w[:, None] * xc[:, None] * yc).sum(axis=3)[..., None].astype(np.float32)
    size = np.sqrt(xx).astype(np.float32)[:, None, :, None]
    gain, slope, valid = nodes.beside(xy, sfx)
    rise, leads = (nodes.carries(slope, xy, sfx, size, part) for part in (share.rise, share.even))
    even = valid & ~leads
    rise |= ~valid
    np.copyto(gain, nodes.alone(), where=~valid)
    late = None
    if basis.late is not None and basis.both is not None:
        sh = w32 @ basis.late
        hh = np.maximum(w32 @ (basis.late**2) - sh * sh * per[:, 0], np.float32(1e-20))
        inverse = (1 / np.sqrt(hh))[:, None]
        hy = (wy @ basis.late).reshape(n, b, s, -1) * inverse
        scaled, norm = sh[:, None] * per * inverse, np.sqrt(hh)[:, None]
        if basis.of is not None:
            scaled, norm, inverse, hy = (np.take(a, basis.of, axis=3) for a in (scaled, norm, inverse, hy))
        sfh = (w32 @ basis.both)[:, None] * inverse - sf * scaled
        late, slope, valid = nodes.beside(hy, sfh)
        valid &= nodes.carries(slope, hy, sfh, norm, share.rise)
        np.copyto(late, np.float32(-1), where=~valid)
    yy = (w[:, None] * yc**2).sum(axis=3)[..., None].astype(np.float32)
    return Solved(yy, gain, rise, even, late)


@dataclass(frozen=True)
class _Nodes:
    """Centred products of the data with the nodes (N, B, S, K), and of the nodes with themselves (N, 1, S, K)."""

    product: np.ndarray
    sff: np.ndarray
    varies: np.ndarray

    def alone(self) -> np.ndarray:
        gain = self.product * np.where(self.varies, 1 / np.sqrt(self.sff), np.float32(0))
        np.maximum(gain, 0, out=gain)
        gain *= gain
        return gain

    def beside(self, ry: np.ndarray, fr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gain, coefficient of the node, and whether both rise; ry, fr: products with a drift of unit length."""
        left = self.sff - fr * fr
        sound = self.varies & (left > np.float32(1e-4) * self.sff)
        scale = np.where(sound, 1 / np.maximum(left, np.float32(1e-20)), 0)
        gain = fr * ry
        np.subtract(self.product, gain, out=gain)
        slope = gain * scale
        valid = slope > 0
        valid &= slope * fr < ry
        gain *= slope
        gain += ry * ry
        return gain, slope, valid

    @staticmethod
    def carries(slope: np.ndarray, ry: np.ndarray, fr: np.ndarray, size: np.ndarray, share: float) -> np.ndarray:
        """Whether the node carries `share` of the whole; size: length of the drift that rises by 1 over the range."""
        enough = np.float32((1 - share) / max(share, 1e-9))
        return slope * (enough * size + fr) >= ry
