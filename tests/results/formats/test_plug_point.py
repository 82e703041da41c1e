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


def test_ours_are_registered_as_any_other() -> None:
    points = {plugins.load("formats", name) for name in plugins.names("formats")}
    assert set(FORMATS) <= points
    with permissions.granted():
        assert all(f.name for f in FORMATS)
