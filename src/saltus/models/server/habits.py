"""How a server generates: whether a seed fixes a sample, and whether greedy means the most likely token.

Servers have habits. llama.cpp's Python server divides the logits of words already used by 1.1 unless asked not to, and
keeps 40 tokens when it samples; vLLM takes such numbers from the model's generation_config.json. A greedy answer is
then not the model's. So keys that turn this off go along with every generation where the server takes them, and the
probe looks whether each greedy token was the most likely one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from saltus.models.server.probe_requests import SAMPLED, SHORT, TEXTS, Line, Server, again, job, outcome
from saltus.models.server.wire import Generated

REPEATS = "The capital of France is"
"""Goes on with words of its own, which a penalty on repetition forbids."""
_OFF = {"repeat_penalty": 1.0, "repetition_penalty": 1.0, "min_p": 0.0}
NEUTRAL: tuple[Mapping[str, float], ...] = ({**_OFF, "top_k": 0}, {**_OFF, "top_k": -1})
"""Penalties and filters turned off, as one server or another spells it."""


def manners(
    server: Server, found: tuple[bool, bool], most: str
) -> tuple[tuple[Line, ...], frozenset[str], Mapping[str, float]]:
    """(lines, the endpoints that tell the log-probabilities of what they generate, neutral keys that it takes).

    found: whether it answers completions, and chat; most: the chat endpoint's name for the most tokens wanted.
    """
    if not any(found):
        return (Line("seed", None, "nothing generates"),), frozenset(), {}
    names = [name for name, there in zip(("prompt", "messages"), found, strict=True) if there]
    neutral = next((keys for keys in NEUTRAL if _takes(server, names, most, keys)), {})
    sampled = [_asked(server, names[0], most, seed) for seed in (7, 7, 8, 9)]
    logged = [_logged(server, name, most, {}) for name in names]
    logged += [_logged(server, name, most, neutral) for name in names if neutral]
    outcomes = [outcome(reply) for reply in server.ask(*sampled, *logged)]
    scored = {
        path.partition("/")[0]: outcome_of
        for (path, _), outcome_of in zip(logged, outcomes[4:], strict=True)
        if isinstance(outcome_of, Generated) and outcome_of.logprobs
    }
    plain = next((s for s in outcomes[4:] if isinstance(s, Generated) and s.ranks), None)
    neutral_one = next(iter(scored.values()), None) if neutral else None
    return (_seed(outcomes[:4]), _greedy(plain, neutral_one)), frozenset(scored), neutral


def _ask(name: str, text: str) -> dict[str, Any]:
    return {"prompt": text} if name == "prompt" else {"messages": [{"role": "user", "content": text}]}


def _asked(server: Server, name: str, most: str, seed: int) -> tuple[str, dict[str, Any]]:
    named = most if name == "messages" else "max_tokens"
    return job(server, _ask(name, TEXTS[0]), SAMPLED, seed=seed, most=named)


def _logged(server: Server, name: str, most: str, keys: Mapping[str, float]) -> tuple[str, dict[str, Any]]:
    named = most if name == "messages" else "max_tokens"
    path, body = job(server, _ask(name, REPEATS), SHORT, most=named)
    return path, {**body, "logprobs": True if name == "messages" else 1, **keys}


def _takes(server: Server, names: Sequence[str], most: str, keys: Mapping[str, float]) -> bool:
    """Whether every endpoint answers a sampled question that has these keys."""
    jobs = [_asked(server, name, most, 7) for name in names]
    replies = server.ask(*[(path, {**body, **keys}) for path, body in jobs])
    return all(isinstance(outcome(reply), Generated) for reply in replies)


def _seed(outcomes: Sequence[Generated | str]) -> Line:
    """Where a seed does not fix a sample, samples cannot be made again; they are still samples."""
    failed = [s for s in outcomes if isinstance(s, str)]
    if failed:
        return Line("seed", False, failed[0])
    one, same, *others = (s.text for s in outcomes if isinstance(s, Generated))
    if all(other == one for other in (same, *others)):
        seen = "every seed gave the same text at temperature 1, which the server may ignore"
        return Line("seed", None, seen)
    return Line("seed", one == same, "a sampled answer with one seed " + again(one == same))


def _greedy(plain: Generated | None, neutral_one: Generated | None) -> Line:
    """Whether greedy tokens were the most likely ones, as the server asks by itself and with the neutral keys."""
    last = neutral_one if neutral_one is not None and neutral_one.ranks else plain
    if plain is None or last is None:
        return Line("greedy", None, "it tells no log-probabilities of what it generates")
    if any(last.ranks):
        seen = "a greedy answer holds a token that was not the most likely: the server changes what the model says"
        return Line("greedy", False, seen)
    turned = ", once the server's own penalty was turned off" if any(plain.ranks) else ""
    return Line("greedy", True, f"each token of an answer was the most likely one{turned}")
