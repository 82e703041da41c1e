"""Which items changed sides at the onset: wrong at the last place before it and right at the first after, or the
reverse.

Needs what was judged (`View.findings`): the places are those that bracket the onset interval, in the first seed that
has items at both. An item is right where it was right in every repeat, wrong where it was wrong in every one; the
rest changes its mind within a place and is counted apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from saltus.checks.base import View
from saltus.checks.kit import code
from saltus.records import Evidence, Finding
from saltus.stats.batch import CurveBatch

CODE = code("saltus.checks.flips")
QUESTION = "Which items flipped at the onset?"
NAMED = 50
"""Items named in `detail`; the counts are of all."""


@dataclass(frozen=True)
class Flips:
    """See the module's docstring."""

    name: str = "flips"
    needs: frozenset[str] = frozenset({"item_id"})
    sees: str = "view"

    def __call__(self, view: View, rng: np.random.Generator) -> Sequence[Evidence | None]:
        """Evidence for every whole-task curve with an onset and items on both sides of it; None for the others."""
        out: list[Evidence | None] = [None] * len(view.curves)
        if view.items is None:
            return out
        sides = {i: s for i, f in enumerate(view.findings) if (s := bracket(view.curves, i, f)) is not None}
        if not sides:
            return out
        wanted = pl.DataFrame(
            [(i, s, p) for i, (s, *points) in sides.items() for p in points],
            schema={"curve": pl.Int64, "seed_index": pl.Int64, "point_index": pl.Int64},
            orient="row",
        )
        rows = view.items.filter(pl.col("role") == "hard").join(wanted.lazy(), on=wanted.columns, how="semi")
        state = rows.group_by("curve", "point_index", "item_id").agg(
            pl.col("value").min().alias("least"), pl.col("value").max().alias("most")
        )
        for (curve,), part in state.collect().group_by("curve"):
            out[int(curve)] = _evidence(view, int(curve), sides[int(curve)], part)  # type: ignore[call-overload]
        return out


def bracket(curves: CurveBatch, i: int, finding: Finding) -> tuple[int, int, int] | None:
    """(seed, point before, point after) around the onset interval; None where there is no such place."""
    if finding.onset_low is None or finding.onset_high is None or finding.slice is not None:
        return None
    sign = -1.0 if finding.axis == "loss" else 1.0  # along loss, later is lower
    low, high = sorted((sign * finding.onset_low, sign * finding.onset_high))
    for s in range(curves.shape[1]):
        x = np.where(curves.seen[i, s] & np.isfinite(curves.hard.value[i, s]), sign * curves.raw_x[i, s], np.nan)
        before, after = np.flatnonzero(x <= low), np.flatnonzero(x >= high)
        if len(before) and len(after):
            return s, int(before[np.argmax(x[before])]), int(after[np.argmin(x[after])])
    return None


def _evidence(view: View, curve: int, side: tuple[int, int, int], part: pl.DataFrame) -> Evidence | None:
    seed, before, after = side
    first, second = (part.filter(pl.col("point_index") == p) for p in (before, after))
    both = first.join(second, on="item_id", suffix="_after").sort("item_id")
    if not both.height:
        return None
    wrong, right = pl.col("most") == 0, pl.col("least") == 1
    wrong_after, right_after = pl.col("most_after") == 0, pl.col("least_after") == 1
    gained = both.filter(wrong & right_after)["item_id"].to_list()
    lost = both.filter(right & wrong_after)["item_id"].to_list()
    place = [float(view.curves.raw_x[curve, seed, p]) for p in (before, after)]
    detail: dict[str, Any] = {
        "seed": view.curves.keys[curve].seeds[seed],
        "before": place[0],
        "after": place[1],
        "items": both.height,
        "gained": len(gained),
        "lost": len(lost),
        "gained_items": gained[:NAMED],
        "lost_items": lost[:NAMED],
    }
    axis = view.curves.keys[curve].axis
    return Evidence(
        name="flips",
        question=QUESTION,
        value=len(gained) / both.height,
        unit="share of items",
        why=f"between {axis} {place[0]:.4g} and {place[1]:.4g}, {len(gained)} of {both.height} items went from wrong "
        f"to right and {len(lost)} from right to wrong",
        code=CODE,
        detail=detail,
    )


check = Flips()
