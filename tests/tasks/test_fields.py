"""Rows as people write them: mapped and told, or refused with the option that settles it."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saltus.errors import UserError
from saltus.study.named import given, taken_apart, task_entry
from saltus.tasks import jsonl
from saltus.tasks.text import TextTask

RNG = np.random.default_rng(0)


def made(folder: Path, *rows: dict[str, Any], **options: Any) -> TextTask:
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return jsonl.make("items.jsonl", folder, **options)


@pytest.mark.parametrize(
    ("row", "question", "choices", "target"),
    [
        ({"question": "2+2=", "options": ["3", "4"], "answer": 1}, "2+2=", ("3", "4"), "4"),
        ({"question": "2+2=", "options": {"A": "3", "B": "4"}, "answer": "B"}, "2+2=", ("3", "4"), "4"),
        ({"question": "2+2=", "A": "3", "B": "4", "answer": "B"}, "2+2=", ("3", "4"), "4"),
        ({"question": "2+2=", "choice1": "3", "choice2": "4", "label": 1}, "2+2=", ("3", "4"), "4"),
        (
            {"question": "2+2=", "choices": {"text": ["3", "4"], "label": ["1", "2"]}, "answerKey": "2"},
            "2+2=",
            ("3", "4"),
            "4",
        ),
        ({"question": "2+2=", "choices": ["x", "y"], "answer": "b"}, "2+2=", ("x", "y"), "y"),
        ({"prompt": "2+2=", "completion": "4"}, "2+2=", (), "4"),
        ({"input": [{"role": "user", "content": "2+2="}], "ideal": "4"}, "2+2=", (), "4"),
    ],
)
def test_known_spellings_are_mapped_and_told(
    tmp_path: Path, row: dict[str, Any], question: str, choices: tuple[str, ...], target: str
) -> None:
    task = made(tmp_path, row)
    (item,) = task.items(None, RNG)
    assert (item.question, item.choices, item.target) == (question, choices, target)
    assert task.notes, "a mapping is never silent"
    assert task.provenance["fields"] == "; ".join(task.notes)
    again = pickle.loads(pickle.dumps(task))
    assert list(again.items(None, RNG)) == [item]


def test_a_system_message_is_the_context(tmp_path: Path) -> None:
    talk = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "2+2=?"}]
    (item,) = made(tmp_path, {"input": talk, "ideal": "4"}).items(None, RNG)
    assert (item.context, item.question) == ("Be short.", "2+2=?")
    with pytest.raises(UserError, match="3 messages"):
        made(tmp_path, {"input": [*talk, talk[1]], "ideal": "4"})


def test_other_fields_stay_metadata_and_our_own_win(tmp_path: Path) -> None:
    row = {"question": "2+2 is", "answer": "4", "prompt": "x", "label": 3, "options": {"temperature": 0, "top_k": 1}}
    task = made(tmp_path, row)
    (item,) = task.items(None, RNG)
    assert item.meta == {"prompt": "x", "label": 3, "options": {"temperature": 0, "top_k": 1}}
    assert (task.kind, task.notes, task.version) == ("loglikelihood", (), "1")
    generated = made(tmp_path, {"kind": "generate", "question": "2+2=", "options": ["3", "4"], "answer": "4"})
    assert (generated.kind, generated.notes) == ("generate", ())


@pytest.mark.parametrize(
    ("row", "target"),
    [
        ({"instruction": "Add.", "input": "2+2=", "output": "4"}, "4"),
        ({"question": "2+2=", "choises": ["3", "4"], "answer": "4"}, "4"),
        ({"question": "2+2=", "option1": "3", "option2": "4", "answer": "1"}, "4"),
        ({"question": "2+2=", "choices": ["1", "4"], "answer": 1}, "1"),
        ({"question": "2+2=", "choices": ["3", "4"], "answer": 2}, "4"),
    ],
)
def test_what_could_mean_two_things_is_refused_with_what_to_type(
    tmp_path: Path, row: dict[str, Any], target: str
) -> None:
    with pytest.raises(UserError) as caught:
        made(tmp_path, row)
    typed = re.findall(r"--set ([\w.]+=\w+)", caught.value.do)
    assert typed
    options = given(typed[:1], ["jsonl:items.jsonl"]).options_of("jsonl:items.jsonl")
    (item,) = made(tmp_path, row, **options).items(None, RNG)
    assert item.target == target


def test_fields_may_be_stated(tmp_path: Path) -> None:
    row = {"question": "a note", "goal": "2+2=", "gold": "no", "right": "4"}
    (item,) = made(tmp_path, row, fields={"question": "goal", "answer": "right"}).items(None, RNG)
    assert (item.question, item.target) == ("2+2=", "4")
    for fields in ({"question": "goul"}, {"questoin": "goal"}, {"question": 3}, "goal"):
        with pytest.raises(UserError):
            made(tmp_path, row, fields=fields)


def test_settings_go_where_they_belong_and_printed_names_are_read() -> None:
    typed = ["style=plain", "fields.question=goal", "target_delimiter=", "stop=\\n", "dtype=float32", "device_map=auto"]
    found = given(typed, ["jsonl:a.jsonl", "copying"])
    rows = {"style": "plain", "fields": {"question": "goal"}, "target_delimiter": "", "stop": "\n"}
    assert (found.rows, found.ask, found.entry) == (rows, {"dtype": "float32"}, {"device_map": "auto"})
    assert task_entry("copying", found) == "copying"
    assert task_entry("jsonl:a.jsonl", found) == {"jsonl:a.jsonl": rows}
    assert task_entry("addition", given(["task.digits=3"], ["addition"])) == {"addition": {"digits": 3}}
    name, options = taken_apart("jsonl:a.jsonl[target_delimiter='',extract=regex:is ([0-9]+), or,normalise=strip]")
    assert name == "jsonl:a.jsonl"
    assert options == {"target_delimiter": "", "extract": "regex:is ([0-9]+), or", "normalise": "strip"}
