"""Options that several commands share, with their help."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for machines.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 1 if a hypothesis is not kept.")]
Axes = Annotated[list[str] | None, typer.Option("--axis", help="Judge along this axis only; may repeat.")]
Series = Annotated[
    str | None, typer.Option("--series", help="Columns whose values make a series, e.g. family,variant.")
]
Twin = Annotated[list[str] | None, typer.Option("--twin", help="Pair metrics yourself, e.g. acc=ppl; may repeat.")]
Factor = Annotated[
    list[str] | None,
    typer.Option("--factor", help="Columns from names, e.g. 'task=(?P<skill>.*)_(?P<format>mc|rc)'; may repeat."),
]
Slice = Annotated[list[str] | None, typer.Option("--slice", help="Judge slices by difficulty or group as well.")]
Rename = Annotated[
    list[str] | None, typer.Option("--rename", help="A column of yours as one of ours, e.g. score=value; may repeat.")
]
Checks = Annotated[
    list[str] | None, typer.Option("--check", help="A check beside the installed ones, e.g. file:mine.py; may repeat.")
]
Formats = Annotated[
    list[str] | None, typer.Option("--format", help="A format of yours, e.g. file:mine.py; may repeat.")
]
Wide = Annotated[
    str | None, typer.Option("--wide", metavar="[METRIC]", help="Every numeric column that is no known one is a task.")
]
Metric = Annotated[str | None, typer.Option("--metric", help="The metric of a table that names none, e.g. acc.")]
Percent = Annotated[
    str | None,
    typer.Option(
        "--percent", metavar="[COL,…]", help="These columns, tasks or metrics (or all shares) are in per cent."
    ),
]
Lower = Annotated[
    list[str] | None, typer.Option("--lower-is-better", help="Less of this metric is better; may repeat.")
]
Higher = Annotated[
    list[str] | None, typer.Option("--higher-is-better", help="More of this metric is better; may repeat.")
]
Coords = Annotated[
    str | None, typer.Option("--coords", help="CSV that says where models stand: source, and step, tokens, seed, ….")
]
Pattern = Annotated[
    str | None, typer.Option("--pattern", help="Coordinates in paths or model arguments, e.g. 'run-{seed}/step{step}'.")
]
Tasks = Annotated[list[str] | None, typer.Option("--task", "-t", help="A task, e.g. jsonl:items.jsonl; may repeat.")]
OneTask = Annotated[str | None, typer.Option("--task", "-t", help="Show a prompt of this task.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="As in a study, e.g. dtype=bfloat16 or style=plain.")]
IncludePath = Annotated[
    list[str] | None, typer.Option("--include-path", help="Folder with lm-eval task files, for lm_eval:NAME.")
]
Allow = Annotated[
    list[str] | None, typer.Option("--allow", help="Let something run: KIND:PATH, e.g. python:mine.py; may repeat.")
]
Limit = Annotated[int | None, typer.Option("--limit", help="Items per task (without a document).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be asked and stop.")]
Locate = Annotated[bool, typer.Option("--locate", help="Find the onset by asking few of many checkpoints.")]
Interval = Annotated[float | None, typer.Option("--interval", help="With --locate: decades to stop at.")]
Shard = Annotated[str | None, typer.Option("--shard", help="i/n: this worker's part, i from 1.")]
On = Annotated[str | None, typer.Option("--on", help="ray, or ray:HOST:PORT: ask on the workers of a Ray cluster.")]
Workers = Annotated[int | None, typer.Option("--workers", help="With --on: how many; default one per card or machine.")]
Threads = Annotated[int | None, typer.Option("--threads", help="With --on: processors per worker.")]


def typed_with_out(out: Path) -> str:
    """The command line as it was typed, with another folder to write to."""
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        if word == "--out":
            next(words, None)
        elif not word.startswith("--out="):
            kept.append(word)
    return shlex.join(["saltus", *kept, "--out", str(out)])


def with_values(arguments: Sequence[str]) -> list[str]:
    """The command line with an empty value where an option that may stand alone stands alone."""
    out = []
    for i, word in enumerate(arguments):
        out.append(word)
        behind = arguments[i + 1] if i + 1 < len(arguments) else "--"
        if word in ("--wide", "--percent") and (behind.startswith("--") or Path(behind).exists()):
            out.append("")
    return out
