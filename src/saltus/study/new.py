"""Study documents written for people: a commented template, and the one that `saltus run SOURCE` implies."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saltus import plugins
from saltus.errors import UserError, nearest
from saltus.study import document as study

MARK = "# Written by `saltus run`; edit it and it is yours."

TEMPLATE = """\
# A study: what is asked of which models, and what is expected. `docs/study.md` explains every key.
study: {name}
question: Does the behaviour appear abruptly along training?

models:
  - series: my-model                      # the label in the report
    from: zoo:induction-2l                # dir:runs/seed{{seed}}/step-{{step}}, hf:org/name@step{{step}}, …
    # tokens_per_step: 3072               # makes the axis `tokens` out of steps

tasks:
  - copying                               # `saltus tasks` lists the built-in ones
  # - jsonl:items.jsonl                   # your own: one JSON object per line

conditions: [baseline]                    # {{typos: [0.02, 0.1]}}: a list is levels
limit: 200                                # items per task; remove for all
seed: 17

ask: {{dtype: float32, bos: auto, template: none}}

# Said before looking; `saltus lock {file}` writes the hash down.
hypotheses:
  - {{id: H1, task: copying, series: my-model, axis: tokens, expect: leap}}
"""


def write_template(name: str) -> Path:
    """Writes NAME.yaml in the current folder. Raises UserError if it is there or the name is no file name."""
    stem = name.removesuffix(".yaml")
    path = Path(f"{stem}.yaml")
    if not re.fullmatch(r"[\w.-]+", stem):
        raise UserError(f"`{name}` is no plain name", wanted="letters, digits, - and _", do="saltus new my-study")
    _write(path, TEMPLATE.format(name=stem, file=path.name), fresh=True)
    return path


def document_for(source: str, tasks: list[str], limit: int | None, include: Sequence[str] = ()) -> Path:
    """The document of a study: `source` itself, or one written for a model source and tasks.

    include: folders with task files of lm-eval, for the `lm_eval:` tasks. Raises UserError where a source has no
    task, a document is given tasks as well, or the file that would be written belongs to the user.
    """
    if Path(source).suffix in (".yaml", ".yml"):
        given = {
            ("--task", "`tasks:`"): bool(tasks),
            ("--limit", "`limit:`"): limit is not None,
            ("--include-path", "`- lm_eval:NAME: {include_path: DIR}`"): bool(include),
        }
        if stated := [names for names, there in given.items() if there]:
            options, keys = (" and ".join(names) for names in zip(*stated, strict=True))
            goes = "goes" if len(stated) == 1 else "go"
            raise UserError(
                f"{options} {goes} with a model source, not with a study document",
                where=source,
                do=f"write {keys} into {source}",
            )
        return Path(source)
    scheme = plugins.split(source).name
    if ":" not in source or not (scheme.startswith("file:") or scheme in plugins.names("models")):
        raise UserError(
            f"`{source}` is neither a study document nor a model source",
            wanted=f"NAME.yaml, or scheme:place with {nearest(scheme, plugins.names('models'))}",
            do="e.g. saltus run 'dir:out/checkpoint-{step}' --task jsonl:items.jsonl",
        )
    if not tasks:
        raise UserError(
            "there is nothing to ask",
            where=source,
            wanted="at least one task",
            do=f"saltus run '{source}' --task jsonl:items.jsonl   (`saltus tasks` lists more)",
        )
    if include and not any(task.startswith("lm_eval:") for task in tasks):
        raise UserError(
            "--include-path is for tasks of lm-eval, and none is asked",
            wanted="--task lm_eval:NAME",
            do="name a task of the folder, or leave the option out",
        )
    text = _implied(source, [with_include(task, include) for task in tasks], limit)
    path = Path(re.sub(r"\W+", "-", source).strip("-")[:60] + ".yaml")
    study.loads(text, base=Path(), name=path.name).tasks()  # a mistake is reported before anything is written
    _write(path, text, fresh=False)
    return path


def with_include(task: str, include: Sequence[str]) -> Any:
    """A task as a study names it: an `lm_eval:` one with the folders to look into, where there are any."""
    if not include or not task.startswith("lm_eval:"):
        return task
    return {task: {"include_path": include[0] if len(include) == 1 else list(include)}}


def _implied(source: str, tasks: Sequence[Any], limit: int | None) -> str:
    lines = [
        MARK,
        f"study: {json.dumps(source)}",
        "models:",
        f"  - from: {json.dumps(source)}",
        "tasks:",
        *(f"  - {json.dumps(task)}" for task in tasks),
    ]
    return "\n".join(lines + ([f"limit: {limit}"] if limit is not None else [])) + "\n"


def _write(path: Path, text: str, *, fresh: bool) -> None:
    if path.exists():
        known = path.read_text(encoding="utf-8", errors="replace")
        if known == text and not fresh:
            return
        if fresh or not known.startswith(MARK):
            raise UserError(
                "this file exists already", where=str(path), do=f"saltus run {path}, or choose another name"
            )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(path)) from error
