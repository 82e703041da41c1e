"""Models of several families on one axis: is the score a function of that axis at all?

Where models at one place disagree, a rise of the pool is an accident of which families have which sizes (Ruan et al.
2024, arXiv 2405.10938: smooth sigmoids in capability look like noise over compute). Two models disagree if the smaller
one scores higher by `irregular_share` of the range and by more than the error of their items. Counted is how many
models would have to be left out for the rest to agree: falls are transitive, so by Dilworth's theorem (1950) that is
the size of a maximum matching of disagreeing pairs.

Known limit: one odd model, or two, is forgiven, and so is a twentieth of a large pool. Pools of more than `MOST` models
are thinned evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from saltus.records import Analysis
from saltus.stats.batch import Bools, Channel, CurveBatch, Floats

ERRORS = 4.0
"""Standard errors of the difference that a disagreement must exceed."""
FORGIVEN = 2
MOST = 1000


@dataclass(frozen=True)
class Apart:
    """Per curve (C,); 0 and NaN where families are not pooled."""

    models: np.ndarray
    """Models in the pool."""
    off: np.ndarray
    """How many of them would have to be left out for the rest to agree."""
    disagree: np.ndarray
    """0: they agree; 1: they disagree, but errors are unknown, it may be noise; 2: beyond the error of their items."""
    steepest: Floats
    """(C, 4) of the largest fall: raw axis and score of the smaller model, the same of the larger one."""


def apart(curves: CurveBatch, analysis: Analysis) -> Apart:
    """Compare the models of every pooled curve. One curve at a time: few are pooled."""
    count = len(curves)
    models, off, disagree = (np.zeros(count, dtype=int) for _ in range(3))
    out = Apart(models, off, disagree, np.full((count, 4), np.nan))
    for i in [i for i, key in enumerate(curves.keys) if key.pooled]:
        ok = curves.seen[i] & np.isfinite(curves.x[i]) & np.isfinite(curves.hard.value[i])
        y, error = curves.hard.value[i][ok], _errors(curves.hard, i, ok)
        # at one place the order that is kindest to the curve
        order = np.lexsort((y, curves.x[i][ok]))[:: max(1, -(-len(y) // MOST))]
        y, error, raw = y[order], error[order], curves.raw_x[i][ok][order]
        if len(y) < analysis.min_points:
            continue
        fall = np.triu(y[:, None] - y, 1)
        large = fall > max(analysis.irregular_share * float(np.ptp(y)), analysis.present_margin)
        with np.errstate(invalid="ignore"):
            real = large & (fall > ERRORS * np.hypot(error[:, None], error))
        known = bool(np.isfinite(error).all())
        models[i], off[i] = len(y), _left_out(real if known else large)
        if off[i] > max(FORGIVEN, analysis.alpha * len(y)):
            disagree[i] = 2 if known else 1
        early, late = np.unravel_index(int(fall.argmax()), fall.shape)
        out.steepest[i] = raw[early], y[early], raw[late], y[late]
    return out


def _left_out(pairs: Bools) -> int:
    """How many rows have to go so that no pair is left."""
    matched = maximum_bipartite_matching(csr_array(pairs), perm_type="column")
    return int((matched >= 0).sum())


def _errors(hard: Channel, i: int, ok: np.ndarray) -> Floats:
    """Sampling error of every score: binomial where items are known, else as stated; NaN where neither is."""
    y, n, stated = (a[i][ok] for a in (hard.value, hard.n, hard.stderr))
    if not hard.binomial[i]:
        return stated
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (np.clip(y, 0, 1) * n + 1) / (n + 2)
        return np.asarray(np.where(n > 0, np.sqrt(share * (1 - share) / n), stated))
