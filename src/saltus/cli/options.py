"""Options that several commands share, with their help."""

from __future__ import annotations

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
Tasks = Annotated[list[str] | None, typer.Option("--task", "-t", help="A task, e.g. jsonl:items.jsonl; may repeat.")]
OneTask = Annotated[str | None, typer.Option("--task", "-t", help="Show a prompt of this task.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="As in a study, e.g. dtype=bfloat16.")]
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
