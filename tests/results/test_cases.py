"""Inputs from real use that were read wrong once: each case lies in tests/data/cases with its right answer.

`expected.json` is a list of runs: files, arguments, exit code, and what has to hold of findings and notes. A verdict is
a list of the words that are right; `never` are words that no finding may have.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from saltus.cli.main import app
from saltus.cli.options import with_values
from saltus.errors import UserError

from helpers.places import DATA_FOLDER

CASES = DATA_FOLDER / "cases"
RUNS = [
    pytest.param(path.parent, run, id=f"{path.parent.name}-{i}")
    for path in sorted(CASES.glob("*/expected.json"))
    for i, run in enumerate(json.loads(path.read_text("utf-8")))
]


def analyzed(files: Path, arguments: list[str], out: Path) -> Result:
    return CliRunner().invoke(app, with_values(["analyze", str(files), *arguments, "--out", str(out)]))


def error_of(result: Result) -> UserError:
    assert isinstance(result.exception, UserError), result.exception
    return result.exception


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The case without its expected answer and its README, which no user would have there."""
    case: Path = request.param
    to = tmp_path / case.name
    for path in case.rglob("*"):
        if path.is_file() and path.name not in ("expected.json", "README.md"):
            copy = to / path.relative_to(case)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return to


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "run"), RUNS, indirect=["folder"])
def test_a_case_gets_its_right_answer(folder: Path, run: dict[str, Any], tmp_path: Path) -> None:
    result = analyzed(folder / run["files"], run["arguments"], tmp_path / "out")
    if run["exit"]:
        error = error_of(result)
        assert run["hint"] in error.do
        option = error.do[error.do.index("--") :].split(" where ")[0]
        again = analyzed(folder / run["files"], shlex.split(option), tmp_path / "again")
        assert again.exception is None, f"the remedy `{option}` does not work when it is pasted: {again.exception}"
        return
    assert result.exception is None, result.exception
    findings = [json.loads(line) for line in (tmp_path / "out" / "findings.jsonl").read_text("utf-8").splitlines()]
    inputs = json.loads((tmp_path / "out" / "inputs.json").read_text("utf-8"))
    notes = " ".join([*inputs["notes"], *inputs["left_out"]])
    by_name = {f"{f['series']} · {f['task']} · {f['metric_hard']}": f for f in findings}
    for name, words in run.get("verdicts", {}).items():
        assert by_name[name]["verdict"] in words, name
    assert not {f["verdict"] for f in findings} & set(run.get("never", ()))
    if "n_points" in run:
        assert {f["n_points"] for f in findings} == set(run["n_points"])
    if "n_seeds" in run:
        assert {f["n_seeds"] for f in findings} == set(run["n_seeds"])
    if "onset" in run:
        low, high = run["onset"]
        assert all(low <= f["onset"] <= high for f in findings)
    for name, severity in run.get("guards", {}).items():
        fired = {g["name"]: g["severity"] for f in findings for g in f["guards"] if g["fired"]}
        assert fired.get(name) == severity, fired
    for field, (low, high) in run.get("coords", {}).items():
        read = [c["value"] for c in inputs["coordinates"] if c["field"] == field]
        assert min(read) == low
        assert high is None or max(read) == high
    for sentence in run.get("notes", ()):
        assert sentence in notes
