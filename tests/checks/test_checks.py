"""Every built-in check answers once per curve, alone as inside the judge, and says what it lacks."""

from __future__ import annotations

import numpy as np
import pytest

from saltus import plugins
from saltus.checks import BESIDE, MEASURED
from saltus.checks.base import Check

from helpers.planted import batch, flat, logistic

LEAP = logistic(10.7, 0.2, 0.1, 0.8)


def test_the_lists_are_what_is_installed() -> None:
    listed = {check.name for check in MEASURED} | {check.name for check in BESIDE}
    assert listed <= set(plugins.names("checks"))
    assert all(plugins.load("checks", check.name) is check for check in (*MEASURED, *BESIDE))


@pytest.mark.parametrize("name", [check.name for check in MEASURED])
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
