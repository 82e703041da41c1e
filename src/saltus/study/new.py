"""Study documents written for people: a commented template, and the one that `saltus run SOURCE` implies."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saltus import plugins
from saltus.documents import read_yaml
from saltus.errors import UserError, nearest
from saltus.study import document as study
from saltus.study.lock import lock_path
from saltus.study.named import given, task_entry

MARK = "# Written by `saltus run`; edit it and it is yours."
MOST_NAMES = 100

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

# Stated before looking; `saltus lock {file}` writes the hash down.
hypotheses:
  - {{id: H1, task: copying, series: my-model, axis: tokens, expect: leap}}
"""


def write_template(name: str) -> Path:
    """Writes NAME.yaml in the current folder. Raises UserError if it is there or the name is no file name."""
    stem = name.removesuffix(".yaml")
    path = Path(f"{stem}.yaml")
    if not re.fullmatch(r"[\w.-]+", stem):
        raise UserError(f"`{name}` is no plain name", wanted="letters, digits, - and _", do="saltus new my-study")
    if path.exists():
        raise UserError("this file exists already", where=str(path), do=f"saltus run {path}, or choose another name")
    _write(path, TEMPLATE.format(name=stem, file=path.name))
    return path


def document_for(
    source: str, tasks: list[str], limit: int | None, include: Sequence[str] = (), settings: Sequence[str] = ()
) -> Path:
    """The document of a study: `source` itself, or one written for a model source and tasks.

    include: folders with task files of lm-eval, for the `lm_eval:` tasks. settings: `key=value`, as `study.named`
    reads them. A document that was written for the same source gets the tasks added; what would change what it
    asks already gets a document of its own. Raises UserError where a source has no task, a document is given tasks
    as well, or the file that would be written belongs to the user.
    """
    if Path(source).suffix in (".yaml", ".yml"):
        _refuse_options(source, tasks, limit, include, settings)
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
    found = given(settings, tasks)
    data: dict[str, Any] = {
        "study": source,
        "models": [{"from": source, **found.entry}],
        "tasks": [task_entry(task, found, include) for task in tasks],
    }
    data |= {"limit": limit} if limit is not None else {}
    data |= {"ask": found.ask} if found.ask else {}
    path = Path(re.sub(r"\W+", "-", source).strip("-")[:60] + ".yaml")
    study.loads(json.dumps(data), base=Path(), name=path.name).tasks()  # a mistake is reported before writing
    return _placed(path, data)


def _refuse_options(
    source: str, tasks: Sequence[str], limit: int | None, include: Sequence[str], settings: Sequence[str]
) -> None:
    given = {
        ("--task", "`tasks:`"): bool(tasks),
        ("--limit", "`limit:`"): limit is not None,
        ("--include-path", "`- lm_eval:NAME: {include_path: DIR}`"): bool(include),
        ("--set", "options as `- jsonl:FILE: {style: plain}`"): bool(settings),
    }
    if stated := [names for names, there in given.items() if there]:
        options, keys = (" and ".join(names) for names in zip(*stated, strict=True))
        goes = "goes" if len(stated) == 1 else "go"
        raise UserError(
            f"{options} {goes} with a model source, not with a study document",
            where=source,
            do=f"write {keys} into {source}",
        )


def _placed(path: Path, data: dict[str, Any]) -> Path:
    """Where the document stands, written: `path`, with the tasks that were there, or the next free name."""
    for number in range(1, MOST_NAMES):
        here = path if number == 1 else path.with_name(f"{path.stem}-{number}.yaml")
        known = here.read_text(encoding="utf-8", errors="replace") if here.exists() else None
        if known is not None and not _ours(known):
            raise UserError(
                "this file exists already"
                + (", and was edited since saltus wrote it" if known.startswith(MARK) else ""),
                where=str(here),
                wanted="a document that saltus wrote, or a free name",
                do=f"saltus run {here} asks what it says; or: mv {here} my-study.yaml",
            )
        joined = data if known is None else _joined(read_yaml(known, here.name)[0], data, here)
        if joined is not None:
            text = _written(joined)
            if text != known:
                _write(here, text)
            return here
    raise UserError(f"{MOST_NAMES} documents of this source are here", where=str(path), do="remove some")


def _joined(old: dict[str, Any], new: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """One document for both, or None where it would change what the old one asks.

    The limit may change while the tasks stay: ten more items ask ten.
    """
    added = [task for task in new["tasks"] if task not in old["tasks"]]
    made = {**old, **new, "tasks": [*old["tasks"], *added]}
    if made == old:
        return old
    changed = {key for key in {*old, *new} - {"tasks"} if old.get(key) != new.get(key)}
    if changed - {"limit"} or (changed and added) or lock_path(path).exists():
        return None
    if changed and len(new["tasks"]) < len(old["tasks"]):
        return None
    if "limit" in changed and "limit" not in new:
        del made["limit"]
    try:
        study.loads(json.dumps(made), base=Path(), name=path.name).tasks()
    except UserError:  # the same task under other options that do not stand in its name
        return None
    return made


def _written(data: dict[str, Any]) -> str:
    """The document as saltus writes it, with the hash by which it knows its own."""
    lines = [f"study: {json.dumps(data['study'])}", "models:"]
    for entry in data["models"]:
        first, *rest = (f"{key}: {json.dumps(value)}" for key, value in entry.items())
        lines += [f"  - {first}", *(f"    {line}" for line in rest)]
    lines += ["tasks:", *(f"  - {json.dumps(task)}" for task in data["tasks"])]
    lines += [f"{key}: {json.dumps(data[key])}" for key in ("limit", "ask") if key in data]
    body = "\n".join(lines) + "\n"
    return f"{MARK} {_digest(body)}\n{body}"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:12]


def _ours(text: str) -> bool:
    """Whether saltus wrote it and nobody changed it; saltus before 0.2 wrote no hash."""
    head, _, body = text.partition("\n")
    if not head.startswith(MARK):
        return False
    stated = head.removeprefix(MARK).strip()
    if stated:
        return stated == _digest(body)
    try:
        return _written(read_yaml(text, "")[0]).partition("\n")[2] == body
    except (UserError, KeyError, TypeError, AttributeError):
        return False


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(path)) from error
