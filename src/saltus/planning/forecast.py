"""`saltus forecast`: a capability at a scale not yet run, with an interval and the record of who predicted it.

Curves are the ordinary ones (`curves.assemble`). Each method's forecasts of the largest scales of this very
table, which it was not shown, are its record; intervals are widened by it. Where no method beat "it stays as it
is" there, or the scale lies farther off than any record, the forecast is declined and says why: that is a
result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saltus.planning.curves import Curve, chosen, curve_of, panel_of, parse_at, read_curves
from saltus.stats.batch import CurveBatch, Floats
from saltus.stats.forecasting import FAR, FEWEST, Points, Trial, doubtful, factor, last_value, trials

LAST = "last value"
BEATS = 0.9
"""A method has beaten the last value when its misses, those on other curves counted in, are at most this share."""
OTHERS = 3.0
"""How many hold-outs of its own a curve's record is filled up with from all curves: three of one's own are little."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One method on one curve: what it predicts, and how its earlier forecasts of this curve went."""

    method: str
    value: float | None
    low: float | None
    high: float | None
    """95 % interval."""
    trials: int
    error: float | None
    """Mean absolute miss over the curve's hold-outs."""
    relative: float | None
    """The same over the last value's; below 1 is better than "it stays as it is"."""
    judged: float | None
    """`relative`, filled up with the method's record on all curves: what the choice rests on."""
    coverage: float | None
    """Share of hold-outs, of all curves, within the 95 % interval whose factor came from the other tasks."""
    covered: int
    """Hold-outs behind `coverage`."""
    longest: float | None
    """Longest hold-out of this curve, decades."""
    why: str = ""
    """Why there is no forecast by this method."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """One capability at a scale not yet run."""

    series: str
    task: str
    condition: str
    metric: str
    axis: str
    at: float
    """Raw unit of the axis."""
    last_at: float
    """Largest scale run."""
    last_value: float
    horizon: float
    """From the one to the other: decades, nats, or years."""
    method: str | None
    value: float | None
    low: float | None
    high: float | None
    declined: str | None
    """Why there is no forecast; None where there is one."""
    records: tuple[Record, ...]
    caveats: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def forecast(
    sources: Sequence[str | Path],
    at: str,
    *,
    tasks: Sequence[str] = (),
    series: Sequence[str] = (),
    only: Sequence[str] = (),
    follow: Callable[[Sequence[Curve]], Iterable[Curve]] = iter,
) -> list[Forecast]:
    """Forecasts of every primary curve of results or of a study, at `AXIS=VALUE` such as `tokens=1e12`.

    series: columns whose values make a series. tasks, only: names of tasks and series, or patterns with *.
    follow: what the loop over curves goes through, for a progress bar. Raises UserError for what cannot be read, an
    unknown axis, name or value.
    """
    axis, value = parse_at(at)
    batch = read_curves([str(s) for s in sources], axis, series)
    return forecast_batch(batch, axis, value, tasks=tasks, only=only, follow=follow)


def forecast_batch(
    batch: CurveBatch,
    axis: str,
    value: float | Floats,
    *,
    tasks: Sequence[str] = (),
    only: Sequence[str] = (),
    follow: Callable[[Sequence[Curve]], Iterable[Curve]] = iter,
) -> list[Forecast]:
    """The same of assembled curves; value in raw units of the axis, one for all or one per curve of the batch."""
    picked = chosen(batch, axis, tasks, only)
    panel = panel_of(batch, axis)
    curves = [curve_of(batch, i, panel) for i in picked]
    at = np.broadcast_to(np.asarray(value, dtype=float), (len(batch),))
    record = [
        (batch.keys[c.index].task, trials(c.points, c.methods, _horizon(batch, c, at)[1])) for c in follow(curves)
    ]
    trust = _trust(record)
    return [_forecast(batch, c, at, (mine, trust)) for c, (_, mine) in zip(curves, record, strict=True)]


def _horizon(batch: CurveBatch, curve: Curve, at: Floats) -> tuple[float, float]:
    """Where a curve is to be predicted, on its fitted axis, and how far that is from its last point."""
    value, axis = float(at[curve.index]), batch.keys[curve.index].axis
    x = float(np.log10(value)) if batch.log_axis[curve.index] else -value if axis == "loss" else value
    return x, x - (float(curve.points.x[-1]) if len(curve.points.x) else np.nan)


@dataclass(frozen=True)
class _Trust:
    """What all trials of one method say: the factor of its errors, and how often an interval held."""

    widen: float
    coverage: float | None
    trials: int
    relative: float
    """All misses over the last value's; 1 where nothing is known."""


