"""White space between prompt and answer is decided in one place, and nothing in an item can break the prompt."""

from __future__ import annotations

import pytest

from saltus.errors import UserError
from saltus.records import Item
from saltus.tasks.rendering import STYLE_KEY, STYLES, continuation, prompt, style_named, style_of

ONE = Item(id="1", question="Two and two?", choices=("3", "4"), gold=(1,), target="4")
TWO = Item(id="2", question="Sky?", context="By day.", choices=("blue", "red"), gold=(0,), target="blue")


def test_worked_examples_answer_in_the_style_of_the_question():
    item = Item(id="3", question="Grass?", demos=(ONE, TWO))
    assert prompt(item, STYLES["qa"]) == (
        "Question: Two and two?\nAnswer: 4\n\nBy day.\nQuestion: Sky?\nAnswer: blue\n\nQuestion: Grass?\nAnswer:"
    )


def test_letters_list_the_choices_and_answer_with_one():
    item = Item(id="3", question="Grass?", choices=("green", "grey"), gold=(0,), demos=(ONE,))
    assert prompt(item, STYLES["short"], listed=True, lettered=True) == (
        "Q: Two and two?\nA. 3\nB. 4\nA: B\n\nQ: Grass?\nA. green\nB. grey\nA:"
    )


@pytest.mark.parametrize(
    ("text", "answer", "given"),
    [("Answer:", "42", " 42"), ("Answer: ", "42", "42"), ("Answer:", " 42", " 42"), ("", "42", "42")],
)
def test_there_is_exactly_one_space_before_an_answer(text, answer, given):
    assert continuation(text, answer, STYLES["qa"]) == given


def test_braces_in_an_item_stay_as_they_are():
    item = Item(id="1", question="What is {x} in {} and {choice}?", choices=("{letter}", "{}"), gold=(0,))
    for style in STYLES.values():
        text = prompt(item, style, listed=True)
        assert "What is {x} in {} and {choice}?" in text
        assert "A. {letter}" in text


def test_no_style_ends_its_prompt_in_white_space():
    for style in STYLES.values():
        assert prompt(ONE, style) == prompt(ONE, style).rstrip()


def test_an_item_can_ask_for_another_style():
    item = Item(id="1", question="?", meta={STYLE_KEY: "dialogue"})
    assert style_of(item, STYLES["qa"]) is STYLES["dialogue"]
    assert style_of(ONE, STYLES["qa"]) is STYLES["qa"]
    with pytest.raises(UserError, match="did you mean `dialogue`"):
        style_named("dialog")
