"""Contrasts between item-level answers that a report shows: conditions against baseline, and flips around an onset.

Both are paired by item. The robustness difference is Miller's paired one (arXiv 2411.00640): its standard error is
that of the per-item differences. Flips are the items that the last model before the onset interval got wrong
and the first model after it got right.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import polars as pl

from saltus.page.context import ItemFlip, RobustnessRow, Said
from saltus.records import Finding, Quantity
from saltus.store import Store

_LEAPT = frozenset({"sharp", "transition", "artefact", "split", "bound"})
_PAIR = ["series", "seed", "model_identity", "task", "metric", "repeat", "item_id"]
FLIPS = 4
"""Shown per finding: enough to see what changed, few enough to read."""


def robustness(items: pl.DataFrame, findings: Sequence[Finding]) -> tuple[RobustnessRow, ...]:
    """Every condition against baseline at the last model of each series and seed, on the hard metric judged."""
    if items.is_empty():
        return ()
    metrics = {(f.series, f.task): f.metric_hard for f in findings if f.primary and f.metric_hard}
    last = _last_points(items.filter(pl.col("item_id").is_not_null()))
    base = last.filter(pl.col("condition") == "baseline").select(*_PAIR, base="value")
    changed = last.filter(pl.col("condition") != "baseline").join(base, on=_PAIR, nulls_equal=True)
    changed = changed.filter(pl.col("value").is_not_null() & pl.col("base").is_not_null())
    rows = []
    by = ["series", "task", "condition", "metric", "model_identity"]
    for key, group in changed.group_by(by, maintain_order=True):
        series, task, condition, metric, _ = map(str, key)
        if metrics.get((series, task)) == metric:
            rows.append(_row(series, task, condition, metric, group))
    return tuple(rows)


def flips(store: Store, items: pl.DataFrame, findings: Sequence[Finding]) -> tuple[ItemFlip, ...]:
    """Up to FLIPS items per finding with an onset: wrong just before it, right just after it, with answers."""
    found: list[ItemFlip] = []
    for finding in findings:
        if finding.primary and finding.verdict in _LEAPT and finding.onset is not None:
            found += _flips_of(store, items, finding)
    return tuple(found)


def _last_points(items: pl.DataFrame) -> pl.DataFrame:
    place = pl.coalesce("tokens", "step", "params", pl.lit(0.0))
    return items.filter(place == place.max().over("series", "seed", "task"))


def _row(series: str, task: str, condition: str, metric: str, group: pl.DataFrame) -> RobustnessRow:
    differences = (group["value"] - group["base"]).to_list()
    n, mean = len(differences), sum(differences) / len(differences)
    spread = math.fsum((d - mean) ** 2 for d in differences)
    error = math.sqrt(spread / (n - 1) / n) if n > 1 else None
    low, high = (mean - 1.96 * error, mean + 1.96 * error) if error is not None else (None, None)
    why = None if error is not None else "one pair has no spread"
    return RobustnessRow(
        series=series,
        task=task,
        condition=condition,
        metric=metric,
        model=_name(group),
        baseline=group["base"].mean(),  # type: ignore[arg-type]
        changed=group["value"].mean(),  # type: ignore[arg-type]
        difference=Quantity(value=mean, low=low, high=high, unit="share", why=why),
        pairs=n,
        passed=None if low is None or high is None else low <= 0 <= high or mean > 0,
        why="the interval includes no change"
        if low is not None and low <= 0 <= (high or 0)
        else f"{'more' if mean > 0 else 'fewer'} right than at baseline",
    )


def _flips_of(store: Store, items: pl.DataFrame, finding: Finding) -> list[ItemFlip]:
    axis = finding.axis
    rows = items.filter(
        (pl.col("series") == finding.series)
        & (pl.col("task") == finding.task)
        & (pl.col("condition") == finding.condition)
        & (pl.col("metric") == finding.metric_hard)
        & pl.col(axis).is_not_null()
    )
    if rows.is_empty() or finding.onset_low is None or finding.onset_high is None:
        return []
    first_seed = rows["seed"].drop_nulls().sort().head(1).to_list()
    rows = rows.filter(pl.col("seed") == first_seed[0]) if first_seed else rows
    sign = -1.0 if axis == "loss" else 1.0  # along loss, later is lower
    low, high = sorted((sign * finding.onset_low, sign * finding.onset_high))
    rows = rows.with_columns(_x=sign * pl.col(axis))
    before, after = rows.filter(pl.col("_x") <= low), rows.filter(pl.col("_x") >= high)
    if before.is_empty() or after.is_empty():
        return []
    wrong = before.filter((pl.col("_x") == pl.col("_x").max()) & (pl.col("value") == 0))
    right = after.filter((pl.col("_x") == pl.col("_x").min()) & (pl.col("value") == 1))
    pairs = wrong.join(right, on=["item_id", "repeat"], suffix="_after").sort("item_id").head(FLIPS)
    return [_flip(store, finding, row) for row in pairs.to_dicts()]


def _flip(store: Store, finding: Finding, row: dict) -> ItemFlip:  # type: ignore[type-arg]
    item = json.loads(store.items().filter(pl.col("item_hash") == row["item_hash"]).collect()["item"][0])
    target = item.get("target", "")
    return ItemFlip(
        finding_id=finding.finding_id,
        item_id=row["item_id"],
        prompt=" ".join(part for part in (item.get("context"), item.get("question")) if part),
        target=target if isinstance(target, str) else " | ".join(target),
        before=_said(store, row, ""),
        after=_said(store, row, "_after"),
    )


def _said(store: Store, row: dict, which: str) -> Said:  # type: ignore[type-arg]
    """What was answered: the generated text, or how likely and how ranked the target's tokens were."""
    asks = store.asks(row[f"model_identity{which}"]).filter(pl.col("ask_id") == row[f"ask_id{which}"])
    keys = asks.collect()["keys"].to_list()[0]
    answers = list(store.fetch(row[f"model_identity{which}"], keys).values())
    texts = [a.text for a in answers if (a.text and not a.token_logprobs) or a.finish]
    text = (
        texts[0]
        if texts
        else "; ".join(
            f"log-probability {math.fsum(a.token_logprobs):.2f}, ranks {' '.join(map(str, a.token_ranks))}"
            for a in answers
        )
    )
    return Said(model=str(row[f"model{which}"]), text=text, hard=row[f"value{which}"])


def _name(group: pl.DataFrame) -> str:
    model, seed = group["model"][0], group["seed"][0]
    return f"{model}, seed {seed}" if seed is not None else str(model)
