"""One documented contract for every hash in saltus: canonical JSON, tagged with its algorithm.

Canonical JSON: keys sorted, no white space, UTF-8, no NaN or infinity, integral floats written as
integers (1.0 and 1 are one number), tuples as lists, dataclasses as objects without their None fields
(so a record may grow a field without changing the identity of what was written before).
A hash is the text `sha256:` and 64 hex digits over those bytes. Another language recomputes it from this
paragraph alone; `tests/test_hashing.py` holds worked examples.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def canonical(value: Any) -> bytes:
    """Canonical JSON of value. Raises TypeError for types JSON has no word for, ValueError for NaN."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(
        "utf-8", "surrogatepass"
    )


def content_hash(value: Any) -> str:
    """`sha256:…` of value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def file_hash(path: Path | str) -> str:
    """`sha256:…` of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def seed_from(*parts: Any) -> int:
    """A 63-bit seed from any canonical values, e.g. (study seed, item id): order cannot change it."""
    return int.from_bytes(hashlib.sha256(canonical(list(parts))).digest()[:8], "big") >> 1


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no canonical form: a missing value is null with a reason")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(v) for v in value), key=repr)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {k: _plain(v) for k, v in fields if v is not None}
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "item") and hasattr(value, "dtype"):  # a numpy scalar
        return _plain(value.item())
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")
