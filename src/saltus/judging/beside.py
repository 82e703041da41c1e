"""Evidence of checks that stand beside the verdict: those over items, and those of plug-ins. They decide nothing.

What goes wrong in a check costs that check's own evidence: it becomes `passed=None` with the reason, and a caution for
`inputs.json`. Columns that a check needs are looked up here, so that no check has to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from saltus import plugins
from saltus.checks import BESIDE, MEASURED
from saltus.checks.base import Check, View, sees_items
from saltus.errors import reason
from saltus.records import Evidence, Finding

ITEM_COLUMNS = frozenset({"item_id", "parent_id", "relation", "group", "condition_level", "repeat", "n_tokens"})
"""Columns that only item-level rows have, and that a curve may lack although others have them."""


@dataclass(frozen=True)
class Beside:
    """Findings with what the checks added, and what went wrong."""

    findings: tuple[Finding, ...]
    cautions: tuple[str, ...]


def installed() -> list[Check]:
    """Our checks over items, then those that other packages registered."""
    own = {c.name for c in MEASURED} | {c.name for c in BESIDE}
    return [*BESIDE, *(plugins.load("checks", name) for name in plugins.names("checks") if name not in own)]


def attach(view: View, checks: Iterable[Check], rng: np.random.Generator) -> Beside:
    """The view's findings with one more Evidence per check and curve where the check has something to say.

    Every check gets randomness of its own, so that one more check changes none of the others' numbers.
    """
    more: list[list[Evidence]] = [[] for _ in view.findings]
    cautions = []
    checks = list(checks)
    for check, stream in zip(checks, rng.spawn(len(checks)), strict=True):
        found, wrong = _ask(check, view, stream)
        if wrong:
            cautions.append(wrong)
        for mine, evidence in zip(more, found, strict=True):
            if evidence is not None:
                mine.append(evidence)
    findings = (
        replace(f, evidence=(*f.evidence, *mine)) if mine else f for f, mine in zip(view.findings, more, strict=True)
    )
    return Beside(tuple(findings), tuple(cautions))


def _ask(check: Check, view: View, rng: np.random.Generator) -> tuple[Sequence[Evidence | None], str | None]:
    """(one entry per curve, what went wrong)."""
    name, count = str(getattr(check, "name", type(check).__name__)), len(view.curves)
    needs = frozenset(getattr(check, "needs", ()))
    lacking = needs & (ITEM_COLUMNS if view.items is None else frozenset())
    lacking |= {n for n in needs - ITEM_COLUMNS - _ALWAYS if view.columns and n not in view.columns}
    own = check in BESIDE
    if lacking:
        # Ours have nothing to say where there are no items; the reader of a plug-in's is given the reason.
        return ([None] if own else [_lacks(name, lacking)]) * count, None
    try:
        found: list[Any] = list(check(view if sees_items(check) else view.curves, rng))
    except Exception as error:  # noqa: BLE001 — a check must not cost the user the verdicts
        why = f"{name} raised {reason(error)}"
        return [_failed(name, why)] * count, f"the check {why}"
    strange = next((f for f in found if f is not None and not isinstance(f, Evidence)), None)
    if len(found) != count or strange is not None:
        what = f"{len(found)} Evidence for {count} curves" if strange is None else f"a {type(strange).__name__}"
        why = f"{name} returned {what}"
        return [_failed(name, why)] * count, f"the check {why}"
    bare = _bare(view, needs & ITEM_COLUMNS)
    return [_lacks(name, bare[i]) if i in bare and e is not None else e for i, e in enumerate(found)], None


_ALWAYS = frozenset({"value", "soft", "task", "metric", "series"})
"""Needs that every curve meets, or whose absence a curve itself shows (`has_soft`)."""


def _bare(view: View, needs: frozenset[str]) -> dict[int, set[str]]:
    """Curve → those of the item columns needed that all of its rows leave empty."""
    if view.items is None or not needs:
        return {}
    names = sorted(needs)
    there = view.items.group_by("curve").agg(pl.col(n).is_not_null().any() for n in names).collect()
    have = {row["curve"]: {n for n in names if row[n]} for row in there.iter_rows(named=True)}
    return {i: lack for i in range(len(view.curves)) if (lack := set(names) - have.get(i, set()))}


def _lacks(name: str, columns: Iterable[str]) -> Evidence:
    named = ", ".join(f"`{c}`" for c in sorted(columns))
    return Evidence(name=name, question=name, why=f"the results have no column {named}, which this check needs")


def _failed(name: str, why: str) -> Evidence:
    return Evidence(name=name, question=name, why=why)
