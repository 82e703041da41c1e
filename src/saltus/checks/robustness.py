"""Does the score survive a condition: every changed curve against its baseline, paired by item.

Of each item the difference changed − baseline is averaged over repeats and seeds, then over items, those of a group
being one cluster (Miller 2024, arXiv 2411.00640; `stats.clustered`); the interval is Student's t with clusters − 1
degrees of freedom. Judged at the last place that both curves have in a seed; `detail` has every place. Known limit:
seeds are averaged over, so the interval speaks of these seeds; it is about items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from saltus.checks.base import View
from saltus.checks.kit import code, number, text
from saltus.records import Evidence
from saltus.stats.batch import CurveBatch, Promise
from saltus.stats.clustered import clustered_means

CODE = code("saltus.checks.robustness")
QUESTION = "Does the score survive this condition?"


@dataclass(frozen=True)
class Robustness:
    """See the module's docstring."""

    name: str = "robustness"
    needs: frozenset[str] = frozenset({"item_id"})
    sees: str = "view"

    def __call__(self, view: View, rng: np.random.Generator) -> Sequence[Evidence | None]:
        """Evidence for every curve under a condition that has a baseline; None for the others."""
        out: list[Evidence | None] = [None] * len(view.curves)
        partner = baselines(view.curves)
        if view.items is None or not partner:
            return out
        places = _differences(view, partner)
        for curve, rows in places.items():
            out[curve] = _evidence(view, curve, rows)
        for curve in partner.keys() - places.keys():
            out[curve] = Evidence(
                name=self.name, question=QUESTION, code=CODE, why="no item was asked both ways at one place"
            )
        return out


def baselines(curves: CurveBatch) -> dict[int, int]:
    """Curve under a condition → the same curve at baseline, whole tasks with a hard score only."""
    base = {
        (k.series, k.task, k.axis, k.metric_hard): i
        for i, k in enumerate(curves.keys)
        if k.condition == "baseline" and k.slice is None
    }
    found = {}
    for i, k in enumerate(curves.keys):
        if k.condition != "baseline" and k.slice is None and k.metric_hard is not None:
            partner = base.get((k.series, k.task, k.axis, k.metric_hard))
            if partner is not None:
                found[i] = partner
    return found


def _differences(view: View, partner: dict[int, int]) -> dict[int, list[dict[str, Any]]]:
    """Curve → one row per place, in order: x, baseline, changed, difference, low, high, items, clusters, last."""
    assert view.items is not None
    wanted = sorted({*partner, *partner.values()})
    answers = view.items.filter(
        (pl.col("role") == "hard") & pl.col("curve").is_in(wanted) & pl.col("value").is_not_null()
    )
    per_item = answers.group_by("curve", "seed_index", "point_index", "item_id").agg(
        pl.col("value").mean(), pl.col("group").first()
    )
    placed = per_item.collect().join(_places(view.curves, wanted), on=["curve", "seed_index", "point_index"])
    pairs = pl.DataFrame({"curve": list(partner), "base": list(partner.values())})
    changed = placed.join(pairs.with_columns(pl.col("curve").cast(pl.Int64)), on="curve")
    same = ["seed", "model", "x", "item_id"]
    plain = placed.select(pl.col("curve").alias("base"), *same, pl.col("value").alias("plain"))
    both = changed.join(plain, on=["base", *same])
    last = pl.col("x") == pl.col("x").max().over("curve", "seed")
    out: dict[int, list[dict[str, Any]]] = {}
    for final, part in ((False, both), (True, both.filter(last).with_columns(x=pl.lit(np.inf)))):
        for row in _means(part):
            out.setdefault(int(row["curve"]), []).append({**row, "last": final})
    return out


def _places(curves: CurveBatch, wanted: Sequence[int]) -> pl.DataFrame:
    """Where each point lies: seed label and fitted place, which grow along training on every axis."""
    rows = [
        (c, s, p, curves.keys[c].seeds[s], _name(curves, c, s, p), float(curves.x[c, s, p]))
        for c in wanted
        for s, p in zip(*np.nonzero(curves.seen[c]), strict=True)
    ]
    numbers = dict.fromkeys(("curve", "seed_index", "point_index"), pl.Int64)
    words = dict.fromkeys(("seed", "model"), pl.String)
    return pl.DataFrame(rows, schema={**numbers, **words, "x": pl.Float64}, orient="row")


