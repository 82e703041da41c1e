"""What a server can be trusted with, found out before a study rests on it.

Servers without log-probabilities of prompts answer such questions all the same, with those of what they generated,
with constants, or for another text than was asked, and a benchmark then reads chance where a model is able (llama.cpp
issue 27174; vLLM's `echo` and lm-eval 1411, 1949). So two sentences that end alike are scored first, several times,
and every property a log-likelihood rests on is looked at: as many numbers as tokens; not constant, and another number
after another beginning; probabilities that sum to at most one, with the most likely token among those shown; the same
number again; tokens that spell the text and are as many as the local tokenizer makes. One that fails, and the model
offers no log-likelihoods; `lines` says what was seen.

Limits: some twenty short questions, in English; a server that changes its behaviour with length, load or time is not
found out here, though each answer is read strictly later on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import exp
from typing import Any

from saltus.models.base import ModelError
from saltus.models.local.encoding import Encoder
from saltus.models.server.client import Client
from saltus.models.server.failures import ServerError
from saltus.models.server.habits import manners
from saltus.models.server.probe_requests import TEXTS, Line, Server, again, job, line_of, outcome
from saltus.models.server.wire import Generated, Positions, Way, WireError, positions, score_body, spelled, used
from saltus.records import Request

TOP = 5
"""Most likely tokens wanted with every position: what the strictest servers give."""
_SUM = 1e-3
"""How far rounding may carry a sum of probabilities above one."""
_SPREAD = 1e-2
"""Nats: log-probabilities of a dozen tokens that lie closer together are one constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found; every field follows from `lines` and is what the adapter acts on."""

    lines: tuple[Line, ...] = ()
    completions: bool = False
    chat: bool = False
    takes_ids: bool = False
    most: str = "max_tokens"
    """The chat endpoint's name for the most tokens wanted."""
    way: Way | None = None
    """How the prompt's log-probabilities are had; None where there are none to trust."""
    why_not: str = ""
    """Why there are no log-likelihoods."""
    noise: float | None = None
    """Nats per token by which the same question asked again differed at most."""
    scores: frozenset[str] = frozenset()
    """Of "completions" and "chat", those that tell the log-probabilities of generated tokens."""
    neutral: Mapping[str, float] = field(default_factory=dict)
    """Keys sent with every generation, so that the server adds no penalty and no filter of its own."""
    fingerprints: tuple[str, ...] = ()
    """Every `system_fingerprint` seen."""
    served: tuple[str, ...] = ()
    """Every model name seen in answers."""

    def plain(self) -> list[dict[str, Any]]:
        """The lines as data."""
        return [asdict(line) for line in self.lines]


def probe(client: Client, name: str, encoder: Encoder | None, *, tolerance: float = 0.1, score: str = "auto") -> Probe:
    """Looks at one model of a server. encoder: the local tokenizer without a chat template, where one was named.

    tolerance: nats per token by which an answer may differ when asked again. score: "auto", a `Way`, or "none".
    Raises ModelError where the server cannot be reached, rejects the key, or answers neither endpoint.
    """
    server = Server(client, name)
    found, usage, spoken = _endpoints(server, encoder)
    if not found.completions and not found.chat:
        seen = "; ".join(line.seen for line in found.lines)
        hint = "" if client.url.partition("?")[0].endswith("/v1") else "; most servers want an address that ends in /v1"
        raise ModelError(f"{client.url}: the model {name} answers at neither endpoint: {seen}{hint}")
    if score == "none":
        found = replace(found, why_not="`score: none` in the models entry")
    elif not found.completions:
        found = replace(found, why_not="there is no /completions, and chat tells nothing of a prompt")
    else:
        found = _scoring(server, found, encoder, (usage, spoken), (tolerance, score))
    fingerprints, served = (tuple(sorted(c)) for c in server.marks)
    return replace(found, fingerprints=fingerprints, served=served)


