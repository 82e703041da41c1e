"""The known truth behind a scripted series: curves, oracles, and the faults it can be given."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from saltus.errors import UserError, nearest

Oracle = Callable[[str], str | None]
Curve = Callable[["Script", float], tuple[float, float]]
"""(script, place in 0..1 from first to last, log10) -> (accuracy, mean log-probability per token in nats)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong; not part of the identity, so a run with faults is resumed by one without.

    Positions count the answers of one opened model from 0.
    """

    open_error: bool = False
    """Opening raises ModelError, as a half-written checkpoint does."""
    raise_at: int | None = None
    """ModelError instead of this answer: no more can come."""
    crash_at: int | None = None
    """RuntimeError instead of this answer: a fault nobody planned."""
    kill_at: int | None = None
    """SIGKILL to this process instead of this answer."""
    fail_at: tuple[int, ...] = ()
    """These answers carry `error`; the others come."""
    nan_at: tuple[int, ...] = ()
    """These answers carry NaN log-probabilities, as no adapter should let through."""
    fail_times: int = 0
    """The first so many calls to a model of this identity raise ModelError (counted per process)."""
    sleep: float = 0.0
    """Seconds before each answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The known truth of a scripted series, and how it misbehaves."""

    curve: str = "leap"
    """A name in `CURVES`, or `package.module:function` of type `Curve`."""
    axis: str = "tokens"
    points: int = 21
    first: float = 1e6
    last: float = 1e9
    seeds: tuple[int, ...] = (0,)
    params: float = 1e6
    tokens: float = 1e9
    """Training tokens of every model where the axis is params."""
    untrained: bool = False
    floor: float = 0.0
    ceiling: float = 0.95
    midpoint: float = 0.5
    """Where the rise is half done, as a share of log10(first)..log10(last)."""
    width: float = 0.02
    """10–90 % width of a leap, as the same share."""
    answer_length: int = 12
    """`artefact`: all of so many tokens must be right."""
    oracle: str = "saltus.testing:right_answer"
    offers: tuple[str, ...] = ("loglikelihood", "generate", "chat")
    tally: str | None = None
    """A file that gets one line (the answer's key) per answer given, even if the process is killed after."""
    faults: Faults = field(default_factory=Faults)


def _rise(script: Script, place: float, width: float) -> float:
    """A logistic from 0 to 1 whose 10–90 % width is given."""
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, 4.394 * (place - script.midpoint) / width))))


def _leap(script: Script, place: float) -> tuple[float, float]:
    up = _rise(script, place, script.width)
    return script.floor + (script.ceiling - script.floor) * up, -3.0 + 2.8 * up


def _smooth(script: Script, place: float) -> tuple[float, float]:
    up = _rise(script, place, 0.9)
    return script.floor + (script.ceiling - script.floor) * up, -3.0 + 2.8 * up


def _artefact(script: Script, place: float) -> tuple[float, float]:
    """Each token's probability climbs steadily; the answer needs all of them, so exact match leaps."""
    token = 0.15 + 0.84 * max(0.0, min(1.0, place))
    hard = token**script.answer_length
    return script.floor + (script.ceiling - script.floor) * hard, math.log(token)


def _flat(script: Script, place: float) -> tuple[float, float]:
    return script.floor, -3.0


def _falling(script: Script, place: float) -> tuple[float, float]:
    down = 1 - _rise(script, place, 0.3)
    return script.floor + (script.ceiling - script.floor) * down, -3.0 + 2.8 * down


CURVES: dict[str, Curve] = {"leap": _leap, "smooth": _smooth, "artefact": _artefact, "flat": _flat, "falling": _falling}

_SUM = re.compile(r"(\d+) \+ (\d+) =?\s*$")
"""With spaces: the addition task writes `12+7=`, whose digits may be reversed, which is not ours to know."""


def right_answer(prompt: str) -> str | None:
    """The oracle of toy prompts (`copy: 4821 =`) and of plain sums (`12 + 7 =`); the last line counts."""
    start = prompt.rfind("copy: ")
    if start >= 0:
        return prompt[start + 6 :].split(" =", 1)[0]
    found = _SUM.search(prompt)
    return str(int(found[1]) + int(found[2])) if found else None


def named(name: str, known: Mapping[str, Any], where: str) -> Any:
    if name in known:
        return known[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise UserError(f"unknown curve `{name}`", where=where, wanted=nearest(name, known))
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"`{name}`: {error}", where=where, wanted="package.module:name") from error


def script_from(options: Mapping[str, Any], where: str) -> Script:
    known = {f.name for f in fields(Script)}
    for name in options:
        if name not in known:
            raise UserError(f"unknown option `{name}`", where=where, wanted=nearest(name, known))
    given = {name: _number(name, value, where) for name, value in options.items()}
    seeds = given.get("seeds", (0,))
    given["seeds"] = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    given["offers"] = tuple(given.get("offers", Script().offers))
    faults = given.get("faults", {})
    if not isinstance(faults, Faults):
        faults = {k: tuple(v) if isinstance(v, list) else v for k, v in dict(faults).items()}
        try:
            given["faults"] = Faults(**faults)
        except TypeError as error:
            raise UserError(
                f"faults: {error}", where=where, wanted="one of: " + ", ".join(f.name for f in fields(Faults))
            ) from error
    return Script(**given)


def _number(name: str, value: Any, where: str) -> Any:
    """value as a number where the script wants one: YAML reads 1e6 as text."""
    wanted = type(getattr(Script(), name))
    if wanted not in (int, float) or isinstance(value, bool):
        return value
    try:
        return wanted(float(value))
    except (TypeError, ValueError) as error:
        raise UserError(f"`{name}` is {value!r}", where=where, wanted="a number") from error
