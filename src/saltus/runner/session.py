"""One worker's part in a run: it asks the models of its shares and stores what they say, through a writer of its own.

A session crosses to another process by being created again there: pickled, it is the study, the store's place and the
models; unpickling opens the store, makes the tasks and begins a log. So a worker needs the same
packages as the driver, the study's files under the same paths, and the store; it looks for the driver's log there,
and one that does not see it refuses to work, since its answers would be stored where nobody looks.
"""

from __future__ import annotations

import contextlib
import itertools
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saltus import plugins
from saltus._version import __version__
from saltus.errors import MissingExtra, UserError, reason
from saltus.hashing import canonical
from saltus.models.base import Description, Model, Sees
from saltus.permissions import carried, grant
from saltus.records import ModelRef
from saltus.runner.contract import Study
from saltus.runner.conversations import conduct
from saltus.runner.here import Share, Stopped
from saltus.runner.machine import host
from saltus.runner.outcome import ModelReport
from saltus.runner.pool import Pool, Tally
from saltus.runner.questions import Ask, Work
from saltus.store import Store, Writer
from saltus.store.contents import ModelRecord, ref_key
from saltus.store.log import storable
from saltus.store.place import StoreError
from saltus.store.writer import CommitPolicy
from saltus.tasks.base import Task

MOST_WAITED = 5.0
"""Seconds in which a shared disk must have shown a worker what the driver wrote before it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run goes about it; nothing here changes an answer."""

    window: int = 10_000
    """Questions in the pool at once: room for shared prefixes and for sorting by length, bounds memory."""
    commit: CommitPolicy = field(default_factory=CommitPolicy)
    tell_every: float = 0.1
    """Seconds between two calls of progress."""


Asked = tuple[ModelRef, Sequence[Task]]
"""A model and the tasks it is asked."""


@dataclass
class Session:
    """Call it with a share; `hear` takes how far the share is."""

    study: Study
    store: Store
    settings: RunSettings
    models: Sequence[Asked]
    work: Work
    writer: Writer
    line: Mapping[str, Any]
    """What the driver's log says of the run, without a host."""
    driver: str
    """Name of the driver's log."""
    hear: Callable[[Share, Tally], None]
    _open: Model | None = None

    def __call__(self, share: Share) -> ModelReport:
        """From opening the model to the last commit. Only a failing store, a missing package or an interruption
        escapes, the last as Stopped."""
        ref, _ = self.models[share.model]
        tally = Tally()
        try:
            error, refused = self._ask(share, tally)
            self.writer.commit()
            retried = int((getattr(self._open, "spent", None) or {}).get("retries") or 0)
            return ModelReport(share, ref, self._identity, tally, error, tuple(refused), retried)
        except KeyboardInterrupt as stop:
            self.writer.commit()
            raise Stopped([ModelReport(share, ref, self._identity, tally)]) from stop
        finally:
            self._open = None

    def give_up(self, share: Share, why: str) -> ModelReport:
        """Notes a share that nobody could finish as its model's failure."""
        ref, _ = self.models[share.model]
        self._record_gap(ref, None, "failed", why)
        return ModelReport(share, ref, None, Tally(), why)

    def __reduce__(self) -> tuple[Any, ...]:
        names = [(ref, [t.name for t in tasks]) for ref, tasks in self.models]
        return _anew, (
            __version__,
            self.study,
            _reachable(self.store),
            self.settings,
            names,
            self.line,
            self.driver,
            carried(),
        )

    @property
    def _identity(self) -> str | None:
        return self._open.identity if self._open is not None else None

    def _ask(self, share: Share, tally: Tally) -> tuple[str | None, list[tuple[str, str]]]:
        """(what ended it early, the tasks the model was not asked)."""
        ref, tasks = self.models[share.model]
        refused: list[tuple[str, str]] = []
        self.hear(share, tally)
        try:
            model: Model = plugins.load("models", ref.adapter, base=self.study.base).open(ref, self.study.ask)
            self._open = model
            if isinstance(model, Sees):
                model.see(self.store.blob)
            refused = refusals(model, tasks)
            self._record_model(model, refused)
            able = [t for t in tasks if t.name not in dict(refused)]
            asks = itertools.chain.from_iterable(self.work.asks(t, share.part, share.parts) for t in able)
            pool = Pool(
                model,
                self.work,
                self.store,
                self.writer,
                self.store.known(model.identity),
                lambda tally: self.hear(share, tally),
                tally,
            )
            for window in windows(asks, self.settings.window):
                pending = pool.pending(window)
                conduct(pool, [a for a in pending if _leads(a)])
                pool.ask([a for a in pending if not _leads(a)])
            self._record_learned(model)
        except (StoreError, MissingExtra):
            raise
        except Exception as failure:  # noqa: BLE001 — one model's failure must not end the study
            self._record_gap(ref, None, "failed", reason(failure))
            return reason(failure), refused
        finally:
            if self._open is not None:
                with contextlib.suppress(Exception):
                    self._open.close()
        return None, refused

    def _record_model(self, model: Model, refused: list[tuple[str, str]]) -> None:
        """Writes the model down unless the store says the same of it already and no gap came after."""
        self.writer.begin(model.identity)
        self._recognise(model)
        found, mine = self.store.contents(), ref_key(model.ref)
        last = next((m for m in reversed(found.models) if ref_key(m.ref) == mine), None)
        gap = any(ref_key(g.ref) == mine and (last is None or g.time >= last.time) for g in found.gaps)
        body = self._body(model, last)
        if gap or not _says(last, body):
            self.writer.record("model", body)
        for task, why in refused:
            self._record_gap(model.ref, task, "refused", why)

    def _recognise(self, model: Model) -> None:
        """Answers that an earlier release stored under another identity are this model's: the log says so once."""
        former = [f for f in getattr(model, "formerly", ()) if f != model.identity]
        found = self.store.contents() if former else None
        for identity in former:
            if found is not None and any(s.holds(identity) for s in found.segments):
                self.writer.record("alias", {"former": identity, "identity": model.identity})

    def _record_learned(self, model: Model) -> None:
        """Writes down what only asking showed of a model: how its weights are computed with, the noise measured."""
        mine = ref_key(model.ref)
        models = self.store.contents().models
        last = next((m for m in reversed(models) if ref_key(m.ref) == mine), None)
        body = self._body(model, last)
        if not _says(last, body):
            self.writer.record("learned", body)

    def _body(self, model: Model, last: ModelRecord | None) -> dict[str, Any]:
        """The line about a model. What it does not know yet is what the last record of the same weights says."""
        known = last.describe if last is not None and last.identity == model.identity else {}
        found = Description.of(model.describe()).plain()
        describe = {k: known.get(k) if v is None else v for k, v in found.items()}
        describe = {k: v for k, v in describe.items() if v is not None}
        return {"identity": model.identity, "ref": model.ref, "describe": describe, "study_id": self.study.study_id}

    def _record_gap(self, ref: ModelRef, task: str | None, what: str, why: str) -> None:
        self.writer.record("gap", {"ref": ref, "task": task, "what": what, "why": why, "study_id": self.study.study_id})


