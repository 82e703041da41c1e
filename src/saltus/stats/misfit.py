"""Where the drawn curve misses the points that it is drawn through.

The verdict allows for misfit (it widens every interval), a reader of the chart does not: a curve that no form follows
is drawn all the same, and looks like a summary of the points. A miss counts where it exceeds both the noise, as the
scatter of neighbouring points shows it, and a share of the curve's range that an eye would notice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saltus.stats.batch import Floats
from saltus.stats.forms import averaged
from saltus.stats.measure import ChannelMeasures

ERRORS, SHARE = 4.0, 0.05
"""Standard errors, and share of the range, that a miss must exceed."""


@dataclass(frozen=True)
class Misfit:
    """Per curve (C,) of one channel."""

    points: np.ndarray
    """Points that the drawn curve misses, of all seeds."""
    by: Floats
    """The farthest of them, in the channel's unit; 0 where none is missed."""
    at: Floats
    """Where it lies, share of the range."""
    range: Floats
    """Largest minus smallest value of the curve."""


def misfit(c: ChannelMeasures) -> Misfit:
    """Compare every point with its seed's drawn curve. Raises ValueError for resamples, which have none."""
    s = c.series
    flat = s.u.reshape(-1, s.u.shape[2])
    off = np.abs(s.y - averaged(s, c.fit, c.forms, flat).reshape(s.y.shape))
    fitted = s.ok & (s.count > 2)[..., None]
    span = np.where(s.ok, s.y, -np.inf).max(axis=(1, 2)) - np.where(s.ok, s.y, np.inf).min(axis=(1, 2))
    span = np.where(np.isfinite(span), span, 0.0)
    noise = np.sqrt(s.var * c.trend.local[:, None, None])
    missed = np.where(fitted & (off > np.maximum(ERRORS * noise, SHARE * span[:, None, None])), off, 0.0)
    rows = missed.reshape(len(missed), -1)
    worst = rows.argmax(axis=1)[:, None]
    return Misfit(
        points=(rows > 0).sum(axis=1),
        by=rows.max(axis=1),
        at=np.take_along_axis(s.u.reshape(rows.shape), worst, axis=1)[:, 0],
        range=span,
    )
