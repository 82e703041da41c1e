"""Where a run's work happens: here, one shard of it here, or on the workers of a Ray cluster (`on_ray`).

A share is a model, or a part of one. Shards split whole models while there are enough of them, so weights load
once; with more shards than models, each model's items are dealt out by index. The split depends on i, n and the
number of models alone, so n batch jobs need not know of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from saltus.errors import UserError

if TYPE_CHECKING:
    from saltus.runner.pool import Tally

Result = TypeVar("Result")
Made = TypeVar("Made", covariant=True)


@dataclass(frozen=True, slots=True)
class Share:
    """One model, or the items of it whose index leaves `part` when divided by `parts`."""

    model: int
    """Position in the study's resolved models."""
    part: int = 0
    parts: int = 1


class Job(Protocol[Made]):
    """What an executor is given. Unpickling creates an independent worker."""

    def __call__(self, share: Share) -> Made:
        """Does a share in this process. Raises Stopped on an interruption, with all answers stored."""
        ...

    def hear(self, share: Share, tally: Tally) -> None:
        """Takes progress of a share that another process does."""
        ...

    def give_up(self, share: Share, why: str) -> Made:
        """The result of a share that nobody could finish."""
        ...


class Executor(Protocol):
    """Decides which shares are done and where."""

    def shares(self, models: int) -> Sequence[Share]: ...

    def run(self, shares: Sequence[Share], work: Job[Result]) -> Iterator[Result]: ...


class Stopped(KeyboardInterrupt):
    """An interruption after which everything answered is stored; `results` of the shares it cut short."""

    def __init__(self, results: Sequence[Any]) -> None:
        self.results = tuple(results)
        super().__init__("stopped; what was answered is stored")


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

    def run(self, shares: Sequence[Share], work: Job[Result]) -> Iterator[Result]:
        for share in shares:
            yield work(share)


def here() -> Here:
    """Everything, in this process."""
    return Here()


def shard(i: int, n: int) -> Here:
    """Shard i of n, counted from 1 as in `--shard 3/16`. Raises UserError for an impossible one."""
    if n < 1 or not 1 <= i <= n:
        raise UserError(f"there is no shard {i}/{n}", wanted="i/n with 1 ≤ i ≤ n, such as 3/16", do="fix --shard")
    return Here(i, n)


def dealt(models: int, workers: int) -> list[Share]:
    """Shares for workers that take the next one when they are free: whole models while every worker gets one, and
    what is left over is split as shards split it, so that all have something to do to the end."""
    rest = models % workers
    whole = models - rest
    parts = [s for i in range(1, workers + 1) for s in Here(i, workers).shares(rest)]
    return [Share(m) for m in range(whole)] + [replace(s, model=whole + s.model) for s in parts]
