"""What a chart of one finding needs, as plain numbers: points, fits, floor, forecast.

Layout: {"log", "places": [x], "seeds": [{"label", "hard": [{x, value, low, high}], "soft": …, "fit": {channel: [y at
places]}, "smoothest": …}], "floor": {channel: {value, low, high, nominal}}, "forecast": {channel, x, low, high}}; x
in raw units of the axis. Every seed has curves of its own: seeds leap at places of their own, and the mean of jumps at
different places is a ramp that no seed walked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from saltus.stats import grid
from saltus.stats.axis import raw_of
from saltus.stats.batch import Channel, CurveBatch, Floats
from saltus.stats.fit import curve, refit
from saltus.stats.forms import averaged
from saltus.stats.measure import ChannelMeasures, Measures
from saltus.stats.misfit import Misfit, misfit

PLACES = 33
Z = 1.96


@dataclass(frozen=True)
class Drawn:
    """Fitted and smoothest admissible curves of both channels at `PLACES` positions, arrays (C, S, PLACES)."""

    fit: dict[str, Floats]
    smoothest: dict[str, Floats]
    misfit: dict[str, Misfit]


def draw(m: Measures) -> Drawn:
    """The curves of a whole batch, one per seed."""
    channels = {"hard": m.hard, "soft": m.soft}
    return Drawn(
        fit={k: _fitted(c) for k, c in channels.items()},
        smoothest={k: _smoothest(c) for k, c in channels.items()},
        misfit={k: misfit(c) for k, c in channels.items()},
    )


def chart(curves: CurveBatch, m: Measures, i: int, drawn: Drawn) -> dict[str, Any]:
    """The curve of finding i."""
    u = np.linspace(0, 1, PLACES)
    x = raw_of(curves, m.prepared, i, u).tolist()
    channels = [("hard", curves.hard)]
    if m.has_soft[i]:
        channels.append(("soft", curves.soft))
    seeds = _seeds(curves, i, channels)
    for s, seed in seeds:
        enough = [name for name, _ in channels if (m.hard if name == "hard" else m.soft).series.count[i, s] > 2]
        seed["fit"] = {name: drawn.fit[name][i, s].tolist() for name in enough}
        seed["smoothest"] = {name: drawn.smoothest[name][i, s].tolist() for name in enough}
    return {
        "log": bool(curves.log_axis[i]),
        "places": x,
        "seeds": [seed for _, seed in seeds],
        "floor": {"hard": _floor(m, curves, i)},
        "forecast": _forecast(m, i, u, x),
    }


def _seeds(curves: CurveBatch, i: int, channels: list[tuple[str, Channel]]) -> list[tuple[int, dict[str, Any]]]:
    out = []
    for s, label in enumerate(curves.keys[i].seeds[: curves.shape[1]]):
        if not curves.seen[i, s].any():
            continue
        seed: dict[str, Any] = {"label": label}
        for name, channel in channels:
            seed[name] = _points(channel, curves, i, s)
        out.append((s, seed))
    return out


def _points(channel: Channel, curves: CurveBatch, i: int, s: int) -> list[dict[str, float | None]]:
    here = curves.seen[i, s] & np.isfinite(channel.value[i, s])
    y, n = channel.value[i, s][here], channel.n[i, s][here]
    low, high = interval(y, n, channel.stderr[i, s][here], bool(channel.binomial[i]))
    rows = zip(curves.raw_x[i, s][here], y, low, high, strict=True)
    return [{"x": float(x), "value": float(v), "low": _plain(a), "high": _plain(b)} for x, v, a, b in rows]


def interval(y: Floats, n: Floats, stderr: Floats, binomial: bool) -> tuple[Floats, Floats]:
    """95 %: Wilson's for shares of n items, else ± 1.96 standard errors; NaN where nothing is known."""
    with np.errstate(all="ignore"):
        low, high = y - Z * stderr, y + Z * stderr
        if binomial:
            centre = (y + Z**2 / (2 * n)) / (1 + Z**2 / n)
            half = Z / (1 + Z**2 / n) * np.sqrt(y * (1 - y) / n + Z**2 / (4 * n**2))
            low, high = np.where(n > 0, centre - half, low), np.where(n > 0, centre + half, high)
    return low, high


def _plain(v: float) -> float | None:
    return float(v) if np.isfinite(v) else None


def _fitted(c: ChannelMeasures) -> Floats:
    """Model-averaged curve of every seed."""
    s = c.series
    return averaged(s, c.fit, c.forms, np.linspace(0, 1, PLACES)).reshape(*s.count.shape, PLACES)


def _smoothest(c: ChannelMeasures) -> Floats:
    s = c.series
    node = c.shape.admissible_node.ravel()
    y, w, u = (a.reshape(-1, s.y.shape[2]) for a in (s.y, s.weight, s.u))
    at = np.broadcast_to(np.linspace(0, 1, PLACES), (len(node), PLACES))
    return curve(refit(y, w, u, node, grid.FINE), node, at, grid.FINE).reshape(*s.count.shape, PLACES)


def _floor(m: Measures, curves: CurveBatch, i: int) -> dict[str, float | None]:
    value, error = float(m.floor.value[i]), float(m.floor.stderr[i])
    nominal = _plain(curves.hard.nominal_floor[i])
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None, "nominal": nominal}
    return {"value": value, "low": value - Z * error, "high": value + Z * error, "nominal": nominal}


def _forecast(m: Measures, i: int, u: Floats, x: list[float]) -> dict[str, Any] | None:
    """The line through the points before the onset, extended, with its interval at the end scaled back to them."""
    channel, c = ("soft", m.soft) if m.has_soft[i] else ("hard", m.hard)
    s = c.surprise
    if not np.isfinite(s.p[i]):
        return None
    level, slope, last = s.line[i]
    beyond = u >= last
    if beyond.sum() < 2:
        return None
    middle = level + slope * u[beyond]
    half = 0.5 * (s.high[i] - s.low[i]) * (u[beyond] - last) / max(1 - last, 1e-9)
    at = [v for v, keep in zip(x, beyond, strict=True) if keep]
    return {"channel": channel, "x": at, "low": (middle - half).tolist(), "high": (middle + half).tolist()}
