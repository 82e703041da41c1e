"""A changed harness is not emergence: what the harness says of itself, followed along the curve.

A change splits a curve's points, in the order of the axis, into before and after. It *coincides* with the rise if at
least half of the fitted rise lies between the two neighbours that it separates; a single odd point is two changes, and
points that say nothing are passed over. A coinciding change of what is asked or how it is read disqualifies, in one
channel or both; one of the software alone casts doubt. Elsewhere a change is a caution.
Known limit: the rise is an isotonic fit per seed and channel, so a fall that comes with a change is a caution only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from saltus.curves.guards.base import Guard, View, guard
from saltus.stats.monotone import isotonic

COINCIDES = 0.5
"""Share of the fitted rise between the neighbours of a change from which on the two come together."""
MOVES = 0.25
"""Share of its rise from which on the other channel moves there too."""
BEYOND = 4.0
"""Errors by which a curve has to rise for its rise to be anywhere."""
_SEAT = ["cid", "s", "p"]
_HIT = {
    "cid": pl.UInt32,
    "s": pl.Int64,
    "p": pl.Int64,
    "why": pl.String,
    "severity": pl.String,
    "standing": pl.Boolean,
    "rising": pl.Boolean,
    "alone": pl.Boolean,
}


@dataclass(frozen=True)
class _Change:
    """Two neighbours of one seed that differ in a column, and the share of its rise that lies between them."""

    channel: str
    points: tuple[int, int]
    places: tuple[float, float]
    values: tuple[str, str]
    share: float


def changed(column: str, what: str, *, first: bool = True, kin: bool = False) -> Callable[[View], pl.DataFrame]:
    """A guard on changes of a column. first: what is asked, or how it is read; else the software alone.

    kin: compared within a family of models only, for each has its own.
    """

    def find(view: View) -> pl.DataFrame:
        together = _coinciding(view, column, what, first=first, kin=kin)
        return pl.concat([together, _elsewhere(view, column, what, kin=kin).join(together, on="cid", how="anti")])

    return find


def _mixed(view: View, column: str, kin: bool) -> pl.DataFrame:
    """Cells of curves in which the column takes several values, with `kind`: the family where families may differ."""
    rows = view.trained.filter(pl.col(column).is_not_null())
    family = pl.coalesce(pl.col("family").cast(pl.String), pl.col("series").cast(pl.String), pl.lit(""))
    rows = rows.with_columns(kind=pl.when(pl.lit(kin) & ~pl.col("within")).then(family).otherwise(pl.lit("")))
    return rows.filter(pl.col(column).n_unique().over("cid", "kind") > 1)


def _coinciding(view: View, column: str, what: str, *, first: bool, kin: bool) -> pl.DataFrame:
    mixed = _mixed(view, column, kin).select("cid").unique()
    if not mixed.height:
        return pl.DataFrame(schema=_HIT)
    rows = view.trained.join(mixed, on="cid", how="semi").sort("cid", "s", "channel", "fit", "p")
    hits = []
    for (cid,), curve in rows.group_by("cid", maintain_order=True):
        found = [
            (seed, change)
            for (seed, channel), own in curve.group_by("s", "channel", maintain_order=True)
            for change in _changes(own, str(channel), column, kin)
        ]
        loud = [(s, c) for s, c in found if c.share >= COINCIDES]
        if not loud:
            continue
        seed, most = max(loud, key=lambda one: one[1].share)
        both = {c.channel for s, c in found if s == seed and c.points == most.points and c.share >= MOVES}
        axis, (a, b), (x, y) = curve["axis"][0], most.values, most.places
        why = (
            f"{what} changes from {_short(a)} to {_short(b)} between {axis} {x:.6g} and {axis} {y:.6g}, where "
            f"{most.share:.0%} of the {'and '.join(_rise(both))} lies"
        )
        severity = "disqualifying" if first else "doubt"
        hits += [
            (cid, s, p, why, severity, True, True, len(both) < 2)
            for s, p in sorted({(s, p) for s, c in loud for p in c.points})
        ]
    return pl.DataFrame(hits, schema=_HIT, orient="row")


def _rise(channels: set[str]) -> list[str]:
    return ["rise of both scores"] if len(channels) > 1 else [f"{next(iter(channels))} score's rise"]


def _changes(rows: pl.DataFrame, channel: str, column: str, kin: bool) -> list[_Change]:
    """The changes of one seed's points in one channel. rows: in the order of the axis, those that say nothing too."""
    y = rows["y"].to_numpy()
    fit = isotonic(y[None], np.ones((1, len(y))))[0]
    total = fit[-1] - fit[0]
    noise = rows["se"].median()
    if total <= BEYOND * (float(noise) if isinstance(noise, float) else 0.0) or total <= 0:
        return []
    values, places, seats = rows[column].to_list(), rows["x"].to_list(), rows["p"].to_list()
    free = kin and not rows["within"].all()
    family = rows.select(pl.coalesce(pl.col("family").cast(pl.String), pl.col("series").cast(pl.String))).to_series()
    kinds = family.to_list() if free else [None] * len(values)
    last: dict[str | None, int] = {}
    found = []
    for k, value in enumerate(values):
        if value is None:
            continue
        j = last.get(kinds[k])
        if j is not None and values[j] != value:
            share = float((fit[k] - fit[j]) / total)
            found.append(
                _Change(channel, (seats[j], seats[k]), (places[j], places[k]), (str(values[j]), str(value)), share)
            )
        last[kinds[k]] = k
    return found


