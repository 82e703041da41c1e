"""The items of `checks.flips` with what was asked and answered, for people to read."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import polars as pl

from saltus.page.context import ItemFlip, Stated
from saltus.records import Evidence, Finding
from saltus.store import Store
from saltus.verdict import JUMPED

SHOWN = 4
"""Shown per finding: enough to see what changed, few enough to read."""


def flips(store: Store, items: pl.DataFrame, findings: Sequence[Finding]) -> tuple[ItemFlip, ...]:
    """Up to SHOWN items per leap: wrong just before it, right just after, with the answers. See `checks.flips`."""
    found: list[ItemFlip] = []
    for finding in findings:
        flipped = next((e for e in finding.evidence if e.name == "flips"), None)
        if flipped is not None and finding.primary and finding.verdict in JUMPED:
            found += _flips_of(store, items, finding, flipped)
    return tuple(found)


def _flips_of(store: Store, items: pl.DataFrame, finding: Finding, flipped: Evidence) -> list[ItemFlip]:
    detail, axis = flipped.detail, finding.axis
    mine = items.filter(
        (pl.col("series") == finding.series)
        & (pl.col("task") == finding.task)
        & (pl.col("condition") == finding.condition)
        & (pl.col("metric") == finding.metric_hard)
        & (pl.col("seed").fill_null("") == detail["seed"])
        & pl.col("item_id").is_in(detail["gained_items"][:SHOWN])
    )
    before, after = mine.filter(pl.col(axis) == detail["before"]), mine.filter(pl.col(axis) == detail["after"])
    pairs = (
        before.join(after, on=["item_id", "repeat"], suffix="_after").unique("item_id", keep="first").sort("item_id")
    )
    return [_flip(store, finding, row) for row in pairs.to_dicts()]


def _flip(store: Store, finding: Finding, row: dict) -> ItemFlip:  # type: ignore[type-arg]
    item = json.loads(store.items().filter(pl.col("item_hash") == row["item_hash"]).collect()["item"][0])
    target = item.get("target", "")
    return ItemFlip(
        finding_id=finding.finding_id,
        item_id=row["item_id"],
        prompt=" ".join(part for part in (item.get("context"), item.get("question")) if part),
        target=target if isinstance(target, str) else " | ".join(target),
        before=_stated(store, row, ""),
        after=_stated(store, row, "_after"),
    )


def _stated(store: Store, row: dict, which: str) -> Stated:  # type: ignore[type-arg]
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
    return Stated(model=str(row[f"model{which}"]), text=text, hard=row[f"value{which}"])
