"""What ships with the release is a calibration that keeps its promises, and the judge still does on fresh truths."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from saltus.calibrate import calibrate, false_alarm_rate
from saltus.calibrate.summary import EXACT_BARS
from saltus.records import Analysis


def test_the_shipped_calibration_keeps_every_promise_and_answers_lookups():
    shipped = json.loads((files("saltus") / "calibration" / "calibration.json").read_text("utf-8"))
    assert [bar["name"] for bar in shipped["bars"] if not bar["kept"]] == []
    assert shipped["n"] >= 1000
    assert sum(shipped["confusion"]["flat"].values()) > 50
    for points in (3, 6, 12, 27, 150):
        for seeds in (1, 3):
            for soft in (False, True):
                value = false_alarm_rate(points, seeds, soft)
                assert value is not None
                assert 0 < value <= 0.05


@pytest.mark.slow
def test_the_judge_keeps_its_words_on_fresh_truths():
    """Loose by what 240 truths cannot tell; benchmarks/calibration.py holds the real bars."""
    found = calibrate(240, 991, Analysis(resamples=1), power_curves=0)
    assert found.false_alarms["all"].k <= 6
    assert found.one_run_transitions == 0
    for word, bar in EXACT_BARS.items():
        assert found.exact[word].high >= bar, (word, found.confusion[word])
    held = found.onset["all"].rate
    assert held.high >= 0.9
