"""Inspect runs its samples while somebody else answers the model's calls.

Inspect's `eval` goes on in a thread with the provider `saltus` as its model. Every call becomes a `Turn` in a queue
that the runner empties, and the call waits for the reply; every finished sample becomes an `Over` with Inspect's
scores. So solvers, tools, sandboxes, limits and scorers are Inspect's own. Inspect runs one `eval` at a time in a
process. Limit: a scorer's judge that is a model of its own (a role) is asked by Inspect and not stored by us.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from inspect_ai import SampleSource, Task, eval, task_with
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.model import get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import store

from saltus.models.inspect.provider import gathered, give
from saltus.records import Answer, Request, Settings
from saltus.tasks.base import Over, Turn
from saltus.tasks.inspect.scores import outcome

LINGER = 0.01
"""Seconds of silence after which the turns that came together are handed over."""
STOPPING = 60.0
"""Seconds that Inspect may take to end its samples and sandboxes when a run is stopped."""
_KEY = "saltus:sample"
_sample: ContextVar[str | None] = ContextVar("saltus_sample", default=None)


@dataclass(frozen=True)
class How:
    """How Inspect runs a task."""

    settings: Settings
    """What holds where the task does not say."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings that the study states, which hold whatever the task says."""
    at_once: int = 16
    emulates: bool = False
    """Tools are described and called in words, for models of text alone."""
    roles: Mapping[str, str] = field(default_factory=dict)
    logs: Path | None = None
    """Folder that keeps Inspect's own logs."""


@dataclass(frozen=True)
class _End:
    logs: Sequence[EvalLog] = ()
    error: BaseException | None = None


class Evaluation(SampleSource):
    """One `eval` of a task: source of its samples, and desk where its model's calls arrive."""

    def __init__(self, samples: Mapping[int, Sample], shares: Sequence[str], how: How, offers: frozenset[str]) -> None:
        """samples by the index that turns carry; no id twice."""
        self.offers, self.settings, self.emulates = offers, how.settings, how.emulates
        self.how, self._shares = how, shares
        self._index = {str(s.id): i for i, s in samples.items()}
        self._rest = list(samples.values())
        self._events: SimpleQueue[Turn | Over | _End] = SimpleQueue()
        self._waiting: dict[Any, asyncio.AbstractEventLoop] = {}
        self._refused: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._stopped = False

    def events(self, task: Task) -> Generator[Sequence[Turn | Over], None, None]:
        """Runs the task; batches of turns and ends as they come. Raises what Inspect raised."""
        first = () if task.setup is None else task.setup
        steps = [first] if not isinstance(first, Sequence) else list(first)
        task = task_with(task, dataset=self, setup=[_name_sample(), *steps])
        thread = threading.Thread(target=self._evaluate, args=(task,), daemon=True)
        thread.start()
        try:
            while True:
                batch = gathered(self._events, LINGER)
                yield [event for event in batch if not isinstance(event, _End)]
                for event in batch:
                    if isinstance(event, _End):
                        return _check(event)
        finally:
            task_with(task, setup=steps or None)
            self._stop()
            thread.join(timeout=STOPPING)

    # what Inspect calls, in its thread

    def initial_samples(self) -> list[Sample]:
        return [self._rest.pop(0) for _ in range(min(len(self._rest), self.how.at_once))]

    async def sample_complete(self, sample: EvalSample) -> list[Sample] | None:
        self._events.put(self._over(sample))
        return [self._rest.pop(0)] if self._rest and not self._stopped else None

    async def ask(self, request: Request) -> Answer:
        """Raises RuntimeError for a call outside any sample and after the end."""
        name = _current()
        index = self._index[name]
        if self._stopped:
            raise RuntimeError("the run was stopped")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting[future] = loop
        self._events.put(Turn(index, request, lambda answer: give(loop, future, answer)))
        try:
            answer = await future
        finally:
            self._waiting.pop(future, None)
        if answer.error is not None:
            self._failed[name] = answer.error
        return answer

    def refuse(self, why: str) -> None:
        """Notes that the sample being run can never be asked of this model."""
        self._refused[_current()] = why

    def close(self) -> None:
        """Nothing to free: the model is the runner's."""

    def _over(self, sample: EvalSample) -> Over:
        name = str(sample.id)
        index = self._index[name]
        if name in self._refused:
            return Over(index, refused=self._refused[name])
        if sample.error is not None:
            why = self._failed.get(name) or " ".join(sample.error.message.split())
            return Over(index, error=why)
        text = outcome(
            sample.scores or {},
            self._shares,
            completion=sample.output.completion,
            limit=sample.limit.type if sample.limit else None,
            messages=len(sample.messages),
        )
        return Over(index, outcome=text)

    def _evaluate(self, task: Task) -> None:
        how = self.how
        try:
            with contextlib.ExitStack() as stack:
                folder = how.logs or stack.enter_context(tempfile.TemporaryDirectory())
                logs = eval(
                    task,
                    model=get_model("saltus/model", memoize=False, desk=self),
                    epochs=1,
                    max_samples=how.at_once,
                    fail_on_error=False,
                    continue_on_fail=True,
                    log_dir=str(folder),
                    log_samples=how.logs is not None,
                    log_realtime=False,
                    log_level="error",
                    display="none",
                    score_display=False,
                    model_roles=dict(how.roles) or None,
                    **how.config,
                )
            self._events.put(_End(logs))
        except BaseException as error:  # noqa: BLE001 — raised again in the thread that waits
            self._events.put(_End(error=error))

    def _stop(self) -> None:
        self._stopped = True
        for future, loop in list(self._waiting.items()):
            give(loop, future, Answer(key="", error="the run was stopped"))


@solver
def _name_sample() -> Solver:
    """Lets a model call know whose it is: in solvers by the context, in scorers and tools by the sample's store."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        _sample.set(str(state.sample_id))
        state.store.set(_KEY, str(state.sample_id))
        return state

    return solve


def _current() -> str:
    name = _sample.get() or store().get(_KEY)
    if name is None:
        raise RuntimeError("the task calls the model outside any sample")
    return str(name)


def _check(end: _End) -> None:
    """Raises what ended the evaluation early."""
    if end.error is not None:
        raise RuntimeError(f"Inspect: {end.error}") from end.error
    for log in end.logs:
        if log.status == "error" and log.error is not None:
            raise RuntimeError(f"Inspect: {log.error.message}")
