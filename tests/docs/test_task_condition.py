"""The examples in docs/add-a-task.md and docs/add-a-condition.md run as they stand."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import numpy as np
import pytest

from saltus.conditions.base import Condition, condition_id
from saltus.conditions.shots import Shots
from saltus.errors import UserError
from saltus.records import Answer, Item, NotApplicable
from saltus.tasks import copying
from saltus.tasks.base import Task

from helpers.places import ROOT

DOCS = ROOT / "docs"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Imports the module that a page shows, under the file name it gives."""

    def load(page: str) -> ModuleType:
        text = (DOCS / page).read_text(encoding="utf-8")
        ((name, code),) = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", text, re.S)
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return load


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("page", ["add-a-task.md", "add-a-condition.md"])
def test_the_page_can_be_read_in_one_sitting(page):
    assert len((DOCS / page).read_text(encoding="utf-8").splitlines()) <= 70


def test_the_task_of_the_page_works(example):
    task = example("add-a-task.md").make(length=3)
    assert isinstance(task, Task)
    items = task.items(200, rng())
    assert list(items[:5]) == list(task.items(5, rng()))
    item = items[0]
    (asked,) = task.ask(item)
    letters = asked.prompt.removeprefix("reverse ").removesuffix(":").split()
    assert asked.continuation.split() == letters[::-1]
    right = Answer(key="", token_logprobs=(-0.1,) * 3, token_ranks=(0,) * 3, greedy=True)
    (score,) = task.score(item, [right])
    assert (score.hard, score.metric_hard, score.metric_soft) == (1.0, *task.primary)
    assert task.floor(items).value < 0.05
    shown = Shots(2).apply(item, task, rng())
    assert isinstance(shown, Item)
    assert next(task.ask(shown)).prompt.count("reverse") == 3
    with pytest.raises(UserError, match="did you mean `length`"):
        example("add-a-task.md").make(lenght=3)


def test_the_condition_of_the_page_works(example):
    make = example("add-a-condition.md").make
    loud = make(level=0.5)
    assert isinstance(loud, Condition)
    assert condition_id(loud) == "shouting[share=0.5]"
    item = Item(id="1", question="who is there now", target="me")
    changed = loud.apply(item, copying.make(), rng(1))
    assert changed == loud.apply(item, copying.make(), rng(1))
    assert changed.question.lower() == item.question
    assert changed.question != item.question
    assert (changed.id, changed.parent_id, changed.target) == ("1", "1", "me")
    task = copying.make()
    assert isinstance(loud.apply(task.items(1, rng())[0], task, rng()), NotApplicable)
    for level in (None, 0, 2, "loud"):
        with pytest.raises(UserError):
            make(level=level)


def test_the_rows_of_the_page_are_read(tmp_path):
    import json

    from saltus.tasks import jsonl

    text = (DOCS / "add-a-task.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\{.*?\})` \| (.*?) \|", text, re.M)
    assert len(rows) == 3
    for row, meaning in rows:
        (tmp_path / "items.jsonl").write_text(row.replace('["…", "…"], "answer"', '["…", "b"], "answer"'))
        task = jsonl.make("items.jsonl", tmp_path)
        words = {"multiple_choice": "multiple choice", "loglikelihood": "log-likelihood", "generate": "exact match"}
        assert meaning.startswith(words[task.kind])
        assert json.loads(row)["question"] == task.items(1, rng())[0].question
