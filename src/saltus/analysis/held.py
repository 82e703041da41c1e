"""Answers that hold their own target though no exact match is scored: a harness that reads them wrong.

`holding` compares, for one model and task, the share of answers that hold their own item's target as whole words with
the share that hold another item's (targets permuted). Texts and targets lie in a study's store, so `with_held` marks
the item rows of the points where this fires, for the guard `held_targets`, and beside them whether each answer held
its own; `with_corrected` puts the corrected curve into the findings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from saltus.checks.kit import code
from saltus.hashing import seed_from
from saltus.records import Evidence, Finding
from saltus.store import Store

MORE = 0.2
"""By how much the share that hold their own target has to exceed the share that hold another's."""
CHANCE = 0.01
PERMUTED = 200
SCORED = 0.05
"""Exact match up to which answers that hold their targets are a contradiction."""
SHOWN = 3
_LONG = 90
_POINT = ["model_identity", "task", "condition"]


@dataclass(frozen=True)
class Holding:
    """Shares of answers that hold their own and another item's target, and the chance of as many of their own."""

    own: float
    others: float
    p: float

    @property
    def fires(self) -> bool:
        return self.own - self.others >= MORE and self.p < CHANCE


Targets = tuple[str, ...]


def holding(texts: Sequence[str], targets: Sequence[Targets], seed: int) -> Holding:
    """texts and targets of one model's items, in one order; any of an item's targets will do."""
    plain = [_plain(t) for t in texts]
    own = float(np.mean([holds(t, w) for t, w in zip(plain, targets, strict=True)]))
    if own < MORE:
        return Holding(own, float("nan"), 1.0)
    rng = np.random.default_rng(seed)
    known: dict[tuple[int, int], bool] = {}
    shares = np.zeros(PERMUTED)
    for k in range(PERMUTED):
        hits = 0
        for i, j in enumerate(rng.permutation(len(plain)).tolist()):
            if (i, j) not in known:
                known[i, j] = holds(plain[i], targets[j])
            hits += known[i, j]
        shares[k] = hits / len(plain)
    return Holding(own, float(shares.mean()), (1 + int((shares >= own).sum())) / (1 + PERMUTED))


def holds(plain: str, targets: Targets) -> bool:
    """Whether a text, plain, holds one of the targets as whole words: 12 is not in 512."""
    return any(t in plain and _words(t).search(plain) is not None for t in map(_of_target, targets) if t)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


@lru_cache(50_000)
def _of_target(text: str) -> str:
    return _plain(text)


@lru_cache(50_000)
def _words(plain: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(plain)}(?!\w)")


def with_held(store: Store, items: pl.DataFrame) -> pl.DataFrame:
    """The item rows with `held_targets`, why their point is suspected, and `held`, where any point is."""
    rows = items.filter((pl.col("state") == "done") & (pl.col("role") == "hard"))
    rows = rows.with_columns(first=pl.col("place") == pl.col("place").min().over("model_identity", "ask_id"))
    score = pl.col("value").filter("first").mean()
    low = rows.group_by(_POINT).agg(score.alias("score")).filter(pl.col("score") <= SCORED)
    if not low.height:
        return items
    found = []
    for identity, of_model in low.sort(_POINT).group_by("model_identity", maintain_order=True):
        answered = _answered(store, str(identity[0]), rows.join(of_model, on=_POINT, how="semi"))
        for (task, condition), own in answered.group_by("task", "condition", maintain_order=True):
            why = _suspicion(own, seed_from("held targets", identity[0], task, condition))
            if why:
                found.append((identity[0], task, condition, why))
    if not found:
        return items
    fired = pl.DataFrame(found, schema=[*_POINT, "held_targets"], orient="row")
    curves = rows.join(fired.select("task", "condition").unique(), on=["task", "condition"], how="semi")
    held = [
        _answered(store, str(identity[0]), own).select("model_identity", "ask_id", "held")
        for identity, own in curves.group_by("model_identity", maintain_order=True)
    ]
    out = items.join(fired, on=_POINT, how="left", maintain_order="left")
    return out.join(pl.concat(held), on=["model_identity", "ask_id"], how="left", maintain_order="left")


