"""Inspect's chat messages as saltus requests, and saltus answers as Inspect's outputs; both ways, without loss.

Text conversations become ordinary requests, which any model takes. What only Inspect's own models take (tools, images,
further settings) becomes one message of the role `inspect` whose content is canonical JSON, so that it has an identity
as every request has; its answer's text is JSON as well. Ids, sources and metadata of messages are left out: they
change from run to run and no model sees them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.tool import ToolInfo
from pydantic import TypeAdapter

from saltus.hashing import canonical
from saltus.records import Answer, Request, Settings

OWN = "inspect"
"""The role of a message that holds a whole call to Inspect's model API."""
MAX_TOKENS = 2048
"""What Inspect's local providers generate at most where a task does not say."""
_STATED = {"max_tokens", "temperature", "top_p", "stop_seqs", "seed"}
_HOW = {
    "max_retries",
    "timeout",
    "attempt_timeout",
    "stream_idle_timeout",
    "max_connections",
    "adaptive_connections",
    "system_message",
    "max_tool_output",
    "cache_prompt",
    "cache",
    "batch",
    "fail_on_refusal",
}
"""Settings that Inspect itself deals with."""
_OF_TOOLS = {"parallel_tool_calls", "internal_tools", "reasoning_history"}
"""Settings that mean nothing to a conversation in text."""
_FINISH: dict[str, Any] = {"eos": "stop", "stop": "stop", "length": "max_tokens", "window": "model_length"}
_STOP: dict[str, str] = {"stop": "stop", "max_tokens": "length", "model_length": "window"}
_ROLES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
_MESSAGES: TypeAdapter[list[ChatMessage]] = TypeAdapter(list[ChatMessage])
_TOOLS: TypeAdapter[list[ToolInfo]] = TypeAdapter(list[ToolInfo])


class Unaskable(Exception):
    """This model can never be asked this: the reason, for the record."""


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of `ModelAPI.generate`."""

    messages: Sequence[ChatMessage]
    tools: Sequence[ToolInfo] = ()
    tool_choice: Any = "none"
    config: GenerateConfig = field(default_factory=GenerateConfig)


def request_of(call: Call, offers: frozenset[str], settings: Settings) -> Request:
    """The request that a call is. settings: what holds where the call does not say.

    Raises Unaskable where the model does not offer what the call needs.
    """
    config = call.config
    chosen = Settings(
        max_tokens=config.max_tokens or settings.max_tokens,
        temperature=settings.temperature if config.temperature is None else config.temperature,
        top_p=settings.top_p if config.top_p is None else config.top_p,
        stop=settings.stop if config.stop_seqs is None else tuple(config.stop_seqs),
    )
    if (config.num_choices or 1) > 1:
        raise Unaskable("the task asks for several choices per call; ask with `repeats` instead")
    beyond = _beyond_text(call)
    if beyond:
        if OWN not in offers:
            raise Unaskable(f"the task's solver sends {', '.join(beyond)}; this model takes text alone")
        content = canonical(_plain_call(call)).decode()
        messages: tuple[Mapping[str, str], ...] = ({"role": OWN, "content": content},)
        return Request(kind="generate", messages=messages, settings=chosen, seed=config.seed)
    stated = tuple({"role": m.role, "content": m.text} for m in call.messages)
    if "chat" in offers:
        return Request(kind="generate", messages=stated, settings=chosen, seed=config.seed)
    if any(m["role"] == "assistant" for m in stated):
        raise Unaskable("a conversation of several turns; a model without a chat template takes one prompt")
    prompt = "\n\n".join(m["content"] for m in stated)
    return Request(kind="generate", prompt=prompt, settings=chosen, seed=config.seed)


def call_of(request: Request) -> Call:
    """The call that a request for one of Inspect's models stands for; its config holds no retries."""
    s = request.settings
    config: dict[str, Any] = {"max_tokens": s.max_tokens, "temperature": s.temperature}
    config |= {"top_p": s.top_p} if s.top_p != 1.0 else {}
    config |= {"stop_seqs": list(s.stop)} if s.stop else {}
    # the widest seed that every server takes has 31 bits
    config |= {"seed": request.seed & 0x7FFFFFFF} if request.seed is not None else {}
    if request.messages and request.messages[0]["role"] == OWN:
        data = json.loads(request.messages[0]["content"])
        return Call(
            _MESSAGES.validate_python(data["messages"]),
            _TOOLS.validate_python(data["tools"]),
            _tool_choice(data["tool_choice"]),
            GenerateConfig(**{**data["config"], **config}),
        )
    stated = request.messages or ({"role": "user", "content": request.prompt},)
    return Call([_ROLES[m["role"]](content=m["content"]) for m in stated], config=GenerateConfig(**config))


