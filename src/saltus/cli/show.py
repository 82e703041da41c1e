"""What the commands print: tables for people, plain data for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from saltus import plugins
from saltus.analysis.analyze import Analysed
from saltus.errors import UserError
from saltus.page.terminal import terminal_table
from saltus.runner.dry_run import Plan
from saltus.runner.loop import RunReport

MOST_NOTES = 8
_OUTCOME = {"kept": "green", "refuted": "yellow", "undecided": "dim"}


def analysed(result: Analysed, done: RunReport | None = None) -> Iterator[RenderableType]:
    """The findings, the hypotheses, what was asked, and what failed."""
    if done is not None:
        yield Text(f"Asked {done.asked:,} answers in {done.seconds:.0f} s; {done.known:,} were known.", "dim")
    yield terminal_table(result.findings)
    if result.context.hypotheses:
        yield _hypotheses(result)
    left = result.inputs.get("left_out", {})
    if left and result.context.inputs:  # of published results; a study's own table contains only its own rows
        total, first = sum(left.values()), max(left, key=lambda why: left[why])
        yield Text(f"Rows in no curve: {total:,}, most because: {first}. inputs.json has all.", "dim")
    notes = result.inputs.get("notes", ()) if result.context.inputs else ()
    yield from (Text(f"Note: {note}", "dim") for note in notes[:MOST_NOTES])
    if len(notes) > MOST_NOTES:
        yield Text(f"{len(notes) - MOST_NOTES:,} more notes in inputs.json.", "dim")
    for failure in result.context.failures:
        yield Text(
            f"Failed: {failure.model}, {failure.task}: {failure.reason} ({failure.count:,} times). "
            "The same command tries again.",
            "red",
        )


def as_data(result: Analysed, page: Path, done: RunReport | None = None) -> dict[str, Any]:
    """The same for machines; findings in full are in the file it names."""
    return {
        "report": str(page),
        "findings_file": str(page.with_name("findings.jsonl")),
        "asked": done.asked if done else 0,
        "findings": [
            {
                "finding_id": f.finding_id,
                "series": f.series,
                "task": f.task,
                "condition": f.condition,
                "axis": f.axis,
                "primary": f.primary,
                "verdict": f.verdict,
                "onset": f.onset,
                "onset_low": f.onset_low,
                "onset_high": f.onset_high,
                "q_value": f.q_value,
                "caveats": list(f.caveats),
            }
            for f in result.findings
        ],
        "hypotheses": [asdict(h) for h in result.context.hypotheses],
        "left_out": dict(result.inputs.get("left_out", {})),
        "notes": list(result.inputs.get("notes", ())),
        "failures": [asdict(f) for f in result.context.failures],
    }


def plan(made: Plan) -> Iterator[RenderableType]:
    """What a run would do, model by model, and in all."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("series", "model", "to ask", "known", "tokens", "time"):
        table.add_column(name, justify="left" if name in ("series", "model") else "right")
    for m in made.models:
        time = _time(m.seconds) if m.seconds is not None else (m.why_no_seconds or "")
        table.add_row(
            m.series, m.name, f"{m.answers:,}", f"{m.known:,}", f"{m.tokens_in + m.tokens_out:,}", m.error or time
        )
    yield table
    seconds = made.seconds
    time = _time(seconds) if seconds is not None else "unknown: no run of these models on this machine yet"
    yield Text(
        f"{len(made.models):,} models, {made.answers:,} answers to ask, {made.known:,} known, "
        f"{made.tokens:,} tokens; time: {time}"
    )


def plan_data(made: Plan) -> dict[str, Any]:
    return {
        "models": [asdict(m) for m in made.models],
        "answers": made.answers,
        "known": made.known,
        "tokens": made.tokens,
        "seconds": made.seconds,
    }


def parts(kind: plugins.Kind) -> list[dict[str, Any]]:
    """Name, origin and one line about every installed part of a kind; a broken one says so."""
    rows = []
    for name in plugins.names(kind):
        try:
            part = plugins.load(kind, name)
            module = plugins.module_of(kind, name)
            rows.append({"name": name, "about": _about(part, module), "from": module})
        except UserError as error:
            rows.append({"name": name, "about": str(error).splitlines()[0], "from": ""})
    return rows


def zoo() -> list[dict[str, Any]]:
    """The series that are trained here."""
    from saltus.zoo.catalogue import EXHIBITS

    return [
        {
            "from": f"zoo:{e.name}",
            "task": e.task,
            "seeds": len(e.seeds),
            "seconds": f"{e.seconds:.0f} a seed",
            "shows": e.shows,
        }
        for e in EXHIBITS.values()
    ]


def listing(rows: list[dict[str, Any]]) -> RenderableType:
    """Rows of equal keys as a table."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in rows[0] if rows else ():
        table.add_column(name)
    for row in rows:
        table.add_row(*(str(v) for v in row.values()))
    return table if rows else Text("nothing is installed")


def _about(part: Any, module: str) -> str:
    import sys

    own = part.__doc__ if isinstance(part, type) else None
    text = own or getattr(sys.modules.get(module), "__doc__", None) or ""
    sentence = " ".join(text.strip().split("\n\n")[0].split()).split(". ")[0]
    return sentence.rstrip(".:")


def _hypotheses(result: Analysed) -> RenderableType:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("hypothesis", "", "outcome", "why"):
        table.add_column(name)
    for h in result.context.hypotheses:
        table.add_row(h.id, h.statement, Text(h.outcome, _OUTCOME[h.outcome]), h.why)
    return table


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
