"""What every generated task must hold: item i never changes, scores know right from wrong, floors are reached."""

from __future__ import annotations

import time

import numpy as np
import pytest

from saltus.errors import UserError
from saltus.records import Answer, Item
from saltus.tasks import addition, copying, modular_addition
from saltus.tasks.base import Task

MAKERS = {
    "copying": (copying.make, {}),
    "addition": (addition.make, {}),
    "addition generated": (addition.make, {"generate": True}),
    "modular_addition": (modular_addition.make, {}),
}


@pytest.fixture(params=MAKERS)
def task(request) -> Task:
    make, options = MAKERS[request.param]
    return make(**options)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def perfect(task: Task, item: Item) -> list[Answer]:
    tokens = (-0.1,) * (len(item.target) if "addition[" in task.name else 1)
    return [
        Answer(key="", text=str(item.target))
        if asked.kind == "generate"
        else Answer(key="", token_logprobs=tokens, token_ranks=(0,) * len(tokens), greedy=True)
        for asked in task.ask(item)
    ]


def test_it_is_a_task(task):
    assert isinstance(task, Task)
    assert {asked.kind for asked in task.ask(task.items(1, rng())[0])} == task.needs


def test_items_are_the_same_whatever_n_is_and_differ_in_id(task):
    few, many = task.items(20, rng()), task.items(300, rng())
    assert list(few) == list(many[:20])
    assert len({i.id for i in many}) == len(many) == 300


def test_none_gives_a_default_number(task):
    assert len(task.items(None, rng())) == (2089 if "modular" in task.name else 1000)


def test_a_perfect_answer_scores_one_and_the_first_score_is_primary(task):
    item = task.items(1, rng())[0]
    score = task.score(item, perfect(task, item))[0]
    assert score.hard == 1.0
    assert (score.metric_hard, score.metric_soft) == task.primary
    assert score.soft == pytest.approx(-0.1)


def test_the_floor_lies_between_nominal_chance_and_the_skill(task):
    floor = task.floor(task.items(1000, rng()))
    assert 0 <= floor.value < 0.15
    assert floor.soft is not None
    assert floor.soft < 0
    assert "1000" in floor.source
    assert task.floor(task.items(0, rng())).why_no_soft


def test_an_item_and_its_score_cost_microseconds(task):
    items = task.items(1000, rng())
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for item in items:
            task.score(item, ANSWERS[len(task.needs)])
        best = min(best, (time.process_time() - start) / len(items))
    assert best < 200e-6, "50 µs on an idle core, with room for a busy one"


ONE = Answer(key="", text="1", token_logprobs=(-1.0,) * 4, token_ranks=(0,) * 4, greedy=True)
ANSWERS = {1: [ONE], 2: [ONE, ONE]}


def test_unknown_options_are_refused_with_the_nearest(task):
    make, _ = MAKERS[task.name.partition("[")[0]]
    with pytest.raises(UserError, match="has no option `digit`"):
        make(digit=3)
    with pytest.raises(UserError, match="names a source"):
        make("items.jsonl")


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (addition.make, {"digits": 0}),
        (addition.make, {"digits": "three"}),
        (addition.make, {"digits": True}),
        (addition.make, {"reversed": 1}),
        (copying.make, {"shortest": 30, "longest": 20}),
        (modular_addition.make, {"part": "heldout"}),
        (modular_addition.make, {"fraction": 1.5}),
    ],
)
def test_impossible_options_are_refused(make, options):
    with pytest.raises(UserError) as caught:
        make(**options)
    assert caught.value.wanted


def test_copying_asks_for_what_followed_the_last_token_a_period_ago():
    for item in copying.make().items(200, rng()):
        words = item.question.split()
        period = item.meta["period"]
        assert 8 <= period <= 24
        assert words[period:] == words[: len(words) - period]
        assert item.target == words[len(words) - period]
        assert 1 <= len(words) - period <= period // 2
        assert len(words) < 48


