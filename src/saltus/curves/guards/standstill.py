"""What does not change from point to point though it should, or changes though it should not: scores, sets of items."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.stats import chi2

from saltus.curves.guards.base import Guard, View, guard
from saltus.curves.guards.equality import DECIDED_ADJACENT, weigh

SAME_ITEMS = 0.9
"""Share of a point's items that other points have too, from which on it is the same set with gaps."""
GAPS = 0.5
"""Largest share of all items that may be missing at a point for its gaps to be gaps."""
SYSTEMATIC = 1e-3
"""Chance of gaps as alike from point to point as these, below which they are no accident."""
CONSTANT_ANSWERS: dict[str, tuple[int, dict[str, int]]] = {
    "mmlu": (14042, {"A": 3222, "B": 3462, "C": 3582, "D": 3776})
}
"""Task → items, and how many of them each constant answer gets right."""
_TASKS = {"hendryckstest": "mmlu", "hendrycks_test": "mmlu"}


def _odd_ones(view: View, column: str) -> pl.DataFrame:
    """Cells whose column is not what most of their curve has (the larger n where counts tie), with `usual`."""
    rows = view.trained.filter(pl.col(column).is_not_null())
    counts = rows.group_by("cid", "channel", column).agg(
        pl.len().alias("k"), pl.col("n").max(), pl.col("fit").min().alias("from"), pl.col("pid").min().alias("like")
    )
    mixed = counts.filter(pl.len().over("cid", "channel") > 1)
    usual = (
        mixed.sort("k", "n", "from", column, descending=[True, True, False, False])
        .unique(["cid", "channel"], keep="first", maintain_order=True)
        .select("cid", "channel", "like", pl.col(column).alias("usual"))
    )
    return rows.join(usual, on=["cid", "channel"]).filter(pl.col(column) != pl.col("usual"))


def _items(view: View) -> pl.DataFrame:
    """Another set of items than elsewhere. Where the items are known, subsets and gaps at random are no other set."""
    odd = _odd_ones(view, "item_set").select("pid", "cid", "channel", "s", "p", "like", "n")
    odd = odd.with_columns(
        why=pl.lit("the set of items is not that of the other points"), severity=pl.lit("disqualifying")
    )
    keep = ["cid", "s", "p", "why", "severity"]
    if not odd.height or not view.items.height:
        return odd.select(keep)
    pairs = odd.select("pid", "like").unique()
    known = view.items.select("pid", "item_id")
    sizes = known.group_by("pid").len("size")
    usual = known.rename({"pid": "like"})
    shared = pairs.join(known, on="pid").join(usual, on=["like", "item_id"], how="semi").group_by("pid", "like").len()
    overlap = (
        pairs.join(shared, on=["pid", "like"], how="left")
        .join(sizes, on="pid")
        .join(sizes.rename({"pid": "like", "size": "size_like"}), on="like")
        .filter(pl.col("len").fill_null(0) < SAME_ITEMS * pl.min_horizontal("size", "size_like"))
    )
    odd = odd.join(overlap.select("pid", "like"), on=["pid", "like"], how="semi")
    gaps = [
        (cid, share)
        for cid, channel in odd.select("cid", "channel").unique().sort("cid", "channel").iter_rows()
        if (share := _missing_at_random(view, cid, channel)) is not None
    ]
    random = pl.DataFrame(gaps, schema={"cid": odd.schema["cid"], "share": pl.Float64}, orient="row")
    random = random.unique("cid", keep="first", maintain_order=True)
    cautions = random.select(
        "cid",
        pl.lit(None, odd.schema["s"]).alias("s"),
        pl.lit(None, odd.schema["p"]).alias("p"),
        pl.format(
            "{} % of the items are missing, other ones at every point, as if at random",
            (100 * pl.col("share")).round(0).cast(pl.Int64),
        ).alias("why"),
        pl.lit("caution").alias("severity"),
    )
    return pl.concat([odd.join(random, on="cid", how="anti").select(keep), cautions])


