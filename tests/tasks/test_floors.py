"""Floors find the shortcut that was planted, and nothing where there is none."""

from __future__ import annotations

import random

import pytest

from saltus.records import Item
from saltus.tasks import floors


def choice_items(n: int, make) -> list[Item]:
    rng = random.Random(1)
    items = []
    for i in range(n):
        choices, gold = make(rng)
        items.append(Item(id=str(i), choices=tuple(choices), gold=(gold,), target=choices[gold]))
    return items


def plain(rng: random.Random) -> tuple[list[str], int]:
    return [f"w{rng.randrange(1000):03d}" for _ in range(4)], rng.randrange(4)


def test_without_a_shortcut_the_floor_is_near_nominal_chance():
    floor = floors.of_choices(choice_items(4000, plain))
    assert floor.nominal == 0.25
    assert floor.value == pytest.approx(0.25, abs=0.03)
    assert floor.soft is None
    assert floor.why_no_soft


def test_the_floor_of_few_items_is_not_raised_by_luck():
    """The best of five guessers on 40 items would be about .07 above chance."""
    rng = random.Random(3)
    values = []
    for _ in range(300):
        made = [plain(rng) for _ in range(40)]
        items = [Item(id=str(i), choices=tuple(c), gold=(g,)) for i, (c, g) in enumerate(made)]
        values.append(floors.of_choices(items).value)
    assert sum(values) / len(values) == pytest.approx(0.25, abs=0.012)


@pytest.mark.parametrize(
    ("word", "make", "value"),
    [
        ("position", lambda r: (plain(r)[0], 0 if r.random() < 0.6 else r.randrange(1, 4)), 0.6),
        ("longest", lambda r: (["a", "bb", "cccc", "dd"], 2), 1.0),
        ("shortest", lambda r: (["aaa", "b", "cc", "dd"], 1), 1.0),
        ("right elsewhere", lambda r: (x := r.sample(["yes", "not"], 2), x.index("not")), 1.0),
    ],
)
def test_a_planted_shortcut_is_found_and_named(word, make, value):
    items = choice_items(2000, make)
    if word in ("longest", "shortest"):
        items = [shuffled(item, i) for i, item in enumerate(items)]
    floor = floors.of_choices(items)
    assert word in floor.source
    assert floor.value == pytest.approx(value, abs=0.04)


def shuffled(item: Item, seed: int) -> Item:
    """Other words of the same lengths at other places, so that only length gives the answer away."""
    rng = random.Random(seed)
    order = rng.sample(range(4), 4)
    words = ["".join(rng.choices("xyz", k=len(item.choices[k]))) + "!" for k in order]
    return Item(id=item.id, choices=tuple(words), gold=(order.index(item.gold[0]),))


def test_a_guesser_does_not_learn_from_what_it_is_scored_on():
    """With all answers different, the commonest one of the others is never right."""
    assert sum(floors.commonest([(i,) for i in range(100)])) == 0
    assert sum(floors.commonest([("x",)] * 10)) == 10
    tied = [("a",), ("a",), ("a",), ("a",), ("b",), ("b",), ("b",), ("b",)]
    assert floors.commonest(tied) == [0.5] * 8


def test_the_order_of_items_tells_a_guesser_nothing():
    """Right answers that alternate by place: nobody who sees one item at a time can know."""
    items = [Item(id=str(i), choices=("p", "q"), gold=(i % 2,)) for i in range(2000)]
    floor = floors.of_choices(items)
    assert floor.value == pytest.approx(0.5, abs=0.05)
    assert floors.of_choices(items[::-1]) == floor


def test_the_floor_of_open_answers_is_the_commonest_answer():
    items = [Item(id=str(i), target="yes" if i % 10 < 7 else ("no", f"n{i}")) for i in range(1000)]
    floor = floors.of_targets(items)
    assert floor.value == pytest.approx(0.7)
    assert floor.stderr == pytest.approx((0.7 * 0.3 / 1000) ** 0.5, rel=0.01)
    assert floor.nominal == 0.0


def test_no_items_no_floor_but_a_reason():
    floor = floors.of_choices([])
    assert floor.value == 0.0
    assert "no items" in floor.source


def test_the_frequency_of_answers_scores_as_cross_entropy_says():
    import math

    rng = random.Random(0)
    answers = rng.choices("ab", weights=[3, 1], k=20_000)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    found = floors.frequency_logprob(answers, 2)
    assert found == pytest.approx(-entropy, abs=0.02)
    assert floors.frequency_logprob(["a"], 2) is None