def _elsewhere(view: View, column: str, what: str, kin: bool) -> pl.DataFrame:
    """Points whose column is not what most of their curve has: the larger n, then the earlier, where counts tie."""
    rows = _mixed(view, column, kin)
    cell = ["cid", "channel", "kind"]
    usual = (
        rows.group_by(*cell, column)
        .agg(pl.len().alias("k"), pl.col("n").max(), pl.col("fit").min().alias("from"))
        .sort("k", "n", "from", column, descending=[True, True, False, False])
        .unique(cell, keep="first", maintain_order=True)
        .select(*cell, pl.col(column).alias("usual"))
    )
    odd = rows.join(usual, on=cell).filter(pl.col(column) != pl.col("usual")).sort(*_SEAT)
    here, there = (_shortened(c) for c in (column, "usual"))
    return odd.select(
        pl.col("cid").cast(pl.UInt32),
        pl.col("s").cast(pl.Int64),
        pl.col("p").cast(pl.Int64),
        pl.format(f"{what} differs within the series: {{}} here, {{}} elsewhere", here, there).alias("why"),
        pl.lit("caution").alias("severity"),
        pl.lit(False).alias("standing"),
        pl.lit(False).alias("rising"),
        pl.lit(False).alias("alone"),
    )


def _short(text: str) -> str:
    return f"`{text[:80]}`".replace("\n", "\\n")


def _shortened(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.slice(0, 80)


GUARDS: tuple[Guard, ...] = (
    guard("task_version", "disqualifying", changed("task_version", "the version of the task"), "task_version"),
    guard("prompt_text", "disqualifying", changed("prompt_text", "the text of the prompt"), "prompt_text"),
    guard("mixed_prompts", "disqualifying", changed("prompt_hash", "the prompt"), "prompt_hash"),
    guard("filter", "disqualifying", changed("filter", "the filter of the answers"), "filter"),
    guard("template", "disqualifying", changed("template", "what stands around the prompt", kin=True), "template"),
    guard("mixed_dtype", "disqualifying", changed("dtype", "the number format"), "dtype"),
    guard("mixed_bos", "disqualifying", changed("bos", "the handling of BOS", kin=True), "bos"),
    guard("harness", "doubt", changed("harness", "the harness", first=False), "harness"),
    guard("transformers", "doubt", changed("transformers", "the version of transformers", first=False), "transformers"),
)
