"""What the scoring engine is given and gives back, whichever way it computes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """How likely is `continuation` after `prompt`. Both hold at least one token."""

    index: int
    prompt: tuple[int, ...]
    continuation: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens the network reads: the last one only has to be predicted."""
        return len(self.prompt) + len(self.continuation) - 1

    @property
    def read(self) -> tuple[int, ...]:
        """Those tokens."""
        return (*self.prompt, *self.continuation[:-1])


@dataclass(frozen=True, slots=True)
class Scored:
    """Per token of a row's continuation; a log-probability that is not finite is left as it is."""

    index: int
    logprobs: tuple[float, ...]
    ranks: tuple[int, ...]
    """Tokens that are more likely, equal ones with a smaller id included: 0 is what argmax picks."""
    seconds: float
