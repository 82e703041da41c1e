"""`zoo:NAME`: the series that saltus trains itself, trained on first use and asked like any folder.

Options of a models entry: `seeds: [0, 1]`, `width: 32` where the series has it, `cache: FOLDER`. Listing a series
trains what is missing of it, because a checkpoint's loss is one of its coordinates; `saltus.zoo.cache.train_all`
does that beforehand, with progress and several workers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saltus.errors import UserError
from saltus.models.base import Model, ModelError
from saltus.records import AskPolicy, ModelRef, SeriesEntry

if TYPE_CHECKING:
    from saltus.zoo.cache import Job, Progress

WORKERS = 2
"""Series trained side by side where there are that many cores."""
_COORDS = ("step", "tokens", "params", "flops", "loss", "seed")


class ZooAdapter:
    """Points of a series are its checkpoints; its seeds share its label."""

    def series(self, entry: SeriesEntry, ask: AskPolicy, base: Path) -> Sequence[ModelRef]:
        """Every checkpoint of every seed, seed by seed. Raises UserError for an unknown name, option or seed, and
        for a cache that cannot be written; ModelError when training fails.
        """
        from saltus.zoo.cache import jobs, train_all

        where = f"from: zoo:{entry.source}"
        options = dict(entry.options)
        cache = options.pop("cache", None)
        seeds = _seeds(options.pop("seeds", entry.coords.get("seed")), where)
        wanted = jobs(
            entry.source, options=options, seeds=seeds, cache=base / str(cache) if cache else None, where=where
        )
        try:
            with shown() as tell:
                trained = train_all(wanted, workers=min(WORKERS, os.cpu_count() or 1), progress=tell)
        except RuntimeError as error:
            raise ModelError(str(error)) from error
        label = entry.series or entry.source
        family = len({job.index for job in trained}) > 1
        return [
            _ref(label, folder, card, entry, family=family) for job in trained for folder, card in job.checkpoints()
        ]

    def open(self, ref: ModelRef, ask: AskPolicy) -> Model:
        """The checkpoint through transformers, the zoo's own architecture included."""
        from saltus.models.local.model import TransformersModel
        from saltus.zoo import grokking_model  # noqa: F401 — registers the architecture

        return TransformersModel(ref, Path(ref.location), ask)


@contextmanager
def shown() -> Iterator[Progress]:
    """A bar per training on stderr, for people only: minutes may pass before the first question is asked."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    lines: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def tell(job: Job, step: int, steps: int) -> None:
            if job.label not in lines:
                lines[job.label] = bars.add_task(f"Training {job.label}", total=steps)
            bars.update(lines[job.label], completed=step)

        yield tell


def _ref(label: str, folder: Path, card: dict[str, Any], entry: SeriesEntry, *, family: bool) -> ModelRef:
    coords: dict[str, float | str] = {key: card[key] for key in _COORDS}
    if family:
        coords["model"] = f"{card['series']}-{card['recipe']['width']}"
    return ModelRef(
        adapter="zoo",
        location=str(folder),
        series=label,
        coords={**coords, **entry.coords},
        recipe={**card["recipe"], "versions": card["versions"]},
    )


def _seeds(given: Any, where: str) -> list[int] | None:
    if given is None:
        return None
    seeds = list(given) if isinstance(given, (list, tuple)) else [given]
    if not seeds or not all(
        isinstance(s, (int, float)) and not isinstance(s, bool) and s >= 0 and int(s) == s for s in seeds
    ):
        raise UserError(f"seeds are {given!r}", where=where, wanted="whole numbers from 0, such as [0, 1, 2]")
    return [int(s) for s in seeds]


adapter = ZooAdapter()
