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
    return Tables(
        rise, _late_table()[place], _both_table(level)[place], hinge_of(grid.nodes(level))
    )


def tables_at(u: Floats, chosen: np.ndarray) -> Tables:
    """The chosen fine nodes (N, K) of each row at its positions u (N, P)."""
    rise = grid.basis_at(u, chosen)
    of = hinge_of(grid.nodes())[chosen]
    late = _late_table()[grid.place(u)[:, :, None], of[:, None, :]]
    return Tables(rise, late, rise * late, None)


def solve(
    basis: Tables, u: Floats, w: Floats, y: Floats, share: Shares
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums of squares of every node (N, B, S, K): as a rise, as a drift, as an even drift; and whether the rise's
    own drift sets in late.

    basis of u (N, P); w (N, S, P); y (N, B, S, P). As a rise a node carries `share.rise` of the whole, in an even drift
    less than `share.even`; HUGE where it does not.
    """
    n, b, s, p = y.shape
    f = basis.rise
    total = np.maximum(w.sum(axis=2), 1e-30)
    yc = y - ((w[:, None] * y).sum(axis=3) / total[:, None])[..., None]
    yy = (w[:, None] * yc**2).sum(axis=3)[..., None].astype(np.float32)
    xc = u[:, None] - ((w * u[:, None]).sum(axis=2) / total)[..., None]
    w32, wx = w.astype(np.float32), (w * xc).astype(np.float32)
    sums = np.concatenate([w32, wx], axis=1) @ f
    per = (1 / total).astype(np.float32)[:, None, :, None]
    sf, sfx = sums[:, :s][:, None], sums[:, s:][:, None]
    raw = (w32 @ (f * f))[:, None]
    sff = raw - sf * sf * per
    varies = sff > np.float32(1e-5) * raw
    sff = np.where(varies, sff, 1)
    wy = (w[:, None] * yc).astype(np.float32).reshape(n, b * s, p)
    product = (wy @ f).reshape(n, b, s, -1)
    alone = product * np.where(varies, 1 / np.sqrt(sff), np.float32(0))
    np.maximum(alone, 0, out=alone)
    alone *= alone

    xx = np.maximum((w * xc**2).sum(axis=2), 1e-30)[:, None, :, None].astype(np.float32)
    xy = (w[:, None] * xc[:, None] * yc).sum(axis=3)[..., None].astype(np.float32)
    beside = _Beside(product, sff, varies, share)
    straight, valid, carries, leads = beside(xx, xy, sfx)
    gain = np.where(valid, straight, alone)
    drift = np.where(valid & ~carries, yy - straight, HUGE)
    even = np.where(valid & ~leads, drift, HUGE)
    carries |= ~valid
    late = np.zeros(gain.shape, dtype=bool)
    if basis.late is not None and basis.both is not None:
        sh = w32 @ basis.late
        hh = np.maximum(w32 @ (basis.late**2) - sh * sh * per[:, 0], np.float32(1e-20))[:, None]
        hy = (wy @ basis.late).reshape(n, b, s, -1)
        sh = sh[:, None]
        if basis.of is not None:
            sh, hh, hy = (np.take(a, basis.of, axis=3) for a in (sh, hh, hy))
        sfh = (w32 @ basis.both)[:, None] - sf * sh * per
        own, good, bears, _ = beside(hh, hy, sfh)
        late = good & bears & (~carries | (own > gain))
        np.copyto(gain, own, where=late)
        carries |= late
    return np.where(carries, yy - gain, HUGE), drift, even, late


@dataclass(frozen=True)
class _Beside:
    """Every node beside a drift: how much both gain, whether both rise, whether the node carries either share."""

    product: np.ndarray
    sff: np.ndarray
    varies: np.ndarray
    share: Shares

    def __call__(
        self, rr: np.ndarray, ry: np.ndarray, fr: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """rr, ry, fr: weighted products of the centred drift with itself, the data and the nodes."""
        left = self.sff - fr * fr / rr
        sound = self.varies & (left > np.float32(1e-4) * self.sff)
        scale = np.where(sound, 1 / np.sqrt(np.maximum(left, np.float32(1e-20))), 0)
        gain = fr * (ry / rr)
        np.subtract(self.product, gain, out=gain)
        gain *= scale
        valid = gain * (scale * fr) < ry
        valid &= gain > 0
        carries, leads = (
            gain * (scale * (np.float32((1 - share) / max(share, 1e-9)) * rr + fr)) >= ry
            for share in (self.share.rise, self.share.even)
        )
        gain *= gain
        gain += ry * ry / rr
        return gain, valid, carries, leads
