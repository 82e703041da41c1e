"""What a guard is: a function that names points, or whole curves, which a harness fault may have made.

Whether a suspicion matters is decided later, by judging the curve without the suspected points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from saltus.stats.batch import CurveBatch, Suspect

Severity = Literal["disqualifying", "caution"]


@dataclass(frozen=True)
class View:
    """What a guard may look at."""

    batch: CurveBatch
    trained: pl.DataFrame
    """Cells: one row per curve `cid`, channel, seed `s`, point `p`, with `pid` and everything known of the point."""
    untrained: pl.DataFrame
    """The same for untrained points, without a place."""
    items: pl.DataFrame
    """pid, item_id, y of the points whose items are known; empty without."""

    @cached_property
    def points(self) -> pl.DataFrame:
        """Each trained point once, however many curves it is in."""
        return self.trained.unique("pid", maintain_order=True)


@dataclass(frozen=True)
class Guard:
    """`find` returns rows (pid, why) for points or (cid, why) for whole curves."""

    name: str
    severity: Severity
    needs: frozenset[str]
    find: Callable[[View], pl.DataFrame]


def guard(name: str, severity: Severity, find: Callable[[View], pl.DataFrame], *needs: str) -> Guard:
    return Guard(name, severity, frozenset(needs), find)


def suspects(view: View, guards: Sequence[Guard]) -> tuple[tuple[Suspect, ...], ...]:
    """Per curve, what the guards suspect, in their order."""
    found: list[list[Suspect]] = [[] for _ in range(len(view.batch))]
    if not view.trained.height:
        return tuple(map(tuple, found))
    seats = view.trained.select("pid", "cid", "s", "p")
    for guard in guards:
        if not guard.needs <= set(view.trained.columns):
            continue
        hits = guard.find(view)
        if not hits.height:
            continue
        if "pid" in hits.columns:
            hits = hits.unique("pid", maintain_order=True).join(seats, on="pid").unique(["cid", "s", "p"])
        else:
            hits = hits.with_columns(s=None, p=None)
        for cid, why, s, p in (
            hits.sort("cid", "s", "p")
            .group_by("cid", maintain_order=True)
            .agg(pl.col("why").first(), "s", "p")
            .iter_rows()
        ):
            mask = np.zeros(view.batch.shape[1:], dtype=bool)
            for i, j in zip(s, p):
                if i is not None:
                    mask[i, j] = True
            found[cid].append(Suspect(guard.name, guard.severity, why, mask))
    return tuple(map(tuple, found))
