"""Records survive storage unchanged, and the compact set of digests is an exact set."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saltus.hashing import content_hash
from saltus.records import Answer, Item
from saltus.store import digests
from saltus.store.digests import Digests, key_digest
from saltus.store.rows import SCHEMAS, answers_from, item_from_json, item_json, to_table

TEXT = st.text(max_size=20)


def test_every_answer_field_has_a_column() -> None:
    assert set(SCHEMAS["answers"].names) == {"identity", *Answer.__dataclass_fields__}


@given(
    st.builds(
        Answer,
        key=st.just("0" * 64),
        text=TEXT,
        finish=st.sampled_from([None, "stop", "length"]),
        token_ids=st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple),
        token_logprobs=st.lists(st.floats(-1e6, 0), max_size=5).map(tuple),
        token_ranks=st.lists(st.integers(0, 10**6), max_size=5).map(tuple),
        greedy=st.sampled_from([None, True, False]),
        trace=st.none() | TEXT,
        error=st.none() | TEXT,
        tokens_in=st.integers(0, 10**9),
        seconds=st.floats(0, 1e6),
    )
)
@settings(max_examples=60, deadline=None)
def test_answers_come_back_as_they_were(answer: Answer) -> None:
    assert list(answers_from(to_table("answers", [("model", answer)]))) == [answer]


ITEMS: st.SearchStrategy[Item] = st.builds(
    Item,
    id=TEXT,
    question=TEXT,
    context=TEXT,
    choices=st.lists(TEXT, max_size=3).map(tuple),
    target=TEXT | st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    gold=st.lists(st.integers(0, 3), max_size=2).map(tuple),
    group=st.none() | TEXT,
    difficulty=st.none() | st.floats(-10, 10),
    parent_id=st.none() | TEXT,
    demos=st.lists(st.builds(Item, id=TEXT, target=TEXT), max_size=2).map(tuple),
    meta=st.dictionaries(TEXT, st.integers(-(2**53) + 1, 2**53 - 1) | TEXT, max_size=3),
)


@given(ITEMS)
@settings(max_examples=80, deadline=None)
def test_items_come_back_as_they_were_with_their_hash(item: Item) -> None:
    text = item_json(item).decode()
    assert item_from_json(text) == item
    assert content_hash(item_from_json(text)) == content_hash(item)


def test_lone_surrogates_are_refused_in_items_and_replaced_in_answers() -> None:
    """What we ask is refused where it has no bytes; what others say is kept as far as it can be."""
    with pytest.raises(ValueError, match="no canonical form"):
        item_json(Item(id="1", question="half \ud83d a face"))
    table = to_table("answers", [("model", Answer(key="k", text="half \ud83d a face"))])
    assert next(answers_from(table)).text == "half � a face"
    assert table["identity"].to_pylist() == ["model"]


def test_whole_numbers_beyond_what_json_holds_exactly_become_text() -> None:
    item = item_from_json(item_json(Item(id="1", meta={"seed": 2**60, "small": 2**53 - 1})).decode())
    assert item.meta == {"seed": "1152921504606846976", "small": 2**53 - 1}


def test_fixed_width_ids_are_read_back_with_their_zero_bytes() -> None:
    ids = [b"\0" * 16, b"a" + b"\0" * 15, b"\0" * 15 + b"a"]
    column = pa.array(ids, pa.binary(16))
    found = Digests(bytearray(b"".join(column.to_pylist())))
    assert found.holds(ids) == [True] * 3
    assert found.holds([b"b" + b"\0" * 15, b"\0" * 14 + b"aa"]) == [False] * 2


def test_digests_are_an_exact_set_through_every_merge(monkeypatch: Any) -> None:
    monkeypatch.setattr(digests, "_RECENT", 8)
    monkeypatch.setattr(digests, "_BLOCK", 32)
    members = [os.urandom(16) for _ in range(500)]
    others = [os.urandom(16) for _ in range(500)]
    found = Digests(bytearray(b"".join(members[:100])))
    for member in members[100:]:
        assert member not in found
        found.add(member)
        assert member in found
    assert all(found.holds(members))
    assert not any(found.holds(others))
    assert not Digests().holds(others[:1])[0]


def test_keys_and_item_hashes_are_cut_at_the_same_place() -> None:
    digits = "0123456789abcdef" * 4
    assert key_digest(digits) == key_digest("sha256:" + digits) == bytes.fromhex(digits[:32])
