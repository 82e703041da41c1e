"""How many tokens a forward pass shall read, found out while working.

On a processor more is not always faster: intermediate values leave the cache. Nothing is computed for the sake of
measuring: the first forward passes of real work try growing sizes, until one is no faster than the one before.
"""

from __future__ import annotations

SIZES = (1024, 2048, 4096, 8192, 16_384)
TRIES = 2
"""Passes by which a size is judged, the faster one counts: the first of a shape is slow."""
GAIN = 1.03
"""A larger size must be faster by this factor, or the search is over."""


class Tuner:
    """Called before every pass with (tokens, seconds) of the last one; says how many tokens the next shall read."""

    def __init__(self, most: int) -> None:
        self.sizes = [size for size in SIZES if size < most] + [most] if most < SIZES[-1] else list(SIZES)
        self.rates: list[list[float]] = [[]]
        """Tokens per second of each size tried so far."""
        self.settled: int | None = None

    @property
    def best(self) -> int:
        """The size in force."""
        return self.sizes[len(self.rates) - 1 if self.settled is None else self.settled]

    def __call__(self, tokens: int, seconds: float) -> int:
        if self.settled is None and tokens == self.best and seconds > 0:
            self.rates[-1].append(tokens / seconds)
            if len(self.rates[-1]) == TRIES:
                self._judge()
        return self.best

    def _judge(self) -> None:
        at = len(self.rates) - 1
        if at and max(self.rates[at]) < GAIN * max(self.rates[at - 1]):
            self.settled = at - 1
        elif at + 1 == len(self.sizes):
            self.settled = at
        else:
            self.rates.append([])
