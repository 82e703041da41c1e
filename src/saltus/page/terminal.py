"""The same findings as a short table for a terminal: one line each, first caveats as notes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from saltus.page import numbers as num
from saltus.page.index import legend
from saltus.page.select import ordered
from saltus.page.text import name, shortened
from saltus.page.words import WORDS, in_line
from saltus.records import Finding

MOST_LINES = 40
MOST_NOTES = 8
MOST_NOTE = 200
_STYLES = {
    "transition": "bold green",
    "sharp": "bold cyan",
    "bound": "yellow",
    "artefact": "bold yellow",
    "smooth": "blue",
    "split": "magenta",
    "irregular": "magenta",
    "flat": "dim",
    "unresolved": "dim",
    "defective": "bold red",
}


def terminal_table(findings: Sequence[Finding]) -> RenderableType:
    """Findings in the order of the report, at most `MOST_LINES`; first caveats as numbered notes; counts by verdict."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("series", "task", "along", "verdict", "onset", "width", "q", "weight", "note"):
        right = head in ("q", "weight", "note")
        table.add_column(
            head,
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right or head in ("along", "verdict"),
            min_width=9 if head in ("series", "task") else None,
        )
    shown = ordered(findings)[:MOST_LINES]
    notes: dict[str, int] = {}
    for finding in shown:
        number = ""
        if finding.caveats:
            number = str(notes.setdefault(finding.caveats[0], len(notes) + 1))
        table.add_row(*_line(finding), Text(number, style="dim"))
    counts = ", ".join(f"{entry['count']} {entry['verdict']}" for entry in legend(findings))
    total = f"{len(findings):,} {'finding' if len(findings) == 1 else 'findings'}: {counts or 'none'}"
    if len(shown) < len(findings):
        total += f"  (the first {len(shown)} are shown; the report has all)"
    lines = [f"{n}  {shortened(name(note), MOST_NOTE)}" for note, n in notes.items()][:MOST_NOTES]
    if len(notes) > MOST_NOTES:
        lines.append(f"{len(notes) - MOST_NOTES} more notes are in the report")
    return Group(table, *(Text(line, style="dim") for line in lines), Text(total))


def _line(finding: Finding) -> list[Text]:
    task = finding.task if finding.condition == "baseline" else f"{finding.task} ({finding.condition})"
    onset = num.on_axis(finding.onset, finding.axis)
    if finding.onset_low is not None or finding.onset_high is not None:
        onset += f" [{num.span(finding.onset_low, finding.onset_high, finding.axis)}]"
    verdict = f"{WORDS[finding.verdict].symbol} {finding.verdict}{in_line(finding)}"
    numbers = [
        onset,
        num.brief(finding.width_hard),
        num.chance(finding.q_value),
        num.percent(finding.verdict_weights.get(finding.verdict)),
    ]
    return [
        *(Text(name(text)) for text in (finding.series, task, finding.axis)),
        Text(verdict, style=_STYLES[finding.verdict]),
        *(Text(number) for number in numbers),
    ]