def test_the_counting_guesser_does_what_its_floor_says():
    items = copying.make().items(3000, rng())
    floor = copying.make().floor(items)
    choose = np.random.default_rng(5)
    hits = []
    for item in items:
        words = item.question.split()
        rare = [w for w in dict.fromkeys(words) if words.count(w) == min(map(words.count, words))]
        hits.append(choose.choice(rare) == item.target)
    assert "least often" in floor.source
    assert np.mean(hits) == pytest.approx(floor.value, abs=4 * np.std(hits) / len(hits) ** 0.5)
    assert floor.value > 4 * (floor.nominal or 1), "counting beats 1 in 64 by far"


def test_longer_copies_and_longer_sums():
    task = copying.make()
    item = task.items(1, rng())[0]
    longer = task.longer(item, 2.0, rng(1))
    assert longer.id == item.id
    assert longer.meta["period"] == 2 * item.meta["period"]
    sums = addition.make(digits=2)
    longer = sums.longer(sums.items(1, rng())[0], 2, rng(1))
    a, b = longer.question[:-1].split("+")
    assert (len(a), len(b)) == (4, 4)
    assert int(longer.target[::-1]) == int(a) + int(b)


def test_addition_writes_sums_as_the_zoo_reads_them():
    task = addition.make(digits=3)
    assert task.name == "addition[digits=3]"
    for item in task.items(300, rng()):
        a, b = item.question.removesuffix("=").split("+")
        assert len(a) == len(b) == 3
        assert item.target == f"{int(a) + int(b):04d}"[::-1]
        assert item.group == f"carries={item.difficulty:g}"
    plain = addition.make(digits=1, reversed=False).items(None, rng())
    assert len(plain) == 100
    assert {i.question for i in plain} == {f"{a}+{b}=" for a in range(10) for b in range(10)}
    assert all(int(i.target) == int(i.question[0]) + int(i.question[2]) for i in plain)


@pytest.mark.parametrize(("a", "b", "carries"), [(123, 456, 0), (999, 1, 3), (555, 455, 3), (905, 45, 1)])
def test_difficulty_is_the_number_of_carries(a, b, carries):
    assert addition._carries(a, b) == carries


def test_worked_examples_are_other_sums_and_stand_before_the_question():
    task = addition.make(digits=1)
    for item in task.items(100, rng()):
        demos = task.demos(item, 5, rng(int(item.difficulty or 0)))
        assert len({d.id for d in demos}) == 5
        assert item.id not in {d.id for d in demos}
    with pytest.raises(UserError, match="60 worked examples"):
        task.demos(item, 60, rng())


def test_held_out_pairs_are_never_trained_on():
    train, held_out = modular_addition.split(59, 0.4, 0)
    assert len(train) == round(0.4 * 59**2)
    both = {tuple(p) for p in train.tolist()} | {tuple(p) for p in held_out.tolist()}
    assert len(both) == len(train) + len(held_out) == 59**2
    again = np.random.default_rng([59, 0]).permutation(59**2)[0]
    assert train[0].tolist() == list(divmod(again, 59))
    asked = {i.id for i in modular_addition.make().items(None, rng())}
    trained = {i.id for i in modular_addition.make(part="train").items(None, rng())}
    assert not asked & trained
    assert len(asked) == len(held_out)


def test_modular_sums_wrap():
    for item in modular_addition.make(p=7).items(None, rng()):
        a, b = map(int, item.question.removesuffix(" =").split(" + "))
        assert item.target == str((a + b) % 7)
        assert item.difficulty == (a + b >= 7)


def test_every_word_of_a_prompt_is_in_the_vocabulary_its_network_was_trained_with():
    from saltus.zoo.tokens import CHARACTERS, residue_names, word_names

    for task, known, split in (
        (copying.make(), word_names(), str.split),
        (addition.make(), CHARACTERS, list),
        (modular_addition.make(), residue_names(59), str.split),
    ):
        for item in task.items(200, rng()):
            (asked,) = task.ask(item)
            assert set(split(asked.prompt + asked.continuation)) <= set(known)
            assert split(asked.prompt + asked.continuation) == split(asked.prompt) + split(asked.continuation)
