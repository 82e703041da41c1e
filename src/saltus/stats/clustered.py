"""The mean of many groups of numbers and its standard error, with items that share something counted as one cluster.

sqrt(G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))²) / n (Liang & Zeger 1986; Miller 2024, arXiv 2411.00640, eq. 4), which is s/√n
where every cluster is one item; undefined for G < 2. This is the one place where saltus computes it. Numbers are added
up by numpy in the order given, so that a table is the same to the last digit whatever the threads were.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from saltus.stats.batch import Floats


class Means(NamedTuple):
    """One entry per group, in the order of their numbers."""

    mean: Floats
    stderr: Floats
    """NaN where there is one cluster only."""
    n: NDArray[np.int64]
    clusters: NDArray[np.int64]

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Student's t with clusters − 1 degrees of freedom."""
        reach = student.ppf(0.5 + level / 2, np.maximum(self.clusters - 1, 1)) * self.stderr
        return self.mean - reach, self.mean + reach


def clustered_means(value: Floats, group: NDArray[np.int64], cluster: NDArray[np.int64]) -> Means:
    """value, group, cluster: one entry each per number; groups numbered from 0 without gaps, and a cluster's number
    belongs to one group (`runs` makes both from sorted keys)."""
    if not len(value):
        nothing = np.empty(0)
        return Means(nothing, nothing, nothing.astype(np.int64), nothing.astype(np.int64))
    n = np.bincount(group)
    mean = np.bincount(group, weights=value) / n
    sums = np.bincount(cluster, weights=value - mean[group])
    of_cluster = group[np.unique(cluster, return_index=True)[1]]
    clusters = np.bincount(of_cluster)
    squares = np.bincount(of_cluster, weights=sums**2)
    stderr = np.sqrt(squares * clusters / np.maximum(clusters - 1, 1)) / n
    return Means(mean, np.where(clusters > 1, stderr, np.nan), n, clusters)
