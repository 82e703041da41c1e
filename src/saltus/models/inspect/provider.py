"""The provider `saltus` of Inspect: any saltus model behind Inspect's model API.

`inspect eval task.py --model saltus/dir:runs/step-1000` asks a checkpoint with our batching; `-M dtype=bfloat16`,
`-M template=auto` and the other words of a study's `ask` block go with it, and `-M emulate_tools=true`. Calls that come
together are answered as one batch. When a study runs an Inspect task, the same provider hands every call to the runner
instead (`tasks/inspect_run.py`), so that it has an identity and is stored. Limit: text alone, except for `inspect:`
models.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, modelapi
from inspect_ai.tool import ToolChoice, ToolInfo

from saltus import plugins
from saltus.errors import UserError
from saltus.hashing import content_hash, seed_from
from saltus.models.base import Model, ModelError, answer_key
from saltus.models.inspect.emulation import in_words, with_calls
from saltus.models.inspect.messages import MAX_TOKENS, Call, Unaskable, output_of, request_of
from saltus.records import Answer, AskPolicy, Request, SeriesEntry, Settings

LINGER = 0.005
"""Seconds of silence after which the calls that came together are asked."""


class Desk(Protocol):
    """Where calls are answered."""

    offers: frozenset[str]
    settings: Settings
    """What holds where a call does not say."""
    emulates: bool
    """Tools are described and called in words."""

    async def ask(self, request: Request) -> Answer: ...

    def refuse(self, why: str) -> None:
        """Notes that the call being made can never be answered."""
        ...

    def close(self) -> None: ...


class SaltusAPI(ModelAPI):
    """Inspect's view of a saltus model."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 — as the base class has it
        *,
        desk: Desk | None = None,
        **args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        emulates = bool(args.pop("emulate_tools", False))
        self._desk = desk or Counter(_opened(model_name, args), emulates=emulates)

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Raises ValueError for a failed answer, Unaskable for what this model cannot be asked."""
        desk, call = self._desk, Call(input, tools, tool_choice, config)
        try:
            asked = in_words(call) if desk.emulates else call
            request = request_of(asked, desk.offers, desk.settings)
        except Unaskable as error:
            desk.refuse(str(error))
            raise
        output = output_of(request, await desk.ask(request), self.model_name)
        return with_calls(output, call) if desk.emulates else output

    def max_connections(self) -> int:
        """As many as there are samples at a time: batches are wanted."""
        return 1000

    def close(self) -> None:
        self._desk.close()


@modelapi(name="saltus")
def saltus() -> type[ModelAPI]:
    """Found by Inspect through the entry point group `inspect_ai`."""
    return SaltusAPI


class Counter:
    """Answers calls with a model in a thread of its own, those that come together as one batch."""

    settings = Settings(max_tokens=MAX_TOKENS)

    def __init__(self, model: Model, *, emulates: bool = False) -> None:
        self.model, self.offers, self.emulates = model, model.offers, emulates
        self._times: Tally[str] = Tally()
        self._calls: SimpleQueue[tuple[Request, Any, asyncio.Future[Answer]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    async def ask(self, request: Request) -> Answer:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._calls.put((request, loop, future))
        return await future

    def refuse(self, why: str) -> None:
        """Nothing to note: whoever called gets the reason."""

    def close(self) -> None:
        self._calls.put(None)
        self._thread.join(timeout=60)

    def _serve(self) -> None:
        going = True
        while going:
            batch = gathered(self._calls, LINGER)
            going = None not in batch
            self._answer([call for call in batch if call is not None])
        self.model.close()

    def _answer(self, calls: Sequence[tuple[Request, Any, Any]]) -> None:
        waiting: dict[str, list[tuple[Any, Any]]] = {}
        requests: dict[str, Request] = {}
        why = "the model gave no answer"
        for request, loop, future in calls:
            try:
                encoded = self.model.encode(self._seeded(request))
            except Exception as error:  # noqa: BLE001 — goes to whoever called
                give(loop, future, Answer(key="", error=str(error)))
                continue
            key = answer_key(self.model.identity, encoded)
            requests[key] = encoded
            waiting.setdefault(key, []).append((loop, future))
        try:
            for answer in self.model.generate(list(requests.values())) if requests else ():
                for loop, future in waiting.pop(answer.key, ()):
                    give(loop, future, answer)
        except Exception as error:  # noqa: BLE001 — goes to whoever called
            why = str(error)
        for key, some in waiting.items():
            for loop, future in some:
                give(loop, future, Answer(key=key, error=why))

    def _seeded(self, request: Request) -> Request:
        """A seed of its own for every time that the same question is asked to be answered by chance."""
        if request.settings.temperature <= 0 or request.seed is not None:
            return request
        asked = content_hash(request)
        self._times[asked] += 1
        return replace(request, seed=seed_from(asked, self._times[asked]))


def gathered(queue: SimpleQueue[Any], linger: float) -> list[Any]:
    """The next thing of a queue and all that follow without a silence."""
    batch = [queue.get()]
    while True:
        try:
            batch.append(queue.get(timeout=linger))
        except Empty:
            return batch


def give(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Answer], answer: Answer) -> None:
    """Sets a future from another thread; nobody may be waiting for it any more."""

    def arrive() -> None:
        if not future.done():
            future.set_result(answer)

    if not loop.is_closed():
        loop.call_soon_threadsafe(arrive)


def _opened(name: str, args: dict[str, Any]) -> Model:
    """The one model behind `scheme:source`. Raises what Inspect shows without a traceback."""
    scheme, _, source = name.partition(":")
    where = f"saltus/{name}"
    try:
        if not source:
            raise UserError(
                f"`{name}` names no model",
                where=where,
                wanted="saltus/scheme:source, such as saltus/dir:runs/step-1000",
            )
        ask = AskPolicy(**{k: args.pop(k) for k in ("dtype", "bos", "template") if k in args})
        adapter = plugins.load("models", scheme, where=where)
        entry = SeriesEntry(scheme=scheme, source=source, options=args)
        refs = adapter.series(entry, ask, Path())
        if len(refs) != 1:
            some = ", ".join(r.location for r in refs[:3])
            raise UserError(f"{len(refs)} models are behind `{name}`", where=where, wanted=f"one, such as {some}")
        model: Model = adapter.open(refs[0], ask)
    except (UserError, ModelError) as error:
        raise PrerequisiteError(str(error)) from error
    return model
