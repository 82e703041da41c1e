"""The scheme `inspect:`: any model that Inspect reaches, hosted or local, in chat.

A prompt is asked as one user message under the provider's own template; generation only. Inspect retries and keeps
to its limits of connections; what fails after that is stored as a failure. Agents' turns (tools, images) are asked as
they are (`inspect_messages`). The log-probability of a given continuation comes only from the providers of raw
completions, and only where the server behind them tells it (`inspect_scoring` asks before it is offered); with them
a prompt is asked as it stands, without a template.

Who answers cannot be verified: the identity is a hash of provider, name, address, date, arguments and settings. Limits:
greedy answers and seeds are the provider's promise, and some have no seed; local providers of Inspect (`hf`) load
their weights on opening: `dir:` and `hf:` of saltus are faster and know what they ask.

Options of an entry: base_url, key_env, args, config, concurrency, retries, timeout, price; see docs/inspect.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from saltus.errors import UserError
from saltus.hashing import content_hash
from saltus.models.base import Bos, Description, Model, ModelError, Template, Tokenizer, answer_key
from saltus.models.inspect import entry as inspect_entry
from saltus.models.inspect import scoring as inspect_scoring
from saltus.records import Answer, AskPolicy, ModelRef, Request, SeriesEntry

CHAT_OFFERS = frozenset({"generate", "chat", "images", "tools", "inspect", "loglikelihood"})
RAW_OFFERS = frozenset({"generate", "loglikelihood"})
_SECRET = re.compile(r"(?i)(key|token|secret|password)")


class InspectAdapter:
    """The entry point `inspect`."""

    def series(self, entry: SeriesEntry, ask: AskPolicy, base: Path) -> Sequence[ModelRef]:
        return inspect_entry.refs(entry)

    def open(self, ref: ModelRef, ask: AskPolicy) -> Model:
        return InspectModel(ref, ask)


adapter = InspectAdapter()


class InspectModel:
    """One model of one of Inspect's providers. Raises UserError where its package or its key is missing."""

    def __init__(self, ref: ModelRef, ask: AskPolicy) -> None:
        self.ref, self.ask = ref, ask
        given: Mapping[str, Any] = ref.recipe.get("inspect", {})
        self.options = {**inspect_entry.DEFAULTS, **given}
        if ask.bos != "auto":
            raise ModelError(
                f"{ref.location}: `bos: {ask.bos}`, but the provider prepares the prompt; ask with `bos: auto`"
            )
        self._model = _opened(ref, self.options)
        self.identity = content_hash(
            [
                "inspect",
                1,
                ref.location,
                ref.coords.get("date"),
                {k: v for k, v in given.items() if k in ("base_url", "args", "config")},
            ]
        )
        self._loop: _Loop | None = None
        self._raw = ref.location.partition("/")[0] in inspect_scoring.RAW
        self.lacks: dict[str, str] = {}
        self._forget()
        self.lacks = self._lacks()
        self._forget()
        self.offers = (RAW_OFFERS if self._raw else CHAT_OFFERS) - self.lacks.keys()

    def _forget(self) -> None:
        self._spent = {"requests": 0, "tokens_in": 0, "tokens_out": 0}
        self._cost: float | None = None

    def _lacks(self) -> dict[str, str]:
        """What is not offered → why. Raises ModelError where nothing is answered at all."""
        if self._raw:
            why = inspect_scoring.doubts([self._one(r) for r in inspect_scoring.PROBE])
            if why is None:
                return {}
            plain = self._one(inspect_scoring.PLAIN)
            if plain.error is not None:
                self.close()
                raise ModelError(plain.error)
        else:
            why = inspect_scoring.NO_LOGPROBS
        return {"loglikelihood": f"{why}; {inspect_scoring.ESTIMATOR}"}

    def _one(self, request: Request) -> Answer:
        return next(self._each([self.encode(request)]))

    def encode(self, request: Request) -> Request:
        """Messages as they are sent; a prompt becomes one user message."""
        if request.kind == "loglikelihood":
            return inspect_scoring.encoded(request, self.lacks.get("loglikelihood"))
        if request.messages:
            return request
        return replace(request, prompt="", messages=({"role": "user", "content": request.prompt},))

    def loglikelihood(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Per token of each continuation, in nats."""
        return self._each(requests)

    def generate(self, requests: Sequence[Request]) -> Iterator[Answer]:
        """Answers as they finish."""
        return self._each(requests)

    def _each(self, requests: Sequence[Request]) -> Iterator[Answer]:
        answers: SimpleQueue[Answer] = SimpleQueue()
        self._loop = self._loop or _Loop()
        asked = self._loop.run(self._all(list(requests), answers))
        try:
            for _ in requests:
                yield answers.get()
        finally:
            asked.cancel()

    async def _all(self, requests: Sequence[Request], answers: SimpleQueue[Answer]) -> None:
        room = asyncio.Semaphore(int(self.options["concurrency"]))

        async def one(request: Request) -> None:
            async with room:
                answers.put(await self._answer(request))

        await asyncio.gather(*map(one, requests))

    async def _answer(self, request: Request) -> Answer:
        """Never raises: whoever waits for an answer gets one."""
        from saltus.models.inspect.messages import answer_of, call_of

        key, began = answer_key(self.identity, request), time.perf_counter()
        try:
            scores = request.kind == "loglikelihood"
            call = inspect_scoring.call_of(request) if scores else call_of(request)
            output = await self._model.generate(list(call.messages), list(call.tools), call.tool_choice, call.config)
            read = inspect_scoring.answer_of if scores else answer_of
            answer = read(request, key, output)
        except Exception as error:  # noqa: BLE001 — providers raise what their packages raise
            why = f"{self.ref.location}: {_without_secrets(_short(error))}"
            answer = Answer(key=key, error=why)
        else:
            self._count(answer, output.usage)
        return replace(answer, seconds=time.perf_counter() - began)

    def _count(self, answer: Answer, usage: Any) -> None:
        self._spent["requests"] += 1
        self._spent["tokens_in"] += answer.tokens_in
        self._spent["tokens_out"] += answer.tokens_out
        if usage is not None and usage.total_cost is not None:
            self._cost = (self._cost or 0.0) + usage.total_cost

    @property
    def spent(self) -> dict[str, Any]:
        """Since opening: answers, tokens as the provider counts them, cost (Inspect's count, else from `price`)."""
        cost, price = self._cost, self.options.get("price")
        if price:
            cost = (self._spent["tokens_in"] * price["input"] + self._spent["tokens_out"] * price["output"]) / 1e6
        return {**self._spent, "cost": cost}

    def describe(self) -> Description:
        """Provenance: who answers as far as that is known, what is asked how."""
        from importlib.metadata import version

        shown = ("base_url", "key_env", "args", "config", "price", *inspect_entry.NUMBERS)
        who = "the provider"
        return Description(
            kind="inspect",
            verified=False,
            bos=Bos(policy=self.ask.bos, by=who),
            template=Template(policy=self.ask.template, applied=not self._raw, by=who),
            tokenizer=Tokenizer(by=who),
            versions={"inspect_ai": version("inspect_ai")},
            detail={
                "name": self.ref.location,
                "date": self.ref.coords.get("date"),
                "offers": sorted(self.offers),
                "lacks": self.lacks,
                "asks": {
                    "loglikelihood": "text with prompt_logprobs" if "loglikelihood" in self.offers else None,
                    "generate": "text" if self._raw else "chat, each prompt as one user message",
                },
                "spent": self.spent,
                **{name: self.options[name] for name in shown if name in self.options},
            },
        )

    def close(self) -> None:
        """Ends what is in flight and frees the provider's connections or weights."""
        if self._loop is not None:
            with contextlib.suppress(Exception):
                self._loop.run(self._model.api.aclose()).result(timeout=5)
            self._loop.close()
            self._loop = None


def _opened(ref: ModelRef, options: Mapping[str, Any]) -> Any:
    """Inspect's model. Raises UserError for what the user can fix."""
    from inspect_ai.model import GenerateConfig, get_model

    secret = None
    if "key_env" in options:
        secret = os.environ.get(options["key_env"], "").strip()
        if not secret:
            raise UserError(f"the environment variable {options['key_env']} (`key_env`) is not set", where=ref.location)
    config = GenerateConfig(
        max_connections=options["concurrency"],
        max_retries=options["retries"],
        timeout=options["timeout"],
        **options.get("config", {}),
    )
    try:
        return get_model(
            ref.location,
            config=config,
            base_url=options.get("base_url"),
            api_key=secret,
            memoize=False,
            **options.get("args", {}),
        )
    except Exception as error:  # providers raise what their packages raise
        raise UserError(
            f"the model cannot be opened: {_without_secrets(_short(error))}", where=f"inspect:{ref.location}"
        ) from error


def _short(error: BaseException) -> str:
    """One line, without the markup that Inspect writes for its own display."""
    inner = error.__cause__ if type(error).__name__ == "RetryError" and error.__cause__ else error
    text = " ".join(re.sub(r"\[/?[a-z][a-z ]*\]", "", str(inner)).split())
    text = text.removeprefix("ERROR: ") or "no reason given"
    plain = type(inner).__name__ in ("PrerequisiteError", "ModelError", "ValueError")
    return text if plain else f"{type(inner).__name__}: {text}"


def _without_secrets(text: str) -> str:
    """Cuts out values of environment variables that are named like secrets."""
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET.search(name):
            text = text.replace(value, "…")
    return text


class _Loop:
    """An asyncio loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """A future for work that has begun."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()
