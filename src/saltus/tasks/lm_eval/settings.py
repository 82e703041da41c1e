"""lm-eval's `generation_kwargs` as our settings, with the harness's defaults and names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saltus.errors import UserError
from saltus.records import Settings

MOST_TOKENS = 256
"""The harness's, where nothing is stated."""
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names of the longest answer; the first that is there holds."""
_OF_SAMPLING = frozenset({"top_k", "min_p", "typical_p", "seed"})
"""Without effect on greedy answers."""


def settings_of(kwargs: Mapping[str, Any], where: str) -> Settings:
    """Raises UserError for what our decoding does not offer and would change an answer."""
    given = dict(kwargs)
    sampled = given.pop("do_sample", None)
    temperature = float(given.pop("temperature", None) or 0.0) if sampled is not False else 0.0
    if sampled and not temperature:
        temperature = 1.0
    lengths = [given.pop(name) for name in _LENGTHS if name in given]
    until, top_p = given.pop("until", None) or [], float(given.pop("top_p", None) or 1.0)
    foreign = set(given) - (frozenset() if temperature else _OF_SAMPLING)
    if foreign:
        raise UserError(
            f"the generation arguments name {', '.join(sorted(foreign))}",
            where=where,
            wanted=f"until, do_sample, temperature, top_p, {_LENGTHS[0]}",
            do="take it out of the task, in a copy of its YAML under `include_path`",
        )
    stop = tuple(s for s in ([until] if isinstance(until, str) else until) if s)
    return Settings(
        max_tokens=int(next((n for n in lengths if n is not None), MOST_TOKENS)),
        temperature=temperature,
        top_p=top_p if temperature else 1.0,
        stop=stop,
    )
