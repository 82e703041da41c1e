"""Reading an answer: what is found in it, and what is levelled before it is compared."""

from __future__ import annotations

import pytest

from saltus.errors import UserError
from saltus.tasks.answers import STEPS, Reader, reader_of


@pytest.mark.parametrize(
    ("extract", "text", "found"),
    [
        ("first_line", "\n 13 \nQuestion: 2+2", " 13 "),
        ("first_line", "", ""),
        ("last_number", "7 and 6 make 13.", "13"),
        ("last_number", "it costs $1,234.50 today", "1234.5"),
        ("last_number", "none", ""),
        ("choice_letter", "The answer is B.", "B"),
        ("choice_letter", "(C)", "C"),
        ("choice_letter", "D. a hammer", "D"),
        ("choice_letter", "A fruit is D", "D"),
        ("choice_letter", "a hammer", ""),
        ("regex:is (\\d+)", "it is 13, not 12", "13"),
        ("regex:\\d+", "it is 13", "13"),
    ],
)
def test_an_answer_is_found(extract: str, text: str, found: str) -> None:
    assert Reader(extract).answer(text) == found


@pytest.mark.parametrize(
    ("steps", "text", "levelled"),
    [
        ("strip", " 13 ", "13"),
        ("casefold", "Straße", "strasse"),
        ("punctuation", "13.", "13"),
        ("punctuation", "-3.5!", "-3.5"),
        ("articles,whitespace", "the  red  house", "red house"),
        ("numbers", "1,000.0 or +7 or 007", "1000 or 7 or 7"),
        ("numbers+punctuation", "13.50.", "13.5"),
    ],
)
def test_what_does_not_matter_is_levelled(steps: str, text: str, levelled: str) -> None:
    reader = reader_of("jsonl:x", {"normalise": steps})
    assert reader is not None
    assert reader.answer(text) == levelled


def test_the_order_of_the_steps_is_one_and_nothing_is_left_of_no_target() -> None:
    one = reader_of("jsonl:x", {"normalise": ["strip", "punctuation", "casefold"]})
    assert one == reader_of("jsonl:x", {"normalise": "casefold+punctuation+strip"})
    assert Reader(None, tuple(STEPS)).target("The") == "The", "an empty answer is never right"
    assert reader_of("jsonl:x", {}) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"extract": "last_numbr"}, "last_number"),
        ({"extract": "regex"}, "regex:PATTERN"),
        ({"extract": "regex:("}, "regular expression"),
        ({"normalise": ["case"]}, "casefold"),
    ],
)
def test_a_misspelt_step_is_named(given: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        reader_of("jsonl:x", given)
