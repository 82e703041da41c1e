"""What a forecast starts from: the curves asked about, their points, and the panel of models they stand in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from saltus.curves.assemble import assemble
from saltus.errors import UserError, nearest
from saltus.results.table import AXES
from saltus.results.units import parse_quantity
from saltus.stats.batch import CurveBatch, Floats
from saltus.stats.components import Panel, components
from saltus.stats.forecasting import METHODS, Method, Points
from saltus.stats.resample import take
from saltus.stats.series import prepare


@dataclass(frozen=True)
class Curve:
    """A curve and the methods that apply to it."""

    index: int
    points: Points
    methods: Mapping[str, Method]


def parse_at(text: str) -> tuple[str, float]:
    """(axis, value) of `tokens=1e12`, `params=70B`. Raises UserError."""
    axis, sign, number = text.partition("=")
    if not sign or axis not in AXES:
        raise UserError(
            f"--at {text}", wanted=nearest(axis, AXES) if sign else "AXIS=VALUE, such as tokens=1e12", do="fix --at"
        )
    value = parse_quantity(number)
    if value is None or not np.isfinite(value) or value <= 0:
        raise UserError(
            f"--at {text}: `{number}` is no scale", wanted="a number above 0, such as 1e12 or 70B", do="fix --at"
        )
    return axis, float(value)


def read_curves(sources: Sequence[str], axis: str, series: Sequence[str] = ()) -> CurveBatch:
    """The curves of a study's stored answers, or of results, along one axis. Raises UserError."""
    if len(sources) == 1 and Path(sources[0]).suffix in (".yaml", ".yml"):
        from saltus.analysis.analyze import primaries
        from saltus.runner.open import load_with_store

        study, store = load_with_store(Path(sources[0]))
        table = store.item_table(study).collect()
        return assemble(table, axis=axis, series=("series",), primary=primaries(study)).batch
    from saltus.results.read import read

    return assemble(read(list(sources)).table, axis=axis, series=series or None).batch


def chosen(batch: CurveBatch, axis: str, tasks: Sequence[str], only: Sequence[str]) -> list[int]:
    """Places of the primary curves along an axis that were asked for. Raises UserError for unknown names."""
    main = [i for i, k in enumerate(batch.keys) if k.primary and k.axis == axis and k.slice is None]
    if not main:
        raise UserError(
            f"no curve runs along {axis}",
            wanted="results that give it for two models or more",
            do="choose another axis for --at, one of " + ", ".join(sorted({k.axis for k in batch.keys}) or AXES),
        )
    for option, given, name in (("--task", tasks, "task"), ("--only", only, "series")):
        known = sorted({getattr(batch.keys[i], name) for i in main})
        for word in given:
            if not any(_fits(k, word) for k in known):
                raise UserError(f"{option} {word}", wanted=nearest(word, known), do=f"fix {option}")
    return [
        i
        for i in main
        if (not tasks or any(_fits(batch.keys[i].task, t) for t in tasks))
        and (not only or any(_fits(batch.keys[i].series, s) for s in only))
    ]


def _fits(name: str, word: str) -> bool:
    return name == word or name.split("[")[0] == word or fnmatchcase(name, word)


def curve_of(batch: CurveBatch, i: int, panel: tuple[Panel, list[str]] | None) -> Curve:
    """One curve with its methods; `components` where there is a panel."""
    points = points_of(batch, i)
    methods = dict(METHODS)
    if panel is not None:
        methods["components"] = components(panel[0], panel[1].index(batch.keys[i].task), batch.keys[i].series)
    return Curve(i, points, methods)


def points_of(batch: CurveBatch, i: int) -> Points:
    """One curve's trained points in order, with variances as the judge uses them."""
    one = take(batch, np.array([i]))
    hard = prepare(one).hard
    value = np.where(batch.has_soft[i], one.soft.value[0], np.nan)
    if not batch.has_soft[i] and "loss" in one.other_axes:
        value = -one.other_axes["loss"][0]
    ok = hard.ok[0]
    source = hard.source[0]
    x = np.take_along_axis(one.x[0], source, axis=1)[ok]
    soft = np.take_along_axis(value, source, axis=1)[ok]
    y, var = hard.y[0][ok], hard.var[0][ok]
    order = np.argsort(x, kind="stable")
    floor = float(batch.hard.floor[i])
    floor = floor if np.isfinite(floor) else float(batch.hard.nominal_floor[i])
    return Points(
        x=np.round(x[order], 9),
        y=y[order],
        var=var[order],
        soft=soft[order],
        floor=floor,
        ceiling=float(batch.hard.ceiling[i]),
        bottom=float(batch.hard.bottom[i]),
    )


def panel_of(batch: CurveBatch, axis: str) -> tuple[Panel, list[str]] | None:
    """Models × tasks of all series along a scale, where there are several series; else None."""
    if axis not in ("flops", "params", "tokens"):
        return None
    rows = [
        i
        for i, k in enumerate(batch.keys)
        if k.primary and k.axis == axis and k.slice is None and k.condition == "baseline"
    ]
    if len({batch.keys[i].series for i in rows}) < 3:
        return None
    tasks = sorted({batch.keys[i].task for i in rows})
    models: dict[tuple[str, float], Floats] = defaultdict(lambda: np.full(len(tasks), np.nan))
    for i in rows:
        key, points = batch.keys[i], points_of(batch, i)
        for x in points.places:
            models[key.series, float(x)][tasks.index(key.task)] = points.y[points.x == x].mean()
    names = sorted(models)
    panel = Panel(
        np.array([x for _, x in names]), np.array([s for s, _ in names]), np.stack([models[n] for n in names])
    )
    return panel, tasks
