"""From a study document on disk to answers in the store beside it, with a progress bar for people.

Every command that asks models comes through here: it opens the store `NAME.saltus/` beside `NAME.yaml`, compares
the document with its lock, and shows where the run is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from saltus import study as studies
from saltus.errors import UserError
from saltus.executors import Executor
from saltus.lock import deviations, read_lock
from saltus.run import Progress, RunReport, Tell, run
from saltus.store import Store
from saltus.study import Study


def store_path(document: Path) -> Path:
    """`NAME.saltus` beside `NAME.yaml`."""
    return document.with_suffix(".saltus")


def open_store(source: Path) -> Store:
    """The store of a study document, or the store itself, without creating it."""
    return Store(source if source.suffix == ".saltus" or source.is_dir() else store_path(source))


def run_study(document: Path, executor: Executor | None = None, *, show: bool = True) -> RunReport:
    """Asks what is missing, here or where the executor says. Raises UserError for the user's mistakes."""
    study = studies.load(document)
    store = open_store(document)
    console = Console(stderr=True, quiet=not show)
    for sentence in deviations(study, read_lock(document)):
        console.print(f"Deviation from the lock: {sentence}", style="yellow")
    with _bar(console) as tell:
        return run(study, store, progress=tell, executor=executor)


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


@contextmanager
def _bar(console: Console) -> Iterator[Tell]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
    )  # fmt: skip
    with Bar(*columns, console=console, transient=True) as bar:
        line = bar.add_task("Asking", total=None, speed="")

        def tell(now: Progress) -> None:
            bar.update(
                line,
                description=f"Model {now.position} of {now.models}",
                total=now.total,
                completed=now.done,
                speed=_speed(now),
            )

        yield tell


def _speed(now: Progress) -> str:
    parts = []
    if now.per_second is not None:
        parts.append(f"{now.per_second:,.0f} items/s")
    if now.seconds_left is not None:
        minutes, seconds = divmod(round(now.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    if now.failed:
        parts.append(f"{now.failed:,} failed")
    return ", ".join(parts)
