"""saltus as a stranger has it: from what the build wrote, and nothing of the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.places import ROOT

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def build(folder: Path) -> tuple[Path, Path]:
    """(wheel, sdist) made in folder, from a copy: a build writes into its tree, and two workers may build at once."""
    source, dist = folder / "source", folder / "dist"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    dist.mkdir()
    hooks = "from setuptools import build_meta as b; import sys; to = sys.argv[1]; b.build_sdist(to); b.build_wheel(to)"
    made = subprocess.run(
        [sys.executable, "-c", hooks, str(dist)], cwd=source, check=False, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    (wheel,), (sdist,) = dist.glob("saltus-*.whl"), dist.glob("saltus-*.tar.gz")
    return wheel, sdist


def install(what: Path, target: Path) -> Path:
    """The folder that holds what pip installs of a wheel or sdist; its dependencies are here already."""
    command = [*PIP, "install", "--no-deps", "--no-build-isolation", "--target", target, what]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def saltus(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line of what is installed there, run in folder."""
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