def answer_of(request: Request, key: str, output: ModelOutput) -> Answer:
    """What came back. Raises ValueError for an output without a choice."""
    if output.error and not output.completion:
        raise ValueError(f"refused by the model's provider: {output.error}")
    if not output.choices:
        raise ValueError("an output without a choice")
    message, stop = output.message, output.stop_reason
    text: str = output.completion
    if request.messages and request.messages[0]["role"] == OWN:
        choice = output.choices[0].model_dump(
            mode="json", exclude_none=True, include={"stop_reason", "logprobs", "prompt_logprobs"}
        )
        text = canonical({"message": _plain(message), **choice}).decode()
    thought = [c.reasoning for c in _parts(message) if isinstance(c, ContentReasoning)]
    usage = output.usage or ModelUsage()
    cached = (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
    return Answer(
        key=key,
        text=text,
        trace="\n".join(thought) or None,
        finish=_STOP.get(stop, stop),
        tokens_in=usage.input_tokens + cached,
        tokens_out=usage.output_tokens,
    )


def output_of(request: Request, answer: Answer, model: str) -> ModelOutput:
    """An answer as Inspect's solvers read it. Raises ValueError for a failed one."""
    if answer.error is not None:
        raise ValueError(answer.error)
    usage = ModelUsage(
        input_tokens=answer.tokens_in,
        output_tokens=answer.tokens_out,
        total_tokens=answer.tokens_in + answer.tokens_out,
    )
    if request.messages and request.messages[0]["role"] == OWN:
        data = json.loads(answer.text)
        data["message"]["source"] = "generate"
        choice = ChatCompletionChoice.model_validate(data)
    else:
        content: Any = answer.text
        if answer.trace:
            content = [ContentReasoning(reasoning=answer.trace), ContentText(text=answer.text)]
        message = ChatMessageAssistant(content=content, model=model, source="generate")
        stop: Any = _FINISH.get(answer.finish or "", "unknown")
        choice = ChatCompletionChoice(message=message, stop_reason=stop)
    return ModelOutput(model=model, choices=[choice], usage=usage)


def _beyond_text(call: Call) -> list[str]:
    """What in a call only Inspect's own models take, in words."""
    found = [f"tools ({', '.join(t.name for t in call.tools)})"] if call.tools else []
    kinds = {c.type for m in call.messages for c in _parts(m)} - {"text", "reasoning"}
    found += [f"content of type {kind}" for kind in sorted(kinds)]
    if any(m.role == "tool" or getattr(m, "tool_calls", None) for m in call.messages):
        found.append("results of tools")
    given = set(call.config.model_dump(exclude_none=True)) - _STATED - _HOW - _OF_TOOLS
    return found + [f"the setting `{name}`" for name in sorted(given)]


def _plain_call(call: Call) -> dict[str, Any]:
    config = call.config.model_dump(mode="json", exclude_none=True, exclude=_STATED | _HOW)
    choice = call.tool_choice
    return {
        "messages": [_plain(m) for m in call.messages],
        "tools": [t.model_dump(mode="json", exclude_none=True) for t in call.tools],
        "tool_choice": choice if isinstance(choice, str) else {"name": choice.name},
        "config": config,
    }


def _plain(message: ChatMessage) -> dict[str, Any]:
    return message.model_dump(mode="json", exclude_none=True, exclude={"id", "source", "model", "metadata"})


def _parts(message: ChatMessage) -> Sequence[Any]:
    return () if isinstance(message.content, str) else message.content


def _tool_choice(plain: Any) -> Any:
    from inspect_ai.tool import ToolFunction

    return plain if isinstance(plain, str) else ToolFunction(name=plain["name"])