def _endpoints(server: Server, encoder: Encoder | None) -> tuple[Probe, int | None, tuple[str, ...]]:
    """What generates, the tokens that the server counts in the first text, and how it goes on after that."""
    plain, chat = {"prompt": TEXTS[0]}, {"messages": [{"role": "user", "content": TEXTS[0]}]}
    jobs = [job(server, plain), job(server, plain), job(server, chat)]
    if encoder is not None:
        jobs.append(job(server, {"prompt": list(_ids(encoder, TEXTS[0]))}))
    first, second, talk, *by_ids = server.ask(*jobs)
    most = "max_tokens"
    if talk.error is not None and "max_completion_tokens" in str(talk.error):
        most = "max_completion_tokens"
        (talk,) = server.ask(job(server, chat, most=most))
    completions, chats = outcome(first), outcome(talk)
    lines = [line_of("completions", completions), line_of("chat", chats)]
    takes = False
    if by_ids:
        line = line_of("token ids", outcome(by_ids[0]))
        lines.append(line)
        takes = line.passed is True
    found = Probe(
        completions=isinstance(completions, Generated), chat=isinstance(chats, Generated), takes_ids=takes, most=most
    )
    if found.completions and not isinstance(second.error, ServerError):
        same = outcome(second) == completions
        lines.append(Line("repeat", same, "a greedy answer " + again(same)))
    seen, scores, neutral = manners(server, (found.completions, found.chat), most)
    usage = used(first.payload, -1, 0)[0] if first.payload else -1
    found = replace(found, lines=(*lines, *seen), scores=scores, neutral=neutral)
    spoken: tuple[str, ...] = ()
    if "completions" in scores:
        first_ids = {"prompt": list(_ids(encoder, TEXTS[0]))} if encoder and takes else plain
        path, body = job(server, first_ids)
        spoken = spelled(server.ask((path, {**body, "logprobs": 1, **neutral}))[0].payload or {})
    return found, usage if usage >= 0 else None, spoken


def _scoring(
    server: Server,
    found: Probe,
    encoder: Encoder | None,
    of_first: tuple[int | None, tuple[str, ...]],
    choice: tuple[float, str],
) -> Probe:
    """Tries each way of having a prompt's log-probabilities until one passes every line."""
    (tolerance, score), (usage, spoken) = choice, of_first
    by_ids = encoder is not None and found.takes_ids
    prompts: list[Any] = [list(_ids(encoder, t)) if encoder and by_ids else t for t in TEXTS]
    ways: tuple[Way, ...] = ("prompt_logprobs", "echo") if by_ids else ("echo",)
    lines = list(found.lines)
    why = []
    for way in ways:
        if score not in ("auto", way):
            continue
        seen, noise, scores = _examined(server, way, prompts, tolerance)
        if scores is not None:
            seen.append(_tokenizer(scores, by_ids, encoder, usage))
            seen.append(_follows(server, way, encoder if by_ids else None, spoken))
        lines += [replace(line, name=f"{way}: {line.name}") for line in seen]
        failed = [line for line in seen if line.passed is False]
        if not failed:
            return replace(found, lines=tuple(lines), way=way, noise=noise)
        why.append(f"{way}: {failed[0].seen}")
    reasons = "; ".join(why) or f"`score: {score}` needs a `tokenizer` whose ids the server takes"
    return replace(found, lines=tuple(lines), why_not=reasons)


def _examined(
    server: Server, way: Way, prompts: Sequence[Any], tolerance: float
) -> tuple[list[Line], float | None, Positions | None]:
    """(lines, noise, scores of the first prompt). Lengths first; the others only of numbers that are there."""
    bodies = [score_body(server.name, p, way, TOP) for p in (*prompts, prompts[0])]
    replies = server.ask(*[("completions", body) for body in bodies])
    replies += server.ask(("completions", bodies[0]))  # once more, alone
    asked = (*prompts, prompts[0], prompts[0])
    scores: list[Positions] = []
    for reply, prompt in zip(replies, asked, strict=True):
        try:
            if reply.payload is None:
                raise WireError(str(reply.error))
            scores.append(positions(reply.payload, way, prompt))
            scores[-1].cut(1, _count(scores[-1], prompt))
        except WireError as error:
            return [Line("lengths", False, str(error), True)], None, None
    counts = [_count(t, p) for t, p in zip(scores, asked, strict=True)]
    if len({counts[0], *counts[2:]}) > 1:
        seen = f"{counts[0]}, then {counts[2]} and {counts[3]} tokens of one text"
        return [Line("lengths", False, seen, True)], None, None
    lines = [Line("lengths", True, f"{counts[0]} and {counts[1]} tokens, as many as asked", True)]
    values = [t.cut(1, n)[0] for t, n in zip(scores, counts, strict=True)]
    noise = max(abs(a - b) for other in values[2:] for a, b in zip(values[0], other, strict=True))
    lines.append(_varied(values))
    lines.append(_summed([(t, n) for t, n in zip(scores, counts, strict=True)]))
    seen = f"asked three times, a log-probability moved by {_rounded(noise)} nats (at most {tolerance:g})"
    lines.append(Line("again", noise <= tolerance, seen, True))
    return lines, noise, scores[0]


def _count(scores: Positions, prompt: Any) -> int:
    return len(scores.logprobs) if isinstance(prompt, str) else len(prompt)


