"""From a study document on disk to answers in the store beside it.

Every command that asks models comes through here: it opens the store `NAME.saltus/` beside `NAME.yaml`, compares
the document with its lock, and reports to the caller where the run is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from saltus.errors import UserError
from saltus.runner.here import Executor
from saltus.runner.journal import Journal
from saltus.runner.loop import RunReport, Tell, run
from saltus.store import Store, events
from saltus.study import document as studies
from saltus.study.document import Study
from saltus.study.lock import Lock, deviations, read_lock, write_lock


def store_path(document: Path) -> Path:
    """`NAME.saltus` beside `NAME.yaml`."""
    return document.with_suffix(".saltus")


def open_store(source: Path) -> Store:
    """The store of a study document, or the store itself, without creating it."""
    return Store(source if source.suffix == ".saltus" or source.is_dir() else store_path(source))


def run_study(
    document: Path,
    executor: Executor | None = None,
    *,
    progress: Tell | None = None,
    say: Callable[[str], None] | None = None,
) -> RunReport:
    """Asks what is missing, here or where the executor says. say: takes one sentence per deviation from the lock
    and per field of a task that was read as another.

    Raises UserError for the user's mistakes.
    """
    study = studies.load(document)
    store = open_store(document)
    changed = deviations(study, read_lock(document))
    for sentence in changed:
        if say is not None:
            say(f"Deviation from the lock: {sentence}")
    if changed:
        store.mark()
        Journal(store, study.study_id).deviations(changed)
    return run(study, store, progress=progress, executor=executor, say=say)


def lock_study(document: Path) -> Lock:
    """Writes the study's lock and says so in its event log. Raises UserError if another version is locked already."""
    study, store = studies.load(document), open_store(document)
    before = read_lock(document)
    made = write_lock(study, document, store.answers_count())
    if before is None:
        store.mark()
        data = {"locked_at": made.locked_at, "answers_already": made.answers_already, "document": made.document}
        events.append(store.place, "locked", subject=made.study_id, data=data)
    return made


def missing_store(document: Path) -> UserError:
    """For commands that read answers where none were ever stored."""
    return UserError(
        "nothing has been asked yet",
        where=str(store_path(document)),
        wanted="a store with answers",
        do=f"saltus run {document}",
    )


def load_with_store(document: Path) -> tuple[Study, Store]:
    """A study and its store. Raises UserError where it never ran."""
    study, store = studies.load(document), open_store(document)
    if not store.exists():
        raise missing_store(document)
    return study, store
