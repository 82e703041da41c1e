"""Every built-in check answers once per curve, alone as inside the judge, and says what it lacks."""

from __future__ import annotations

import numpy as np
import pytest

from saltus import plugins
from saltus.checks.base import Check
from saltus.checks.legacy import linearity
from saltus.judging.judge import BUILT_IN, judge
from saltus.records import Analysis

from helpers.planted import batch, flat, logistic

LEAP = logistic(10.7, 0.2, 0.1, 0.8)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_check_is_found_by_name_and_gives_one_evidence_per_curve(name: str) -> None:
    check = plugins.load("checks", name)
    assert isinstance(check, Check)
    curves = batch([[LEAP] * 3, [flat(0.1)] * 3], [[LEAP] * 3, [flat(0.1)] * 3], rng=np.random.default_rng(1))
    found = check(curves, np.random.default_rng(0))
    assert len(found) == 2
    assert all(e.question and e.why and e.code for e in found)


def test_checks_say_what_a_leap_and_a_flat_curve_are() -> None:
    curves = batch([[LEAP] * 3, [flat(0.1)] * 3], [[LEAP] * 3, [flat(0.1)] * 3], rng=np.random.default_rng(2))

    def passed(name: str) -> list[bool | None]:
        return [e.passed for e in plugins.load("checks", name)(curves, np.random.default_rng(0))]

    assert passed("presence") == [True, False]
    assert passed("shape") == [True, False]
    assert passed("surprise")[0] is False
    assert passed("replication")[0] is True


def test_what_is_missing_is_not_judged() -> None:
    curves = batch([[LEAP]], None, rng=np.random.default_rng(3))
    for name in ("twin", "replication"):
        evidence = plugins.load("checks", name)(curves, np.random.default_rng(0))[0]
        assert evidence.passed is None
        assert evidence.value is None


def test_linearity_of_a_line_is_one_and_breakthroughness_of_a_step_is_undefined() -> None:
    straight, broken = linearity(np.linspace(0, 1, 9))
    assert straight == pytest.approx(1)
    assert broken == pytest.approx(8)
    assert linearity(np.array([0.0, 0, 0, 0, 1]))[1] is None
    assert linearity(np.linspace(1, 0, 9))[0] == pytest.approx(-1)
    assert linearity(np.array([0.0, 1.0])) == (None, None)


def test_evidence_of_somebody_elses_check_is_attached_and_its_failure_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from saltus.records import Evidence

    def good(curves, rng):  # type: ignore[no-untyped-def]
        return [Evidence(name="good", question="?", value=1.0, why="counted")] * len(curves)

    def bad(curves, rng):  # type: ignore[no-untyped-def]
        raise RuntimeError("oh")

    monkeypatch.setattr(plugins, "names", lambda kind: [*BUILT_IN, "bad", "good"])
    monkeypatch.setattr(plugins, "load", lambda kind, name, where="": {"good": good, "bad": bad}[name])
    curves = batch([[LEAP]], None, rng=np.random.default_rng(4))
    found = judge(curves, Analysis(resamples=2, draws=20), np.random.default_rng(0))[0]
    named = {e.name: e for e in found.evidence}
    assert named["good"].value == 1.0
    assert "oh" in named["bad"].why
    assert found.verdict == "sharp"
