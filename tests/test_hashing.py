"""The hash contract: anybody can recompute it from canonical JSON."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltus.hashing import canonical, content_hash, file_hash, former_hash, seed_from

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
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


def test_numbers_are_written_as_ecmascript_writes_them() -> None:
    """RFC 8785, appendix B."""
    cases = {
        5e-324: "5e-324",
        1.7976931348623157e308: "1.7976931348623157e+308",
        9007199254740994.0: "9007199254740994",
    }
    cases |= {
        295147905179352830000.0: "295147905179352830000",
        1e21: "1e+21",
        1e-6: "0.000001",
        1e-7: "1e-7",
        1e-5: "0.00001",
    }
    for value, text in cases.items():
        assert canonical(value) == text.encode()
    assert canonical([2**53 - 1, 2**53, -(2**60)]) == b'[9007199254740991,"9007199254740992","-1152921504606846976"]'


def test_keys_are_sorted_by_utf16_code_units() -> None:
    """RFC 8785, section 3.2.3: a letter outside the basic plane comes before U+FB33."""
    text = '{"1":4,"€":3,"\U0001f600":2,"\ufb33":1}'
    assert canonical({"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "1": 4}) == text.encode()


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(ValueError, match="no canonical form"):
        canonical({"a": "half \ud83d a face"})


def test_the_former_hash_is_that_of_the_release_before() -> None:
    """Numbers and order as Python wrote them; so that a store of saltus 0.1 is found again."""
    text = '{"a":"half \ud83d","e":1e-05,"n":1152921504606846976}'.encode("utf-8", "surrogatepass")
    assert former_hash({"n": 2**60, "e": 1e-5, "a": "half \ud83d"}) == "sha256:" + hashlib.sha256(text).hexdigest()


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
