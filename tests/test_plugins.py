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
    said = json.loads(done.stdout)
    assert said["asked"] == 8 * 20 * 2
    assert {f["condition"] for f in said["findings"]} == {"baseline", "shouting[share=1]"}
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
