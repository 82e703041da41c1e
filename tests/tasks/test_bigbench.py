"""BIG-bench JSON tasks: its prompts, both kinds, the canary out of sight."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from saltus.errors import UserError
from saltus.records import Answer
from saltus.tasks import bigbench
from saltus.tasks.base import Task

from helpers.places import DATA_FOLDER

DATA = DATA_FOLDER / "bigbench"
RNG = np.random.default_rng(0)
FULL = {"input": "q", "target_scores": {"a": 1, "b": 0}}


def test_multiple_choice_is_asked_with_the_defaults_of_the_format():
    task = bigbench.make("capitals", DATA)
    assert isinstance(task, Task)
    assert (task.kind, task.name, task.skill) == ("multiple_choice", "bigbench:capitals", "capitals")
    items = task.items(None, RNG)
    assert len(items) == 3, "an example that stands twice is asked once"
    requests = list(task.ask(items[0]))
    listed = "".join(f"\n  choice: {c}" for c in items[0].choices)
    assert requests[0].prompt == f"Answer about capitals.\n\nQ: What is the capital of France?{listed}\nA:"
    assert [r.continuation for r in requests] == [f" {c}" for c in items[0].choices]
    assert items[0].target == "Paris"
    assert sorted(items[2].target) == ["Bern", "Oslo"]
    assert task.provenance["metrics_not_computed"] == ["rouge"]


def test_the_canary_reaches_no_prompt_and_stays_in_the_provenance():
    task = bigbench.make("capitals/task.json", DATA)
    for item in task.items(None, RNG):
        shown = replace(item, demos=tuple(task.demos(item, 2, RNG)))
        assert all("CANARY" not in r.prompt + r.continuation for r in task.ask(shown))
    assert "CANARY" in task.provenance["canary"]


def test_choices_stand_in_an_order_that_does_not_give_the_answer_away(tmp_path):
    examples = [{"input": f"q{i}", "target_scores": {"yes": 1, "no": 0, "so": 0}} for i in range(600)]
    (tmp_path / "task.json").write_text(json.dumps({"examples": examples}))
    items = bigbench.make(str(tmp_path), None).items(None, RNG)
    firsts = sum(item.gold == (0,) for item in items)
    assert 150 < firsts < 250
    assert list(items) == list(bigbench.make(str(tmp_path), None).items(None, RNG))


def test_generation_takes_the_first_match_and_any_target():
    task = bigbench.make("rhymes", DATA)
    item = task.items(None, RNG)[0]
    requests = list(task.ask(item))
    assert [r.kind for r in requests] == ["generate", "loglikelihood", "loglikelihood"]
    assert requests[0].prompt == "Word: cat\nRhyme:"
    assert requests[1].continuation == " hat"
    given = Answer(key="", token_logprobs=(-1.0,), token_ranks=(0,), greedy=True)
    raw, _ = task.score(item, [Answer(key="", text=" bat, of course"), given, given])
    assert raw.hard == 1.0
    assert task.score(item, [Answer(key="", text="42!"), given, given])[0].hard == 0.0
    demos = tuple(task.demos(item, 2, RNG))
    text = next(task.ask(replace(item, demos=demos))).prompt
    assert text.count("\n\n") == 2
    assert all(f"Word: {d.question}\nRhyme: {d.target}" in text for d in demos)


def test_the_kind_can_be_chosen():
    task = bigbench.make("rhymes", DATA, kind="loglikelihood")
    assert task.needs == {"loglikelihood"}
    assert task.primary == ("greedy_match", "token_logprob")
    with pytest.raises(UserError, match="not every example"):
        bigbench.make("rhymes", DATA, kind="multiple_choice")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "malformed JSON"),
        ("[]", "no list `examples`"),
        ('{"examples": []}', "no list `examples`"),
        (json.dumps({"examples": [FULL, {"target": "x"}]}), "examples[1]"),
        (json.dumps({"examples": [{"input": "q"}]}), "no gold answer"),
        (json.dumps({"examples": [{"input": "q", "target_scores": {"a": 0, "b": 0}}]}), "one above the rest"),
        (json.dumps({"examples": [FULL, {"input": "q", "target": "x"}]}), "in all examples"),
        (json.dumps({"examples": [{"input": "q", "target": "x"}], "output_regex": "("}), "regular expression"),
    ],
)
def test_bad_tasks_are_refused(tmp_path, content, words):
    (tmp_path / "task.json").write_text(content)
    with pytest.raises(UserError) as caught:
        bigbench.make("task.json", tmp_path)
    assert words in str(caught.value)


def test_missing_files_and_folders_of_subtasks_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        bigbench.make("nothing", tmp_path)
    with pytest.raises(UserError, match="capitals, rhymes"):
        bigbench.make(".", DATA)
    with pytest.raises(UserError, match="names no task"):
        bigbench.make(None, DATA)
    with pytest.raises(UserError, match="did you mean `kind`"):
        bigbench.make("rhymes", DATA, knd="generate")
