"""The same findings as a short table for a terminal: one line each, the first caveat at its end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from saltus.records import Finding
from saltus.report import numbers as num
from saltus.report.index import legend
from saltus.report.select import ordered
from saltus.report.text import name, shortened
from saltus.report.words import WORDS

MOST_LINES = 40
_STYLES = {
    "transition": "bold green", "sharp": "bold cyan", "bound": "yellow", "artefact": "bold yellow", "smooth": "blue",
    "split": "magenta", "irregular": "magenta", "flat": "dim", "unresolved": "dim", "defective": "bold red",
}  # fmt: skip


def terminal_table(findings: Sequence[Finding]) -> RenderableType:
    """Findings in the order of the report, at most `MOST_LINES`, then counts by verdict."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("series", "task", "along", "verdict", "onset", "width", "q", "weight", "caveat"):
        table.add_column(
            head,
            justify="right" if head in ("q", "weight") else "left",
            overflow="ellipsis" if head == "caveat" else "fold",
            no_wrap=head not in ("series", "task"),
            min_width=12 if head == "caveat" else None,
        )
    shown = ordered(findings)[:MOST_LINES]
    for finding in shown:
        table.add_row(*_line(finding))
    said = ", ".join(f"{entry['count']} {entry['verdict']}" for entry in legend(findings))
    total = f"{len(findings):,} {'finding' if len(findings) == 1 else 'findings'}: {said or 'none'}"
    if len(shown) < len(findings):
        total += f"  (the first {len(shown)} are shown; the report has all)"
    return Group(table, Text(total, style="dim"))


def _line(finding: Finding) -> list[Text]:
    task = (
        finding.task if finding.condition == "baseline" else f"{finding.task} ({finding.condition})"
    )
    onset = num.on_axis(finding.onset, finding.axis)
    if finding.onset_low is not None or finding.onset_high is not None:
        onset += f" [{num.span(finding.onset_low, finding.onset_high, finding.axis)}]"
    verdict = f"{WORDS[finding.verdict].symbol} {finding.verdict}"
    caveat = finding.caveats[0] if finding.caveats else ""
    plain = [name(finding.series), name(task), name(finding.axis)]
    numbers = [onset, num.brief(finding.width_hard), num.chance(finding.q_value),
               num.percent(finding.verdict_weights.get(finding.verdict))]  # fmt: skip
    return [
        *map(Text, plain),
        Text(verdict, style=_STYLES[finding.verdict], no_wrap=True),
        *map(Text, numbers),
        Text(shortened(name(caveat), 80), style="dim"),
    ]
