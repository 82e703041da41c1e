"""Counting is right: a perfect judge keeps every bar, a rash one is caught, intervals are exact."""

from __future__ import annotations

import io
import json
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from saltus.calibrate import calibrate, simulate
from saltus.calibrate.counts import by_kind, rate
from saltus.calibrate.markdown import page
from saltus.calibrate.simulate import NULLS
from saltus.calibrate.summary import summarise
from saltus.calibrate.tables import render
from saltus.judging import error_rates
from saltus.judging.error_rates import false_alarm_rate
from saltus.records import Analysis


def message(verdict: str, onset=(None, None), width=(None, None)):
    """As much of a finding as counting reads."""
    low, high = width
    return SimpleNamespace(
        verdict=verdict, onset_low=onset[0], onset_high=onset[1], width_hard=SimpleNamespace(low=low, high=high)
    )


def perfect(truth):
    """Right word, an interval of 0.4 decades or nats around the right onset, the width to a hair."""
    if truth.onset is None:
        return message(truth.word)
    factor = 10**0.2
    onset = (truth.onset / factor, truth.onset * factor)
    return message(truth.word, onset, (truth.width_hard, truth.width_hard))


@cache
def some_truths():
    return simulate(500, np.random.default_rng(2))[1]


def count(findings_of):
    truths = some_truths()
    findings = [findings_of(t) for t in truths]
    return summarise(list(zip(truths, findings, strict=True)), n=len(truths), seed=2, analysis=Analysis()), truths


def test_clopper_pearson_agrees_with_published_values():
    # Newcombe 1998, table I: 81 of 263 and 0 of 20
    assert (rate(81, 263).low, rate(81, 263).high) == pytest.approx((0.2527, 0.3676), abs=1e-4)
    assert (rate(0, 20).low, rate(0, 20).high) == pytest.approx((0.0, 0.1684), abs=1e-4)
    assert rate(0, 0).value is None
    assert rate(5, 5).high == 1.0


def test_a_perfect_judge_keeps_every_bar_but_is_told_of_too_safe_intervals():
    calibration, truths = count(perfect)
    missed = {bar.name for bar in calibration.bars if not bar.kept}
    assert missed == {"onset intervals that hold the truth"}  # 100 % is above the 97 % that was promised
    assert all(set(words) == {truth} for truth, words in calibration.confusion.items())
    assert calibration.onset["all"].rate.value == 1.0
    assert calibration.onset["bar"].median_width == pytest.approx(0.4)
    assert calibration.width["smooth"].rate.value == 1.0
    assert sum(c["nulls"] for c in calibration.cells) == sum(t.word in NULLS and t.n_points >= 6 for t in truths)


def test_words_by_kind_of_truth():
    kinds = {"smooth: murky": {"smooth": 3, "unresolved": 5, "flat": 2}, "flat: soft flat": {"flat": 4}}
    flat, smooth = by_kind(kinds)
    assert flat == ("flat: soft flat", str(rate(4, 4)), "")
    assert smooth == ("smooth: murky", str(rate(3, 10)), "5 unresolved, 2 flat")


def test_a_rash_judge_is_caught_class_by_class():
    calibration, truths = count(lambda t: message("transition"))
    assert calibration.false_alarms["all"].value == 1.0
    assert calibration.false_alarms["flat"].k == sum(t.word == "flat" for t in truths)
    assert calibration.one_run_transitions == sum(t.n_seeds == 1 for t in truths)
    kept = {bar.name for bar in calibration.bars if bar.kept}
    assert kept == {"transition by its word"}


def test_calibrate_runs_the_judge_it_is_given_and_ships_as_json():
    def judge(batch, analysis, rng):
        assert len(batch) <= 1000
        return [message("flat") for _ in batch.keys]

    calibration = calibrate(60, 3, judge=judge, power_curves=1)
    data = json.loads(calibration.to_json())
    assert data["n"] == 60
    assert data["seed"] == 3
    assert data["exact"]["flat"]["value"] == 1.0
    assert set(data["confusion"]["bound"]) == {"flat"}
    assert len(data["power"]) == 110
    assert {row["other"] for row in data["power"]} == {1.0}
    assert data["analysis"]["alpha"] == 0.05
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(render(calibration))
    text = console.export_text()
    assert "nulls called a leap" in text
    assert "missed" in text
    assert "2000 items" in text
    text = page(calibration, "Made here.")
    assert "| 2000 items |" in text
    assert "Made here." in text
    assert f"| flat | {data['confusion']['flat']['flat']} |" in text


def test_lookup_takes_the_nearest_cell_with_enough_nulls(monkeypatch):
    def cell(points, replicated, soft, nulls, alarms):
        return {"points": points, "replicated": replicated, "soft": soft, "nulls": nulls, "alarms": alarms}

    cells = (
        cell([6, 9], False, False, 10, 5),
        cell([6, 9], False, True, 400, 8),
        cell([6, 9], True, False, 100, 0),
        cell([6, 9], True, True, 100, 0),
        cell([10, 30], False, False, 1000, 0),
        cell([10, 30], False, True, 1000, 10),
        cell([10, 30], True, False, 0, 0),
        cell([10, 30], True, True, 0, 0),
    )
    monkeypatch.setattr(error_rates, "shipped", lambda: cells)
    assert false_alarm_rate(8, 1, True) == 8 / 400
    assert false_alarm_rate(8, 1, False) == 13 / 410  # its own cell is too small: both twins
    assert false_alarm_rate(8, 3, True) == 3 / 200  # no alarm is the bound 3/n
    assert false_alarm_rate(12, 1, False) == 3 / 1000
    assert false_alarm_rate(12, 5, True) == 10 / 2000  # nothing replicated: all of these points
    assert false_alarm_rate(150, 1, True) == 10 / 1000  # more points than were simulated
    monkeypatch.setattr(error_rates, "shipped", lambda: ())
    assert false_alarm_rate(12, 1, True) is None
