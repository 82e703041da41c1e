"""The demonstration, whole, from a built wheel outside the source tree: trained networks in, hypotheses kept out.

Trains four series (minutes of one core each), so it is the longest test here. The second run finds everything known.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.places import ROOT

ROOT = ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs, and nothing of the source tree.

    Built from a copy: a build writes into its tree, and two test workers may build at once.
    """
    folder = tmp_path_factory.mktemp("wheel")
    source, wheels, target = folder / "source", folder / "wheels", folder / "installed"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source]
    made = subprocess.run([*pip, *build], check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    (wheel,) = wheels.glob("saltus-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    return target


def saltus(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    program = "import saltus; assert 'installed' in saltus.__file__; from saltus.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.xdist_group("zoo")
def test_the_demonstration_keeps_its_hypotheses(installed: Path, tmp_path: Path) -> None:
    done = saltus(installed, tmp_path, "demo", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    outcomes = {h["id"]: (h["outcome"], h["why"]) for h in said["hypotheses"]}
    assert {name: outcome for name, (outcome, _) in outcomes.items()} == dict.fromkeys(
        ("H1", "H2", "H3", "H4", "H5"), "kept"
    ), outcomes
    page = tmp_path / "saltus-demo" / "report.html"
    assert 50_000 < page.stat().st_size < 3_000_000
    began = time.monotonic()
    again = json.loads(saltus(installed, tmp_path, "demo", "--json").stdout)
    assert again["asked"] == 0
    assert [f["verdict"] for f in again["findings"]] == [f["verdict"] for f in said["findings"]]
    assert time.monotonic() - began < 120, "everything was known"


@pytest.mark.slow
def test_the_wheel_brings_every_file_it_needs(installed: Path, tmp_path: Path) -> None:
    for command in ("tasks", "conditions", "models", "zoo"):
        done = saltus(installed, tmp_path, command, "--json")
        assert done.returncode == 0, done.stderr
        assert "cannot be imported" not in done.stdout
    assert saltus(installed, tmp_path, "new", "mine").returncode == 0
    done = saltus(installed, tmp_path, "run", "scripted:leap", "--task", "addition", "--limit", "20")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "scripted-leap.saltus" / "report.html").exists()
