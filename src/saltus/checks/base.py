"""What a check is: a question put to a batch of curves, answered with `Evidence`, never with a print.

A check never touches a model or a file. It is one callable under entry point `saltus.checks`, or in a file named in a
study's `checks`. It names the columns it needs, and where they are absent its evidence has `passed=None` and says so.
A check with `sees = "view"` is called with a `View`, which holds the item-level answers too; any other one is called
with the curves alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl

from saltus.records import Analysis, Evidence, Finding
from saltus.stats.batch import CurveBatch


@dataclass(frozen=True)
class View:
    """One table, as curves and as the item-level rows behind them."""

    curves: CurveBatch
    items: pl.LazyFrame | None = None
    """Columns `curves.item_view.COLUMNS`; None where the results hold aggregates only."""
    columns: frozenset[str] = frozenset()
    """Columns of the results table that hold anything."""
    findings: Sequence[Finding] = ()
    """What was judged of each curve, for checks that look around an onset; () where nothing was judged."""
    analysis: Analysis = field(default_factory=Analysis)
    """The study's numbers."""


@runtime_checkable
class Check(Protocol):
    """One question over all curves at once."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> frozenset[str]:
        """Columns of the results table or of the view's items, e.g. {"value"} or {"item_id", "parent_id"}."""
        ...

    def __call__(self, view: Any, rng: np.random.Generator) -> Sequence[Evidence | None]:
        """One Evidence per curve, in order; None where the question does not arise for a curve.

        view: a `View` where the check says `sees = "view"`, else its `curves`.
        """
        ...


def sees_items(check: Check) -> bool:
    """Whether a check is to be called with the whole view."""
    return getattr(check, "sees", "curves") == "view"
