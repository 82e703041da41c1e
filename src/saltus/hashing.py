"""One documented contract for every hash in saltus: RFC 8785 canonical JSON, tagged with its algorithm.

RFC 8785 (JSON Canonicalization Scheme): keys sorted by UTF-16 code units, no white space, UTF-8, numbers as
ECMAScript writes them. Before that, ours: tuples are lists, dataclasses are objects without their None fields (so a
record may grow a field without changing the identity of what was written before), whole numbers beyond ±(2⁵³ − 1) are
decimal strings. NaN, infinity and text with lone surrogates have no canonical form and are refused. A hash is the
text `sha256:` and 64 hex digits over those bytes. Another language recomputes it from this paragraph alone;
`tests/test_hashing.py` holds worked examples. Answers are keyed by packed bytes instead (`models.base.answer_key`):
millions of token ids.

`former_hash` is the contract of saltus 0.1, by which answers of its stores are found again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785

EXACT = 2**53 - 1
"""Whole numbers up to this are exact in every language's JSON."""


def canonical(value: Any) -> bytes:
    """Canonical JSON. Raises TypeError for types JSON has no word for, ValueError for NaN and lone surrogates."""
    try:
        return rfc8785.dumps(_plain(value))
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"this has no canonical form: {error}") from error


def content_hash(value: Any) -> str:
    """`sha256:…` of value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def former_hash(value: Any) -> str:
    """The same as saltus 0.1 computed it: numbers as Python writes them, keys sorted by code points."""
    text = json.dumps(
        _plain(value, strings=False), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_hash(path: Path | str) -> str:
    """`sha256:…` of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def seed_from(*parts: Any) -> int:
    """A 63-bit seed from any canonical values, e.g. (study seed, item id): order cannot change it."""
    return int.from_bytes(hashlib.sha256(canonical(list(parts))).digest()[:8], "big") >> 1


def _plain(value: Any, *, strings: bool = True) -> Any:
    """strings: whole numbers beyond `EXACT` as decimal strings."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return str(value) if strings and abs(value) > EXACT else int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no canonical form: a missing value is null with a reason")
        return int(value) if value.is_integer() and abs(value) < 2**53 else float(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v, strings=strings) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, strings=strings) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(v, strings=strings) for v in value), key=repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {k: _plain(v, strings=strings) for k, v in fields if v is not None}
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "item") and hasattr(value, "dtype"):  # a numpy scalar
        return _plain(value.item(), strings=strings)
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")
