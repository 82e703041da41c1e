"""Rates with exact intervals, and the bars they are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scipy.stats import beta

WORDS: tuple[str, ...] = (
    "flat",
    "smooth",
    "artefact",
    "irregular",
    "unresolved",
    "sharp",
    "transition",
    "split",
    "bound",
    "defective",
)
"""Order of the confusion matrix: truths without a leap first."""


@dataclass(frozen=True)
class Rate:
    """k of n, with the exact (Clopper–Pearson) 95 % interval; value None when n is 0."""

    k: int
    n: int
    value: float | None
    low: float
    high: float

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f}–{100 * self.high:.1f}; {self.k}/{self.n})"


def rate(k: int, n: int, level: float = 0.95) -> Rate:
    """The share k/n with its Clopper–Pearson interval (Clopper & Pearson 1934, by quantiles of the beta law)."""
    if n == 0:
        return Rate(k, n, None, 0.0, 1.0)
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k > 0 else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return Rate(k, n, k / n, low, high)


@dataclass(frozen=True)
class Bar:
    """One line that must hold, and whether it does."""

    name: str
    wanted: str
    value: float | None
    kept: bool

    def __str__(self) -> str:
        shown = "–" if self.value is None else f"{self.value:.3f}"
        return f"{'kept  ' if self.kept else 'MISSED'}  {shown:>7}  {self.wanted:<18} {self.name}"


def confusion(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """(truth, word) pairs → truth → word → how often, zeros left out."""
    table: dict[str, Counter[str]] = {}
    for truth, word in pairs:
        table.setdefault(truth, Counter())[word] += 1
    return {truth: dict(words) for truth, words in table.items()}


def by_kind(kinds: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str, str]]:
    """(kind of truth, share that got its word, the other words), sorted by truth in the order of `WORDS`."""
    rows = []
    for kind in sorted(kinds, key=lambda k: (WORDS.index(k.split(":")[0]), k)):
        words, truth = kinds[kind], kind.split(":")[0]
        others = sorted((-n, word) for word, n in words.items() if word != truth)
        exact = rate(words.get(truth, 0), sum(words.values()))
        rows.append((kind, str(exact), ", ".join(f"{-n} {word}" for n, word in others)))
    return rows
