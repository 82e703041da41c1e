"""Own questions are asked as meant: clozes as they are written, white space and answers as the options say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saltus.errors import UserError
from saltus.records import Answer, Item
from saltus.study.named import taken_apart
from saltus.tasks import jsonl
from saltus.tasks.rendering import STYLE_KEY, is_cloze
from saltus.tasks.text import TextTask

RNG = np.random.default_rng(0)
CLOZE = {"question": "Arun lives in", "choices": ["Bern", "Rome"], "answer": "Rome"}
ASKED = {"question": "Where does Arun live?", "choices": ["Bern", "Rome"], "answer": "Rome"}
SUM = {"kind": "generate", "question": "7+6=", "answer": "13"}


def made(folder: Path, *rows: dict[str, Any], **options: Any) -> TextTask:
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return jsonl.make("items.jsonl", folder, **options)


def prompts(task: TextTask) -> list[str]:
    return [next(task.ask(item)).prompt for item in task.items(None, RNG)]


@pytest.mark.parametrize(
    ("question", "cloze"),
    [
        ("Arun lives in", True),
        ("2+2=", True),
        ("Where?", False),
        ('He asked: "Where?"', False),
        ("The capital:", False),
        ("哪里？", False),
        ("One line\nand another", False),
        ("", False),
    ],
)
def test_a_cloze_breaks_off_on_one_line(question: str, cloze: bool) -> None:
    assert is_cloze(Item(id="1", question=question)) is cloze


def test_clozes_are_asked_plain_and_everything_else_as_before(tmp_path: Path) -> None:
    task = made(tmp_path, CLOZE, ASKED)
    assert prompts(task) == ["Arun lives in", "Question: Where does Arun live?\nAnswer:"]
    assert (task.name, task.version) == ("jsonl:items.jsonl", "2")
    assert "for 1 of 2 items" in task.provenance["frame"]
    styled = made(tmp_path, {**CLOZE, "id": "a"})
    item = styled.items(None, RNG)[0]
    item.meta[STYLE_KEY] = "short"  # type: ignore[index]
    assert next(styled.ask(item)).prompt == "Q: Arun lives in\nA:", "a condition's style goes before"


def test_what_is_not_changed_keeps_its_name_and_version(tmp_path: Path) -> None:
    for rows, options in (([ASKED], {}), ([ASKED], {"style": "auto"}), ([ASKED], {"style": "qa"}), ([SUM], {})):
        task = made(tmp_path, *rows, **options)
        assert (task.name, task.version) == ("jsonl:items.jsonl", "1")
    task = made(tmp_path, CLOZE, format="letters")
    assert (task.name, task.version) == ("jsonl:items.jsonl[format=letters]", "1")
    assert prompts(task) == ["Question: Arun lives in\nA. Bern\nB. Rome\nAnswer:"]
    assert (made(tmp_path, CLOZE, style="plain").name, made(tmp_path, CLOZE, style="plain").version) == (
        "jsonl:items.jsonl[style=plain]",
        "1",
    )
    assert made(tmp_path, CLOZE, style="qa").name == "jsonl:items.jsonl[style=qa]"
    assert prompts(made(tmp_path, CLOZE, style="qa")) == ["Question: Arun lives in\nAnswer:"]


def test_the_twin_is_what_the_model_would_write(tmp_path: Path) -> None:
    task = made(tmp_path, SUM, style="plain", target_delimiter="", stop=".")
    written, scored = task.ask(task.items(None, RNG)[0])
    assert (written.prompt, written.settings.stop) == ("7+6=", (".",))
    assert (scored.prompt, scored.continuation) == ("7+6=", "13")
    for options, continuation in (({"style": "plain"}, "13"), ({}, " 13"), ({"target_delimiter": " "}, " 13")):
        scored = list(made(tmp_path, SUM, **options).ask(task.items(None, RNG)[0]))[1]
        assert scored.continuation == continuation, options
    ends = made(tmp_path, {**SUM, "question": "7+6= "}, style="plain")
    assert list(ends.ask(ends.items(None, RNG)[0]))[1].continuation == "13"


def test_the_delimiter_stands_between_context_and_question(tmp_path: Path) -> None:
    task = made(tmp_path, {**ASKED, "context": "Arun is Roman."}, style="plain", delimiter=" ")
    assert prompts(task) == ["Arun is Roman. Where does Arun live?"]
    assert task.version != "1"


def test_answers_are_read_before_they_are_compared(tmp_path: Path) -> None:
    soft = Answer(key="", token_logprobs=(-0.1,), token_ranks=(0,), greedy=True)
    written = Answer(key="", text="13.")
    plain = made(tmp_path, SUM, style="plain")
    item = plain.items(None, RNG)[0]
    assert plain.score(item, [written, soft])[0].hard == 0.0
    for options in ({"normalise": ["punctuation"]}, {"extract": "last_number"}, {"extract": "regex:(\\d+)"}):
        task = made(tmp_path, SUM, style="plain", **options)
        assert task.score(item, [written, soft])[0].hard == 1.0
        assert (task.name, task.version) != (plain.name, plain.version)
        assert written.text == "13.", "what is stored stays as it was written"
        _, read = taken_apart(task.name)
        assert made(tmp_path, SUM, **read).name == task.name, "a printed name can be typed"
    both = made(tmp_path, {**SUM, "answer": "The Answer"}, normalise="articles+casefold+strip")
    assert both.score(both.items(None, RNG)[0], [Answer(key="", text=" answer"), soft])[0].hard == 1.0


@pytest.mark.parametrize(
    ("row", "options", "says"),
    [
        (CLOZE, {"extract": "first_line"}, "kind is multiple_choice"),
        (CLOZE, {"style": "plan"}, "plain"),
        (SUM, {"target_delimiter": 1}, "a text"),
        (SUM, {"stop": [""]}, "none empty"),
        (SUM, {"normalize": "strip"}, "normalise"),
    ],
)
def test_a_wrong_option_is_explained(tmp_path: Path, row: dict[str, Any], options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        made(tmp_path, row, **options)
