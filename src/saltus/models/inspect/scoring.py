"""Log-likelihoods through Inspect: only its providers of raw completions, and only where the server tells them.

They send prompt and continuation as one text and read vLLM's `prompt_logprobs`; the continuation's tokens are cut out
by their spelling (`openai_wire.seam`). Before this is offered a few short questions must give numbers that differ with
the continuation, stay at or below zero and come back the same. Limits: the tokens are the server's, so is BOS; the
richer probe, token ids and echo are those of `openai:URL#name`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from saltus.models.base import ModelError
from saltus.models.server import wire as openai_wire
from saltus.models.server.wire import Positions
from saltus.records import Answer, Request, Settings

if TYPE_CHECKING:
    from inspect_ai.model import ModelOutput

    from saltus.models.inspect.messages import Call

RAW = ("openai-api-completions", "vllm-completions")
"""Inspect's providers that ask without a chat template."""
NO_LOGPROBS = (
    "Inspect's chat providers give no log-probability of a given continuation; a server that tells prompt "
    "log-probabilities is asked for them with openai:URL#name"
)
ESTIMATOR = (
    "scoring what it generates is possible, but a different estimator with metrics of its own (exact_match, not acc): "
    "ask a task that generates"
)
PROBE = tuple(
    Request(kind="loglikelihood", prompt=prompt, continuation=continuation)
    for prompt, continuation in (
        ("The capital of France is", " Paris"),
        ("The capital of France is", " seven"),
        ("Three and four make", " seven"),
        ("The capital of France is", " Paris"),
    )
)
PLAIN = Request(kind="generate", prompt="One two three", settings=Settings(max_tokens=1))
"""What any server answers: where this fails too, it is not the log-probabilities."""
TOLERANCE = 0.1
"""Nats by which the same question may differ when it is asked twice."""


def encoded(request: Request, why_not: str | None) -> Request:
    """Prompt and continuation as the two texts whose seam is looked for. Raises ModelError where it cannot be asked."""
    if why_not is not None:
        raise ModelError(why_not)
    if request.messages:
        raise ModelError("a log-likelihood after chat messages cannot be asked through Inspect")
    kept = request.prompt.rstrip()
    continuation = request.prompt[len(kept) :] + request.continuation
    if not kept or not continuation:
        raise ModelError("an empty prompt or continuation has no log-likelihood through Inspect")
    parts = ({"role": "prompt", "content": kept}, {"role": "continuation", "content": continuation})
    return replace(request, prompt="", messages=parts)


def call_of(request: Request) -> Call:
    """The whole text, one token generated and thrown away."""
    from inspect_ai.model import ChatMessageUser, GenerateConfig

    from saltus.models.inspect.messages import Call

    text = "".join(m["content"] for m in request.messages)
    config = GenerateConfig(max_tokens=1, temperature=0.0, prompt_logprobs=1)
    return Call([ChatMessageUser(content=text)], config=config)


def answer_of(request: Request, key: str, output: ModelOutput) -> Answer:
    """The continuation's part. Raises ValueError, WireError where it is not given."""
    given: Any = output.choices[0].prompt_logprobs if output.choices else None
    if given is None or not given.content:
        raise ValueError("the server tells no log-probabilities of the prompt (`prompt_logprobs`)")
    tokens = [one.token for one in given.content]
    tops = [{alternative.token: alternative.logprob for alternative in one.top_logprobs or ()} for one in given.content]
    positions = Positions(
        [one.logprob for one in given.content],
        [{**top, one.token: one.logprob} for top, one in zip(tops, given.content, strict=True)],
        tokens,
    )
    prompt, continuation = (m["content"] for m in request.messages)
    start = openai_wire.seam(positions, prompt, continuation)
    logprobs, ranks = positions.cut(start, len(tokens))
    usage = output.usage
    return Answer(
        key=key,
        token_logprobs=logprobs,
        token_ranks=ranks,
        greedy=not any(ranks),
        tokens_in=usage.input_tokens if usage else len(tokens),
        tokens_out=usage.output_tokens if usage else 1,
    )


def doubts(answers: Sequence[Answer]) -> str | None:
    """Why the numbers that `PROBE` gave, in its order, cannot be trusted, or None."""
    for answer in answers:
        if answer.error is not None:
            return answer.error
    first, other, elsewhere, again = (sum(a.token_logprobs) for a in answers)
    if abs(first - other) < 1e-9:
        return "the log-likelihood does not depend on the continuation"
    if abs(other - elsewhere) < 1e-9:
        return "the log-likelihood does not depend on the prompt"
    if abs(first - again) > TOLERANCE:
        return f"the same question gave {first:.3f} and then {again:.3f} nats"
    return None