def _varied(values: Sequence[Sequence[float]]) -> Line:
    """Numbers differ between tokens, and between beginnings."""
    pooled = [v for one in values[:2] for v in one]
    if max(pooled) - min(pooled) < _SPREAD:
        return Line("not constant", False, f"every log-probability is {pooled[0]:g}", True)
    shared = min(len(values[0]), len(values[1]), 6)
    tails = [one[-shared:] for one in values[:2]]
    if tails[0] == tails[1]:
        return Line("not constant", False, "the numbers do not depend on what stands before them", True)
    return Line("not constant", True, f"from {min(pooled):.2f} to {max(pooled):.2f} nats", True)


def _summed(scores: Iterable[tuple[Positions, int]]) -> Line:
    """Shown probabilities sum to at most one, and no token is likelier than the most likely one."""
    heaviest, shown = 0.0, False
    for positions_, n in scores:
        for i in range(1, n):
            own = float(positions_.logprobs[i])
            top = {k: float(v) for k, v in (positions_.tops[i] or {}).items()}
            shown = shown or bool(top)
            listed = any(abs(v - own) < 1e-6 for v in top.values())
            mass = sum(map(exp, top.values())) + (0.0 if listed else exp(own))
            heaviest = max(heaviest, mass)
            if top and own > max(top.values()) + 1e-4:
                seen = "a token is likelier than the most likely one shown"
                return Line("probabilities", False, seen, True)
    seen = f"those shown sum to at most {heaviest:.4f}"
    if not shown:
        seen += "; without `top_logprobs` ranks and greedy flags are unknown"
    return Line("probabilities", heaviest <= 1 + _SUM, seen, True)


def _tokenizer(scores: Positions, by_ids: bool, encoder: Encoder | None, usage: int | None) -> Line:
    """The server reads our ids as the text we mean, and cuts that text as we do."""
    name = "local tokenizer"
    if encoder is None:
        return Line(name, None, "none was named: text is asked, and the server cuts it")
    ids = _ids(encoder, TEXTS[0])
    own = len(encoder.prefix) if ids[: len(encoder.prefix)] == encoder.prefix else 0
    plain = len(ids) - own
    compared = []
    spelled = _letters("".join(t or "" for t in scores.tokens[1:plain]))
    if by_ids and spelled:
        if spelled not in _letters(TEXTS[0]):
            return Line(name, False, f"the server reads its ids as `{spelled[:40]}…`", True)
        compared.append("the server spells its ids as the text asked")
    counted = usage if by_ids else len(scores.logprobs)
    if counted is not None:
        if counted not in (plain, plain + 1):  # with or without BOS
            seen = f"the server makes {counted} tokens of a text that it cuts into {plain}"
            return Line(name, False, seen, True)
        compared.append(f"the server makes {counted} tokens of a text that it cuts into {plain}")
    if not compared:
        return Line(name, False, "the server tells neither tokens nor `usage` to compare", True)
    return Line(name, True, " and ".join(compared), True)


def _follows(server: Server, way: Way, encoder: Encoder | None, spoken: tuple[str, ...]) -> Line:
    """What the server says greedily is likely where it scores it: numbers that stand one token off are not."""
    name, text = "what it generates", TEXTS[0] + "".join(spoken)
    if not spoken:
        return Line(name, None, "it does not spell the tokens that it generates")
    prompt: Any = text if encoder is None else list(_ids(encoder, text))
    (reply,) = server.ask(("completions", score_body(server.name, prompt, way, TOP)))
    try:
        scores = positions(reply.payload or {}, way, prompt)
        stop = _count(scores, prompt)
        _, ranks = scores.cut(stop - len(spoken), stop)
    except WireError as error:
        return Line(name, None, str(error))
    if tuple(scores.tokens[stop - len(spoken) : stop]) != spoken or not ranks:
        return Line(name, None, "its tokens are others when it reads them, or it shows no `top_logprobs`")
    hits = sum(not rank for rank in ranks)
    seen = f"of {len(ranks)} tokens that it generated, {hits} are the most likely where it scores them"
    return Line(name, 2 * hits >= len(ranks), seen, True)


def _ids(encoder: Encoder, text: str) -> tuple[int, ...]:
    return encoder.encode(Request(kind="generate", prompt=text)).prompt_ids or ()


def _letters(text: str) -> str:
    """Without white space, which servers spell in their own ways."""
    return "".join(text.replace("Ġ", "").replace("▁", "").replace("Ċ", "").split())


def _rounded(value: float) -> str:
    """Two digits, so that a probe's words are the same from run to run where the server is."""
    return "0" if value == 0 else f"{value:.2g}"
