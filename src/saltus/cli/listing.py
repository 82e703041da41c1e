"""The commands that list what there is: the zoo, and the installed parts of every kind."""

from __future__ import annotations

from typing import Any

import typer

from saltus import plugins
from saltus.cli import options as opt
from saltus.cli.output import json_out, rich_print


def register(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command()(zoo)
    for kind in plugins.KINDS:
        app.command(kind, help=f"List the installed {kind}.")(_lister(kind))


def zoo(as_json: opt.Json = False) -> None:
    """List the small model series that are trained here."""
    from saltus.cli import show

    _listing(show.zoo(), as_json)


def _lister(kind: plugins.Kind) -> Any:
    def command(as_json: opt.Json = False) -> None:
        from saltus.cli import show

        _listing(show.parts(kind), as_json)

    return command


def _listing(rows: list[dict[str, Any]], as_json: bool) -> None:
    from saltus.cli import show

    json_out(rows) if as_json else rich_print(show.listing(rows))
