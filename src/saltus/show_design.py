"""What searching, forecasting and planning print: tables for people. The plain data are the reports themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from saltus.locate import LocateReport
from saltus.run import Progress, Tell


@contextmanager
def checkpoints_bar(show: bool) -> Iterator[Callable[[str, int, int], Tell]]:
    """A progress bar over checkpoints: (round, its models, most in all) → what the runner tells its progress to."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("checkpoints at most"),
    )  # fmt: skip
    console = Console(stderr=True, quiet=not show)
    with Bar(*columns, console=console, transient=True) as bar:
        line = bar.add_task("Asking", total=None)
        before = 0

        def tell(name: str, models: int, most: int) -> Tell:
            nonlocal before
            start, before = before, before + models

            def heard(now: Progress) -> None:
                bar.update(
                    line, description=name, total=max(most, before), completed=start + now.position
                )

            return heard

        yield tell


def located(report: LocateReport) -> list[RenderableType]:
    """What a search asked and found."""
    table = _table(
        "series", "task", "condition", "onset", "between", "decades", "in full", "ended because"
    )
    for one in report.located:
        numbers = ("none", "", "", "")
        if one.onset is not None:
            between = f"{one.onset_low:.3g} and {one.onset_high:.3g} {one.axis}"
            numbers = (f"{one.onset:.3g}", between, f"{one.width:.2g}", f"{one.full_width:.2g}")
        _row(table, one.series, one.task, one.condition, *numbers, one.why)
    said = f"Asked {report.asked:,} of {report.of:,} checkpoints in {report.rounds} rounds"
    if report.full_seconds is not None:
        said += (
            f": {report.answers:,} answers in {_time(report.seconds)}; all checkpoints would have taken about "
            f"{report.full_answers:,} answers and {_time(report.full_seconds)}"
        )
    lines = [Text(line, "dim") for line in (f"{said}.", *report.notes)]
    return [table, *lines, *(Text(f"Failed: {f}", "red") for f in report.failures)]


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in columns:
        table.add_column(name)
    return table


def _row(table: Table, *values: str) -> None:
    """Values as they are: task names hold brackets, which rich would read as markup."""
    table.add_row(*(Text(v) for v in values))


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
