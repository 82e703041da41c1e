"""Looks at one model before a study rests on it: policies, hashes, speed, and a prompt exactly as the network reads it.

Most wrong emergence curves in published work come from what this shows: a BOS token missing or doubled, white space at
the seam between prompt and answer, a template nobody asked for. `examine` returns data, `cli.show_doctor` draws it.
Limits: it looks at one model and one item; speed is that of one short batch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saltus import plugins
from saltus.errors import UserError, nearest
from saltus.models.base import Description, Model, ModelError
from saltus.records import Answer, AskPolicy, ModelRef, Request
from saltus.runner.symptoms import warnings
from saltus.study.document import Study, load, loads, task_names
from saltus.study.named import given, task_entry
from saltus.tasks.base import Task

SPEED_ITEMS = 32
"""Items of the task (or prompts of our own) that the speed is measured on."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a prompt or its continuation; `logprob` (nats) and `rank` where it was asked for."""

    id: int
    text: str
    part: str
    """"prompt", "continuation" or "generated"."""
    logprob: float | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the network read it, and what it answered."""

    kind: str
    prompt: str
    """As the task wrote it; the tokens show what became of it."""
    continuation: str
    tokens: tuple[Token, ...]
    text: str = ""
    """What was generated."""
    finish: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Everything that was seen."""

    source: str
    ref: ModelRef
    found: int
    """Models behind the source; the last one was examined."""
    identity: str
    offers: tuple[str, ...]
    about: Description
    """What the model says of itself: dtype, BOS, template, parameters, hashes, versions."""
    task: str | None
    item: str | None
    asked: tuple[Asked, ...]
    tokens_per_second: float | None
    why_no_speed: str | None
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "about": self.about.plain()}


def examine(
    source: str,
    task: str | Task | None = None,
    *,
    ask: AskPolicy | None = None,
    base: Path | None = None,
    settings: Sequence[str] = (),
    include: Sequence[str] = (),
) -> Examination:
    """Opens the model behind `scheme:source` (the last one where there are several) and asks it one item.

    source: or a study's document, whose last model and first task are shown as it asks them. task: a name such as
    `jsonl:items.jsonl`, as typed or as printed, or a task. base: what relative paths start at (default: here).
    settings: `key=value`, as in an entry of a study's `models`, in its `ask` or in a task's options, which they
    override. include: folders with task files of lm-eval, for `lm_eval:NAME`. Raises UserError for an unknown source,
    task or setting and for a model that cannot be opened or asked.
    """
    base = base or Path.cwd()
    names = [task] if isinstance(task, str) else []
    chosen: Task | None
    if Path(source).suffix in (".yaml", ".yml"):
        study = _changed(load(base / source), settings)
        chosen = task if isinstance(task, Task) else _of_study(study, task)
        entries = [e for e in study.entries() if study.asked(e, [chosen])]
        entry = (entries or study.entries())[-1]
    else:
        study = _as_in_a_study(source, ask or AskPolicy(), names, settings, include, base)
        chosen = task if isinstance(task, Task) or task is None else study.tasks()[0]
        entry = study.entries()[0]
    adapter = plugins.load("models", entry.scheme, where=source, base=study.base)
    try:
        refs = adapter.series(entry, study.ask, study.base)
        model = adapter.open(refs[-1], study.ask)
        try:
            return _examine(source, refs, model, chosen)
        finally:
            model.close()
    except ModelError as error:
        raise UserError(str(error), where=source, do="fix the checkpoint, or examine another") from error


def _as_in_a_study(
    source: str, ask: AskPolicy, tasks: Sequence[str], settings: Sequence[str], include: Sequence[str], base: Path
) -> Study:
    """The settings read, and refused, by whatever reads a study."""
    if ":" not in source:
        raise UserError(
            f"`{source}` names no model", wanted="a study.yaml, or scheme:source, e.g. dir:out/checkpoint-500"
        )
    found = given(settings, tasks)
    policy = {**asdict(ask), **found.ask}
    policy["allow"] = list(policy["allow"])
    document = {
        "study": "doctor",
        "models": [{"from": source, **found.entry}],
        "tasks": [task_entry(task, found, include) for task in tasks] or ["copying"],
        "ask": policy,
    }
    return loads(json.dumps(document), base=base, name="--set")


def _changed(study: Study, settings: Sequence[str]) -> Study:
    """The study with settings of models, asking and tasks in place of its own."""
    if not settings:
        return study
    data = study.document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    found = given(settings, [next(iter(t)) if isinstance(t, dict) else t for t in data["tasks"]])
    data["ask"] = {**data.get("ask", {}), **found.ask}
    data["models"] = [{**entry, **found.entry} for entry in data["models"]]
    data["tasks"] = [task_entry(task, found) for task in data["tasks"]]
    return loads(json.dumps(data), base=study.base, name=study.name)


