"""The commands `forecast` and `plan`, added to the command line by `register`; heavy imports wait inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saltus import permissions
from saltus.cli.options import Allow, Json
from saltus.cli.output import json_out, rich_print

Names = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command()(forecast)
    app.command()(plan)


def forecast(
    sources: Annotated[list[str], typer.Argument(help="A study.yaml, or results files and folders.")],
    at: Annotated[str, typer.Option("--at", help="A scale not yet run, e.g. tokens=1e12 or params=70B.")],
    task: Annotated[Names, typer.Option("--task", "-t", help="Only these tasks; * stands for anything.")] = None,
    series: Annotated[
        str | None, typer.Option("--series", help="Columns whose values make a series, e.g. family.")
    ] = None,
    only: Annotated[Names, typer.Option("--only", help="Only series of these names; * stands for anything.")] = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Predict scores at a scale not yet run, with the record of every method; declines where none is earned."""
    from saltus.cli.bars import followed
    from saltus.cli.show_planning import forecasts
    from saltus.planning.forecast import forecast as predict

    permissions.grant(allow or ())
    keys = tuple(s.strip() for s in series.split(",")) if series else ()
    with followed(not as_json) as follow:
        found = predict([Path(s) for s in sources], at, tasks=task or (), series=keys, only=only or (), follow=follow)
    json_out([f.to_dict() for f in found]) if as_json else rich_print(*forecasts(found))


def plan(
    items: Annotated[int, typer.Option("--items", "-n", help="Items per checkpoint.")],
    points: Annotated[int, typer.Option("--points", "-k", help="Checkpoints, or models, of a series.")],
    seeds: Annotated[int, typer.Option("--seeds", "-s", help="Training runs of a series.")] = 1,
    decades: Annotated[float, typer.Option("--range", help="Decades from the first to the last point.")] = 4.0,
    rise: Annotated[float, typer.Option("--rise", help="Rise to be detected, as a share.")] = 0.5,
    floor: Annotated[float, typer.Option("--floor", help="Score without the skill.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Say before money is spent which widths and rises a design could tell apart, and what to add."""
    from saltus.cli.bars import waiting
    from saltus.cli.show_planning import planned
    from saltus.planning.design import Design, power

    design = Design(items=items, points=points, seeds=seeds, decades=decades, rise=rise, floor=floor)
    with waiting("Judging simulated curves", not as_json):
        found = power(design)
    json_out(found.to_dict()) if as_json else rich_print(*planned(found))
