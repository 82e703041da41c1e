"""`run --locate`: an onset from few checkpoints. Rounds of asking and looking, then the ordinary analysis.

Which checkpoints come next is `stats.locating`'s business; here models are grouped into sweeps (one training
run, its seeds together), asked through the ordinary runner into the ordinary store, and read back through the
ordinary table. So a search goes on where it stopped, and a later full run asks only what is left.
Known limits: a checkpoint is asked every task of the study, also those whose onset is found; networks that
cannot be opened count as asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from saltus.analysis.analyze import primaries
from saltus.curves.assemble import assemble
from saltus.curves.series import with_series
from saltus.errors import UserError
from saltus.judging.share import cut
from saltus.records import Analysis, ModelRef
from saltus.results.table import schema
from saltus.runner.here import Share
from saltus.runner.loop import RunReport, Tell, resolve, run
from saltus.runner.open import open_store
from saltus.stats.batch import Bools, CurveBatch, Floats
from saltus.stats.locating import Aim, Look, Step, advance, look_of, net
from saltus.stats.measure import measure
from saltus.stats.resample import take
from saltus.stats.series import canonical, prepare
from saltus.store import Store
from saltus.study import document as studies
from saltus.study.document import Study

Result = TypeVar("Result")
Watch = Callable[[str, int, int], Tell | None]
"""(name of a round, its models, most there can be in all) → a callback for the round's progress."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """An executor that does these models here, one after the other."""

    models: tuple[int, ...]

    def shares(self, models: int) -> list[Share]:
        return [Share(m) for m in self.models if m < models]

    def run(self, shares: Sequence[Share], work: Callable[[Share], Result]) -> Iterator[Result]:
        for share in shares:
            yield work(share)


@dataclass(frozen=True)
class Sweep:
    """One training run with many checkpoints."""

    series: str
    run: str
    axis: str
    raw: Floats
    """(G,) places of the checkpoints, increasing; 0 is untrained."""
    members: tuple[tuple[int, ...], ...]
    """Per checkpoint its models, one per seed: places in the study's resolved models."""

    @property
    def x(self) -> Floats:
        with np.errstate(divide="ignore"):
            return np.log10(self.raw)


@dataclass(frozen=True, kw_only=True)
class Located:
    """What a search found about one capability in one sweep."""

    series: str
    task: str
    condition: str
    axis: str
    onset: float | None
    """Raw units of the axis, like its interval; None where nothing rises."""
    onset_low: float | None
    onset_high: float | None
    width: float | None
    """Of the interval, decades."""
    full_width: float | None
    """What it would be had every checkpoint been asked, as predicted."""
    why: str
    """Why the search ended."""


@dataclass(frozen=True, kw_only=True)
class LocateReport:
    """What a search asked, what it found, and what asking everything would have cost."""

    located: tuple[Located, ...]
    asked: int
    """Checkpoints (models) asked, by this search or before."""
    of: int
    rounds: int
    answers: int
    """Answers asked for now."""
    full_answers: int
    """Answers the full sweep would have taken, at as many per checkpoint."""
    seconds: float
    full_seconds: float | None
    """None where nothing was asked now."""
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def locate_study(
    document: Path, *, interval: float | None = None, watch: Watch | None = None, aim: Aim | None = None
) -> LocateReport:
    """Search the onsets of a study's sweeps; answers go to the store beside the document, the verdict to `analyze`.

    interval: wanted width of each onset's interval in decades. watch: (round, its models, most in all) → a callback for
    the round's progress. Raises UserError where no run has enough checkpoints.
    """
    if interval is not None and not interval > 0:
        raise UserError(f"--interval {interval}", wanted="decades, more than 0", do="fix --interval")
    study = studies.load(document)
    aim = aim or Aim(interval=interval)
    search = _Search(study, open_store(document), aim)
    search.go(watch or (lambda *_: None))
    return search.report()


def looks(curves: CurveBatch, analysis: Analysis) -> list[Look]:
    """What is known so far of every curve of a batch of asked points; curves of equal size are measured together."""
    ordered, _ = canonical(curves)
    seeds = ordered.seen.any(axis=2).sum(axis=1)
    points = ordered.seen.sum(axis=2).max(axis=1)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, size in enumerate(zip(seeds.tolist(), points.tolist(), strict=True)):
        groups[size].append(i)
    out: dict[int, Look] = {}
    for (s, p), rows in groups.items():
        part = cut(take(ordered, np.array(rows)), max(s, 1), max(p, 2))
        m = measure(part, prepare(part), analysis)
        out |= {i: look_of(m, k, analysis) for k, i in enumerate(rows)}
    return [out[i] for i in range(len(curves))]


