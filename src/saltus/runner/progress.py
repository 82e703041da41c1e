"""How far a run is: tallies of the shares, wherever they are done, become one `Progress`, not too often."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from saltus.runner.here import Share
from saltus.runner.pool import Tally


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. Counts are asks (model × task × condition × repeat × item) over the whole run."""

    model: str
    """Short name of the model heard of last."""
    position: int
    """How many shares have begun."""
    models: int
    """How many there are: the models of the run, or parts of them."""
    done: int
    total: int
    known: int
    """Of done, those that were there before."""
    failed: int
    per_second: float | None
    """Fresh asks per second so far; None before the first."""
    seconds_left: float | None


Tell = Callable[[Progress], None]


@dataclass
class Clock:
    """Hears the tally of every share and calls back at most every so many seconds, and at each share's end."""

    callback: Tell | None
    every: float
    total: int
    shares: int
    names: Sequence[str]
    """What each model is called, by its position in the study."""
    tallies: dict[Share, Tally] = field(default_factory=dict)
    """The latest of every share that has begun; one that is begun again starts from nothing."""
    last: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def hear(self, share: Share, tally: Tally) -> None:
        """What is known of a share now."""
        self.tallies[share] = tally
        if self.callback is None or (now := time.monotonic()) - self.last < self.every:
            return
        self.last = now
        self._say(share)

    def end(self, share: Share, tally: Tally) -> None:
        """A share is over."""
        self.tallies[share] = tally
        self._say(share)

    def _say(self, share: Share) -> None:
        if self.callback is None:
            return
        done, known, failed = (
            sum(getattr(t, name) for t in self.tallies.values()) for name in ("done", "known", "failed")
        )
        speed = (done - known) / max(1e-9, time.monotonic() - self.began) or None
        left = (self.total - done) / speed if speed else None
        self.callback(
            Progress(
                self.names[share.model], len(self.tallies), self.shares, done, self.total, known, failed, speed, left
            )
        )
