"""The loop: every model of a study, everything it has not been asked yet, into the store.

Identity is per answer, so the same command goes on where it stopped, asks ten for ten more items, and opens a
finished model without loading it. One model's failure is stored and the rest goes on; it is retried by the
next run. An executor owns where that happens; what happens to a share of it is a session's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from saltus import plugins
from saltus.records import ModelRef
from saltus.runner.contract import Study
from saltus.runner.here import Executor, Stopped, here
from saltus.runner.journal import Journal
from saltus.runner.outcome import ModelReport, RunReport, model_name
from saltus.runner.progress import Clock, Progress, Tell
from saltus.runner.session import RunSettings, begin, work_of
from saltus.store import Store
from saltus.tasks.base import Task

__all__ = ["Interrupted", "ModelReport", "Progress", "RunReport", "RunSettings", "Tell", "resolve", "run"]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run. Everything answered is stored; `report` says how far it came."""

    def __init__(self, report: RunReport) -> None:
        self.report = report
        super().__init__("interrupted; the same command goes on")


def run(
    study: Study,
    store: Store,
    *,
    progress: Tell | None = None,
    executor: Executor | None = None,
    settings: RunSettings | None = None,
    say: Callable[[str], None] | None = None,
) -> RunReport:
    """Asks what is not answered yet. say: takes one sentence per field of a task that was read as another.

    Raises UserError for the user's mistakes and an unwritable store, Interrupted on Ctrl-C; models that fail are in
    the report.
    """
    settings, executor = settings or RunSettings(), executor or here()
    began = time.monotonic()
    models = resolve(study)
    work = work_of(study, keep=settings.window if len(models) > 1 else 0)
    for task in {task.name: task for _, tasks in models for task in tasks}.values():
        work.items(task)  # what is wrong with them is reported before any worker starts
        for note in getattr(task, "notes", ()):
            if say is not None:
                say(f"{task.name}: {note}")
    shares = list(executor.shares(len(models)))
    counts = [work.count(t, s.part, s.parts) for s in shares for t in models[s.model][1]]
    names = [model_name(ref) for ref, _ in models]
    clock = Clock(progress, settings.tell_every, sum(counts), len(shares), names)
    session = begin(study, store, settings, models, work)
    session.hear = clock.hear
    journal = Journal(store, study.study_id)
    journal.started(len(models), len(shares), session.line["answers_before"])
    reports: list[ModelReport] = []

    def so_far(interrupted: bool = False) -> RunReport:
        spent = time.monotonic() - began
        return RunReport(study.study_id, tuple(reports), spent, interrupted)

    results = executor.run(shares, session)
    try:
        for report in results:
            reports.append(report)
            clock.end(report.share, report.tally)
    except KeyboardInterrupt as stop:
        reports += _cut_short(results, stop)
        cut = so_far(interrupted=True)
        journal.ended(cut)
        raise Interrupted(cut) from stop
    whole = so_far()
    journal.ended(whole)
    return whole


def _cut_short(results: Iterator[ModelReport], stop: KeyboardInterrupt) -> list[ModelReport]:
    """The reports of shares that an interruption ends; one that came while progress was reported is passed on first."""
    if isinstance(stop, Stopped):
        return list(stop.results)
    if isinstance(results, Generator):
        with contextlib.suppress(KeyboardInterrupt):
            try:
                results.throw(stop)
            except Stopped as stopped:
                return list(stopped.results)
    return []


def resolve(study: Study) -> list[tuple[ModelRef, Sequence[Task]]]:
    """Every model of the study with the tasks it is asked. Raises UserError where a source has none."""
    tasks = study.tasks()
    found: list[tuple[ModelRef, Sequence[Task]]] = []
    for entry in study.entries():
        where = f"from: {entry.scheme}:{entry.source}"
        adapter = plugins.load("models", entry.scheme, where=where, base=study.base)
        asked = study.asked(entry, tasks)
        refs = adapter.series(entry, study.ask, study.base)
        if entry.scheme.startswith("file:"):  # whoever opens them looks the adapter up by this name
            refs = [replace(ref, adapter=entry.scheme) for ref in refs]
        found += [(ref, asked) for ref in refs]
    return found
