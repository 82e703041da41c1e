"""Tools for models that take text alone: described in the prompt, called in words, as Inspect emulates them.

The wording is Inspect's (its Llama 3.1 convention, which its OpenAI-compatible provider uses for servers without
tool calling): a system message holds the tools, a call is JSON between `<tool_call>` tags, a result comes as the
user's words. The handler is not public in Inspect; where it is gone, tools are refused as without emulation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, ModelOutput

from saltus.models.inspect.messages import Call


def in_words(call: Call) -> Call:
    """The call without tools: what they are, were asked and answered stands in its messages. One system message."""
    handler = _handler()
    if handler is None or not (call.tools or any(m.role == "tool" for m in call.messages)):
        return call
    messages: list[Any] = []
    for message in call.messages:
        if message.role == "assistant":
            stated = handler.assistant_message(message)["content"]
            messages.append(ChatMessageAssistant(content=stated))
        elif message.role == "tool":
            given = handler.tool_message(message)["content"]
            given = f"The '{message.function}' function was called. The results are:\n\n{given}"
            messages.append(ChatMessageUser(content=given))
        else:
            messages.append(message)
    if call.tools:
        messages = handler.input_with_tools(messages, list(call.tools))
    system = "\n\n".join(m.text for m in messages if m.role == "system")
    rest = [m for m in messages if m.role != "system"]
    first = [ChatMessageSystem(content=system)] if system else []
    return replace(call, messages=[*first, *rest], tools=(), tool_choice="none")


def with_calls(output: ModelOutput, call: Call) -> ModelOutput:
    """The output with the tool calls that its text holds. call: as it was before `in_words`."""
    handler = _handler()
    if handler is None or not call.tools:
        return output
    message = handler.parse_assistant_response(output.completion, list(call.tools))
    if not message.tool_calls:
        return output
    choice = output.choices[0].model_copy(update={"message": message, "stop_reason": "tool_calls"})
    return ModelOutput(model=output.model, choices=[choice], usage=output.usage)


def _handler() -> Any:
    try:
        from inspect_ai.model._providers.util.llama31 import Llama31Handler
    except ImportError:
        return None
    return Llama31Handler("saltus")
