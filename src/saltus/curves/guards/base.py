"""What a guard is: a function that names points, or whole curves, which a harness fault may have made.

Whether a suspicion matters is decided later, by judging the curve without the suspected points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from saltus.stats.batch import CurveBatch, Suspect

Severity = Literal["disqualifying", "doubt", "caution"]
"""What a guard makes of a finding that rests on what it found: `defective`; at most `unresolved`, or a note beside the
word; `suspect`."""


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
    """`find` returns rows (pid, why) for points, (cid, why) for whole curves, (cid, s, p, why) for points of one curve.

    Rows may say more: `severity` where it is not the guard's; `standing` and the other flags of a `Suspect`.
    """

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
        elif "p" not in hits.columns:
            hits = hits.with_columns(s=None, p=None)
        defaults = {
            "severity": guard.severity,
            "standing": False,
            "rising": False,
            "alone": False,
            "harmless": False,
            "dropped": False,
        }
        hits = hits.with_columns(pl.lit(v).alias(c) for c, v in defaults.items() if c not in hits.columns)
        for cid, why, s, p, severity, *flags in (
            hits.sort("cid", "s", "p")
            .group_by("cid", *defaults, maintain_order=True)
            .agg(pl.col("why").first(), "s", "p")
            .select("cid", "why", "s", "p", *defaults)
            .iter_rows()
        ):
            mask = np.zeros(view.batch.shape[1:], dtype=bool)
            for i, j in zip(s, p):
                if i is not None:
                    mask[i, j] = True
            found[cid].append(Suspect(guard.name, severity, why, mask, *flags))
    return tuple(map(tuple, found))


def guarded(batch: CurveBatch, found: tuple[tuple[Suspect, ...], ...]) -> CurveBatch:
    """The batch with its suspects, without the points that are dropped; what is harmless becomes a caveat."""
    seen, keys = batch.seen.copy(), list(batch.keys)
    for i, several in enumerate(found):
        for suspect in several:
            if suspect.dropped:
                seen[i] &= ~suspect.mask
        harmless = [s.why for s in several if s.harmless]
        if harmless:
            keys[i] = replace(keys[i], caveats=(*(f"{why[0].upper()}{why[1:]}." for why in harmless), *keys[i].caveats))
    return replace(batch, keys=tuple(keys), seen=seen, suspects=found)
