"""The hash contract: anybody can recompute it from canonical JSON."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltus.hashing import canonical, content_hash, file_hash, seed_from

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@dataclass(frozen=True)
class Point:
    x: float
    note: str | None = None


def test_worked_examples() -> None:
    assert canonical({"b": 1.0, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'.encode()
    assert content_hash({}) == "sha256:" + hashlib.sha256(b"{}").hexdigest()
    assert canonical(Point(x=0.5)) == b'{"x":0.5}', "a None field does not change an identity"
    assert canonical((np.float64(2.0), np.int64(3))) == b"[2,3]"


@given(JSON)
def test_order_of_keys_never_matters(value: object) -> None:
    shuffled = dict(reversed(value.items())) if isinstance(value, dict) else value
    assert content_hash(value) == content_hash(shuffled)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="missing value is null"):
        content_hash([value])


def test_unknown_types_are_refused() -> None:
    with pytest.raises(TypeError, match="object has no canonical JSON"):
        canonical(object())


def test_seeds_depend_on_every_part_and_on_nothing_else() -> None:
    assert seed_from(17, "item-1") == seed_from(17, "item-1")
    assert len({seed_from(17, "item-1"), seed_from(17, "item-2"), seed_from(18, "item-1")}) == 3
    assert 0 <= seed_from("x") < 2**63


def test_file_hash_is_the_hash_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"weights")
    assert file_hash(tmp_path / "a") == "sha256:" + hashlib.sha256(b"weights").hexdigest()
