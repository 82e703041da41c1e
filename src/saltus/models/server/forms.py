"""In which form a server is asked: token ids, text, or chat messages, and how its JSON becomes an answer.

What the probe found decides, once per model. A form is visible in the encoded request, so it is part of an answer's
key: ids; messages with the roles `prompt` and `continuation` for text; or the chat messages that are sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from saltus.models.base import Bos, ModelError, Template, Tokenizer
from saltus.models.local.encoding import Encoder
from saltus.models.server import wire as openai_wire
from saltus.models.server.client import Job
from saltus.models.server.probe import Probe
from saltus.models.server.wire import WireError
from saltus.records import Answer, AskPolicy, Request


@dataclass(frozen=True)
class Forms:
    """How one model is asked. encoder: the local tokenizer, only where the server takes its ids."""

    name: str
    ask: AskPolicy
    probe: Probe
    encoder: Encoder | None

    @property
    def chats(self) -> bool:
        """Whether messages can be asked, by the server's template or a local one."""
        return self.probe.chat or bool(self.encoder and self.encoder.chats)

    @property
    def wraps(self) -> bool:
        """Whether a plain prompt is asked as one user message."""
        if not self.probe.completions:
            return True
        return self.encoder is None and self.ask.template == "auto" and self.probe.chat

    def encode(self, request: Request) -> Request:
        """The request as it is sent. Raises ModelError for one that this server cannot be asked."""
        if request.kind == "loglikelihood":
            return self._scorable(request)
        if request.messages and self.probe.chat:
            return request
        if request.messages and not self.chats:
            raise ModelError("chat messages, but the server has no /chat/completions")
        if self.wraps:
            return replace(request, prompt="", messages=(_message("user", request.prompt),))
        if self.encoder is not None:
            return self.encoder.encode(request)
        return replace(request, prompt="", messages=(_message("prompt", request.prompt),))

    def _scorable(self, request: Request) -> Request:
        if self.encoder is not None:
            return self.encoder.encode(request)
        if request.messages:
            raise ModelError(
                "a log-likelihood after chat messages needs the chat template of a local tokenizer; name one with "
                "`tokenizer` in the models entry"
            )
        kept = request.prompt.rstrip()
        continuation = request.prompt[len(kept) :] + request.continuation
        parts = (_message("prompt", kept), _message("continuation", continuation))
        return replace(request, prompt="", messages=parts)

    def score_job(self, request: Request) -> Job[Request]:
        """An encoded log-likelihood request as it goes out."""
        prompt: Any = [*(request.prompt_ids or ()), *(request.continuation_ids or ())]
        if request.prompt_ids is None:
            prompt = "".join(m["content"] for m in request.messages)
        way = self.probe.way or "echo"
        return Job(request, "completions", openai_wire.score_body(self.name, prompt, way))

    def scored(self, request: Request, key: str, payload: Mapping[str, Any]) -> Answer:
        """Per token of the continuation. Raises WireError."""
        way = self.probe.way or "echo"
        ids: tuple[int, ...] = ()
        if request.prompt_ids is not None:
            start, ids = len(request.prompt_ids), request.continuation_ids or ()
            stop = start + len(ids)
            found_scores = openai_wire.positions(payload, way, [*request.prompt_ids, *ids])
        else:
            prompt, continuation = (m["content"] for m in request.messages)
            found_scores = openai_wire.positions(payload, way, prompt + continuation)
            start, stop = openai_wire.seam(found_scores, prompt, continuation), len(found_scores.logprobs)
        logprobs, ranks = found_scores.cut(start, stop)
        tokens_in, tokens_out = openai_wire.used(payload, stop, 1)
        return Answer(
            key=key,
            token_ids=ids,
            token_logprobs=logprobs,
            token_ranks=ranks,
            greedy=not any(ranks) if ranks else None,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
        )

    def generate_job(self, request: Request) -> Job[Request]:
        """An encoded request to generate as it goes out."""
        ask: dict[str, Any]
        path, most, logprobs = "completions", "max_tokens", 1
        if request.prompt_ids is not None:
            ask = {"prompt": list(request.prompt_ids)}
        elif request.messages[0]["role"] == "prompt":
            ask = {"prompt": request.messages[0]["content"]}
        else:
            path, most, logprobs = "chat/completions", self.probe.most, True
            ask = {"messages": [dict(m) for m in request.messages]}
        body = openai_wire.generate_body(self.name, ask, request.settings, request.seed, most)
        body |= self.probe.neutral
        if path.partition("/")[0] in self.probe.scores:
            body["logprobs"] = logprobs
        return Job(request, path, body)

    def generated(self, request: Request, key: str, payload: Mapping[str, Any]) -> Answer:
        """The text. Raises WireError."""
        made = openai_wire.generated(payload, request.settings)
        asked = len(request.prompt_ids or ())
        tokens_in, tokens_out = openai_wire.used(payload, asked, len(made.logprobs))
        if tokens_in < asked:
            raise WireError(f"it read {tokens_in} of the prompt's {asked} tokens: truncated")
        return Answer(
            key=key,
            text=made.text,
            token_logprobs=made.logprobs,
            token_ranks=made.ranks,
            greedy=not any(made.ranks) if made.ranks else None,
            trace=made.trace,
            finish=made.finish,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
        )

    def describe(self, scores: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """(BOS, template and tokenizer as a `Description` has them, detail with how questions are put): ours where ids
        are asked, else the server's."""
        prompts = "text" if self.encoder is None else "token ids"
        asks = {
            "loglikelihood": f"{prompts} with {self.probe.way}" if scores else None,
            "generate": "chat, each prompt as one user message" if self.wraps else prompts,
        }
        if self.encoder is not None:
            return self.encoder.describe(), {"asks": asks, **self.encoder.other_tokens()}
        who = "the server"
        template = Template(policy=self.ask.template, has_one=self.probe.chat, applied=self.wraps, by=who)
        fields = {"tokenizer": Tokenizer(by=who), "bos": Bos(policy=self.ask.bos, by=who), "template": template}
        return fields, {"asks": asks}


def unaskable(request: Request) -> str | None:
    """Why an encoded request alone cannot be answered. Raises ModelError for one that was not encoded."""
    scores, text = request.kind == "loglikelihood", request.prompt_ids is None
    if text and not request.messages:
        raise ModelError("a request was asked before `encode` gave it token ids or messages")
    if request.observe:
        return f"a server shows no internals ({', '.join(request.observe)})"
    if not text and not request.prompt_ids:
        return "an empty prompt, and the tokenizer has neither BOS nor EOS to stand for it"
    if not scores:
        return None
    if not (request.messages[-1]["content"] if text else request.continuation_ids):
        return "the continuation is empty"
    if text and not request.messages[0]["content"]:
        return "an empty prompt: its first token has no log-probability; name a `tokenizer`"
    return None


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
