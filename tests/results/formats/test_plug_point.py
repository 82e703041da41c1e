"""A stranger's format, as docs/add-a-format.md has it, reads files that nobody here wrote a reader for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from saltus import permissions, plugins
from saltus.cli.main import main
from saltus.errors import UserError
from saltus.results.formats import FORMATS, detect
from saltus.results.formats.base import Document, Read
from saltus.results.read import read

from helpers.places import ROOT

PAGE = (ROOT / "docs" / "add-a-format.md").read_text(encoding="utf-8")


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    """Eight steps of one model, the example's own file beside them."""
    (code,) = re.findall(r"```python\n# scoreboard\.py\n(.*?)```", PAGE, re.S)
    (tmp_path / "scoreboard.py").write_text(code, encoding="utf-8")
    folder = tmp_path / "boards"
    folder.mkdir()
    for step in range(1, 9):
        score = 0.9 if step > 4 else 0.25
        text = f"# scoreboard of ours-70m at step {step}000, 70M parameters\narc acc = {score} of 400\n(no score)\n"
        (folder / f"{step}.txt").write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["saltus", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_without_it_the_files_are_no_results(boards: Path) -> None:
    with pytest.raises(UserError, match="no results among 8 files"):
        read([boards / "boards"])


def test_a_folder_is_judged_by_the_page_alone(boards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = re.findall(r"`saltus (analyze boards/ [^`]*)`", PAGE)
    assert run(boards, monkeypatch, *command.split(), "--out", "out") == 0
    findings = [json.loads(line) for line in (boards / "out" / "findings.jsonl").open()]
    assert {f["n_points"] for f in findings} == {8}
    assert {(f["task"], f["metric_hard"], f["n_items"]) for f in findings} == {("arc", "acc", 400)}
    account = json.loads((boards / "out" / "inputs.json").read_text())
    assert {i["format"] for i in account["inputs"]} == {"scoreboard"}


def test_it_needs_permission(boards: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(boards, monkeypatch, "analyze", "boards", "--format", "file:scoreboard.py", "--out", "out") == 2
    assert f"--allow python:{boards / 'scoreboard.py'}" in " ".join(capsys.readouterr().err.split())


def test_the_users_formats_are_asked_before_ours(boards: Path) -> None:
    (boards / "run.json").write_text(json.dumps({"results": {}, "config": {}}))
    assert detect(boards / "run.json").name == "lm-eval results"  # type: ignore[union-attr]

    class Mine:
        name = "mine"

        def recognises(self, document: Document) -> bool:
            return "results" in document.names

    assert detect(boards / "run.json", [Mine()]).name == "mine"  # type: ignore[union-attr, list-item]


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (ZeroDivisionError("by nought"), "the format `mine` failed: ZeroDivisionError: by nought"),
        ("rows", "gave a str; wanted a polars DataFrame"),
        (pl.DataFrame({"task": ["a"]}), "no column for `metric` or `value`"),
        (UserError("line 3 is cut short"), "line 3 is cut short"),
    ],
    ids=["raises", "no frame", "no value", "its own words"],
)
def test_what_goes_wrong_in_it_is_told_as_its_own(boards: Path, gives: object, says: str) -> None:
    class Mine:
        name = "mine"

        def recognises(self, document: Document) -> bool:
            return document.head.startswith("# scoreboard")

        def companions(self, path: Path) -> list[Path]:
            return []

        def read(self, path: Path) -> object:
            if isinstance(gives, Exception):
                raise gives
            return gives

    with pytest.raises(UserError, match=re.escape(says)):
        read([boards / "boards" / "1.txt"], formats=[Mine()])  # type: ignore[list-item]


def test_companions_are_taken_in_once_and_notes_are_kept(boards: Path) -> None:
    class Mine:
        name = "mine"

        def recognises(self, document: Document) -> bool:
            return document.path.name == "1.txt"

        def companions(self, path: Path) -> list[Path]:
            return sorted(p for p in path.parent.glob("*.txt") if p != path)

        def read(self, path: Path) -> Read:
            frame = pl.DataFrame({"task": "t", "metric": "acc", "value": [0.1, 0.9], "model": "m", "step": [1, 2]})
            return Read(frame, ["7 files beside it"])

    found = read([boards / "boards"], formats=[Mine()])  # type: ignore[list-item]
    assert found.table.height == 2
    assert len(found.inputs) == 8
    assert found.inputs[0].notes[0] == "7 files beside it"


class Faulty:
    """A format of `*.txt` whose parts may be replaced by what goes wrong."""

    name = "mine"

    def __init__(self, **parts: object) -> None:
        self.__dict__.update(parts)

    def recognises(self, document: Document) -> bool:
        return document.path.suffix == ".txt"

    def companions(self, path: Path) -> list[Path]:
        return []

    def read(self, path: Path) -> object:
        return pl.DataFrame({"task": "t", "metric": "acc", "value": 0.5, "model": "m", "step": [1, 2]})


def raises(*_: object) -> bool:
    raise KeyError("boom")


TABLE = "model,step,task,metric,value\nm,1,t,acc,0.5\n"


def test_a_fault_in_recognising_costs_no_other_file_and_is_named(boards: Path) -> None:
    (boards / "boards" / "t.csv").write_text(TABLE)
    found = read([boards / "boards"], formats=[Faulty(recognises=raises)])
    assert found.table.height == 1
    assert "the format `mine` failed on 9 files, first" in found.notes[-1]
    assert "KeyError: 'boom'" in found.notes[-1]
    with pytest.raises(UserError, match="the format `mine` failed when asked"):
        read([boards / "boards" / "1.txt"], formats=[Faulty(recognises=raises)])
    (boards / "boards" / "t.csv").unlink()
    with pytest.raises(UserError, match="no results among 8 files; the format `mine` failed"):
        read([boards / "boards"], formats=[Faulty(recognises=raises)])


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"companions": raises}, "the format `mine` failed: KeyError: 'boom'"),
        ({"companions": lambda path: [path / "nowhere"]}, "names a file beside it that is not there"),
        ({"read": lambda path: (1, 2, 3)}, "gave a tuple; wanted a polars DataFrame"),
        ({"read": lambda path: Read(pl.DataFrame(), "a note")}, "no list of sentences"),
        ({"read": lambda path: pl.DataFrame({"value": [[1.0]]})}, "column `value` holds List(Float64)"),
        ({"name": ""}, "has no name"),
        ({"read": None}, "has no read"),
    ],
)
def test_whatever_else_goes_wrong_is_a_message_that_names_it(boards: Path, parts: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        read([boards / "boards" / "1.txt"], formats=[Faulty(**parts)])


def test_a_class_in_place_of_an_object_is_said(boards: Path) -> None:
    with pytest.raises(UserError, match="`mine` is a class") as caught:
        read([boards / "boards"], formats=[Faulty])  # type: ignore[list-item]
    assert "format = MyFormat()" in caught.value.do


def test_a_format_that_says_no_is_not_asked_to_read(boards: Path) -> None:
    (boards / "boards" / "t.csv").write_text(TABLE)
    found = read(
        [boards / "boards"], formats=[Faulty(recognises=lambda document: False, read=raises, companions=raises)]
    )
    assert [i.format for i in found.inputs if i.rows] == ["csv"]


def test_a_companion_is_nobody_elses_file(boards: Path) -> None:
    (boards / "boards" / "extra.csv").write_text(TABLE)
    (boards / "boards" / "lm.json").write_text(json.dumps({"results": {"t": {"acc": 0.5}}, "config": {}}))
    (boards / "boards" / "setup.ini").write_text("[board]\nsize = 3\n")
    beside = ("extra.csv", "lm.json", "setup.ini")
    mine = Faulty(
        recognises=lambda document: document.path.name == "1.txt",
        companions=lambda path: [path.with_name(name) for name in beside],
    )
    found = read([boards / "boards"], formats=[mine])
    assert [Path(i.path).name for i in found.inputs[:4]] == ["1.txt", *beside]
    assert [i.rows for i in found.inputs] == [2] + [0] * 10
    assert read([boards / "boards" / "1.txt"], formats=[mine]).table.height == 2


def test_text_that_only_begins_like_json_may_be_anothers(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("[results]\nacc = 0.5\n")
    assert read([tmp_path], formats=[Faulty()]).table.height == 2
    with pytest.raises(UserError, match="broken JSON"):
        read([tmp_path])


def test_two_formats_of_one_name_read_their_own_files(boards: Path) -> None:
    def of(name: str, value: float) -> Faulty:
        rows = pl.DataFrame(
            {"task": "t", "metric": "acc", "value": [value], "model": "m", "step": 1, "source": "theirs"}
        )
        return Faulty(recognises=lambda d: d.path.name == name, read=lambda path: rows)

    found = read([boards / "boards"], formats=[of("1.txt", 0.1), of("2.txt", 0.9)])
    assert found.table["value"].to_list() == [0.1, 0.9]
    assert [i.rows for i in found.inputs[:2]] == [1, 1], "whatever it says the source is"


def test_a_broken_package_costs_no_files(boards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(kind: str, name: str) -> object:
        if name == "broken":
            raise ValueError("at import")
        return Faulty(name="theirs")

    monkeypatch.setattr(plugins, "names", lambda kind: ["broken", "helm"])
    monkeypatch.setattr(plugins, "load", load)
    found = read([boards / "boards"])
    assert {i.format for i in found.inputs} == {"theirs"}, "though it goes by the name of one of ours"
    assert "the installed format `broken` cannot be used" in found.notes[-1]


def test_promptfoos_results_are_not_taken_for_lm_evals(tmp_path: Path) -> None:
    document = {"evalId": "eval-1", "results": {"version": 3, "results": []}, "config": {}, "shareableUrl": None}
    (tmp_path / "p.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="promptfoo"):
        read([tmp_path / "p.json"])


def test_ours_are_registered_as_any_other() -> None:
    points = {plugins.load("formats", name) for name in plugins.names("formats")}
    assert set(FORMATS) <= points
    with permissions.granted():
        assert all(f.name for f in FORMATS)
