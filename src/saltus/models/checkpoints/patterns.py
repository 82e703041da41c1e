"""Patterns such as `runs/seed{seed}/step-{step}`: what they match and the coordinates they capture.

Shared by the sources that name many models at once. `{step}`, `{tokens}`, `{params}`, `{flops}` and `{loss}`
match numbers only, so `checkpoint-{step}` does not match `checkpoint-last`; sizes may be written `70m` or
`1.4b`. Any other name matches any text within one path component, and its value is a number where it reads as
one. `*` matches without capturing. A name that stands twice must match the same text twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from saltus.errors import UserError, nearest
from saltus.records import ModelRef

NUMERIC = ("step", "tokens", "params", "flops", "loss")
_SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_SIZED = re.compile(rf"({_NUMBER})([kKmMbBgGtT]?)")
_HOLE = re.compile(r"\{(\w+)\}|\*")
ORDER = ("seed", "step", "tokens", "flops", "date")
"""The coordinates by which the checkpoints of one model are sorted, first to last; models go by params."""
_PLACES = "step|seed|checkpoint|ckpt|tokens|iter|global_step"


def names_in(pattern: str, where: str = "") -> list[str]:
    """The captured names, in order. Raises UserError for braces that are not `{name}`."""
    if re.search(r"[{}]", _HOLE.sub("", pattern)):
        raise UserError(
            f"`{pattern}` has braces that are not of the form {{name}}",
            where=where,
            wanted="letters, digits and _ between braces, e.g. `step-{step}`",
        )
    return list(dict.fromkeys(m[1] for m in _HOLE.finditer(pattern) if m[1]))


def has_holes(pattern: str) -> bool:
    """Whether the pattern captures or matches anything beyond its own text."""
    return _HOLE.search(pattern) is not None


def match(pattern: str, text: str) -> dict[str, str] | None:
    """Captured name -> text where the whole text matches; None where it does not."""
    found = re.fullmatch(_regex(pattern), text)
    return found.groupdict() if found else None


def _regex(pattern: str) -> str:
    parts, seen, end = [], set(), 0
    for hole in _HOLE.finditer(pattern):
        parts.append(re.escape(pattern[end : hole.start()]))
        name, end = hole[1], hole.end()
        if name is None:
            parts.append(r"[^/]*")
        elif name in seen:
            parts.append(rf"(?P={name})")
        else:
            seen.add(name)
            inner = rf"{_NUMBER}[kKmMbBgGtT]?" if name in NUMERIC else r"[^/]+?"
            parts.append(rf"(?P<{name}>{inner})")
    return "".join(parts) + re.escape(pattern[end:])


def value(name: str, text: str) -> float | str:
    """A captured text as a coordinate: a number where it reads as one, whole numbers as int."""
    sized = _SIZED.fullmatch(text)
    if sized is None or (sized[2] and name not in NUMERIC):
        return text
    number = float(sized[1]) * _SUFFIXES.get(sized[2].lower(), 1.0)
    return int(number) if number.is_integer() else number


def fill(pattern: str, captured: Mapping[str, str]) -> str:
    """The pattern with known captures written in; unknown ones stay."""
    return _HOLE.sub(lambda m: captured.get(m[1], m[0]) if m[1] else m[0], pattern)


def label(pattern: str) -> str:
    """A name for all that a pattern matches: its last component that says more than a hole, cut before the hole.

    `EleutherAI/pythia-{params}` gives `pythia`, `runs/seed{seed}/step-{step}` gives `runs`, `{step}` gives "".
    """
    parts = []
    for component in pattern.split("/"):
        hole = _HOLE.search(component)
        if hole:
            component = re.sub(rf"[-_.]*({_PLACES})?[-_.=]*$", "", component[: hole.start()])
        if component.strip("."):
            parts.append(component)
    return parts[-1] if parts else ""


def chosen(captured: Mapping[str, str], options: Mapping[str, Any]) -> bool:
    """Whether captures are among the values an entry lists for them (`step: [0, 512, 1000]`)."""
    for name, wanted in options.items():
        if name in captured and isinstance(wanted, list):
            here = value(name, captured[name])
            if here not in [value(name, str(one)) for one in wanted]:
                return False
    return True


def check_options(options: Mapping[str, Any], names: Sequence[str], known: Sequence[str], where: str) -> None:
    """Raises UserError for a key of an entry that means nothing to its source."""
    for key, given in options.items():
        if key in known or (key in names and isinstance(given, list)):
            continue
        raise UserError(
            f"unknown key `{key}`",
            where=where,
            wanted=nearest(key, (*known, *names)),
            do="remove it; coordinates of your own are captured with {name} or stated in series.yaml",
        )


def complete(ref: ModelRef, *, tokens_per_step: float | None = None) -> ModelRef:
    """The ref with tokens and flops computed where they are absent; `recipe["derived"]` says which, and how.

    tokens = step × tokens_per_step; flops = 6 · params · tokens (Kaplan et al. 2020, training cost without attention).
    """
    coords, derived = dict(ref.coords), dict(ref.recipe.get("derived", {}))
    step, params = coords.get("step"), coords.get("params")
    if "tokens" not in coords and tokens_per_step is not None and isinstance(step, (int, float)):
        coords["tokens"] = step * tokens_per_step
        derived["tokens"] = f"step × {tokens_per_step:g} tokens per step"
    tokens = coords.get("tokens")
    if "flops" not in coords and isinstance(tokens, (int, float)) and isinstance(params, (int, float)):
        coords["flops"] = 6 * params * tokens
        derived["flops"] = "6 · params · tokens"
    recipe = {**ref.recipe, "derived": derived} if derived else ref.recipe
    return replace(ref, coords=coords, recipe=recipe)


def in_order(refs: Sequence[ModelRef]) -> list[ModelRef]:
    """Sorted along the series: by model (the smallest first), seed, then training. Numbers come before text.

    A checkpoint whose parameters could not be counted stays among those of its model.
    """
    sizes: dict[Any, float] = {}
    for ref in refs:
        model, params = ref.coords.get("model"), ref.coords.get("params")
        if isinstance(params, (int, float)):
            sizes[model] = min(params, sizes.get(model, params))

    def key(ref: ModelRef) -> tuple[Any, ...]:
        values = [ref.coords.get(name) for name in ORDER]
        keyed = [(v is None, isinstance(v, str), v if v is not None else 0) for v in values]
        model = ref.coords.get("model")
        return (sizes.get(model, 0), str(model), *keyed, ref.location, ref.revision or "")

    return sorted(refs, key=key)