def _trust(record: Sequence[tuple[str, Sequence[Trial]]]) -> dict[str, _Trust]:
    """Per method. A curve's own interval takes its factor from the other tasks only."""
    out = {}
    for name in {t.method for _, tried in record for t in tried}:
        per_curve = [(task, [t for t in tried if t.method == name]) for task, tried in record]
        per_curve = [(task, tried) for task, tried in per_curve if tried]
        every = [t for _, tried in per_curve for t in tried]
        inside = 0
        for task in {task for task, _ in per_curve}:
            widen = factor([tried for other, tried in per_curve if other != task])
            inside += sum(abs(t.miss) <= widen * t.error for own, ts in per_curve if own == task for t in ts)
        still = sum(abs(t.last_miss) for t in every)
        relative = sum(abs(t.miss) for t in every) / still if still > 0 else 1.0
        widen = factor([tried for _, tried in per_curve])
        out[name] = _Trust(widen, inside / len(every), len(every), relative)
    return out


def _forecast(
    batch: CurveBatch, curve: Curve, at: Floats, known: tuple[Sequence[Trial], Mapping[str, _Trust]]
) -> Forecast:
    key, points = batch.keys[curve.index], curve.points
    x, horizon = _horizon(batch, curve, at)
    last = x - horizon
    log = bool(batch.log_axis[curve.index])
    names = (*curve.methods, LAST) if known[0] else ()
    records = tuple(_record(curve, name, x, known) for name in names)
    best, declined = _best(points, records, horizon)
    return Forecast(
        series=key.series,
        task=key.task,
        condition=key.condition,
        metric=key.metric_hard or "",
        axis=key.axis,
        at=float(at[curve.index]),
        last_at=float(10**last) if log else abs(last),
        horizon=horizon,
        last_value=float(points.y[points.x == points.x[-1]].mean()) if len(points.x) else float("nan"),
        method=best.method if best else None,
        value=best.value if best else None,
        low=best.low if best else None,
        high=best.high if best else None,
        declined=declined,
        records=records,
        caveats=_caveats(points, best, horizon),
    )


def _record(curve: Curve, name: str, x: float, known: tuple[Sequence[Trial], Mapping[str, _Trust]]) -> Record:
    mine = [t for t in known[0] if t.method == name]
    trust = known[1].get(name, _Trust(factor([]), None, 0, 1.0))
    made = (curve.methods.get(name) or last_value)(curve.points, x)
    bottom, top = curve.points.bottom, curve.points.ceiling
    value = low = high = None
    still_there = last_value(curve.points, x)
    if made is not None and still_there is not None:
        made = doubtful(made, still_there)
        reach = trust.widen * made.error
        value, low, high = (
            float(np.clip(v, bottom, top)) for v in (made.value, made.value - reach, made.value + reach)
        )
    still, miss = (sum(abs(v) for v in vs) for vs in ([t.last_miss for t in mine], [t.miss for t in mine]))
    judged = None
    if mine and still > 0:
        more = OTHERS * still / len(mine)
        judged = (miss + more * trust.relative) / (still + more)
    return Record(
        method=name,
        value=value,
        low=low,
        high=high,
        trials=len(mine),
        error=miss / len(mine) if mine else None,
        relative=miss / still if mine and still > 0 else None,
        judged=judged,
        coverage=trust.coverage,
        covered=trust.trials,
        longest=max((t.horizon for t in mine), default=None),
        why="" if made is not None else _why_not(curve.points, name),
    )


def _why_not(points: Points, name: str) -> str:
    if not points.bounded:
        return "the score has no bounds to level off at"
    if name == "ladder" and not np.isfinite(points.soft).any():
        return "there is no graded twin and no loss"
    return "there are too few families, models or tasks" if name == "components" else "there are too few points"


def _best(points: Points, records: Sequence[Record], horizon: float) -> tuple[Record | None, str | None]:
    """The record to go by, or why there is none."""
    if not len(points.x):
        return None, "the curve has no score at any scale"
    if not horizon > 0:
        return None, "this scale has been run: nothing is left to forecast"
    if len(points.places) <= FEWEST:
        few = f"{len(points.places)} points: no record can be made"
        return None, f"{few} with fewer than {FEWEST + 1}"
    if not records:
        return None, (
            f"{horizon:.2g} beyond the last point is more than {FAR:g} times the longest hold-out that "
            "leaves enough points: there is no record"
        )
    able = [(r.judged, r) for r in records if r.method != LAST and r.value is not None and r.judged is not None]
    if not able:
        return None, "no method could be tried on this curve"
    judged, best = min(able, key=lambda pair: pair[0])
    if judged > BEATS:
        return None, (
            f"no method beats the last value: {best.method} came closest, with {judged:.2f} of its error "
            f"({best.relative:.2f} over {best.trials} hold-outs of this curve)"
        )
    return best, None


def _caveats(points: Points, best: Record | None, horizon: float) -> tuple[str, ...]:
    sentences = []
    if best is not None and best.longest is not None and horizon > 1.05 * best.longest:
        sentences.append(f"The record reaches {best.longest:.2g}, the forecast {horizon:.2g}.")
    if best is not None and best.trials < 3:
        sentences.append(f"The record on this curve is {best.trials} hold-out(s).")
    if (
        best is not None
        and best.low is not None
        and best.high is not None
        and best.high - best.low > 0.5 * (points.ceiling - points.bottom)
    ):
        sentences.append("The interval spans more than half of the possible scores.")
    return tuple(sentences)
