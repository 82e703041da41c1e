"""Where a run's work happens: here, or one shard of it here. Ray will be a third that satisfies `Executor`.

A share is a model, or a part of one. Shards split whole models while there are enough of them, so weights load
once; with more shards than models, each model's items are dealt out by index. The split depends on i, n and the
number of models alone, so n batch jobs need not know of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from saltus.errors import UserError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Share:
    """One model, or the items of it whose index leaves `part` when divided by `parts`."""

    model: int
    """Position in the study's resolved models."""
    part: int = 0
    parts: int = 1


class Executor(Protocol):
    """Decides which shares are done and where."""

    def shares(self, models: int) -> Sequence[Share]: ...

    def run(self, shares: Sequence[Share], work: Callable[[Share], Result]) -> Iterator[Result]: ...


@dataclass(frozen=True, slots=True)
class Here:
    """In this process, one share after the other: shard `i` of `n`, counted from 1."""

    i: int = 1
    n: int = 1

    def shares(self, models: int) -> list[Share]:
        if self.n <= models:
            return [Share(m) for m in range(self.i - 1, models, self.n)]
        if models == 0:
            return []
        model = (self.i - 1) % models
        parts = len(range(model, self.n, models))
        return [Share(model, (self.i - 1) // models, parts)]

    def run(self, shares: Sequence[Share], work: Callable[[Share], Result]) -> Iterator[Result]:
        for share in shares:
            yield work(share)


def here() -> Here:
    """Everything, in this process."""
    return Here()


def shard(i: int, n: int) -> Here:
    """Shard i of n, counted from 1 as in `--shard 3/16`. Raises UserError for an impossible one."""
    if n < 1 or not 1 <= i <= n:
        raise UserError(
            f"there is no shard {i}/{n}",
            wanted="i/n with 1 ≤ i ≤ n, such as 3/16",
            do="mend --shard",
        )
    return Here(i, n)