def sweeps(refs: Sequence[ModelRef]) -> list[Sweep]:
    """The training runs among models: those of one run lie along its tokens, else its steps; the rest are left out."""
    rows = [
        {
            "place": i,
            "series": r.series,
            "model": str(r.coords.get("model") or r.location),
            **{a: _number(r.coords.get(a)) for a in ("tokens", "step")},
        }
        for i, r in enumerate(refs)
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    empty = [pl.lit(None, kind).alias(name) for name, kind in schema().items() if name not in table.columns]
    table = table.with_columns(*empty).cast({"tokens": pl.Float64, "step": pl.Float64})
    table = with_series(table, ("series",))
    found = []
    for (label, name), part in table.group_by("series_label", "run", maintain_order=True):
        axis = next((a for a in ("tokens", "step") if part[a].null_count() == 0), None)
        if axis is None:
            continue
        by_place = part.group_by(axis).agg(pl.col("place")).sort(axis)
        members = tuple(tuple(sorted(m)) for m in by_place["place"].to_list())
        found.append(Sweep(str(label), str(name), axis, by_place[axis].to_numpy(), members))
    return found


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


@dataclass
class _Search:
    """The state of one search."""

    study: Study
    store: Store
    aim: Aim
    sweeps: list[Sweep] = field(init=False)
    tried: list[Bools] = field(init=False)
    reports: list[RunReport] = field(default_factory=list)
    models: int = 0
    found: dict[tuple[str, str, str], tuple[Sweep, Look, Step]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refs = [ref for ref, _ in resolve(self.study)]
        self.models = len(refs)
        self.sweeps = sweeps(refs)
        most = max((len(s.raw) for s in self.sweeps), default=0)
        if most <= self.aim.least:
            raise UserError(
                f"the longest training run has {most} checkpoints",
                where=self.study.name,
                wanted=f"a run of more than {self.aim.least} checkpoints with tokens or step, to search in",
                do=f"saltus run {self.study.name} asks them all",
            )
        self.tried = [np.zeros(len(s.raw), dtype=bool) for s in self.sweeps]

    def go(self, tell: Watch) -> None:
        """Round after round until every curve has stopped."""
        todo = [set(net(s.x, self.aim)) for s in self.sweeps]
        alone = self._alone()
        while any(todo) or alone:
            for tried, ask in zip(self.tried, todo, strict=True):
                tried[list(ask)] = True
            members = [m for s, ask in zip(self.sweeps, todo, strict=True) for g in ask for m in s.members[g]]
            chosen = Chosen(tuple(sorted({*members, *alone})))
            progress = tell(f"Round {len(self.reports) + 1}", len(chosen.models), self._most())
            self.reports.append(run(self.study, self.store, progress=progress, executor=chosen))
            alone, todo = set(), self._next()

    def report(self) -> LocateReport:
        """What came of it."""
        located = tuple(_located(key, *found) for key, found in sorted(self.found.items()))
        asked = sum(len(s.members[g]) for s, t in zip(self.sweeps, self.tried, strict=True) for g in np.flatnonzero(t))
        asked += len(self._alone())
        answers, seconds = sum(r.asked for r in self.reports), sum(r.seconds for r in self.reports)
        fresh = sum(m.tally.asked > 0 for r in self.reports for m in r.models)
        per_model = answers / fresh if fresh else 0.0
        failures = tuple(dict.fromkeys(f for r in self.reports for f in r.failures))
        return LocateReport(
            located=located,
            asked=asked,
            of=self.models,
            rounds=len(self.reports),
            answers=answers,
            full_answers=round(per_model * self.models),
            seconds=seconds,
            full_seconds=seconds / fresh * self.models if fresh else None,
            failures=failures,
            notes=self._notes(),
        )

    def _alone(self) -> set[int]:
        """Models that are in no sweep: asked in full, once."""
        inside = {m for s in self.sweeps for places in s.members for m in places}
        return set(range(self.models)) - inside

    def _most(self) -> int:
        return sum(self.aim.most(len(s.raw)) for s in self.sweeps)

    def _notes(self) -> tuple[str, ...]:
        count = len(self._alone())
        return (f"{count} models are in no training run with tokens or steps and were all asked",) if count else ()

    def _next(self) -> list[set[int]]:
        """The checkpoints of every sweep to ask next; those of the widest intervals first."""
        table = self.store.table(self.study).collect()
        assembled = assemble(table, series=("series",), primary=primaries(self.study))
        names = assembled.points.filter("within").select("series_label", "run", "curve_series").unique()
        run_of = {c: (label, name) for label, name, c in names.iter_rows()}
        keep = [
            i
            for i, key in enumerate(assembled.batch.keys)
            if key.primary and key.axis in ("tokens", "step") and key.series in run_of
        ]
        batch = take(assembled.batch, np.array(keep, dtype=int))
        wanted: list[list[tuple[float, tuple[int, ...]]]] = [[] for _ in self.sweeps]
        for i, look in enumerate(looks(batch, self.study.analysis) if keep else []):
            key = batch.keys[i]
            place = self._sweep(*run_of[key.series])
            sweep, tried = self.sweeps[place], self.tried[place]
            tried |= np.isin(sweep.raw, batch.raw_x[i][batch.seen[i]])
            step = advance(sweep.x, tried, look, self.aim)
            self.found[key.series, key.task, key.condition] = (sweep, look, step)
            if not step.stop:
                wanted[place].append((-np.nan_to_num(step.width, nan=0.0), step.ask))
        return [self._fit(p, asks) for p, asks in enumerate(wanted)]

    def _sweep(self, label: str, name: str) -> int:
        """Place of the sweep behind a curve; its label may go on with what splits the series: a template, a format."""
        return next(
            i
            for i, s in enumerate(self.sweeps)
            if s.run == name and (label == s.series or label.startswith(f"{s.series}/"))
        )

    def _fit(self, place: int, asks: list[tuple[float, tuple[int, ...]]]) -> set[int]:
        """The union of what the curves of a sweep want, no more than may still be asked."""
        room = self.aim.most(len(self.sweeps[place].raw)) - int(self.tried[place].sum())
        order = [g for _, ask in sorted(asks) for g in ask]
        return set(list(dict.fromkeys(order))[: max(room, 0)])


def _located(key: tuple[str, str, str], sweep: Sweep, look: Look, step: Step) -> Located:
    series, task, condition = key
    place: Mapping[str, float | None] = dict.fromkeys(("onset", "onset_low", "onset_high", "width", "full_width"))
    if look.rises and not look.turns:
        onset, low, high = (float(10 ** (look.origin + u * look.span)) for u in (look.onset, look.low, look.high))
        place = {"onset": onset, "onset_low": low, "onset_high": high, "width": step.width, "full_width": step.full}
    return Located(series=series, task=task, condition=condition, axis=sweep.axis, why=step.why, **place)
