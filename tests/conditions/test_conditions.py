"""Every condition: pure, fixed by its generator, paired with the original, refused by name where it cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from saltus.conditions.base import Condition, condition_id
from saltus.conditions.baseline import Baseline
from saltus.conditions.context import LongerContext
from saltus.conditions.shots import ShotOrder, Shots
from saltus.conditions.style import Style
from saltus.conditions.typos import Typos, mistyped
from saltus.errors import UserError
from saltus.records import Item, NotApplicable
from saltus.scoring import edit_similarity
from saltus.tasks import addition, bigbench, copying, jsonl, modular_addition
from saltus.tasks.base import Task

from helpers.places import DATA_FOLDER

DATA = DATA_FOLDER
ALL = (Baseline, Shots, ShotOrder, Style, Typos, LongerContext)
LEVELS = {Baseline: None, Shots: 2, ShotOrder: 1, Style: "dialogue", Typos: 0.2, LongerContext: 2}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def choices() -> Task:
    return jsonl.make("choices.jsonl", DATA)


def first(task: Task) -> Item:
    return task.items(1, rng())[0]


def applied(condition: Condition, item: Item, task: Task, seed: int = 0) -> Item:
    changed = condition.apply(item, task, rng(seed))
    assert isinstance(changed, Item), changed
    return changed


@pytest.mark.parametrize("kind", ALL)
def test_it_is_a_condition_equal_to_another_of_its_level(kind):
    condition = kind(LEVELS[kind])
    assert isinstance(condition, Condition)
    assert condition == kind(level=LEVELS[kind])
    assert len({condition, kind(LEVELS[kind])}) == 1
    with pytest.raises(AttributeError):
        condition.level = 3


def test_ids_say_kind_and_level():
    named = [condition_id(kind(LEVELS[kind])) for kind in ALL]
    assert named == [
        "baseline",
        "shots[n=2]",
        "shot_order[order=1]",
        "style[name=dialogue]",
        "typos[rate=0.2]",
        "context[factor=2]",
    ]
    assert Shots(2) != Shots(3)


@pytest.mark.parametrize("kind", [Shots, Style, Typos])
def test_the_same_generator_gives_the_same_change_paired_with_the_original(kind, choices):
    item = first(choices)
    one, two = (applied(kind(LEVELS[kind]), item, choices, seed=3) for _ in range(2))
    assert one == two
    assert one != item
    assert (one.id, one.parent_id) == (item.id, item.id)
    assert one.relation
    assert (one.choices, one.gold, one.target) == (item.choices, item.gold, item.target)


def test_a_twin_keeps_its_own_parent(choices):
    twin = choices.items(None, rng())[3]
    changed = applied(Typos(0.3), twin, choices)
    assert (changed.parent_id, changed.relation) == ("c3", "fresh")


def test_a_cross_joins_relations(choices):
    item = applied(Shots(1), first(choices), choices)
    assert applied(Style("short"), item, choices).relation == "shots+style"


def test_baseline_changes_nothing(choices):
    item = first(choices)
    assert applied(Baseline(), item, choices) is item


@pytest.mark.parametrize(
    ("kind", "levels"),
    [
        (Baseline, [1]),
        (Shots, [None, -1, 1.5, "two", True]),
        (ShotOrder, [None, -1]),
        (Style, [None, "dialog", 3]),
        (Typos, [None, 0, -0.1, 1.5, "many"]),
        (LongerContext, [None, 1, 0.5, "long"]),
    ],
)
def test_levels_that_make_no_sense_are_refused(kind, levels):
    for level in levels:
        with pytest.raises(UserError) as caught:
            kind(level)
        assert caught.value.wanted or caught.value.do
    with pytest.raises(UserError, match="has no option `rat`"):
        kind(LEVELS[kind], rat=3)


@pytest.mark.parametrize(
    ("condition", "make", "words"),
    [
        (Typos(0.1), copying.make, "made of tokens"),
        (Typos(0.1), addition.make, "made of tokens"),
        (Shots(1), copying.make, "no worked examples"),
        (Shots(1), modular_addition.make, "no worked examples"),
        (Style("qa"), copying.make, "one fixed format"),
        (Style("qa"), addition.make, "one fixed format"),
        (LongerContext(2), modular_addition.make, "cannot make its items longer"),
        (LongerContext(2), lambda: jsonl.make("choices.jsonl", DATA), "cannot make its items longer"),
        (ShotOrder(1), lambda: jsonl.make("choices.jsonl", DATA), "no worked examples"),
        (Shots(9), lambda: jsonl.make("choices.jsonl", DATA), "9 worked examples"),
    ],
)
def test_what_cannot_apply_is_refused_by_name(condition, make, words):
    task = make()
    refused = condition.apply(first(task), task, rng())
    assert isinstance(refused, NotApplicable)
    assert words in refused.why


def test_typos_need_letters(choices):
    refused = Typos(0.1).apply(replace(first(choices), question="2 + 2 = ?"), choices, rng())
    assert isinstance(refused, NotApplicable)
    assert "no letters" in refused.why


def test_shots_stand_before_the_question_and_zero_takes_them_away(choices):
    item = applied(Shots(2), first(choices), choices)
    assert len(item.demos) == 2
    assert next(choices.ask(item)).prompt.count("Question:") == 3
    assert applied(Shots(0), item, choices).demos == ()
    sums = addition.make()
    asked = next(sums.ask(applied(Shots(3), first(sums), sums))).prompt
    *demos, question = asked.split("\n")
    assert len(demos) == 3
    assert all(int(d.split("=")[1][::-1]) == sum(map(int, d.split("=")[0].split("+"))) for d in demos)
    assert question == first(sums).question


def test_orders_differ_in_order_only(choices):
    sums = addition.make()
    item = applied(Shots(6), first(sums), sums)
    orders = [applied(ShotOrder(k), item, sums, seed=k).demos for k in (0, 1, 2)]
    assert orders[0] == item.demos
    assert orders[1] != item.demos
    assert orders[1] != orders[2]
    assert len({frozenset(d.id for d in demos) for demos in orders}) == 1


def test_styles_change_the_words_around_and_the_examples_too():
    task = bigbench.make("bigbench/rhymes", DATA)
    item = applied(Style("dialogue"), applied(Shots(1), first(task), task), task)
    prompt = next(task.ask(item)).prompt
    assert prompt.startswith("User: ")
    assert prompt.endswith("\n\nUser: cat\nAssistant:")
    assert "Word:" not in prompt


def test_longer_contexts_state_their_new_gold():
    for task in (copying.make(), addition.make()):
        item = first(task)
        longer = applied(LongerContext(2), item, task)
        assert len(longer.question) > 1.5 * len(item.question)
        assert (longer.id, longer.parent_id, longer.relation) == (item.id, item.id, "longer-context")
        assert longer.difficulty is not None
    a, b = longer.question[:-1].split("+")
    assert int(str(longer.target)[::-1]) == int(a) + int(b)


TEXT = "The quick brown fox jumps over the lazy dog near 1234 old houses. " * 40


def test_the_rate_is_mistakes_per_letter():
    sentence = TEXT[:66]
    letters = sum(c.isalpha() for c in sentence)
    for rate in (0.02, 0.1, 0.2):
        edits = 0.0
        for seed in range(400):
            wrong = mistyped(sentence, rate, rng(seed))
            edits += (1 - edit_similarity(sentence, wrong)) * max(len(sentence), len(wrong))
        # by edit distance a swap counts two, the other three kinds one
        assert edits / 400 / letters == pytest.approx(1.2 * rate, rel=0.15)


def test_only_letters_are_mistyped():
    wrong = mistyped(TEXT, 0.5, rng())
    assert [c for c in wrong if not c.isalpha()] == [c for c in TEXT if not c.isalpha()]
    assert mistyped("1234 ?!", 1.0, rng()) == "1234 ?!"


def test_a_fraction_of_a_mistake_is_made_that_often():
    hit = sum(mistyped("abcde fghij", 0.03, rng(seed)) != "abcde fghij" for seed in range(1000))
    assert 220 < hit < 390, "10 letters at 0.03: 0.3 mistakes"


def test_the_four_kinds_of_mistakes_and_case():
    seen = {mistyped("Form", 0.25, rng(seed)) for seed in range(300)}
    assert {"oFrm", "From", "Form"[1:], "FForm", "Gorm", "Dorm", "Fotm"} <= seen
    assert {mistyped("I", 1.0, rng(seed)) for seed in range(50)} == {"II", "U", "O"}
    assert {mistyped("ß", 1.0, rng(seed)) for seed in range(20)} == {"ßß"}


def test_choices_and_worked_examples_are_never_mistyped(choices):
    item = applied(Shots(2), first(choices), choices)
    wrong = applied(Typos(1.0), item, choices)
    assert wrong.demos == item.demos
    assert wrong.choices == item.choices
    assert wrong.question != item.question
