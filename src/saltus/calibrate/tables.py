"""A calibration for people: tables for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from saltus.calibrate.counts import WORDS, by_kind
from saltus.calibrate.result import Calibration


def render(calibration: Calibration) -> RenderableType:
    """Bars, confusion, false alarms, coverage and power, in reading order."""
    return Group(
        _bars(calibration),
        _confusion(calibration),
        _alarms(calibration),
        _onsets(calibration),
        _kinds(calibration),
        *([_power(calibration)] if calibration.power else []),
    )


def _bars(calibration: Calibration) -> Table:
    table = Table(title=f"The verdict on {calibration.n} simulated truths", title_justify="left")
    for column in ("", "measured", "promised"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_column("")
    for bar in calibration.bars:
        shown = "–" if bar.value is None else f"{bar.value:.3f}"
        table.add_row(bar.name, shown, bar.wanted, "kept" if bar.kept else "[bold red]missed[/]")
    return table


def _confusion(calibration: Calibration) -> Table:
    table = Table(title="Truth (rows) and verdict (columns)", title_justify="left")
    table.add_column("truth")
    for word in WORDS:
        table.add_column(word, justify="right")
    for truth in WORDS:
        counts = calibration.confusion.get(truth)
        if counts is not None:
            cells = [str(counts.get(word, "·")) for word in WORDS]
            table.add_row(truth, *cells)
    return table


def _alarms(calibration: Calibration) -> Table:
    table = Table(title="Called sharp, transition or split without a leap", title_justify="left")
    table.add_column("truth")
    table.add_column("false alarms (95 % interval)", justify="right")
    for word, alarms in calibration.false_alarms.items():
        table.add_row(word, str(alarms))
    return table


def _onsets(calibration: Calibration) -> Table:
    table = Table(title="Intervals: how often they hold the truth", title_justify="left")
    for column in ("truth", "onset", "median decades", "width", "median decades"):
        table.add_column(column, justify="left" if column == "truth" else "right")
    for word, onset in calibration.onset.items():
        width = calibration.width.get(word)
        cells = [str(onset.rate), _decades(onset.median_width)]
        cells += ["", ""] if width is None else [str(width.rate), _decades(width.median_width)]
        table.add_row("10–16 points, 4–6 decades" if word == "bar" else word, *cells)
    return table


def _kinds(calibration: Calibration) -> Table:
    table = Table(title="By kind of truth; murky: too noisy for an oracle to tell", title_justify="left")
    table.add_column("truth: kind")
    table.add_column("its own word (95 % interval)", justify="right")
    table.add_column("other words")
    for row in by_kind(calibration.kinds):
        table.add_row(*row)
    return table


def _decades(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _power(calibration: Calibration) -> Table:
    widths = sorted({row.width for row in calibration.power})
    table = Table(title="By true width in decades of five: % leap / smooth / unresolved", title_justify="left")
    table.add_column("")
    for width in widths:
        table.add_column(f"{width:g}", justify="right")
    for varied, level in dict.fromkeys((row.varied, row.level) for row in calibration.power):
        rows = {r.width: r for r in calibration.power if (r.varied, r.level) == (varied, level)}
        table.add_row(
            f"{level} {varied}",
            *(f"{100 * r.leap:.0f}/{100 * r.smooth:.0f}/{100 * r.unresolved:.0f}" for r in (rows[w] for w in widths)),
        )
    return table
