"""The document that `saltus run SOURCE` implies grows with what is asked, and nothing of the user's is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from saltus.errors import UserError
from saltus.study import document as study
from saltus.study.lock import write_lock
from saltus.study.new import MARK, document_for

SOURCE = "scripted:leap"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "items.jsonl").write_text('{"question": "Arun lives in", "target": "Rome"}\n')


def names(path: Path) -> list[str]:
    return [task.name for task in study.load(path).tasks()]


def test_a_second_task_joins_the_first() -> None:
    first = document_for(SOURCE, ["addition"], None)
    assert document_for(SOURCE, ["addition"], None) == first
    assert document_for(SOURCE, ["copying", "jsonl:items.jsonl"], None, settings=["style=qa"]) == first
    assert names(first) == ["addition[digits=3]", "copying", "jsonl:items.jsonl[style=qa]"]
    assert document_for(SOURCE, ["jsonl:items.jsonl[style=qa]"], None) == first, "as it is printed"
    assert len(names(first)) == 3


def test_the_limit_may_change_while_the_tasks_stay() -> None:
    first = document_for(SOURCE, ["addition"], 20)
    assert document_for(SOURCE, ["addition"], 30) == first
    assert study.load(first).limit == 30
    other = document_for(SOURCE, ["copying"], 50)
    assert other != first
    assert (study.load(other).limit, names(first)) == (50, ["addition[digits=3]"])
    assert document_for(SOURCE, ["addition"], 40) == first
    assert document_for(SOURCE, ["copying"], 60) == other


def test_what_would_change_the_answers_gets_a_name_of_its_own() -> None:
    first = document_for(SOURCE, ["addition"], None)
    assert document_for(SOURCE, ["copying"], None, settings=["points=5"]).name == "scripted-leap-2.yaml"
    assert document_for(SOURCE, ["copying"], None, settings=["bos=always"]).name == "scripted-leap-3.yaml"
    same_name = document_for(SOURCE, ["jsonl:items.jsonl"], None)
    assert same_name == first
    assert document_for(SOURCE, ["jsonl:items.jsonl"], None, settings=["max_tokens=5"]).name == "scripted-leap-4.yaml"
    assert study.load(Path("scripted-leap-3.yaml")).ask.bos == "always"


def test_a_locked_document_is_not_extended() -> None:
    first = document_for(SOURCE, ["addition"], None)
    write_lock(study.load(first), first, 0)
    assert document_for(SOURCE, ["addition"], None) == first
    assert document_for(SOURCE, ["copying"], None) != first
    assert names(first) == ["addition[digits=3]"]


@pytest.mark.parametrize("edited", ["{}# mine\n", "# mine\n{}", "{}limit: 5\n"])
def test_a_document_edited_by_hand_is_left_alone(edited: str) -> None:
    path = document_for(SOURCE, ["addition"], None)
    text = edited.format(path.read_text())
    path.write_text(text)
    with pytest.raises(UserError, match="exists already") as caught:
        document_for(SOURCE, ["copying"], None)
    assert path.read_text() == text
    assert f"saltus run {path}" in caught.value.do


def test_a_document_of_an_earlier_release_is_known_by_its_text() -> None:
    path = document_for(SOURCE, ["addition"], None)
    _, _, body = path.read_text().partition("\n")
    path.write_text(f"{MARK}\n{body}")
    assert document_for(SOURCE, ["copying"], None) == path
    path.write_text(f"{MARK}\n{body}# mine\n")
    with pytest.raises(UserError, match="edited"):
        document_for(SOURCE, ["copying"], None)


def test_options_that_a_document_has_of_its_own_are_refused() -> None:
    path = document_for(SOURCE, ["addition"], None)
    with pytest.raises(UserError, match="--set goes with a model source") as caught:
        document_for(str(path), [], None, settings=["style=plain"])
    assert "style: plain" in caught.value.do


@pytest.mark.parametrize(
    ("options", "says"),
    [("{source: items.jsonl}", "jsonl:items.jsonl"), ("{base: /tmp}", "study's folder"), ("{1: 2}", "option: value")],
)
def test_a_source_among_the_options_is_explained(options: str, says: str) -> None:
    text = f'study: x\nmodels: [{{from: "{SOURCE}"}}]\ntasks: [{{jsonl: {options}}}]\n'
    with pytest.raises(UserError, match=r"tasks\[0\]") as caught:
        study.loads(text, base=Path()).tasks()
    assert says in str(caught.value)
