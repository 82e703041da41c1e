"""The loop: every model of a study, everything it has not been asked yet, into the store.

Identity is per answer, so the same command goes on where it stopped, asks ten for ten more items, and opens a
finished model without loading it. One model's failure is stored and the rest goes on; it is retried by the
next run.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from saltus import plugins
from saltus.errors import MissingExtra
from saltus.executors import Executor, Share, here
from saltus.hashing import canonical
from saltus.hosts import host
from saltus.models.base import Model
from saltus.pool import Pool, Tally, reason
from saltus.records import ModelRef
from saltus.store import Store, Writer
from saltus.store.contents import ModelRecord, ref_key
from saltus.store.log import without_secrets
from saltus.store.place import StoreError
from saltus.store.writer import CommitPolicy
from saltus.tasks.base import Task
from saltus.work import Ask, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run goes about it; nothing here changes an answer."""

    window: int = 10_000
    """Questions in the pool at once: room for shared prefixes and for sorting by length, bounds memory."""
    commit: CommitPolicy = field(default_factory=CommitPolicy)
    tell_every: float = 0.1
    """Seconds between two calls of progress."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. Counts are asks (model × task × condition × repeat × item) over the whole run."""

    model: str
    """Short name of the model being asked."""
    position: int
    models: int
    done: int
    total: int
    known: int
    """Of done, those that were there before."""
    failed: int
    per_second: float | None
    """Fresh asks per second so far; None before the first."""
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What became of one share."""

    ref: ModelRef
    identity: str | None
    """None where the model could not be opened."""
    tally: Tally
    error: str | None = None
    """What ended it early."""
    refused: tuple[tuple[str, str], ...] = ()
    """(task, why): what this model cannot be asked."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did."""

    study_id: str
    models: tuple[ModelReport, ...]
    seconds: float
    interrupted: bool = False

    @property
    def asked(self) -> int:
        """Answers the models gave, failures included."""
        return sum(m.tally.asked for m in self.models)

    @property
    def known(self) -> int:
        """Asks that were complete before."""
        return sum(m.tally.known for m in self.models)

    @property
    def failed(self) -> int:
        """Asks that are stored as failures, and models that failed."""
        return sum(m.tally.failed + (m.error is not None) for m in self.models)

    @property
    def failures(self) -> list[str]:
        """One sentence per model and reason, for the end of a run."""
        said = []
        for m in self.models:
            name = model_name(m.ref)
            if m.error is not None:
                said.append(f"{name}: {m.error}")
            counts = {why: n for why, n in m.tally.errors.items() if why != m.error}
            said += [f"{name}: {n} failed: {why}" for why, n in counts.items()]
        return said

    @property
    def refusals(self) -> list[str]:
        return [
            f"{model_name(m.ref)}: {t} was not asked: {w}"
            for m in self.models
            for t, w in m.refused
        ]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run. Everything answered is stored; `report` says how far it came."""

    def __init__(self, report: RunReport) -> None:
        self.report = report
        super().__init__("interrupted; the same command goes on")


Tell = Callable[[Progress], None]


@dataclass
class _Session:
    """What the shares of one run have in common."""

    study: Any
    store: Store
    writer: Writer
    settings: RunSettings
    models: list[tuple[ModelRef, list[Task]]]
    work: Work
    clock: _Clock
    reports: list[ModelReport] = field(default_factory=list)

    def report(self, began: float, *, interrupted: bool = False) -> RunReport:
        seconds = time.monotonic() - began
        return RunReport(self.study.study_id, tuple(self.reports), seconds, interrupted)


def run(
    study: Any,
    store: Store,
    *,
    progress: Tell | None = None,
    executor: Executor | None = None,
    settings: RunSettings | None = None,
) -> RunReport:
    """Asks what is not answered yet. Raises UserError for the user's mistakes and an unwritable store,
    Interrupted on Ctrl-C; models that fail are in the report."""
    settings, executor = settings or RunSettings(), executor or here()
    began = time.monotonic()
    models = resolve(study)
    work = work_of(study, keep=settings.window if len(models) > 1 else 0)
    shares = list(executor.shares(len(models)))
    totals = [sum(work.count(t, s.part, s.parts) for t in models[s.model][1]) for s in shares]
    clock = _Clock(progress, settings.tell_every, sum(totals), len(shares))
    writer = Writer(store, settings.commit)
    writer.record("study", _study_line(study, store, models))
    session = _Session(study, store, writer, settings, models, work, clock)
    try:
        for report in executor.run(shares, lambda share: _ask_model(session, share)):
            session.reports.append(report)
    except KeyboardInterrupt as stop:
        writer.commit()
        raise Interrupted(session.report(began, interrupted=True)) from stop
    return session.report(began)


def resolve(study: Any) -> list[tuple[ModelRef, list[Task]]]:
    """Every model of the study with the tasks it is asked. Raises UserError where a source has none."""
    tasks = study.tasks()
    found: list[tuple[ModelRef, list[Task]]] = []
    for entry in study.entries():
        adapter = plugins.load("models", entry.scheme, where=f"from: {entry.scheme}:{entry.source}")
        asked = study.asked(entry, tasks)
        found += [(ref, asked) for ref in adapter.series(entry, study.ask, study.base)]
    return found


def work_of(study: Any, keep: int = 0) -> Work:
    """The study's questions; keep as many rendered as one window holds."""
    return Work(study.seed, study.repeats, study.limit, study.conditions(), keep)


def model_name(ref: ModelRef) -> str:
    """What messages call a model: its location, and its revision where it has one."""
    return f"{ref.location}@{ref.revision}" if ref.revision else ref.location


