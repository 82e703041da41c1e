"""What a run would do, for `--dry-run`: models, answers known and pending, tokens, time. Asks nothing, writes nothing.

Models are opened for their identity and tokenizer only. Times come from speeds that earlier runs on this machine
stored, of the model itself or of its series; without any, the time is unknown and says so. Dialogues are counted as
far as they can be seen without an answer, so their numbers are lower bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from saltus import plugins
from saltus.errors import reason
from saltus.models.base import Model, answer_key
from saltus.records import ModelRef, Request
from saltus.runner.contract import Study
from saltus.runner.here import Executor, Share, here
from saltus.runner.loop import resolve
from saltus.runner.machine import host
from saltus.runner.outcome import model_name
from saltus.runner.questions import Ask, Work
from saltus.runner.session import refusals, windows, work_of
from saltus.store import Store
from saltus.store.contents import Contents
from saltus.store.digests import key_digest
from saltus.tasks.base import Task

_WINDOW = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """What one model would be asked."""

    name: str
    series: str
    total: int = 0
    """Asks: task × condition × repeat × item."""
    known: int = 0
    """Of them complete already."""
    refused: int = 0
    """Of the rest, those a condition refuses."""
    answers: int = 0
    """Distinct answers that have to be asked for."""
    tokens_in: int = 0
    tokens_out: int = 0
    """Most that may be generated."""
    more_turns: int = 0
    """Asks that may go on after their first answers: answers and tokens are lower bounds."""
    seconds: float | None = None
    why_no_seconds: str | None = None
    not_asked: tuple[tuple[str, str], ...] = ()
    """(task, why)."""
    error: str | None = None
    """Why the model cannot be opened."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run, model by model."""

    models: tuple[ModelPlan, ...]

    @property
    def answers(self) -> int:
        return sum(m.answers for m in self.models)

    @property
    def known(self) -> int:
        """Asks that are complete already."""
        return sum(m.known for m in self.models)

    @property
    def tokens(self) -> int:
        return sum(m.tokens_in + m.tokens_out for m in self.models)

    @property
    def seconds(self) -> float | None:
        """None where any model with something to ask has no known speed."""
        times = [m.seconds for m in self.models if m.answers]
        return None if None in times else sum(t for t in times if t is not None)


def plan(study: Study, store: Store, *, executor: Executor | None = None) -> Plan:
    """Raises UserError for the user's mistakes; a model that cannot be opened is in the plan."""
    models = resolve(study)
    work = work_of(study, keep=_WINDOW if len(models) > 1 else 0)
    found = store.contents()
    plans = []
    for share in (executor or here()).shares(len(models)):
        ref, tasks = models[share.model]
        plans.append(_planned(study, store, found, work, (ref, tasks, share)))
    return Plan(tuple(plans))


def _planned(
    study: Study, store: Store, found: Contents, work: Work, part: tuple[ModelRef, Sequence[Task], Share]
) -> ModelPlan:
    ref, tasks, share = part
    name, series = model_name(ref), ref.series
    try:
        model: Model = plugins.load("models", ref.adapter, base=study.base).open(ref, study.ask)
    except Exception as error:  # noqa: BLE001 — one model's failure must not end the plan
        return ModelPlan(name=name, series=series, error=reason(error))
    try:
        not_asked = refusals(model, tasks)
        able = [t for t in tasks if t.name not in dict(not_asked)]
        asks = chain.from_iterable(work.asks(t, share.part, share.parts) for t in able)
        counts = _counted(model, store, work, asks)
        seconds, why = _time(found, model.identity, ref, counts["tokens_in"] + counts["tokens_out"])
        return ModelPlan(
            name=name, series=series, seconds=seconds, why_no_seconds=why, not_asked=tuple(not_asked), **counts
        )
    finally:
        model.close()


def _counted(model: Model, store: Store, work: Work, asks: Iterable[Ask]) -> dict[str, Any]:
    known = store.known(model.identity)
    n: dict[str, Any] = dict.fromkeys(
        ("total", "known", "refused", "answers", "tokens_in", "tokens_out", "more_turns"), 0
    )
    for window in windows(asks, _WINDOW):
        complete = known.complete.holds([a.ask_id for a in window])
        n["total"] += len(window)
        n["known"] += sum(complete)
        pending = [a for a, done in zip(window, complete, strict=True) if not done]
        n["refused"] += sum(a.question.refused is not None for a in pending)
        n["more_turns"] += sum(not a.question.closed for a in pending)
        for request, digest in _requests(model, work, pending):
            if digest not in known.answered:
                known.answered.add(digest)
                n["answers"] += 1
                n["tokens_in"] += _tokens(request)
                if request.kind == "generate":
                    n["tokens_out"] += request.settings.max_tokens
    return n


def _requests(model: Model, work: Work, asks: Sequence[Ask]) -> Iterable[tuple[Request, bytes]]:
    for ask in asks:
        for request in ask.question.requests:
            encoded = model.encode(work.seeded(request, ask.question.item, ask.repeat))
            yield encoded, key_digest(answer_key(model.identity, encoded))


def _tokens(request: Request) -> int:
    """Of prompt and continuation; four characters count as one where the model has no tokenizer here."""
    if request.prompt_ids is None:
        prompt_text = request.prompt + "".join(m.get("content", "") for m in request.messages)
        return len(prompt_text + request.continuation) // 4 + 1
    return len(request.prompt_ids) + len(request.continuation_ids or ())


def _time(found: Contents, identity: str, ref: ModelRef, tokens: int) -> tuple[float | None, str | None]:
    """(seconds, or why not) from tokens per second of earlier segments of this machine."""
    if not tokens:
        return 0.0, None
    node = host()["node"]
    ours = {s.writer for s in found.studies if s.host.get("node") == node}
    kin = {m.identity for m in found.models if m.ref.series == ref.series}
    for known in ({identity}, kin):
        past = [s for s in found.segments if s.writer in ours and s.model in known and s.seconds]
        if past:
            speed = sum(s.tokens for s in past) / sum(s.seconds for s in past)
            if speed:
                return tokens / speed, None
    return None, "no model of this series was asked on this machine yet"
