"""The commands in docs/clusters.md run as they stand, and split one study into one table."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from saltus.errors import UserError
from saltus.runner.loop import run
from saltus.runner.ray import Ray
from saltus.store import Store
from saltus.study import document as studies

from helpers.places import ROOT

PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")

STUDY = """
study: split
models: [{from: "scripted:leap", points: 3, tally: tally}]
tasks: [addition]
limit: 16
"""


def shell(command: str, folder: Path, **variables: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        ["bash", "-e", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def commands(word: str) -> str:
    """The one command of the page's console blocks that has the word, or none of them for an empty one."""
    lines = re.findall(r"^\$ (saltus .*)$", PAGE, re.M)
    (line,) = [one for one in lines if (word in one if word else "--" not in one)]
    return str(line)


def assert_whole(folder: Path) -> None:
    study = studies.load(folder / "study.yaml")
    answers = (folder / "tally").read_text().split()
    assert len(answers) == len(set(answers)) == 48, "everything was asked, nothing twice"
    alone = Store(folder / "alone" / "study.saltus")
    run(study, alone)
    got, want = Store(folder / "study.saltus").table(study), alone.table(study)
    assert got.collect().equals(want.collect())


@pytest.mark.slow
def test_the_array_job_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("tally: tally", f"tally: {tmp_path}/tally"))
    (job,) = re.findall(r"```bash\n(#!.*?)```", PAGE, re.S)
    first, last = map(int, re.findall(r"--array=(\d+)-(\d+)", job)[0])
    for number in range(first, last + 1):
        shell(job, tmp_path, SLURM_ARRAY_TASK_ID=str(number))
    shell(commands(""), tmp_path)
    assert (tmp_path / "study.saltus" / "report.html").exists()
    assert_whole(tmp_path)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_the_ray_command_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("tally: tally", f"tally: {tmp_path}/tally"))
    shell(commands("--on ray"), tmp_path)
    assert (tmp_path / "study.saltus" / "report.html").exists()
    assert_whole(tmp_path)


def test_the_options_of_the_page_are_the_ones_there_are() -> None:
    (call,) = re.findall(r"executor=(Ray\(.*\))\)", PAGE)
    made = eval(call, {"Ray": Ray})
    assert (made.address, made.workers, made.gpus, made.retries) == ("head:6379", 8, 0.5, 5)
    with pytest.raises(UserError, match="client protocol"):
        Ray("ray://head:10001")
