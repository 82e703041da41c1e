"""Every form in which servers answer is read, and what is not the answer is refused by what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from saltus.models.server.wire import (
    Positions,
    WireError,
    generate_body,
    generated,
    mark,
    positions,
    score_body,
    seam,
    used,
)
from saltus.records import Settings


def echo(tokens: list[str], values: list[Any], **more: Any) -> dict[str, Any]:
    given = {"tokens": tokens, "token_logprobs": values, **more}
    return {"choices": [{"text": "".join(tokens), "logprobs": given}]}


def test_bodies_ask_for_what_is_wanted() -> None:
    assert score_body("m", [1, 2], "echo") == {
        "model": "m",
        "prompt": [1, 2],
        "max_tokens": 1,
        "temperature": 0,
        "echo": True,
        "logprobs": 1,
    }
    assert score_body("m", [1], "prompt_logprobs", 5)["prompt_logprobs"] == 5
    settings = Settings(max_tokens=9, temperature=0.5, top_p=0.9, stop=("a", "", "b", "c", "d", "e"))
    body = generate_body("m", {"prompt": "x"}, settings, 2**40 + 3, "max_completion_tokens")
    assert body == {
        "model": "m",
        "prompt": "x",
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["a", "b", "c", "d"],
        "seed": 3,
    }
    assert generate_body("m", {"prompt": "x"}, Settings(), None, "max_tokens").keys() == {
        "model",
        "prompt",
        "max_tokens",
        "temperature",
    }


@pytest.mark.parametrize("extra", [0, 1])
def test_echo_of_ids_is_cut_by_their_number(extra: int) -> None:
    values = [None, -1.0, -2.0, -3.0][: 3 + extra]
    tops = [None, {"b": -1.0}, {"x": -0.5, "c": -2.0}, {"d": -3.0}][: 3 + extra]
    payload = echo(list("abcd")[: 3 + extra], values, top_logprobs=tops)
    assert positions(payload, "echo", [7, 8, 9]).cut(1, 3) == ((-1.0, -2.0), (0, 1))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([-1.0], "1 log-probabilities where a prompt of 3 tokens and one generated token have 4"),
        ([None, -1.0, -2.0, -3.0, -4.0], "5 log-probabilities"),
    ],
)
def test_a_wrong_number_is_refused(values: list[Any], why: str) -> None:
    with pytest.raises(WireError, match=why):
        positions(echo(["x"] * len(values), values), "echo", [7, 8, 9])


@pytest.mark.parametrize("value", [None, "-1", True, 0.5])
def test_what_is_no_log_probability_is_refused(value: Any) -> None:
    given = positions(echo(["a", "b"], [None, value]), "echo", [7, 8])
    with pytest.raises(WireError, match="a log-probability is"):
        given.cut(1, 2)


def test_rounding_above_zero_is_zero() -> None:
    given = positions(echo(["a", "b"], [None, 1e-7]), "echo", [7, 8])
    assert given.cut(1, 2) == ((0.0,), ())


def test_prompt_logprobs_give_ranks() -> None:
    rows = [
        None,
        {"8": {"logprob": -1.0, "rank": 3}, "5": {"logprob": -0.2, "rank": 1}},
        {"9": {"logprob": -0.1, "rank": 1}},
    ]
    for payload in ({"choices": [{"prompt_logprobs": rows}]}, {"choices": [{}], "prompt_logprobs": rows}):
        assert positions(payload, "prompt_logprobs", [7, 8, 9]).cut(1, 3) == ((-1.0, -0.1), (2, 0))
    with pytest.raises(WireError, match="2 prompt log-probabilities for 3 tokens"):
        positions({"choices": [{"prompt_logprobs": rows[:2]}]}, "prompt_logprobs", [7, 8, 9])
    with pytest.raises(WireError, match="no log-probability of token 6"):
        positions({"choices": [{"prompt_logprobs": rows}]}, "prompt_logprobs", [7, 6, 9])
    with pytest.raises(WireError, match="no `prompt_logprobs`"):
        positions({"choices": [{}]}, "prompt_logprobs", [7])


def test_text_is_cut_where_its_tokens_part() -> None:
    payload = echo(["<s>", "The ", "sky", " is", " blue", "!"], [None, -1, -2, -3, -4, -5])
    given = positions(payload, "echo", "The sky is blue")
    assert given.tokens[-1] == " blue"
    assert seam(given, "The sky is", " blue") == 4
    with pytest.raises(WireError, match="do not part"):
        seam(given, "The sky i", "s blue")


def test_text_with_characters_in_pieces_is_cut_from_the_side_that_spells() -> None:
    """A server spells half a character as U+FFFD; the seam is found from the other side."""
    pieces = ["caf", "\ufffd", "\ufffd", " au", " lait", "."]
    payload = {**echo(pieces, [None, -1, -2, -3, -4, -5]), "usage": {"prompt_tokens": 5}}
    given = positions(payload, "echo", "café au lait")
    assert len(given.logprobs) == 5
    assert seam(given, "café au", " lait") == 4
    backwards = ["the", " caf", "\ufffd", "\ufffd", "."]
    payload = {**echo(backwards, [None, -1, -2, -3, -4]), "usage": {"prompt_tokens": 4}}
    assert seam(positions(payload, "echo", "the café"), "the", " café") == 1
    with pytest.raises(WireError, match="do not spell the prompt"):
        positions({**payload, "usage": {}}, "echo", "the café")


def test_an_echo_of_something_else_is_refused() -> None:
    with pytest.raises(WireError, match="does not echo"):
        positions(echo(["blue"], [-1.0]), "echo", "The sky is")


def test_generated_text_in_every_form() -> None:
    plain = {"choices": [{"text": "4\nQ: 5", "finish_reason": "stop"}]}
    assert generated(plain, Settings()).finish == "eos"
    cut = generated(plain, Settings(stop=("Q:", "\n")))
    assert (cut.text, cut.finish) == ("4", "stop")
    longer = {"choices": [{"text": "4", "finish_reason": "length"}]}
    assert generated(longer, Settings(stop=("\n",))).finish == "length"
    content = [{"token": "4", "logprob": -0.5, "top_logprobs": [{"token": "5", "logprob": -0.1}]}]
    message = {"content": "4", "reasoning_content": "two and two"}
    chat = {"choices": [{"message": message, "logprobs": {"content": content}}]}
    given = generated(chat, Settings())
    assert (given.text, given.trace, given.logprobs, given.ranks) == ("4", "two and two", (-0.5,), (1,))
    parts = {"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}]}}]}
    assert generated(parts, Settings()).text == "ab"
    refused = {"choices": [{"message": {"content": None, "refusal": "I will not"}}]}
    assert generated(refused, Settings()).text == "I will not"


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({}, "no `choices`"),
        ({"choices": []}, "no `choices`"),
        ({"choices": [{"finish_reason": "stop"}]}, "without text"),
        ({"choices": [{"message": {"content": None}}]}, "without content"),
        ({"choices": [{"text": "", "finish_reason": "content_filter"}]}, "withheld"),
    ],
)
def test_what_is_no_answer_is_refused(payload: dict[str, Any], why: str) -> None:
    with pytest.raises(WireError, match=why):
        generated(payload, Settings())


def test_counts_and_marks_are_the_servers_where_it_tells() -> None:
    assert used({"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, 9, 9) == (3, 2)
    assert used({"usage": None}, 9, 8) == (9, 8)
    assert mark({"system_fingerprint": "fp", "model": "m"}) == ("fp", "m")
    assert mark({"system_fingerprint": ""}) == (None, None)


def test_ranks_are_unknown_where_one_is() -> None:
    given = Positions([-1.0, -2.0], [{"a": -1.0}, None], [None, None])
    assert given.cut(0, 2) == ((-1.0, -2.0), ())
