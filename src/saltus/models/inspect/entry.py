"""What a study says of models behind Inspect: `inspect:provider/model` and the options beside it.

The name may have holes where the entry lists their values: `inspect:together/pythia-{params}` with
`params: [70m, 160m]`. Keys come from the environment, under the names that Inspect's providers know or under `key_env`;
nothing secret is stored.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from saltus.errors import MissingExtra, UserError, nearest
from saltus.models.checkpoints import patterns
from saltus.models.inspect.prices import price
from saltus.records import ModelRef, SeriesEntry

NUMBERS = {"concurrency": 1, "retries": 0, "timeout": 1}
"""Options that are whole numbers, and the smallest that makes sense."""
DEFAULTS = {"concurrency": 16, "retries": 6, "timeout": 600}
OPTIONS = (*NUMBERS, "base_url", "key_env", "args", "config", "price")
_OURS = frozenset(
    {
        "max_tokens",
        "temperature",
        "top_p",
        "stop_seqs",
        "seed",
        "max_connections",
        "max_retries",
        "timeout",
        "cache",
        "num_choices",
    }
)
"""Settings of Inspect's that a task, a study or an option of the entry states."""
_SECRET = re.compile(r"(?i).*(key|token|secret|password|credential)s?$")


def refs(entry: SeriesEntry) -> list[ModelRef]:
    """Every model that an entry names, sorted along the series. Raises UserError."""
    where = f"inspect:{entry.source}"
    provider, _, name = entry.source.partition("/")
    if not provider or not name or "{" in provider:
        raise UserError(
            f"`{entry.source}` names no model",
            where=where,
            wanted="inspect:provider/model, such as inspect:openai/gpt-4o-mini",
        )
    known = providers()
    if provider not in known:
        raise UserError(
            f"Inspect has no provider `{provider}`",
            where=where,
            wanted=nearest(provider, known),
            do="install the package that brings it, or fix the name",
        )
    names = patterns.names_in(name, where)
    patterns.check_options(entry.options, names, OPTIONS, where)
    options = _options(entry.options, where)
    found = [
        _ref(entry, provider, patterns.fill(name, captured), captured, options)
        for captured in _captures(entry, name, names, where)
    ]
    per_step = entry.tokens_per_step
    return patterns.in_order([patterns.complete(r, tokens_per_step=per_step) for r in found])


def providers() -> list[str]:
    """The providers Inspect knows, those of installed packages included. Raises MissingExtra."""
    try:
        import inspect_ai.model
        from inspect_ai._util.entrypoints import ensure_entry_points
        from inspect_ai._util.registry import registry_find, registry_info
    except ImportError as error:
        raise MissingExtra("`inspect:`", "inspect") from error
    assert inspect_ai.model
    ensure_entry_points()
    made = registry_find(lambda info: info.type == "modelapi")
    return sorted({registry_info(one).name.rpartition("/")[2] for one in made} - {"saltus", "none"})


def _captures(entry: SeriesEntry, name: str, names: list[str], where: str) -> Iterator[dict[str, str]]:
    if "*" in name or not all(isinstance(entry.options.get(n), list) for n in names):
        raise UserError(
            "a name with a hole that no list fills",
            where=where,
            wanted="for every {name} a list of values in the entry, e.g. `params: [70m, 160m]`",
        )
    for values in itertools.product(*(entry.options[n] for n in names)):
        yield {n: str(value) for n, value in zip(names, values, strict=True)}


def _options(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options that were given, checked."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in NUMBERS:
            least = NUMBERS[name]
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(f"`{name}: {value}`", where=where, wanted=f"a whole number from {least}")
        elif name in ("base_url", "key_env"):
            if not isinstance(value, str) or not value.strip():
                raise UserError(f"`{name}: {value}`", where=where, wanted="text")
        elif name in ("args", "config"):
            _table(name, value, where)
        elif name == "price":
            value = price(value, where)
        else:
            continue
        found[name] = value
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", found.get("key_env", "A")):
        raise UserError(
            "`key_env` is not the name of an environment variable",
            where=where,
            wanted="a name such as OPENAI_API_KEY",
            do="export the key under a name and write that name; if the key itself stood there, consider it spent",
        )
    if re.search(r"://[^/]*@", found.get("base_url", "")):
        raise UserError(
            "the address carries a user or password, which would be stored with the study",
            where=where,
            do="take it out; a key comes from the environment variable that `key_env` names",
        )
    return found


def _table(name: str, value: Any, where: str) -> None:
    """Raises UserError for what is no mapping, holds a secret, or is stated elsewhere."""
    if not isinstance(value, dict):
        raise UserError(f"`{name}: {value}`", where=where, wanted=f"`{name}: {{name: value}}`")
    for key in value:
        if _SECRET.match(str(key)) and key != "max_tokens" and not str(key).endswith("_tokens"):
            raise UserError(
                f"`{name}` holds `{key}`, which looks like a secret and would be stored with the study",
                where=where,
                do="take it out; `key_env` names the environment variable that holds the key",
            )
    if name == "config":
        from inspect_ai.model import GenerateConfig

        known = set(GenerateConfig.model_fields) - _OURS
        for key in value:
            if key not in known:
                raise UserError(
                    f"`config` holds `{key}`",
                    where=where,
                    wanted=nearest(key, known),
                    do="tasks state temperature, tokens and stops; concurrency, retries and timeout stand in the entry",
                )


def _ref(
    entry: SeriesEntry, provider: str, name: str, captured: Mapping[str, str], options: Mapping[str, Any]
) -> ModelRef:
    series = entry.series or patterns.label(entry.source.partition("/")[2]) or name
    apart = [v for k, v in captured.items() if k not in ("seed", *patterns.NUMERIC) or k == "params"]
    coords: dict[str, float | str] = {"model": "-".join((series, *apart)) if captured else name}
    coords |= {k: patterns.value(k, text) for k, text in captured.items()}
    coords |= entry.coords
    date = coords.get("date")
    return ModelRef(
        adapter="inspect",
        location=f"{provider}/{name}",
        revision=None if date is None else str(date),
        series=series,
        coords=coords,
        recipe={"inspect": dict(options)} if options else {},
    )
