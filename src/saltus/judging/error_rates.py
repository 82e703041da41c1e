"""What the calibration shipped with this release says of a curve like the one at hand.

The file is made by `python -m saltus.calibrate.lookup`, never by hand. Without it there is no rate: None, and the
finding says why. It stands here and not in `calibrate`, because findings need it and `calibrate` needs the judge.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

ENOUGH = 150
"""Nulls that a cell needs; with fewer the next coarser cell is used."""


def false_alarm_rate(n_points: int, n_seeds: int, has_soft: bool) -> float | None:
    """How often a curve without a leap, with as many points, seeds and twins, was called a leap.

    The cell of similar points, replication and twin where it holds enough nulls, else without the twin, else points
    alone, else all. A cell without a false alarm gives the bound 3/n, never 0. None without a shipped calibration.
    """
    cells = shipped()
    if not cells:
        return None
    at_points = [c for c in cells if c["points"][0] <= n_points <= c["points"][1]]
    if not at_points:
        at_points = list(cells[-4:] if n_points > 30 else cells)
    at_seeds = [c for c in at_points if c["replicated"] == (n_seeds > 1)]
    at_twin = [c for c in at_seeds if c["soft"] == has_soft]
    for chosen in (at_twin, at_seeds, at_points, cells):
        nulls = sum(c["nulls"] for c in chosen)
        if nulls >= ENOUGH:
            alarms = sum(c["alarms"] for c in chosen)
            return (alarms or 3) / nulls
    return None


@cache
def shipped() -> tuple[dict[str, Any], ...]:
    """The cells of the shipped calibration; () where the build has none."""
    file = files("saltus") / "calibration" / "calibration.json"
    return tuple(json.loads(file.read_text("utf-8"))["cells"]) if file.is_file() else ()
