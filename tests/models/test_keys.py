"""An answer's key: a stranger computes it from the docstring alone, and whatever could change an answer changes it."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltus.models.base import answer_key
from saltus.records import Request, Settings

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
IDS = st.none() | st.lists(st.integers(0, 2**31 - 1), max_size=6).map(tuple)
SETTINGS = st.builds(
    Settings,
    max_tokens=st.integers(1, 2**20),
    temperature=st.floats(0, 5),
    top_p=st.floats(0.01, 1),
    stop=st.lists(TEXTS, max_size=3).map(tuple),
)
REQUESTS = st.builds(
    Request,
    kind=st.sampled_from(["loglikelihood", "generate"]),
    messages=st.lists(st.fixed_dictionaries({"role": TEXTS, "content": TEXTS}), max_size=3).map(tuple),
    prompt_ids=IDS,
    continuation_ids=IDS,
    images=st.lists(TEXTS, max_size=2).map(tuple),
    observe=st.lists(TEXTS, max_size=2).map(tuple),
    seed=st.none() | st.integers(0, 2**63 - 1),
    settings=SETTINGS,
)


def strangers(identity: str, r: Request) -> str:
    """Written from the docstring of `answer_key`, with nothing of ours but the request's fields."""

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value.encode())) + value.encode()

    def ids(value: Any) -> bytes:
        if value is None:
            return struct.pack("<I", 2**32 - 1)
        return struct.pack(f"<I{len(value)}i", len(value), *value)

    out = b"saltus-answer-2" + text(identity) + text(r.kind)
    if r.messages:
        out += b"M" + struct.pack("<I", len(r.messages))
        for message in r.messages:
            out += struct.pack("<I", len(message))
            for key in sorted(message):
                out += text(key) + text(message[key])
    else:
        out += b"T" + ids(r.prompt_ids) + ids(r.continuation_ids)
    for names in (r.images, r.observe):
        out += struct.pack("<I", len(names)) + b"".join(text(n) for n in names)
    out += b"-" if r.seed is None else b"S" + struct.pack("<q", r.seed)
    if r.kind == "generate":
        s = r.settings
        out += b"G" + struct.pack("<i", s.max_tokens) + struct.pack("<d", s.temperature) + struct.pack("<d", s.top_p)
        out += struct.pack("<I", len(s.stop)) + b"".join(text(x) for x in s.stop)
    else:
        out += b"-"
    return hashlib.sha256(out).hexdigest()


@given(identity=TEXTS, request=REQUESTS)
def test_a_stranger_computes_the_same_key(identity: str, request: Request) -> None:
    assert answer_key(identity, request) == strangers(identity, request)


BASE = Request(kind="generate", prompt_ids=(1, 2), continuation_ids=(3,), seed=5)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt_ids": (1, 2, 3), "continuation_ids": ()},
        {"prompt_ids": None},
        {"continuation_ids": None},
        {"continuation_ids": ()},
        {"messages": ({"role": "user", "content": "hi"},)},
        {"images": ("sha256:a",)},
        {"observe": ("sha256:a",)},
        {"seed": None},
        {"seed": 6},
        {"settings": Settings(max_tokens=7)},
        {"settings": Settings(temperature=0.1)},
        {"settings": Settings(stop=("a", "b"))},
        {"settings": Settings(stop=("ab",))},
        {"kind": "loglikelihood"},
    ],
)
def test_what_could_change_an_answer_changes_its_key(change: dict[str, Any]) -> None:
    assert answer_key("m", replace(BASE, **change)) != answer_key("m", BASE)


def test_text_beside_the_ids_and_settings_of_likelihoods_do_not_count() -> None:
    assert answer_key("m", replace(BASE, prompt="other words")) == answer_key("m", BASE)
    likely = replace(BASE, kind="loglikelihood")
    assert answer_key("m", replace(likely, settings=Settings(max_tokens=7))) == answer_key("m", likely)


def test_half_a_character_has_no_key() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        answer_key("m", replace(BASE, messages=({"role": "user", "content": "\ud83d"},)))
