"""Control of false discoveries over a family of findings (scipy's Benjamini–Hochberg and –Yekutieli)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control

from saltus.stats.batch import Floats


def q_values(p: Floats, families: Sequence[str], *, dependent: bool = False) -> Floats:
    """q-value of every p within its family; NaN p stays NaN and counts for nothing.

    dependent: Benjamini–Yekutieli, valid under any dependence (findings that share items).
    """
    q = np.full(len(p), np.nan)
    names = np.asarray(families, dtype=object)
    for name in sorted(set(families)):
        here = np.flatnonzero((names == name) & np.isfinite(p))
        if len(here):
            q[here] = false_discovery_control(np.clip(p[here], 0, 1), method="by" if dependent else "bh")
    return q