def windows(asks: Iterable[Ask], size: int) -> Iterator[list[Ask]]:
    rest = iter(asks)
    while window := list(itertools.islice(rest, size)):
        yield window


def _ask_model(session: _Session, share: Share) -> ModelReport:
    """One share from opening to commit. Only a failing store or an interruption escapes."""
    ref, tasks = session.models[share.model]
    session.clock.begin(model_name(ref))
    tally, refused = Tally(), []
    model: Model | None = None
    error: str | None = None
    try:
        model = plugins.load("models", ref.adapter).open(ref, session.study.ask)
        assert model is not None
        refused = refusals(model, tasks)
        _record_model(session, model, refused)
        able = [t for t in tasks if t.name not in dict(refused)]
        asks = itertools.chain.from_iterable(
            session.work.asks(t, share.part, share.parts) for t in able
        )
        known = session.store.known(model.identity)
        pool = Pool(model, session.work, session.store, session.writer, known,
                    session.clock.tell, tally)  # fmt: skip
        for window in windows(asks, session.settings.window):
            pool.ask(window)
        _record_learned(session, model)
    except (StoreError, MissingExtra):
        raise
    except KeyboardInterrupt:
        session.reports.append(ModelReport(ref, model.identity if model else None, tally))
        raise
    except Exception as failure:  # noqa: BLE001 — one model's failure must not end the study
        error = reason(failure)
        _record_gap(session, ref, None, "failed", error)
    finally:
        session.clock.end(tally)
        if model is not None:
            with contextlib.suppress(Exception):
                model.close()
    session.writer.commit()
    identity = model.identity if model is not None else None
    return ModelReport(ref, identity, tally, error, tuple(refused))


def refusals(model: Model, tasks: Sequence[Task]) -> list[tuple[str, str]]:
    """(task, why) for the tasks that need what the model does not offer."""
    whys = getattr(model, "lacks", {})  # what a probed endpoint says of what it cannot do
    found = []
    for task in tasks:
        lacking = sorted(task.needs - model.offers)
        if lacking:
            offers = ", ".join(sorted(model.offers)) or "nothing"
            why = f"it needs {', '.join(lacking)}; the model offers {offers}"
            found.append((task.name, "; ".join([why, *(whys[n] for n in lacking if n in whys)])))
    return found


def _record_model(session: _Session, model: Model, refused: list[tuple[str, str]]) -> None:
    """Writes the model down unless the store says the same of it already and no gap came after."""
    session.writer.begin(model.identity)
    found, mine = session.store.contents(), ref_key(model.ref)
    last = next((m for m in reversed(found.models) if ref_key(m.ref) == mine), None)
    gap = any(ref_key(g.ref) == mine and (last is None or g.time >= last.time) for g in found.gaps)
    body = _said(session, model, last)
    if gap or not _says(last, body):
        session.writer.record("model", body)
    for task, why in refused:
        _record_gap(session, model.ref, task, "refused", why)


def _record_learned(session: _Session, model: Model) -> None:
    """Writes down what only asking told of a model: how its weights are computed with, the noise measured."""
    mine = ref_key(model.ref)
    models = session.store.contents().models
    last = next((m for m in reversed(models) if ref_key(m.ref) == mine), None)
    body = _said(session, model, last)
    if not _says(last, body):
        session.writer.record("learned", body)


def _said(session: _Session, model: Model, last: ModelRecord | None) -> dict[str, Any]:
    """The line about a model. What it does not know yet is what the last record of the same weights says."""
    known = last.describe if last is not None and last.identity == model.identity else {}
    describe = {k: known.get(k) if v is None else v for k, v in model.describe().items()}
    return {
        "identity": model.identity, "ref": model.ref, "describe": describe,
        "study_id": session.study.study_id,
    }  # fmt: skip


def _says(last: ModelRecord | None, body: dict[str, Any]) -> bool:
    return last is not None and canonical(without_secrets(body)) == canonical(last.said())


def _record_gap(session: _Session, ref: ModelRef, task: str | None, what: str, why: str) -> None:
    session.writer.record("gap", {
        "ref": ref, "task": task, "what": what, "why": why, "study_id": session.study.study_id,
    })  # fmt: skip


def _study_line(
    study: Any, store: Store, models: Sequence[tuple[ModelRef, list[Task]]]
) -> dict[str, Any]:
    return {
        "study_id": study.study_id, "document": study.data, "host": host(),
        "answers_before": store.answers_count(), "models": [ref for ref, _ in models],
    }  # fmt: skip


@dataclass
class _Clock:
    """Turns tallies into Progress, not too often."""

    callback: Tell | None
    every: float
    total: int
    models: int
    position: int = 0
    model: str = ""
    before: Tally = field(default_factory=Tally)
    """Sum over the shares that have ended."""
    last: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def begin(self, model: str) -> None:
        self.model, self.position = model, self.position + 1

    def end(self, tally: Tally) -> None:
        for name in ("done", "known", "failed"):
            setattr(self.before, name, getattr(self.before, name) + getattr(tally, name))
        self._say(Tally())

    def tell(self, tally: Tally) -> None:
        if self.callback is None or (now := time.monotonic()) - self.last < self.every:
            return
        self.last = now
        self._say(tally)

    def _say(self, tally: Tally) -> None:
        if self.callback is None:
            return
        done, known = self.before.done + tally.done, self.before.known + tally.known
        speed = (done - known) / max(1e-9, time.monotonic() - self.began) or None
        left = (self.total - done) / speed if speed else None
        failed = self.before.failed + tally.failed
        self.callback(Progress(
            self.model, self.position, self.models, done, self.total, known, failed, speed, left
        ))  # fmt: skip
