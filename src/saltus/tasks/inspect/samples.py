"""Tasks written for Inspect, loaded, and their samples as saltus items and back.

`FILE.py@task` or `package/task`, with arguments. Loading uses Inspect's own loader, which is not public: it sets the
folder that relative paths and sandboxes of the task start from, and a contract test holds it. An item carries the text
that a condition may change (the last user message, the choices); the sample keeps everything else, and its content is
part of the item's identity. Limit: tasks that make samples while they run are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspect_ai import Task, list_tasks
from inspect_ai._eval.loader import load_tasks
from inspect_ai._util.registry import registry_params
from inspect_ai.dataset import Sample
from inspect_ai.util import registry_info

from saltus import permissions
from saltus.errors import UserError, nearest
from saltus.hashing import content_hash, file_hash
from saltus.records import Item
from saltus.results.formats.inspect_words import COMPARING
from saltus.tasks.inspect.scores import chosen

WANTED = "`inspect:FILE.py@task` or `inspect:package/task`"


@dataclass(frozen=True)
class Loaded:
    """A task of Inspect's and what is known of it before it runs."""

    task: Task
    samples: Sequence[Sample]
    """Each with its id."""
    scorers: Sequence[str]
    shares: Sequence[str]
    """Scorers whose metric is accuracy."""
    values: Sequence[str]
    """Metric names of a scorer that gives several values, where it declares them."""
    sha256: str | None
    """Of the task's file."""

    @property
    def primary(self) -> tuple[str, str | None]:
        """(hard, soft) metric of the first scorer."""
        if not self.scorers:
            return "accuracy", None
        first = self.scorers[0]
        if self.values:
            return chosen(self.values)
        compares = first in COMPARING and not any(s.choices for s in self.samples)
        soft = "edit_similarity" if compares else None
        return ("accuracy" if first in self.shares else first), soft


def load(source: str, base: Path, args: Mapping[str, Any], where: str) -> Loaded:
    """Raises UserError for a missing file, package, task or argument, and for a task without samples or scorer,
    NotAllowed for a file that the user has not allowed to run."""
    path, spec = _located(source, base, where)
    if path is not None:
        permissions.require("python", path, wanted_by=f"the task `{where}`")
    try:
        tasks = load_tasks([spec], dict(args))
    except Exception as error:  # the task's own code runs here
        raise UserError(
            f"the task cannot be made: {type(error).__name__}: {error}",
            where=where,
            do="fix the task or its `args`; `inspect list tasks` shows what a folder holds",
        ) from error
    if not tasks:
        raise UserError("there is no such task", where=where, wanted=WANTED, do="install its package, or fix the name")
    task = tasks[0]
    for unused in set(args) - set(registry_params(task)):  # Inspect would pass over it
        raise UserError(
            f"the task has no argument `{unused}`",
            where=where,
            wanted=nearest(unused, registry_info(task).metadata["params"]),
            do="fix `args`",
        )
    if getattr(task, "sample_source", None) is not None:
        raise UserError("the task makes its samples while it runs", where=where, wanted="a dataset")
    samples = [s.model_copy(update={"id": i}) if s.id is None else s for i, s in enumerate(task.dataset, 1)]
    if not samples:
        raise UserError("the task has no samples", where=where)
    if not task.scorer:
        raise UserError(
            "the task has no scorer, so nothing can be measured",
            where=where,
            do="give it a scorer: `Task(…, scorer=match())`",
        )
    scorers = [registry_info(s).name.rpartition("/")[2] for s in task.scorer]
    metrics = [task.metrics or registry_info(s).metadata.get("metrics") for s in task.scorer]
    shares = [name for name, some in zip(scorers, metrics, strict=True) if _has_accuracy(some)]
    values = [str(k) for k in metrics[0] if k != "*"] if isinstance(metrics[0], Mapping) else []
    return Loaded(task, samples, scorers, shares, values, file_hash(path) if path is not None else None)


def as_item(sample: Sample, index: int, loaded: Loaded, source: str) -> Item:
    """A sample as an item: what conditions may change, and a hash of all the rest."""
    choices = tuple(sample.choices or ())
    targets = [sample.target] if isinstance(sample.target, str) else list(sample.target)
    gold = tuple(i for t in targets if (i := _place(t, choices)) is not None) if choices else ()
    target = tuple(choices[i] for i in gold) if gold else tuple(targets)
    hard = (sample.metadata or {}).get("difficulty")
    known = isinstance(hard, (int, float)) and not isinstance(hard, bool)
    return Item(
        id=str(sample.id),
        question=_question(sample),
        choices=choices,
        target=target[0] if len(target) == 1 else target,
        gold=gold,
        images=tuple(_images(sample)),
        difficulty=float(hard) if known and hard is not None else None,
        format="letters" if choices else "generate",
        source=f"{source}, sample {sample.id}",
        meta={"index": index, "sample": _content(sample)},
    )


