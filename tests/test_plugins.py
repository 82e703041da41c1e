"""A stranger's package with a task, a condition, a model and a check works beside ours, without touching saltus.

The package is made of the examples in docs/add-a-*.md, as they stand there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from saltus import plugins
from saltus.errors import UserError

from helpers.places import ROOT, python_path

DOCS = ROOT / "docs"
PAGES = ("task", "condition", "model", "check")

STUDY = """
study: a stranger's
models: [{series: theirs, from: "constant:8"}]
tasks: [{reversal: {length: 3}}]
conditions: [baseline, {shouting: [1]}]
limit: 20
"""

BY_FILE = """
study: a stranger's, without a package
models: [{series: theirs, from: "file:parts/constant_model.py:8"}]
tasks: [{"file:parts/reversal.py": {length: 3}}]
conditions: [baseline, {"file:parts/shouting.py": [1]}]
checks: ["file:parts/last_step.py"]
limit: 20
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed distribution, as pip would leave it."""
    folder = tmp_path_factory.mktemp("toy")
    points = []
    for page in PAGES:
        text = (DOCS / f"add-a-{page}.md").read_text(encoding="utf-8")
        ((name, code),) = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", text, re.S)
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
        kind = f"{page}s"
        attribute = {"model": "adapter", "check": "check"}.get(page, "make")
        short = name.removesuffix("_model")
        points.append(f"[saltus.{kind}]\n{short} = {name}:{attribute}\n")
    info = folder / "toy-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("\n".join(points))
    return folder


def run(package: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(package), python_path()))}
    command = [sys.executable, "-c", "from saltus.cli.main import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_strangers_parts_run_in_one_study(package: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    done = run(package, tmp_path, "run", "study.yaml", "--json")
    assert done.returncode == 0, done.stderr
    message = json.loads(done.stdout)
    assert message["asked"] == 8 * 20 * 2
    assert {f["condition"] for f in message["findings"]} == {"baseline", "shouting[share=1]"}
    findings = [json.loads(line) for line in (tmp_path / "study.saltus" / "findings.jsonl").open()]
    evidence = {e["name"]: e for e in findings[0]["evidence"]}
    assert evidence["last_step"]["code"] == "last_step@1"
    # Every token is as likely as the next: the guard that looks for dead scorers sees it, and nothing leaps.
    assert {f["verdict"] for f in findings} == {"defective"}
    assert any(g["name"].startswith("constant") and g["fired"] for g in findings[0]["guards"])


def test_they_are_listed_beside_ours(package: Path, tmp_path: Path) -> None:
    done = run(package, tmp_path, "tasks", "--json")
    names = {row["name"] for row in json.loads(done.stdout)}
    assert {"reversal", "copying", "jsonl"} <= names


def test_an_unknown_part_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean `copying`"):
        plugins.load("tasks", "coping")


def test_a_broken_plugin_breaks_only_who_asks_for_it(package: Path, tmp_path: Path) -> None:
    (package / "reversal.py").rename(package / "hidden")
    try:
        done = run(package, tmp_path, "tasks", "--json")
        rows = {row["name"]: row for row in json.loads(done.stdout)}
        assert "cannot be imported" in rows["reversal"]["about"]
        assert "cannot" not in rows["copying"]["about"]
    finally:
        (package / "hidden").rename(package / "reversal.py")


def test_single_files_do_as_well_once_the_user_allows_them(package: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    for name in ("constant_model", "reversal", "shouting", "last_step"):
        (parts / f"{name}.py").write_text((package / f"{name}.py").read_text())
    (tmp_path / "study.yaml").write_text(BY_FILE)
    refused = run(tmp_path, tmp_path, "run", "study.yaml", "--json")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    (option,) = re.findall(r"--allow (\S+)", refused.stderr)
    assert option == f"python:{parts / 'reversal.py'}"
    done = run(tmp_path, tmp_path, "run", "study.yaml", "--json", "--allow", f"python:{parts}")
    assert done.returncode == 0, done.stderr
    message = json.loads(done.stdout)
    assert message["asked"] == 8 * 20 * 2
    findings = [json.loads(line) for line in (tmp_path / "study.saltus" / "findings.jsonl").open()]
    assert {e["name"] for e in findings[0]["evidence"]} >= {"last_step", "presence"}
    again = run(tmp_path, tmp_path, "run", "study.yaml", "--json", "--allow", f"python:{parts}")
    assert json.loads(again.stdout)["asked"] == 0


def test_doctor_shows_the_example_adapter(package: Path, tmp_path: Path) -> None:
    done = run(package, tmp_path, "doctor", "constant:8")
    assert done.returncode == 0, done.stderr
    assert "constant" in done.stdout
    data = json.loads(run(package, tmp_path, "doctor", "constant:8", "--json").stdout)
    assert data["about"]["kind"] == "constant"


def test_a_file_of_scores_is_scored_anew_when_it_changes(tmp_path: Path) -> None:
    """The version of a task made from a file holds the file's hash."""
    from saltus import permissions
    from saltus.store.rows import version_of

    text = re.findall(r"```python\n# reversal\.py\n(.*?)```", (DOCS / "add-a-task.md").read_text(), re.S)[0]
    path, versions = tmp_path / "reversal.py", []
    text = text.replace('provenance = {"generator": "reversal.py", "licence": "CC0-1.0"}', "provenance = {}")
    for change in ("", "# another scorer\n"):
        path.write_text(text + change)
        with permissions.granted(f"python:{path}"):
            versions.append(version_of(plugins.load("tasks", "file:reversal.py", base=tmp_path)()))
    assert len(set(versions)) == 2
    assert all(v.startswith("1+") for v in versions)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("file:absent.py", None, "no such file"),
        ("file:broken.py", "x = (", "cannot be loaded: SyntaxError"),
        (
            "file:raises.py",
            "x = 1\nraise RuntimeError('oh')\n",
            "raises.py:2: the file cannot be loaded: RuntimeError: oh",
        ),
        ("file:empty.py", "", "defines no `make`"),
        ("file:named.py#other", "make = 1\n", "defines no `other`"),
    ],
)
def test_a_file_that_is_no_part_is_explained(tmp_path: Path, name: str, content: str | None, found: str) -> None:
    from saltus import permissions

    if content is not None:
        (tmp_path / name.removeprefix("file:").split("#")[0]).write_text(content)
    with permissions.granted(f"python:{tmp_path}"), pytest.raises(UserError) as error:
        plugins.load("tasks", name, base=tmp_path)
    assert found in str(error.value)


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        ("jsonl:items.jsonl", "jsonl", "items.jsonl"),
        ("copying", "copying", None),
        ("dir:runs/seed{seed}:x", "dir", "runs/seed{seed}:x"),
        ("file:mine.py", "file:mine.py", None),
        ("file:a.b/mine.py#other:5", "file:a.b/mine.py#other", "5"),
        ("file:mine.py:dir/x.py", "file:mine.py", "dir/x.py"),
    ],
)
def test_names_are_taken_apart(text: str, name: str, source: str | None) -> None:
    assert plugins.split(text) == (name, source)


def test_a_file_name_without_a_file_is_refused() -> None:
    with pytest.raises(UserError, match="names no Python file"):
        plugins.split("file:mine.txt")
