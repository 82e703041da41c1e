"""Progress bars on stderr, for people only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from saltus.page.context import AskedItem
from saltus.page.text import safe, shortened
from saltus.planning.curves import Curve
from saltus.runner.loop import Progress, Tell

MOST_SHOWN = 2_000
"""Characters of one prompt or answer."""


@contextmanager
def asking_bar(show: bool) -> Iterator[Tell]:
    """A progress bar over the asks of a run."""
    console = Console(stderr=True, quiet=not show)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
    )
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


@contextmanager
def checkpoints_bar(show: bool) -> Iterator[Callable[[str, int, int], Tell]]:
    """A progress bar over checkpoints: (round, its models, most in all) → what the runner tells its progress to."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("checkpoints at most"))
    console = Console(stderr=True, quiet=not show)
    with Bar(*columns, console=console, transient=True) as bar:
        line = bar.add_task("Asking", total=None)
        before = 0

        def tell(name: str, models: int, most: int) -> Tell:
            nonlocal before
            start, before = before, before + models

            def heard(now: Progress) -> None:
                bar.update(line, description=name, total=max(most, before), completed=start + now.position)

            return heard

        yield tell


@contextmanager
def followed(show: bool) -> Iterator[Callable[[Sequence[Curve]], Iterable[Curve]]]:
    """A progress bar over curves, for a loop to go through."""
    console = Console(stderr=True, quiet=not show)
    with Bar(console=console, transient=True) as bar:
        yield lambda curves: bar.track(curves, description="Trying methods on hidden scales")


@contextmanager
def waiting(what: str, show: bool) -> Iterator[None]:
    """A status line while something runs that has no steps to count."""
    with Console(stderr=True, quiet=not show).status(what):
        yield


def one_of_each(asked: Sequence[AskedItem], show: bool) -> None:
    """One prompt per task as it was sent, and its answer, on stderr."""
    if not show:
        return
    for item in {item.task: item for item in reversed(asked)}.values():
        sys.stderr.write(f"{safe(item.task)} was asked, for example ({safe(item.item_id)}, {safe(item.model)}):\n")
        choices = [("choices", " | ".join(item.choices))] if item.choices else []
        answered = ("picked" if item.choices else "answer", item.answer)
        for label, text in [("prompt", item.prompt), *choices, answered, ("wanted", item.target)]:
            shown = safe(shortened(text, MOST_SHOWN)).replace("\t", "⇥").replace(" ", "·")
            sys.stderr.write(f"  {label:8}" + shown.replace("\n", "⏎\n" + " " * 10) + "\n")