def _of_study(study: Study, name: str | None) -> Task:
    """The study's task of that name, as it is printed or as the document has it; the first without a name."""
    tasks = study.tasks()
    exact = [t for t in tasks if name in (None, t.name)]
    found = exact or [t for t in tasks if name in task_names(t)]
    if not found:
        raise UserError(
            f"`{name}` is not among the study's tasks",
            where=study.name,
            wanted=nearest(str(name), [t.name for t in tasks]),
        )
    return found[0]


def _examine(source: str, refs: Sequence[ModelRef], model: Model, task: Task | None) -> Examination:
    asked: tuple[Asked, ...] = ()
    item_id, pairs = None, []
    if task is not None:
        lacking = task.needs - model.offers
        if lacking:
            raise UserError(
                f"the task {task.name} needs {', '.join(sorted(lacking))}",
                where=source,
                wanted=f"one of what the model offers: {', '.join(sorted(model.offers))}",
            )
        item = task.items(1, np.random.default_rng(0))[0]
        item_id, pairs = item.id, _converse(model, task, item)
        asked = tuple(_shown(model, request, answer) for request, answer in pairs)
    speed, why = _speed(model, task)
    about = Description.of(model.describe())
    return Examination(
        source=source,
        ref=refs[-1],
        found=len(refs),
        identity=model.identity,
        offers=tuple(sorted(model.offers)),
        about=about,
        task=task.name if task else None,
        item=item_id,
        asked=asked,
        tokens_per_second=speed,
        why_no_speed=why,
        warnings=tuple(warnings(refs[-1], about, [request for request, _ in pairs])),
    )


def _converse(model: Model, task: Task, item: Any) -> list[tuple[Request, Answer]]:
    """The item asked to its end: every request, encoded, with its answer."""
    turns, talk = [], task.ask(item)
    try:
        request = next(talk)
        while True:
            encoded = model.encode(request)
            answer = _ask(model, [encoded])[0]
            turns.append((encoded, answer))
            request = talk.send(answer)
    except StopIteration:
        return turns


def _ask(model: Model, requests: Sequence[Request]) -> list[Answer]:
    answer = model.generate if requests[0].kind == "generate" else model.loglikelihood
    return list(answer(requests))


def _shown(model: Model, request: Request, answer: Answer) -> Asked:
    tokens = [Token(i, t, "prompt") for i, t in _spelled(model, request.prompt_ids or ())]
    part = "generated" if request.kind == "generate" else "continuation"
    spelled = _spelled(model, answer.token_ids or request.continuation_ids or ())
    for k, (i, text) in enumerate(spelled):
        logprob = answer.token_logprobs[k] if k < len(answer.token_logprobs) else None
        rank = answer.token_ranks[k] if k < len(answer.token_ranks) else None
        tokens.append(Token(i, text, part, logprob, rank))
    return Asked(
        request.kind,
        request.prompt or str(list(request.messages)),
        request.continuation,
        tuple(tokens),
        answer.text,
        answer.finish,
        answer.error,
    )


def _spelled(model: Model, ids: tuple[int, ...]) -> list[tuple[int, str]]:
    pieces = getattr(model, "pieces", None)
    return list(zip(ids, pieces(ids) if pieces else map(str, ids), strict=True))


def _speed(model: Model, task: Task | None) -> tuple[float | None, str | None]:
    """(tokens per second on one short batch, or why there is no such number)."""
    if task is not None:
        items = task.items(SPEED_ITEMS, np.random.default_rng(0))
        requests = [next(task.ask(item)) for item in items]
    elif "loglikelihood" in model.offers:
        text = "The quick brown fox jumps over the lazy dog, number "
        requests = [
            Request(kind="loglikelihood", prompt=text + str(i), continuation=" and") for i in range(SPEED_ITEMS)
        ]
    else:
        return None, "the model gives no log-likelihoods, and no task was named"
    encoded = [model.encode(request) for request in requests]
    _ask(model, encoded[:1])  # reads the weights
    start = time.perf_counter()
    answers = _ask(model, encoded)
    seconds = time.perf_counter() - start
    failed = [a.error for a in answers if a.error]
    if len(failed) == len(answers):
        return None, f"every answer failed: {failed[0]}"
    return sum(a.tokens_in + a.tokens_out for a in answers) / seconds, None
