"""The wire format of OpenAI-compatible servers: bodies to send, and what comes back read strictly.

Servers differ in details: vLLM gives `prompt_logprobs`, llama.cpp writes completions' log-probabilities in the form of
chat, reasoning goes by two names. Everything is read here, nothing is guessed: an answer that is not what was asked
for raises WireError, which becomes a stored failure. Formats: OpenAI API reference, completions and chat; vLLM,
OpenAI-compatible server, extra parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from saltus.records import Settings

Way = Literal["prompt_logprobs", "echo"]
"""How a server tells the log-probabilities of a prompt."""
MOST_STOPS = 4
"""Stop strings that OpenAI takes; further ones are cut here."""
_ABOVE_ZERO = 1e-3
"""Nats by which rounding may lift a log-probability above 0."""


class WireError(Exception):
    """A JSON object that is not the answer to what was asked."""


@dataclass(frozen=True, slots=True)
class Positions:
    """What a server says of every token of a prompt; None where it says nothing (always the first token)."""

    logprobs: Sequence[Any]
    tops: Sequence[Mapping[str, float] | None]
    """The most likely tokens there, by text or by id, with their log-probabilities."""
    tokens: Sequence[str | None]
    ranks: Sequence[int | None] | None = None
    """0 for the most likely; None where only `tops` can tell."""

    def cut(self, start: int, stop: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Log-probabilities and ranks of tokens start to stop; no ranks where one is unknown. Raises WireError.

        A rank that follows from `tops` alone is 0 for the most likely token and 1 for any other.
        """
        logprobs = []
        for value in self.logprobs[start:stop]:
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise WireError(f"a log-probability is {value!r} instead of a number")
            if value > _ABOVE_ZERO:
                raise WireError(f"a log-probability is {value:g}, above 0")
            logprobs.append(min(0.0, float(value)))
        ranks = [self._rank(i, value) for i, value in enumerate(logprobs, start)]
        known = tuple(r for r in ranks if r is not None)
        return tuple(logprobs), known if len(known) == len(ranks) else ()

    def _rank(self, i: int, logprob: float) -> int | None:
        if self.ranks is not None and self.ranks[i] is not None:
            return self.ranks[i]
        top = self.tops[i]
        return int(max(top.values()) > logprob + 1e-9) if top else None


def score_body(model: str, prompt: Any, way: Way, top: int = 1) -> dict[str, Any]:
    """Asks for the log-probabilities of a prompt (token ids or text). One token is generated and thrown away."""
    body = {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0}
    if way == "prompt_logprobs":
        return {**body, "prompt_logprobs": top}
    return {**body, "echo": True, "logprobs": top}


def generate_body(
    model: str, ask: Mapping[str, Any], settings: Settings, seed: int | None, most: str
) -> dict[str, Any]:
    """ask: {"prompt": ids or text} or {"messages": […]}; most: the server's name for `max_tokens`.

    The seed is cut to 31 bits, the widest that every server takes.
    """
    body = {"model": model, **ask, most: settings.max_tokens, "temperature": settings.temperature}
    if settings.top_p != 1.0 or settings.temperature:  # a server's own default may be smaller than 1
        body["top_p"] = settings.top_p
    stops = [s for s in settings.stop if s][:MOST_STOPS]
    if stops:
        body["stop"] = stops
    if seed is not None:
        body["seed"] = seed & 0x7FFFFFFF
    return body


def positions(payload: Mapping[str, Any], way: Way, prompt: Sequence[int] | str) -> Positions:
    """What the server says of the prompt's tokens. Raises WireError unless there are as many as the ids.

    With `echo` one more token is the generated one. For text the tokens that follow it are left out.
    """
    if way == "prompt_logprobs":
        return _prompt_logprobs(payload, prompt)
    scored = _logprobs(payload)
    if isinstance(prompt, str):
        return _within(scored, prompt, used(payload, -1, 0)[0])
    if len(scored.logprobs) not in (len(prompt), len(prompt) + 1):
        raise WireError(
            f"{len(scored.logprobs)} log-probabilities where a prompt of {len(prompt)} tokens and one generated token "
            f"have {len(prompt) + 1}"
        )
    return scored


def seam(scored: Positions, prompt: str, continuation: str) -> int:
    """The index of the first token of the continuation. Raises WireError where none begins there.

    Found by spelling the continuation from the end, or the prompt from its beginning: one of them may hold characters
    that are cut into several tokens, which servers cannot spell. Offsets are not used, as servers count them wrongly.
    """
    tokens = [t or "" for t in scored.tokens]
    after = ""
    for start in range(len(tokens) - 1, -1, -1):
        after = tokens[start] + after
        if after == continuation:
            return start
    before = ""
    for start, token in enumerate(tokens):
        if before and before.endswith(prompt):
            return start
        before += token
    raise WireError(
        "its tokens do not part between prompt and continuation; name a `tokenizer` in the models entry so that token "
        "ids are asked"
    )


