"""`saltus plan`: powers that grow with what is spent, honest about what cannot be told."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from saltus.errors import UserError
from saltus.planning.design import Design, power


@pytest.mark.slow
def test_a_good_design_tells_leaps_from_smooth_rises_and_a_poor_one_does_not() -> None:
    good = power(Design(items=1000, points=24, decades=5.0), curves=10)
    poor = power(Design(items=50, points=7, decades=5.0, rise=0.2), curves=10)
    assert good.reach.leaps_to is not None
    assert good.reach.leaps_to >= 0.2
    assert good.reach.smooth_from is not None
    assert good.false_alarms == 0
    assert poor.reach.leaps_to is None or poor.reach.leaps_to < good.reach.leaps_to
    assert (poor.smallest_leap or 1.0) > (good.smallest_leap or 1.0)
    for row in good.rows:
        assert row.leap + row.smooth + row.unresolved + row.other == pytest.approx(1.0)
    assert good.rows[0].leap > 0.8 > good.rows[-1].leap
    assert any("transition needs" in message for message in good.advice)


def test_too_few_points_are_said_to_be_unresolved() -> None:
    report = power(Design(items=500, points=5), curves=4)
    assert all(row.unresolved == 1.0 for row in report.rows)
    assert report.reach.leaps_to is None
    assert "Fewer than 6 points" in report.advice[0]
    assert [a.change for a in report.alternatives] == ["12 points"]


def test_the_same_seed_gives_the_same_plan() -> None:
    design = Design(items=300, points=8)
    assert power(design, curves=3) == power(design, curves=3)


@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ({"items": 0}, "--items"),
        ({"points": 2}, "--points"),
        ({"seeds": 0}, "--seeds"),
        ({"decades": -1.0}, "--range"),
        ({"floor": 1.0}, "--floor"),
        ({"floor": 0.5, "rise": 0.6}, "--rise"),
    ],
)
def test_impossible_designs_are_refused(wrong: dict[str, float], option: str) -> None:
    with pytest.raises(UserError, match=option):
        Design(**{"items": 100, "points": 10, **wrong})  # type: ignore[arg-type]


def test_the_command_prints_a_table_and_json() -> None:
    import typer

    from saltus.cli.planning import register

    app = typer.Typer()
    register(app)
    run = CliRunner().invoke(app, ["plan", "-n", "200", "-k", "5", "--json"])
    assert run.exit_code == 0
    assert json.loads(run.output)["design"]["points"] == 5
    run = CliRunner().invoke(app, ["plan", "-n", "200", "-k", "5"])
    assert "power of 0.8" in run.output
