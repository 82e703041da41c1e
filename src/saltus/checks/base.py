"""What a check is: a question put to a batch of curves, answered with `Evidence`, never with a print.

A check never touches a model or a file. It is one callable under entry point `saltus.checks`; it names the
columns it needs, and where they are absent its evidence has `passed=None` and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from saltus.records import Evidence
from saltus.stats.batch import CurveBatch


@runtime_checkable
class Check(Protocol):
    """One question over all curves at once; returns one Evidence per curve, in order."""

    name: str
    needs: frozenset[str]
    """Columns of the results table, e.g. {"value", "n_items"}; {"soft"} needs a soft twin."""

    def __call__(self, curves: CurveBatch, rng: np.random.Generator) -> Sequence[Evidence]: ...