def _prompt_logprobs(payload: Mapping[str, Any], prompt: Sequence[int] | str) -> Positions:
    if isinstance(prompt, str):
        raise WireError("`prompt_logprobs` cannot be distinguished without token ids")
    rows = _choice(payload).get("prompt_logprobs") or payload.get("prompt_logprobs")
    if not isinstance(rows, list):
        raise WireError("no `prompt_logprobs` in the answer")
    if len(rows) != len(prompt):
        raise WireError(f"{len(rows)} prompt log-probabilities for {len(prompt)} tokens")
    logprobs: list[Any] = []
    tops: list[Mapping[str, float] | None] = []
    tokens: list[str | None] = []
    ranks: list[int | None] = []
    for i, (row, token) in enumerate(zip(rows, prompt, strict=True)):
        mine = row.get(str(token)) if isinstance(row, dict) else None
        if not isinstance(mine, dict):
            if i and row is not None:
                raise WireError(f"no log-probability of token {token}, the one asked about")
            mine = {}
        rank = mine.get("rank")
        logprobs.append(mine.get("logprob"))
        tops.append({k: v.get("logprob") for k, v in row.items()} if row else None)
        tokens.append(mine.get("decoded_token"))
        ranks.append(rank - 1 if isinstance(rank, int) and rank > 0 else None)
    return Positions(logprobs, tops, tokens, ranks=ranks)


def _logprobs(payload: Mapping[str, Any]) -> Positions:
    """Of a completion: `token_logprobs` with `top_logprobs`, or the form of chat."""
    scored = _choice(payload).get("logprobs")
    if not isinstance(scored, dict):
        raise WireError("no `logprobs` in the answer")
    if isinstance(scored.get("content"), list):
        return _chat_logprobs(scored["content"])
    values = scored.get("token_logprobs")
    if not isinstance(values, list):
        raise WireError("no `token_logprobs` in the answer")
    n = len(values)
    tokens, tops = scored.get("tokens"), scored.get("top_logprobs")
    return Positions(
        values,
        tops if isinstance(tops, list) and len(tops) == n else [None] * n,
        tokens if isinstance(tokens, list) and len(tokens) == n else [None] * n,
    )


def spelled(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The tokens of a completion as the server spells them; none where it does not."""
    try:
        tokens = _logprobs(payload).tokens
    except WireError:
        return ()
    known = tuple(token for token in tokens if isinstance(token, str))
    return known if len(known) == len(tokens) else ()


def _chat_logprobs(content: Sequence[Any]) -> Positions:
    try:
        tops = [{t["token"]: t["logprob"] for t in c.get("top_logprobs") or ()} for c in content]
        return Positions([c["logprob"] for c in content], tops, [c.get("token") for c in content])
    except (TypeError, KeyError, AttributeError) as error:
        raise WireError(f"`logprobs.content` has an entry without {error}") from error


def _within(scored: Positions, text: str, counted: int) -> Positions:
    """The tokens of the text and of what the server puts before it, without the generated one.

    counted: tokens of the prompt by the server's own count, -1 where it does not tell; needed only for a text that its
    tokens do not spell.
    """
    n = len(scored.logprobs)
    spelled = [t for t in scored.tokens if t is not None]
    for size in (n - 1, n):
        if len(spelled) == n and "".join(spelled[:size]).endswith(text):
            counted = size
            break
    else:
        if text.isascii() or counted not in (n - 1, n):
            raise WireError("its tokens do not spell the prompt: it does not echo what it was asked")
    return Positions(scored.logprobs[:counted], scored.tops[:counted], scored.tokens[:counted])


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated answer."""

    text: str
    finish: str
    logprobs: tuple[float, ...] = ()
    ranks: tuple[int, ...] = ()
    trace: str | None = None


def generated(payload: Mapping[str, Any], settings: Settings) -> Generated:
    """Text cut at the first stop string, how it ended, log-probabilities where given. Raises WireError."""
    choice = _choice(payload)
    message = choice.get("message")
    trace = None
    if isinstance(message, dict):
        text = _spoken(message)
        trace = message.get("reasoning_content") or message.get("reasoning")
        if text is None and trace is None:
            raise WireError("a message without content")
    else:
        text = choice.get("text")
        if not isinstance(text, str):
            raise WireError("a choice without text")
    ended = choice.get("finish_reason")
    if ended == "content_filter":
        raise WireError("the server withheld the answer (content filter)")
    text = text or ""
    finish = "length" if ended == "length" else "stop" if settings.stop else "eos"
    found = [at for stop in settings.stop if stop and (at := text.find(stop)) >= 0]
    if found:
        text, finish = text[: min(found)], "stop"
    logprobs, ranks = _spoken_logprobs(choice, payload)
    return Generated(text, finish, logprobs, ranks, trace if isinstance(trace, str) else None)


def _spoken(message: Mapping[str, Any]) -> str | None:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    if isinstance(content, str):
        return content
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) else None


def _spoken_logprobs(
    choice: Mapping[str, Any], payload: Mapping[str, Any]
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    if not isinstance(choice.get("logprobs"), dict):
        return (), ()
    scored = _logprobs(payload)
    return scored.cut(0, len(scored.logprobs))


def _choice(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise WireError("no `choices` in the answer")
    return choices[0]


def used(payload: Mapping[str, Any], tokens_in: int, tokens_out: int) -> tuple[int, int]:
    """(prompt, completion) tokens as the server counted them, else the given counts."""
    usage = payload.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    read, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (read if isinstance(read, int) else tokens_in, made if isinstance(made, int) else tokens_out)


def mark(payload: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(system_fingerprint, model) as the server states them; None for what it does not."""
    found, served = payload.get("system_fingerprint"), payload.get("model")
    return (str(found) if found else None, str(served) if served else None)
