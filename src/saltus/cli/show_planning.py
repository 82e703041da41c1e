"""What searching, forecasting and planning print: tables for people. The plain data are the reports themselves."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from saltus.planning.design import DesignReport, describe
from saltus.planning.forecast import Forecast
from saltus.planning.locate import LocateReport


def located(report: LocateReport) -> list[RenderableType]:
    """What a search asked and found."""
    table = _table("series", "task", "condition", "onset", "between", "decades", "in full", "ended because")
    for one in report.located:
        numbers = ("none", "", "", "")
        if one.onset is not None:
            between = f"{one.onset_low:.3g} and {one.onset_high:.3g} {one.axis}"
            numbers = (f"{one.onset:.3g}", between, f"{one.width:.2g}", f"{one.full_width:.2g}")
        _row(table, one.series, one.task, one.condition, *numbers, one.why)
    stated = f"Asked {report.asked:,} of {report.of:,} checkpoints in {report.rounds} rounds"
    if report.full_seconds is not None:
        stated += (
            f": {report.answers:,} answers in {_time(report.seconds)}; all checkpoints would have taken about "
            f"{report.full_answers:,} answers and {_time(report.full_seconds)}"
        )
    lines = [Text(line, "dim") for line in (f"{stated}.", *report.notes)]
    return [table, *lines, *(Text(f"Failed: {f}", "red") for f in report.failures)]


def forecasts(found: Sequence[Forecast]) -> list[RenderableType]:
    """Forecasts with their records; what was declined, by reason."""
    made, declined = [f for f in found if f.declined is None], [f for f in found if f.declined]
    parts: list[RenderableType] = []
    if made:
        table = _table(
            "series", "task", "last", "forecast", "95 % interval", "method", "error / last value's", "intervals held"
        )
        for f in made:
            record = next(r for r in f.records if r.method == f.method)
            held = "" if record.coverage is None else f"{record.coverage:.0%} of {record.covered}"
            _row(
                table,
                f.series,
                f.task,
                f"{f.last_value:.3f}",
                f"{f.value:.3f}",
                f"{f.low:.3f} to {f.high:.3f}",
                f.method or "",
                f"{record.relative:.2f} over {record.trials}",
                held,
            )
        parts.append(table)
        parts += [Text(f"{f.series}, {f.task}: {c}", "yellow") for f in made for c in f.caveats]
    if declined:
        parts.append(Text(f"Declined: {len(declined):,} of {len(found):,}.", "bold"))
        table = _table("series", "task", "last", "why")
        for f in declined:
            _row(table, f.series, f.task, f"{f.last_value:.3f}", f.declined or "")
        parts.append(table)
    return parts


def planned(report: DesignReport) -> list[RenderableType]:
    """What a design tells apart, width by width, and what would help."""
    d = report.design
    table = _table("width, decades", "leap", "smooth", "unresolved", "other", "onset within")
    for row in report.rows:
        onset = "" if row.onset is None else f"{row.onset:.2f} decades"
        shares = (f"{v:.0%}" for v in (row.leap, row.smooth, row.unresolved, row.other))
        _row(table, f"{row.width:g}", *shares, onset)
    smallest = "none of those tried" if report.smallest_leap is None else f"{report.smallest_leap:g}"
    lines = [
        f"{d.items:,} items, {d.points} points over {d.decades:g} decades, {d.seeds} seed(s): {d.answers:,} answers. "
        f"Rise {d.rise:g} from a floor of {d.floor:g}.",
        f"At a power of 0.8: {describe(report.reach)}.",
        f"Smallest leap seen (0.1 decade wide): {smallest}. Smallest presence: "
        f"{report.smallest_difference:.3f} from the floor. Flat curves called a leap: {report.false_alarms:.0%}.",
    ]
    more = _table("add", "answers", "then, at a power of 0.8")
    for a in report.alternatives:
        _row(more, a.change, f"× {a.cost:.3g}", describe(a.reach))
    return [table, *(Text(line) for line in lines), more, *(Text(line, "bold") for line in report.advice)]


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