def _answered(store: Store, model: str, rows: pl.DataFrame) -> pl.DataFrame:
    """model_identity, task, condition, ask_id, text, targets, held of one model's written answers, in order."""
    wanted = rows.select("model_identity", "task", "condition", "ask_id", "item_hash", "item_id", "repeat").unique()
    asks = store.asks(model).join(wanted.lazy().select("ask_id").unique(), on="ask_id", how="semi")
    last = asks.select("ask_id", key=pl.col("keys").list.last()).unique("ask_id", keep="last")
    stated = pl.col("error").is_null() & pl.col("finish").is_not_null() & (pl.col("finish") != "outcome")
    texts = store.answers(model).filter(stated).select("key", "text").unique("key", keep="last")
    items = store.items().join(wanted.lazy().select("item_hash").unique(), on="item_hash", how="semi")
    items = items.select("item_hash", "item").unique("item_hash")
    found = (
        wanted.lazy()
        .join(last, on="ask_id")
        .join(texts, on="key")
        .join(items, on="item_hash")
        .sort("task", "condition", "item_id", "repeat")
        .collect()
    )
    targets = [_targets(text) for text in found["item"]]
    held = [float(holds(_plain(t), w)) if w else None for t, w in zip(found["text"], targets, strict=True)]
    return found.with_columns(
        pl.Series("targets", [list(w) for w in targets], pl.List(pl.String)), pl.Series("held", held, pl.Float64)
    ).filter(pl.col("held").is_not_null())


@lru_cache(50_000)
def _targets(item: str) -> Targets:
    """What an item's answer has to be; nothing where choices are given."""
    stored = json.loads(item)
    target = stored.get("target") or ()
    several = (target,) if isinstance(target, str) else tuple(target)
    return () if stored.get("choices") else tuple(t for t in several if isinstance(t, str) and t.strip())


def _suspicion(own: pl.DataFrame, seed: int) -> str | None:
    """Why the point is suspected, with SHOWN answers; None where it is not."""
    targets = [tuple(t) for t in own["targets"]]
    found = holding(own["text"].to_list(), targets, seed)
    if not found.fires:
        return None
    shown = own.filter(pl.col("held") == 1).head(SHOWN)
    answers = "; ".join(
        f"“{_short(text)}” where “{_short(wanted[0])}” is right"
        for text, wanted in shown.select("text", "targets").iter_rows()
    )
    return (
        f"{found.own:.0%} of the answers hold their own target as whole words and {found.others:.0%} another item's "
        f"(p = {found.p:.2g}), though almost none is scored right: {answers}"
    )


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONG else f"{plain[: _LONG - 1]}…"


def with_corrected(findings: Sequence[Finding], items: pl.DataFrame) -> tuple[Finding, ...]:
    """The findings; where `held_targets` fired, with the curve of answers that hold their target as evidence."""
    made = []
    for finding in findings:
        fired = next((g for g in finding.guards if g.name == "held_targets" and g.fired), None)
        if fired is not None and "held" in items.columns:
            evidence = _corrected(finding, items, fired.why)
            finding = replace(finding, evidence=(*finding.evidence, evidence))
        made.append(finding)
    return tuple(made)


def _corrected(finding: Finding, items: pl.DataFrame, why: str) -> Evidence:
    mine = items.filter(
        (pl.col("series") == finding.series)
        & (pl.col("task") == finding.task)
        & (pl.col("condition") == finding.condition)
        & (pl.col("metric") == finding.metric_hard)
        & pl.col(finding.axis).is_not_null()
        & pl.col("held").is_not_null()
    )
    points = (
        mine.with_columns(seed=pl.col("seed").fill_null(""))
        .group_by("seed", finding.axis)
        .agg(pl.col("value").mean().alias("hard"), pl.col("held").mean().alias("corrected"), pl.len().alias("items"))
        .sort("seed", finding.axis)
    )
    curve: Sequence[Mapping[str, Any]] = points.rename({finding.axis: "x"}).to_dicts()
    last = points["corrected"].last()
    return Evidence(
        name="held_targets",
        question="How many answers hold their own target, whatever is scored?",
        value=float(last) if isinstance(last, float) else None,
        unit="share",
        passed=False,
        why=why,
        code=code(__name__),
        detail={"axis": finding.axis, "curve": curve},
    )