def _missing_at_random(view: View, cid: int, channel: str) -> float | None:
    """The share of items missing, where that seems to have happened at random; None where the same ones go together.

    At random, how often an item is missing scatters over items as a sum of independent throws does; sets that differ
    by design, or by what is hard, let some items always go and others never.
    """
    mine = view.trained.filter((pl.col("cid") == cid) & (pl.col("channel") == channel)).select("pid").unique()
    there = view.items.join(mine, on="pid", how="semi").select("pid", "item_id").unique()
    total, points = there["item_id"].n_unique(), there["pid"].n_unique()
    rate = 1 - there.group_by("pid").len()["len"].to_numpy() / total
    spread = float((rate * (1 - rate)).sum())
    if points < 3 or total < 2 or spread == 0 or rate.max() > GAPS:
        return None
    missed = points - there.group_by("item_id").len()["len"].to_numpy()
    scatter = float(((missed - rate.sum()) ** 2).sum() / spread)
    return float(np.mean(rate)) if chi2.sf(scatter, total - 1) > SYSTEMATIC else None


def _constant_answer(view: View) -> pl.DataFrame:
    """A score that is the same to the last digit at every point, as one constant answer gives it.

    A weak model does answer A for thousands of steps: no fault by itself. It is one if the graded score stands still
    too, or several tasks do at levels that no known constant answer has.
    """
    rows = view.trained.filter((pl.col("value") != 0) & (pl.col("value") != 1)).sort("cid", "channel", "s", "fit")
    cell = ["cid", "channel"]
    rows = rows.with_columns(
        y_before=pl.col("y").shift(1).over(*cell, "s"), still=pl.col("y").n_unique().over(cell) == 1
    )
    whole = rows.filter(pl.col("still") & (pl.len().over(cell) >= 3) & pl.col("y_before").is_not_null())
    whole = whole.with_columns(same=pl.lit(True))
    if not whole.height:
        return pl.DataFrame(schema={"cid": pl.UInt32, "why": pl.String, "harmless": pl.Boolean})
    certain = weigh(whole, cell).filter(pl.col("log_p") < DECIDED_ADJACENT)
    soft = set(certain.filter(pl.col("channel") == "soft")["cid"])
    hard = (
        rows.join(certain.filter(pl.col("channel") == "hard"), on=cell, how="semi")
        .group_by("cid", maintain_order=True)
        .agg(pl.col("value").first(), pl.col("n").first(), pl.len().alias("points"))
    )
    keys = view.batch.keys
    answers = {cid: _answer(keys[cid].task, value, n) for cid, value, n, _ in hard.iter_rows()}
    family = {(keys[c].series, keys[c].axis, _name(keys[c].task)) for c, answer in answers.items() if answer}
    open_: dict[tuple[str, str], set[str]] = {}
    for cid, answer in answers.items():
        key = keys[cid]
        if not answer and (key.series, key.axis, _name(key.task).split("_")[0]) not in family:
            open_.setdefault((key.series, key.axis), set()).add(key.task)
    hits = []
    for cid, value, _, points in hard.iter_rows():
        key, answer = keys[cid], answers[cid]
        several = open_.get((key.series, key.axis), set())
        doubled = cid in soft or (key.task in several and len(several) > 1)
        as_if = f"as if it always answered {answer}" if answer else "as if it always gave one answer"
        too = (
            "; the graded score stands still too" if cid in soft else f"; so do {len(several)} tasks" if doubled else ""
        )
        hits.append(
            (cid, f"the score is {value:.6g} at all {points} points, to the last digit, {as_if}{too}", not doubled)
        )
    return pl.DataFrame(hits, schema={"cid": pl.UInt32, "why": pl.String, "harmless": pl.Boolean}, orient="row")


def _name(task: str) -> str:
    return _TASKS.get(task.lower(), task.lower())


def _answer(task: str, value: float, n: float | None) -> str | None:
    """The constant answer that scores this, where that is known."""
    total, right = CONSTANT_ANSWERS.get(_name(task), (0, {}))
    if not total or (n is not None and n != total):
        return None
    digits = len(repr(value).partition(".")[2])
    close = 1e-9 if digits > 6 else 0.5 * 10.0**-digits if digits > 3 else 0.0
    return next((letter for letter, k in right.items() if abs(value - k / total) <= close), None)


GUARDS: tuple[Guard, ...] = (
    guard("mixed_items", "disqualifying", _items, "item_set"),
    guard("constant_answer", "caution", _constant_answer),
)