def _name(curves: CurveBatch, c: int, s: int, p: int) -> str:
    """The model behind a point: several may lie at one place of a pooled curve."""
    return curves.point_names[c][s][p] if curves.point_names else ""


def _means(both: pl.DataFrame) -> list[dict[str, Any]]:
    """Paired means per curve and place: an item counts once, averaged over seeds."""
    items = both.group_by("curve", "x", "item_id").agg(pl.col("value", "plain").mean(), pl.col("group").first())
    own = pl.col("group").fill_null(pl.concat_str([pl.lit("item "), pl.col("item_id")]))
    items = items.with_columns(own.alias("_own")).sort("curve", "x", "_own", "item_id")
    if not items.height:
        return []
    group = items.select(pl.struct("curve", "x").rle_id().cast(pl.Int64)).to_series().to_numpy()
    cluster = items.select(pl.struct("curve", "x", "_own").rle_id().cast(pl.Int64)).to_series().to_numpy()
    found = clustered_means((items["value"] - items["plain"]).to_numpy(), group, cluster)
    low, high = found.interval()
    levels = items.group_by("curve", "x", maintain_order=True).agg(pl.col("value", "plain").mean())
    return [
        {
            "curve": row["curve"],
            "x": row["x"],
            "baseline": row["plain"],
            "changed": row["value"],
            "difference": float(found.mean[i]),
            "low": number(low[i]),
            "high": number(high[i]),
            "items": int(found.n[i]),
            "clusters": int(found.clusters[i]),
        }
        for i, row in enumerate(levels.iter_rows(named=True))
    ]


def _evidence(view: View, curve: int, rows: Sequence[dict[str, Any]]) -> Evidence:
    last = next(r for r in rows if r["last"])
    key, margin = view.curves.keys[curve], view.analysis.invariant_margin
    passed, why = verdict(key.promise, last["low"], last["high"], margin)
    shown = ("baseline", "changed", "items", "clusters")
    places = [[r["x"], r["difference"], r["low"], r["high"]] for r in rows if not r["last"]]
    return Evidence(
        name="robustness",
        question=QUESTION,
        value=last["difference"],
        low=last["low"],
        high=last["high"],
        unit="changed − baseline",
        passed=passed,
        why=f"{text(last['baseline'], 3)} becomes {text(last['changed'], 3)} over {last['items']} items"
        + (f" in {last['clusters']} groups" if last["clusters"] < last["items"] else "")
        + f"; {why}",
        code=CODE,
        detail={k: last[k] for k in shown} | {"promise": key.promise.kind if key.promise else None, "places": places},
    )


def verdict(promise: Promise | None, low: float | None, high: float | None, margin: float) -> tuple[bool | None, str]:
    """(passed, in words). The interval decides: inside the margin it is kept, outside broken, else open."""
    if promise is None or promise.kind == "none":
        return None, "described only: the condition promises nothing"
    if low is None or high is None:
        return None, "one item, or one group of items, has no interval"
    span = f"{low:+.3f} to {high:+.3f}"
    if promise.kind == "invariant":
        if -margin <= low and high <= margin:
            return True, f"no change beyond {margin:g} ({span})"
        if low > margin or high < -margin:
            return False, f"a change beyond {margin:g} ({span})"
        return None, f"{span} neither excludes nor shows a change beyond {margin:g}"
    way = "rise" if promise.direction < 0 else "fall"
    against = high if promise.direction < 0 else -low
    surely = low if promise.direction < 0 else -high
    if against <= margin:
        return True, f"no {way} beyond {margin:g} ({span}), as promised"
    if surely > margin:
        return False, f"a {way} beyond {margin:g} ({span}), against the promise"
    return None, f"{span} neither excludes nor shows a {way} beyond {margin:g}"


check = Robustness()
