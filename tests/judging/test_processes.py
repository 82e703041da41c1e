"""Judging in processes of their own: the same findings, the bench's own errors, nothing left behind."""

from __future__ import annotations

import os

import numpy as np
import pytest

from saltus.calibrate import simulate
from saltus.judging import processes as benches
from saltus.judging.judge import judge
from saltus.judging.processes import Benches
from saltus.records import Analysis
from saltus.stats.batch import CurveBatch


@pytest.fixture(scope="module")
def curves() -> CurveBatch:
    return simulate(24, np.random.default_rng(11))[0]


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches, "LEAST", 8)
    monkeypatch.setattr(benches, "processors", lambda: 2)


def test_processes_find_what_one_process_finds(curves: CurveBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = Analysis(draws=60, resamples=8)
    here = judge(curves, analysis, np.random.default_rng(3))
    monkeypatch.setattr(benches, "LEAST", 8)
    monkeypatch.setattr(benches, "processors", lambda: 2)
    with Benches(curves, analysis, 1) as made:
        assert len(made.benches) == 2
    assert judge(curves, analysis, np.random.default_rng(3)) == here


@pytest.mark.usefixtures("two_processes")
def test_an_error_of_a_bench_is_raised_here_and_no_process_is_left(curves: CurveBatch) -> None:
    with pytest.raises(AttributeError, match="no_such_question"), Benches(curves, Analysis(), 1) as made:
        started = [bench.process for bench in made.benches]
        made._ask("no_such_question")
    assert [process.poll() is None for process in started] == [False, False]


@pytest.mark.usefixtures("two_processes")
def test_a_process_that_dies_is_told_of(curves: CurveBatch) -> None:
    with Benches(curves, Analysis(), 1) as made:
        os.kill(made.benches[1].process.pid, 9)
        with pytest.raises(RuntimeError, match="ended early"):
            made.p_values()