def _leads(ask: Ask) -> bool:
    """The task leads its own conversation (`tasks.base.Conducts`)."""
    return hasattr(ask.question.task, "conduct")


def begin(study: Study, store: Store, settings: RunSettings, models: Sequence[Asked], work: Work) -> Session:
    """The driver's own session; its log says first what is run."""
    line = {
        "study_id": study.study_id,
        "document": study.data,
        "models": [ref for ref, _ in models],
        "answers_before": store.answers_count(),
    }
    writer = Writer(store, settings.commit)
    writer.record("study", {**line, "host": host()})
    return Session(study, store, settings, models, work, writer, line, writer.name, _nobody)


def work_of(study: Study, keep: int) -> Work:
    """The study's questions; so many are kept rendered from one model to the next."""
    return Work(study.seed, study.repeats, study.limit, study.conditions(), keep)


def windows(asks: Iterable[Ask], size: int) -> Iterator[list[Ask]]:
    rest = iter(asks)
    while window := list(itertools.islice(rest, size)):
        yield window


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


def _says(last: ModelRecord | None, body: dict[str, Any]) -> bool:
    return last is not None and canonical(storable(body)) == canonical(last.stated())


def _nobody(share: Share, tally: Tally) -> None:
    """Hears nothing."""


# ------------------------------------------------------------------------------- in another process


def _reachable(store: Store) -> str:
    """The store's place as another process can name it."""
    return store.place.url if store.place.local is None else str(store.place.local.absolute())


def _anew(
    version: str,
    study: Study,
    place: str,
    settings: RunSettings,
    names: Sequence[tuple[ModelRef, Sequence[str]]],
    line: Mapping[str, Any],
    driver: str,
    allowed: str,
) -> Session:
    """A session in the process where one is unpickled. Raises UserError where that cannot work."""
    if version != __version__:
        raise UserError(
            f"the worker has saltus {__version__}",
            where=f"worker on {platform.node()}",
            wanted=f"version {version}, as the driver has",
            do="install the same version on every machine",
        )
    grant([text for text in allowed.split(";") if text])
    store = _shared(place, driver)
    made = {task.name: task for task in study.tasks()}
    lost = sorted({name for _, wanted in names for name in wanted} - made.keys())
    if lost:
        raise UserError(
            f"the task `{lost[0]}` is not the same there",
            where=f"worker on {platform.node()}",
            wanted="the same packages and files on every machine",
        )
    models = [(ref, [made[name] for name in wanted]) for ref, wanted in names]
    writer = Writer(store, settings.commit)
    writer.record("study", {**line, "host": host()})
    work = work_of(study, keep=settings.window if len(models) > 1 else 0)
    return Session(study, store, settings, models, work, writer, line, driver, _nobody)


def _shared(place: str, driver: str) -> Store:
    """The store, once the driver's log is seen in it; a shared disk may show it a little later."""
    until = time.monotonic() + MOST_WAITED
    while True:
        store = Store(place)
        if any(Path(name).name.startswith(driver) or f"/{driver}/" in name for name in store.place.names("log")):
            return store
        if time.monotonic() > until:
            raise UserError(
                f"the log that the driver began there, log/{driver}, is not to be seen",
                where=f"worker on {platform.node()}: store {place}",
                wanted="a store that every machine reaches under the same name: a shared disk, or a URL such as s3://…",
                do="put the study on a shared disk and run it from there",
            )
        time.sleep(0.2)
