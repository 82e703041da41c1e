"""Where a model stands: what a file states, else what names say, and the text that each reading came from.

Coordinates that a file states win over those read from a revision or tag, and these over those read from a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from saltus.results.names import Named, family_in, in_name, in_revision, params_in, without
from saltus.results.table import COLUMNS
from saltus.results.units import parse_quantity

Row = dict[str, Any]
READ = ("params", "tokens", "step", "seed", "variant")
"""Columns that a name may fill."""
_STATED = ("series", "family", "model", "params", "tokens", "flops", "step", "loss", "seed", "variant")
_PLACES = {alias: c for c in _STATED for alias in (c, *COLUMNS[c].also) if alias != "size"}
_PLACES["num_parameters"] = "params"
_NO_RUN = frozenset({"batch_size", "cache_dir", "device", "device_map", "device_map_option", "gpu_memory_utilization"})
_NO_RUN |= {"max_batch_size", "max_memory_per_gpu", "max_retries", "num_concurrent", "offload_folder", "parallelize"}
_NO_RUN |= {"tensor_parallel_size", "data_parallel_size", "timeout", "token", "tokenizer_backend", "trust_remote_code"}
_NO_RUN |= {"low_cpu_mem_usage", "swap_space", "api_key", "use_fast_tokenizer", "tokenized_requests", "logits_cache"}


def place(
    name: str,
    *,
    revision: str = "",
    stated: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    arguments: Mapping[str, Any] | None = None,
) -> Row:
    """family, model, params, tokens, step, seed … of a model, and `named`: the texts that were read.

    Args:
        stated: coordinates by any name of the results table.
        tags: texts beside revision and name that may name the checkpoint, such as tags, an adapter or a base URL.
        arguments: all that the model was opened with; kept as text, to notice two models under one name.
    """
    short = without(name).rstrip("/").rsplit("/", 1)[-1] or name
    texts = [revision] * bool(revision) + [t for t in tags if t] + [name]
    found: list[tuple[str, Named]] = [
        (text, in_revision(text) if i < len(texts) - 1 and "/" not in text else in_name(text))
        for i, text in enumerate(texts)
    ]
    row: Row = {"family": family_in(name), "model": short, "params": params_in(short)}
    named = {"params": short} if row["params"] is not None else {}
    place_of = next((pair for pair in found if pair[1].step is not None), None)
    for column, values in (
        ("step", [(t, n.step) for t, n in ([place_of] if place_of else [])]),
        ("tokens", [(t, n.tokens) for t, n in found]),
        ("seed", [(t, n.seed) for t, n in reversed(found)]),
        ("variant", [(t, n.stage) for t, n in found]),
    ):
        text, value = next(((t, v) for t, v in values if v is not None), ("", None))
        row[column] = value
        if value is not None:
            named[column] = text
    for key, value in (stated or {}).items():
        column = _PLACES.get(str(key).lower(), "")
        if not column or isinstance(value, bool) or value in (None, ""):
            continue
        read = _number(value) if COLUMNS[column].dtype == pl.Float64 else str(value)
        if read is not None:
            row[column] = read
            named.pop(column, None)
    return {**row, "named": noted(named), "model_args": _opened_as(name, revision, texts, arguments)}


def noted(named: Mapping[str, str]) -> str | None:
    """Column → text it was read from, as one cell: `step=step1000|params=pythia-160m`."""
    return "|".join(f"{column}={text.replace('|', '/')}" for column, text in named.items()) or None


def _opened_as(name: str, revision: str, texts: Iterable[str], arguments: Mapping[str, Any] | None) -> str:
    """What the model was opened with, in one text; how it was run on the machine is left out."""
    kept = {k: v for k, v in (arguments or {}).items() if k not in _NO_RUN and v not in (None, "")}
    if kept:
        return ",".join(f"{k}={v}" for k, v in sorted(kept.items()))
    return ",".join(dict.fromkeys([name, *([revision] if revision else []), *texts]))


def _number(value: Any) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return parse_quantity(value)
