"""Killing a run with SIGKILL at any instant costs at most the segment in flight, and changes no number."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from saltus.conditions.baseline import Baseline
from saltus.runner.here import shard
from saltus.runner.loop import RunSettings, run
from saltus.store import Store
from saltus.store.writer import CommitPolicy
from saltus.testing import ToyTask

from helpers.places import python_path
from helpers.small_study import Shout, SmallStudy

ROWS = 8
"""Answers per segment."""


def study(folder: Path, sleep: float) -> SmallStudy:
    return SmallStudy(
        (ToyTask(format="choices"),),
        ((Baseline(),), (Shout(),)),
        limit=40,
        points=3,
        options={"tally": str(folder / "tally"), "faults": {"sleep": sleep}},
    )


def go(folder: Path, part: int, parts: int) -> None:
    """The command that is killed and typed again."""
    settings = RunSettings(window=50, commit=CommitPolicy(most_rows=ROWS))
    store = Store(folder / "killed.saltus")
    run(study(folder, 0.002), store, settings=settings, executor=shard(part, parts))


@pytest.mark.slow
def test_twenty_kills_change_nothing_and_cost_one_segment_each(tmp_path: Path) -> None:
    dice = random.Random(17)
    plain, whole = _whole(tmp_path)
    kills = 0
    for _ in range(20):
        process = _start(tmp_path)
        time.sleep(dice.uniform(0.0, 0.12))
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
    assert kills == 20, "the run ended before it could be killed"
    assert _start(tmp_path).wait() == 0

    store = Store(tmp_path / "killed.saltus")
    want, got = whole.table(plain).collect(), store.table(plain).collect()
    assert got.equals(want)
    assert {p.severity for p in store.verify()} <= {"stray", "torn"}
    asked = Counter((tmp_path / "tally").read_text().split())
    assert len(asked) == 40 * 2 * 3 * 4
    assert asked.total() - len(asked) <= kills * ROWS
    store.compact(stray_after=0)
    assert store.verify() == []
    assert store.table(plain).collect().equals(want)


@pytest.mark.slow
def test_shards_that_run_at_the_same_time_write_one_store(tmp_path: Path) -> None:
    plain, whole = _whole(tmp_path)
    running = [_start(tmp_path, part, 4) for part in (1, 2, 3, 4)]
    store = Store(tmp_path / "killed.saltus")
    while any(process.poll() is None for process in running):
        store.compact()
    assert [process.wait() for process in running] == [0] * 4
    assert store.verify() == []
    assert store.table(plain).collect().equals(whole.table(plain).collect())
    asked = (tmp_path / "tally").read_text().split()
    assert len(asked) == len(set(asked)) == 40 * 2 * 3 * 4


def _whole(folder: Path) -> tuple[SmallStudy, Store]:
    """The study, and a store in which it ran undisturbed."""
    plain, store = study(folder, 0.0), Store(folder / "whole" / "killed.saltus")
    options = {k: v for k, v in plain.options.items() if k != "tally"}
    run(replace(plain, options=options), store)
    return plain, store


def _start(folder: Path, part: int = 1, parts: int = 1) -> subprocess.Popen[bytes]:
    """The run in a process of its own, returned when it has begun to work (imports take much longer)."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "PYTHONPATH": python_path()}
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(part), str(parts)], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


if __name__ == "__main__":
    print("ready", flush=True)
    go(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