def as_sample(item: Item, loaded: Loaded) -> Sample:
    """The sample that Inspect runs for an item, with what a condition changed of it."""
    sample = loaded.samples[int(item.meta["index"])]
    changes: dict[str, Any] = {}
    question = f"{item.context}{item.question}"
    if question != _question(sample):
        changes["input"] = _asking(sample, question)
    if item.choices != tuple(sample.choices or ()):
        changes["choices"] = list(item.choices)
        letters = [chr(65 + i) for i in item.gold]
        changes["target"] = letters[0] if len(letters) == 1 else letters
    return sample.model_copy(update=changes) if changes else sample


def opening(item: Item, loaded: Loaded) -> str:
    """All text of a sample's input, before the solver adds to it."""
    sample = as_sample(item, loaded)
    if isinstance(sample.input, str):
        return sample.input
    return "\n\n".join(message.text for message in sample.input)


def _located(source: str, base: Path, where: str) -> tuple[Path | None, str]:
    """(the task's file or None, what Inspect's loader takes)."""
    name, _, task = source.partition("@")
    path = (base / Path(name).expanduser()).resolve()
    if not name.endswith(".py"):
        if "/" not in source or source.startswith((".", "/")):
            raise UserError(f"`{source}` names no task", where=where, wanted=WANTED)
        return None, source
    if not path.is_file():
        raise UserError(
            f"there is no file `{path}`",
            where=where,
            wanted=WANTED,
            do="check the path; it starts from the study's folder",
        )
    names = [info.name for info in list_tasks([path.name], root_dir=path.parent)]
    if not names:
        raise UserError(
            "the file has no function decorated with `@task`", where=where, wanted="from inspect_ai import task"
        )
    if not task and len(names) > 1:
        raise UserError(
            f"the file has {len(names)} tasks",
            where=where,
            wanted=f"{source}@name with one of {', '.join(sorted(names))}",
        )
    if task and task not in names:
        raise UserError(f"the file has no task `{task}`", where=where, wanted=nearest(task, names))
    return path, f"{path}@{task or names[0]}"


def _has_accuracy(metrics: Any) -> bool:
    some = metrics if isinstance(metrics, Sequence) else ()
    return any(registry_info(m).name.endswith("accuracy") for m in some if callable(m))


def _place(target: str, choices: Sequence[str]) -> int | None:
    """The index of a choice by its letter, else by its text."""
    if len(target) == 1 and 0 <= ord(target) - 65 < len(choices):
        return ord(target) - 65
    return choices.index(target) if target in choices else None


def _question(sample: Sample) -> str:
    if isinstance(sample.input, str):
        return sample.input
    users = [m for m in sample.input if m.role == "user"]
    return users[-1].text if users else ""


def _asking(sample: Sample, question: str) -> Any:
    """The sample's input with another text in its last user message."""
    if isinstance(sample.input, str):
        return question
    messages = list(sample.input)
    last = max(i for i, m in enumerate(messages) if m.role == "user")
    content: Any = question
    if not isinstance(messages[last].content, str):
        from inspect_ai.model import ContentText

        kept = [c for c in messages[last].content if getattr(c, "type", "") != "text"]
        content = [*kept, ContentText(text=question)]
    messages[last] = messages[last].model_copy(update={"content": content})
    return messages


def _images(sample: Sample) -> list[str]:
    """Where the images are; those that are written out by their hash."""
    found = []
    for message in () if isinstance(sample.input, str) else sample.input:
        for part in () if isinstance(message.content, str) else message.content:
            if part.type == "image":
                inline = part.image.startswith("data:")
                found.append(content_hash(part.image) if inline else part.image)
    return found


def _content(sample: Sample) -> str:
    """A hash of the sample, ids of its messages left out, as they are generated each time."""
    data = sample.model_dump(mode="json", exclude_none=True)
    if isinstance(data.get("input"), list):
        data["input"] = [{k: v for k, v in m.items() if k != "id"} for m in data["input"]]
    return content_hash(data)
